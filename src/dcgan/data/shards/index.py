"""Where each picture of a set of shards lies: from the set's own dataset.json, or found by reading the tars' headers.

`dataset.json` says which shards there are, their bytes and SHA-256, and the class names; `dataset.index` beside it is
an array of little-endian int64 (N, 5), a row a picture, with the columns below. A tar is never extracted: its names
are only names, links and devices are left out, and nothing in it is run or unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np

from dcgan.data.archives import UNREADABLE, reason
from dcgan.data.cache import default_cache, partial_folder, write_synced
from dcgan.data.listings import EXTENSIONS, classes_of
from dcgan.data.shards.pattern import is_url
from dcgan.data.shards.remote import fetched, fetched_text
from dcgan.errors import InputError, printable
from dcgan.reading import is_integer, open_regular, parse_json, size_text

FORMAT = "dcgan-shards-1"
SHARD, OFFSET, SIZE, LABEL, NUMBER = range(5)
"""Columns: which shard, where its bytes begin, how many they are, its class or -1, its place in the set."""
MOST_FACTS = 64 * 2**20
MOST_HEADER = 2**20
MOST_CLASS_BYTES = 256


@dataclass(frozen=True)
class Shard:
    """One tar."""

    where: str  # a path or a URL
    size: int
    stamp: str  # its SHA-256 if the set says it, else the time of its last change
    sha256: str = ""

    @property
    def name(self) -> str:
        return _name(self.where)

    def path(self) -> Path:
        """Its file: of a URL the one in the cache, fetched now if it is not there."""
        return fetched(self.where, self.size, self.sha256) if is_url(self.where) else Path(self.where)


@dataclass(frozen=True, eq=False)
class Index:
    """Shards and the pictures in them, in the order of shards and of bytes."""

    shards: tuple[Shard, ...]
    table: np.ndarray  # int64 (N, 5)
    class_names: tuple[str, ...]

    def starts(self) -> np.ndarray:
        """Rows at which the shards begin, and the end: int64 (shards + 1,)."""
        return np.searchsorted(self.table[:, SHARD], np.arange(len(self.shards) + 1))


def find_index(shards: Sequence[str]) -> Index:
    """The index of these paths or URLs. Raises InputError for shards that cannot be read or hold no picture."""
    index = _described(shards) or _scanned(shards)
    if not len(index.table):
        raise InputError(f"{printable(shards[0])}: there is no picture in these shards ({', '.join(EXTENSIONS)})")
    return index


def shards_of_folder(folder: Path) -> tuple[str, ...] | None:
    """All shards of a folder that `dcgan data pack --shards` wrote; None if it is another one."""
    path = folder / "dataset.json"
    facts = _facts(_read(path), str(path))
    return tuple(str(folder / entry["name"]) for entry in facts["shards"]) if facts else None


def _described(shards: Sequence[str]) -> Index | None:
    """What dataset.json and dataset.index beside the shards say; None without them or if they do not name these."""
    parents = {where.rpartition("/")[0] if is_url(where) else str(Path(where).parent) for where in shards}
    if len(parents) != 1:
        return None
    (parent,) = parents
    remote = is_url(shards[0])
    where = f"{parent}/dataset.json"
    facts = _facts(fetched_text(where, MOST_FACTS) if remote else _read(Path(where)), where)
    if facts is None:
        return None
    known = {entry["name"]: number for number, entry in enumerate(facts["shards"])}
    names = [_name(where) for where in shards]
    if any(name not in known for name in names):
        return None
    table = _table(parent, facts)
    found = []
    for where, name in zip(shards, names, strict=True):
        entry = facts["shards"][known[name]]
        if not remote and (size := _size(where)) != entry["bytes"]:
            raise InputError(f"{printable(where)}: has {size:,} bytes; by dataset.json it has {entry['bytes']:,}")
        found.append(Shard(where, entry["bytes"], entry["sha256"], entry["sha256"]))
    chosen = [known[name] for name in names]
    if chosen != list(range(len(known))):  # some of the set only
        begins = np.searchsorted(table[:, SHARD], np.arange(len(known) + 1))
        table = np.concatenate([table[begins[number] : begins[number + 1]] for number in chosen])
        table[:, SHARD] = np.repeat(np.arange(len(chosen)), [begins[n + 1] - begins[n] for n in chosen])
    return Index(tuple(found), table, tuple(facts["class_names"]))


def _facts(content: bytes | None, where: str) -> dict[str, Any] | None:
    """dataset.json, checked; None if there is none, or one of somebody else, whatever that is."""
    if content is None or FORMAT.encode() not in content:
        return None
    try:
        if len(content) > MOST_FACTS:
            raise ValueError(f"larger than {size_text(MOST_FACTS)}")
        facts = parse_json(content.decode("utf-8"))
        if not isinstance(facts, dict) or facts.get("format") != FORMAT:
            return None
        for entry in facts["shards"]:
            name, size, digest = entry["name"], entry["bytes"], entry["sha256"]
            if not (isinstance(name, str) and name and "/" not in name and "\\" not in name and name != ".."):
                raise ValueError(f"{name!r} is no shard's name")
            if not is_integer(size) or not isinstance(digest, str) or len(digest) != 64:
                raise ValueError(f"{name}: wants bytes and sha256")
        if len({entry["name"] for entry in facts["shards"]}) < len(facts["shards"]):
            raise ValueError("shards: one is named twice")
        if not is_integer(facts["images"], 1, 2**31 - 1):
            raise ValueError("images: wants a number from 1 to 2^31")
        if not all(isinstance(name, str) for name in facts["class_names"]):
            raise ValueError("class_names: wants texts")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{printable(where)}: damaged ({printable(error)})") from error
    return facts


def _table(parent: str, facts: dict[str, Any]) -> np.ndarray:
    where, length = f"{parent}/dataset.index", facts["images"] * 40
    path = fetched(where, length, str(facts.get("index_sha256", ""))) if is_url(where) else Path(where)
    if (size := _size(str(path))) != length:
        raise InputError(f"{printable(where)}: has {size:,} bytes; by dataset.json it has {length:,}")
    table = np.memmap(path, "<i8", "r", shape=(facts["images"], 5))
    shard, sizes = table[:, SHARD], np.array([entry["bytes"] for entry in facts["shards"]])
    sound = (np.diff(shard) >= 0).all() and shard[0] >= 0 and shard[-1] < len(sizes)
    sound = sound and (table[:, OFFSET] >= 512).all() and (table[:, SIZE] >= 0).all()
    sound = sound and (table[:, OFFSET] <= sizes[shard]).all() and (table[:, SIZE] <= sizes[shard]).all()
    sound = sound and (table[:, OFFSET] + table[:, SIZE] <= sizes[shard]).all()
    low, high = (0, len(facts["class_names"]) - 1) if facts["class_names"] else (-1, -1)
    sound = sound and table[:, LABEL].min() >= low and table[:, LABEL].max() <= high
    if not sound:
        raise InputError(f"{printable(where)}: damaged (pictures outside their shards, or of no class)")
    return table


def _scanned(shards: Sequence[str]) -> Index:
    """The index from the tars' own headers, kept in the cache; of URLs each shard is fetched once for that."""
    known = [_known(where) for where in shards]
    key = hashlib.sha256(repr((FORMAT, [(s.where, s.size, s.stamp) for s in known])).encode()).hexdigest()[:32]
    folder = default_cache() / "shard-indexes" / key
    if (found := _cached(folder, known)) is not None:
        return found
    table, tags = list[tuple[int, ...]](), dict[tuple[str, str], int]()
    for number, shard in enumerate(known):
        for offset, size, tag in _pictures(shard):
            table.append((number, offset, size, tags.setdefault(tag, len(tags)), len(table)))
    array = np.array(table, "<i8").reshape(-1, 5)
    labels, class_names = _classes(list(tags))
    array[:, LABEL] = np.array(labels, "<i8")[array[:, LABEL]] if len(array) else 0
    with partial_folder(folder, lambda place: _cached(place, known) is not None) as partial:
        write_synced(partial / "dataset.index", array.tobytes())
        write_synced(partial / "dataset.json", json.dumps(class_names).encode())
    return Index(tuple(known), array, class_names)


