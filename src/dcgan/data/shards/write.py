"""Any data as shards in webdataset's format: plain tars of `000000123.png` and, with classes, `000000123.cls`.

The name is the picture's place in the source. The same source and options give the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import tarfile
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from dcgan.data.cache import sync, write_synced
from dcgan.data.decode import BadImage, decode
from dcgan.data.pack import Progress, quiet_pillow
from dcgan.data.shards.index import FORMAT
from dcgan.data.source import Item, Source
from dcgan.errors import InputError, printable
from dcgan.files import DISK_FULL, require_new, whole

AHEAD = 64
_EXTENSIONS = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp", "BMP": "bmp", "TIFF": "tif", "GIF": "gif"}


@dataclass(frozen=True)
class Sharding:
    """How a set becomes shards."""

    images: int = 10_000
    """In a shard, at most."""
    megabytes: float = 256.0
    """In a shard; the picture that goes beyond is the last."""
    shuffle: bool = True
    """The pictures are dealt in a random order, always the same one; a tar's cannot be and stay as they are."""
    size: tuple[int, int] | None = None
    """(height, width) to which all are cropped and resized, as PNG; None: each keeps its own bytes."""
    channels: int = 3
    max_skipped: float = 0.1


@dataclass
class Written:
    """What has been written."""

    images: int = 0
    bytes: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    shards: list[dict[str, object]] = field(default_factory=list)


def write_shards(source: Source, out: Path, how: Sharding, progress: Progress | None = None) -> Written:
    """Write the source into the new folder `out`, which is there as a whole at the end or not at all.

    Raises InputError if there is something at `out`, it cannot be written, or too many pictures are broken.
    """
    require_new(out, folders=False)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with whole(out) as partial:
            partial.mkdir()
            return _write(source, partial, how, progress)
    except OSError as error:
        why = "the disk is full" if error.errno in DISK_FULL else error.strerror or str(error)
        raise InputError(f"{printable(out)}: cannot be written ({why})") from error


def _write(source: Source, folder: Path, how: Sharding, progress: Progress | None) -> Written:
    written, rows = Written(), list[tuple[int, ...]]()
    shuffled = how.shuffle and not source.sequential
    pictures = _pictures(source, how, shuffled, written)
    number = 0
    while (first := next(pictures, None)) is not None:
        path = folder / f"shard-{number:06d}.tar"
        rows += _write_shard(path, number, itertools.chain([first], pictures), how, bool(source.class_names))
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size, images = path.stat().st_size, len(rows) - written.images
        written.shards.append({"name": path.name, "images": images, "bytes": size, "sha256": digest})
        written.images, written.bytes, number = len(rows), written.bytes + size, number + 1
        if progress:
            progress(written.images + len(written.skipped), len(source))
    total = written.images + len(written.skipped)
    if total != len(source):
        raise InputError(f"{source.description}: was changed meanwhile; run this again")
    if not written.images or len(written.skipped) > how.max_skipped * total:
        examples = "".join(f"\n  {printable(name)}: {printable(why)}" for name, why in written.skipped[:5])
        raise InputError(f"{source.description}: {len(written.skipped)} of {total} pictures cannot be used{examples}")
    table = np.array(rows, "<i8").tobytes()
    facts = {
        "format": FORMAT,
        "images": written.images,
        "class_names": list(source.class_names),
        "shuffled": shuffled,
        "skipped": [{"name": name, "reason": why} for name, why in written.skipped],
        "index_sha256": hashlib.sha256(table).hexdigest(),
        "shards": written.shards,
    }
    write_synced(folder / "dataset.index", table)
    write_synced(folder / "dataset.json", json.dumps(facts, indent=1).encode())
    return written


@dataclass(frozen=True)
class _Picture:
    number: int
    label: int
    content: bytes
    extension: str


def _write_shard(
    path: Path, number: int, pictures: Iterator[_Picture], how: Sharding, labelled: bool
) -> Iterable[tuple[int, ...]]:
    """Fill one tar; the rows of its pictures in the index."""
    rows = []
    with path.open("wb") as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for picture in pictures:
                offset = archive.offset + 512  # of its content, after the header
                rows.append((number, offset, len(picture.content), picture.label, picture.number))
                _add(archive, f"{picture.number:09d}.{picture.extension}", picture.content)
                if labelled:
                    _add(archive, f"{picture.number:09d}.cls", str(picture.label).encode())
                if len(rows) == how.images or archive.offset >= how.megabytes * 1e6:
                    break
        sync(file)
    return rows


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file of no owner and no time, so that the same content gives the same tar."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    archive.addfile(member, io.BytesIO(content))
    archive.members = []  # type: ignore[attr-defined]  # tarfile would keep them all


def _pictures(source: Source, how: Sharding, shuffled: bool, written: Written) -> Iterator[_Picture]:
    """The pictures in the order of the shards, read by threads ahead of need; broken ones are noted and left out."""
    items: Iterable[tuple[int, Item]] = enumerate(source.items())
    if shuffled:
        listed = list(items)
        order = np.random.Generator(np.random.Philox(key=0, counter=[0, 0, 3, 0])).permutation(len(listed))
        items = (listed[i] for i in order)
    pending: deque[tuple[Item, Future[_Picture]]] = deque()
    with quiet_pillow(), ThreadPoolExecutor(2, "dcgan-shards") as pool:
        try:
            for number, item in items:
                pending.append((item, pool.submit(_picture, number, item, how)))
                if len(pending) >= AHEAD:
                    yield from _done(*pending.popleft(), written)
            while pending:
                yield from _done(*pending.popleft(), written)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _done(item: Item, future: Future[_Picture], written: Written) -> Iterator[_Picture]:
    try:
        yield future.result()
    except BadImage as error:
        written.skipped.append((item.name, str(error)))
    except OSError as error:
        written.skipped.append((item.name, error.strerror or str(error)))


def _picture(number: int, item: Item, how: Sharding) -> _Picture:
    with item.load() as image:
        if how.size is None and (content := _own_bytes(image)) is not None:
            return _Picture(number, item.label, content, _EXTENSIONS[image.format or ""])
        if how.size is not None:
            array = decode(image, how.size, how.channels)
            image = Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        return _Picture(number, item.label, buffer.getvalue(), "png")


def _own_bytes(image: Image.Image) -> bytes | None:
    """The file that a picture was opened from; None if it is an array."""
    file = getattr(image, "fp", None)
    if file is None or image.format not in _EXTENSIONS:
        return None
    content = None
    with suppress(ValueError):  # closed
        file.seek(0)
        content = file.read()
    return content