def _known(where: str) -> Shard:
    if is_url(where):
        return Shard(where, fetched(where).stat().st_size, "")
    return Shard(where, _size(where), str(os.stat(where).st_mtime_ns))


def _cached(folder: Path, shards: Sequence[Shard]) -> Index | None:
    try:
        class_names = tuple(map(str, json.loads((folder / "dataset.json").read_bytes())))
        table = np.fromfile(folder / "dataset.index", "<i8").reshape(-1, 5)
    except (OSError, ValueError, TypeError):
        return None
    return Index(tuple(shards), table, class_names)


def _pictures(shard: Shard) -> Iterator[tuple[int, int, tuple[str, str]]]:
    """(offset, size, what tells its class) of each picture of a tar: its .cls file, or else the folder it is in."""
    found: list[tuple[str, int, int]] = []
    classes: dict[str, str] = {}
    path = shard.path()
    try:
        with path.open("rb") as stream, tarfile.open(fileobj=_headers_of(stream), mode="r:") as archive:
            for member in archive:
                archive.members = []  # type: ignore[attr-defined]  # tarfile would keep them all
                key, kind = _key(member.name)
                if not member.isreg() or member.sparse is not None or PurePosixPath(key).name.startswith("."):
                    continue
                if member.name.lower().endswith(EXTENSIONS):
                    found.append((key, member.offset_data, member.size))
                elif kind == "cls" and member.size <= MOST_CLASS_BYTES:
                    content = archive.extractfile(member)
                    classes[key] = content.read().decode("utf-8").strip() if content else ""
            stream.seek(archive.offset)
            if (end := stream.read(512)) != bytes(512):  # tarfile takes anything for the end
                what = "a damaged header" if end else "no end: it was cut off"
                raise tarfile.ReadError(f"{what} at byte {archive.offset:,}")
    except (*UNREADABLE, tarfile.TarError) as error:
        advice = "; shards are plain tars, not compressed" if shard.name.endswith(("gz", "bz2", "xz")) else ""
        raise InputError(f"{printable(shard.where)}: cannot be read ({printable(reason(error))}){advice}") from error
    for key, offset, size in found:
        folder = ("folder", str(PurePosixPath(key).parent))
        yield offset, size, ("cls", classes[key]) if key in classes else folder


def _key(name: str) -> tuple[str, str]:
    """webdataset's: "a/b.left.png" → "a/b" and "left.png"."""
    folder, _, last = name.rpartition("/")
    stem, _, kind = last.partition(".") if not last.startswith(".") else (last, "", "")
    return (f"{folder}/{stem}" if folder else stem), kind


def _classes(tags: Sequence[tuple[str, str]]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The label of each tag, and the class names: of .cls files if every picture has one, else of folders."""
    if tags and all(kind == "cls" for kind, _ in tags):
        numbers = all(text.isdecimal() for _, text in tags)
        names = sorted({text for _, text in tags}, key=(lambda text: (int(text), text)) if numbers else None)
        label = {name: number for number, name in enumerate(names)}
        return tuple(label[text] for _, text in tags), tuple(names)
    if any(kind == "cls" for kind, _ in tags):
        return (-1,) * len(tags), ()
    parts = [[p for p in text.split("/") if p not in ("", ".", "..")] + ["picture"] for _, text in tags]
    return classes_of(parts) if tags else ((), ())


def _headers_of(stream: BinaryIO) -> Any:
    return _Bounded(stream)


class _Bounded:
    """A file of which tarfile can read headers only: what a header says of its own length is not believed."""

    def __init__(self, stream: BinaryIO) -> None:
        self.seek, self.tell, self._read = stream.seek, stream.tell, stream.read

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MOST_HEADER:
            raise tarfile.ReadError("a header larger than 1 MiB")
        return self._read(size)


def _read(path: Path) -> bytes | None:
    """A dataset.json, or the first part of one that is too large; None if there is no file of that name."""
    if not path.is_file():
        return None
    with open_regular(path, sys.maxsize) as file:
        return file.read(MOST_FACTS + 1)


def _name(where: str) -> str:
    return where.rsplit("/", 1)[-1] if is_url(where) else Path(where).name


def _size(where: str) -> int:
    try:
        return os.stat(where).st_size
    except OSError as error:
        raise InputError(f"{printable(where)}: cannot be read ({error.strerror})") from error
