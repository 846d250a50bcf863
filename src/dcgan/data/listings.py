"""Pictures that are files of their own: below a folder, or in a zip or a tar that is read in place.

Subfolders become classes, or splits if that is their names. Nothing is extracted, and names in an archive are only
names.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image

from dcgan.data import decode
from dcgan.data.archives import check_directory, load_member
from dcgan.data.decode import check_file_size, open_image
from dcgan.data.source import ARCHIVES, Item, Split, called, describe, slug
from dcgan.data.splits import chosen
from dcgan.data.streams import MOST_FILES, members, open_stream
from dcgan.errors import InputError, printable

EXTENSIONS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
NOT_READ = (".heic", ".heif", ".avif", ".jxl", ".jp2", ".psd", ".tga", ".ppm", ".svg", ".dng", ".cr2", ".nef", ".arw")
"""Pictures as well, so that it is said when some of them are left out. A telephone's are .heic."""
OURS = ({"config.yaml", "data.json", "samples"}, {"groups.json", "duplicates.txt"})
"""What is in a run, and in a report of `dcgan data dedup`: the pictures there are made of the data, and are none."""


@dataclass(frozen=True)
class _Listing(ABC):
    """Pictures that are files: in a folder or an archive, in the order of `names`."""

    path: Path
    names: tuple[str, ...]  # as the folder or archive has them
    labels: tuple[int, ...]
    class_names: tuple[str, ...]
    part: str
    """The folder of the split, where there are such; or empty."""
    left_out: str
    """Of `NOT_READ`, how many of each."""
    kind = "folder"
    sequential = False

    @property
    def name(self) -> str:
        return slug(self.path)

    @property
    def description(self) -> str:
        return self._described(str(self.path))

    @property
    def shared(self) -> str:
        return self._described(called(self.path))

    def _described(self, place: str) -> str:
        place = f"{place}, {self.part}" if self.part else place
        images = describe(self.kind, place, len(self), len(self.class_names))
        return f"{images} (left out, as no such file is read: {self.left_out})" if self.left_out else images

    def __len__(self) -> int:
        return len(self.names)

    def fingerprint(self) -> str:
        digest = hashlib.sha256(self.kind.encode())
        for fact in self._facts():
            digest.update(repr(fact).encode() + b"\n")
        return digest.hexdigest()

    @abstractmethod
    def _facts(self) -> Iterator[object]:
        """What the fingerprint is made of."""

    @abstractmethod
    def items(self) -> Iterator[Item]:
        """The candidates, in order."""


class FolderSource(_Listing):
    """Files below a folder. The fingerprint is cheap: names, sizes and times, not bytes; and what can be read."""

    def _facts(self) -> Iterator[object]:
        for name in self.names:
            path = self.path / name
            try:
                status = os.stat(path)
            except OSError:
                yield name
            else:
                # Of the permissions counts what they come to; 644 is what most files have, and packs of before count.
                readable = 0o644 if os.access(path, os.R_OK) else 0
                yield name, status.st_size, status.st_mtime_ns, stat.S_IFMT(status.st_mode) | readable

    def items(self) -> Iterator[Item]:
        for name, label in zip(self.names, self.labels, strict=True):
            yield Item(name, label, partial(open_image, self.path / name))


class ZipSource(_Listing):
    """Members of a zip, read in place. The fingerprint is the central directory: names, sizes, CRCs."""

    kind = "zip"

    def _facts(self) -> Iterator[object]:
        with zipfile.ZipFile(self.path) as archive:
            for name in self.names:
                member = archive.getinfo(name)
                yield name, member.file_size, member.CRC

    def items(self) -> Iterator[Item]:
        archive = zipfile.ZipFile(self.path)  # locks its file for threads; closed with the last item
        for name, label in zip(self.names, self.labels, strict=True):
            yield Item(name, label, partial(load_member, archive, archive.getinfo(name)))


@dataclass(frozen=True)
class TarSource(_Listing):
    """Regular files in a tar, streamed from the front. The fingerprint is their names, sizes, times and CRCs."""

    members: tuple[tuple[int, int, float, int], ...]  # of each of `names`: which, size in bytes, time, CRC
    kind = "tar"
    sequential = True

    def _facts(self) -> Iterator[object]:
        yield self.path.stat().st_size
        yield from zip(self.names, self.members, strict=True)

    def items(self) -> Iterator[Item]:
        places = ((which, name) for (which, *_), name in zip(self.members, self.names, strict=True))
        labels = dict(zip(places, self.labels, strict=True))
        with open_stream(self.path) as stream:
            for which, member in enumerate(members(stream)):
                label = labels.get((which, member.name))
                if label is None:
                    continue
                content = member.read() if member.size <= decode.MAX_FILE_BYTES else b""
                yield Item(member.name, label, partial(_load_bytes, content, member.size), len(content))


def folder_source(path: Path, split: Split = "train") -> FolderSource:
    """Every picture below a folder; with two or more subfolders that hold them all, each is a class.

    If these are called `train` and `test`, or as `splits` has it, they are no classes, and `split` says which is meant.
    """
    return FolderSource(path, *_select(sorted(_walk(path)), split, f"the folder {printable(path)}"))


def zip_source(path: Path, split: Split = "train") -> ZipSource:
    """Every picture in a zip; classes as in a folder."""
    check_directory(path)
    with zipfile.ZipFile(path) as archive:
        names = [member.filename for member in archive.infolist() if not member.filename.endswith("/")]
        if sum(member.compress_size for member in archive.infolist()) > path.stat().st_size:
            raise InputError("a bomb: its members lie over each other")
    return ZipSource(path, *_select(names, split, f"the zip {printable(path)}"))


def tar_source(path: Path, split: Split = "train") -> TarSource:
    """Every picture in a tar, compressed or not; classes as in a folder. Links and devices are left out.

    Of members of one name the last counts, as for all that unpack it.
    """
    found: dict[str, tuple[int, int, float, int]] = {}
    with open_stream(path) as stream:
        for which, member in enumerate(members(stream)):
            found.pop(member.name, None)  # so that the names are in the order of what counts
            found[member.name] = which, member.size, member.mtime, member.crc()
            if len(found) > MOST_FILES:
                raise InputError(f"holds more than {MOST_FILES:,} files")
    selected = _select(found, split, f"the tar {printable(path)}")
    return TarSource(path, *selected, tuple(found[name] for name in selected[0]))


def _walk(root: Path) -> Iterator[str]:
    """Posix paths of the files below `root`, but for those of runs and reports (`OURS`) in it.

    Links to folders are followed, each folder entered once.

    A folder that cannot be listed appears as a path that ends in "/": a candidate that fails to load, so it
    is counted and named like any other unreadable file.
    """
    seen = set()
    pending = deque([(str(root), "")])
    while pending:
        folder, prefix = pending.popleft()
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            if not prefix:
                raise
            yield prefix
            continue
        names = {entry.name for entry in entries}
        if prefix and any(marks <= names for marks in OURS):
            continue
        for entry in entries:
            is_link = entry.is_symlink()
            # `entry.is_dir()` raises on a link to itself; `isdir` calls it a file, which fails later, by name.
            if os.path.isdir(entry.path) if is_link else entry.is_dir():
                # Links wait for the real folders, so that pictures keep their real names.
                add = pending.append if is_link else pending.appendleft
                if not _hidden(entry.name):
                    add((entry.path, f"{prefix}{entry.name}/"))
            elif is_link or entry.is_file():
                yield prefix + entry.name


def _select(
    names: Iterable[str], split: Split, what: str
) -> tuple[tuple[str, ...], tuple[int, ...], tuple[str, ...], str, str]:
    """The names that are pictures, their labels, the class names, the split's folder, what pictures are left out."""
    visible = {name: parts for name in names if (parts := _parts(name)) and not any(map(_hidden, parts))}
    pictures = {name: p for name, p in visible.items() if name.lower().endswith((*EXTENSIONS, "/"))}
    kinds = Counter(os.path.splitext(name)[1].lower() or "no extension" for name in visible if name not in pictures)
    if not pictures:
        found = ", ".join(printable(kind) for kind, _ in kinds.most_common(5))
        count = f"{len(visible)} file{'s' * (len(visible) != 1)}, none of them an image: {found}"
        advice = "; an archive is given by its own name" if kinds.keys() & set(ARCHIVES) else ""
        raise InputError(
            f"{what} holds {count if visible else 'no file'}; those read end in {' '.join(EXTENSIONS)}{advice}"
        )
    labels, class_names = classes_of(list(pictures.values()))
    if part := chosen(class_names, split):
        pictures = {n: p for (n, p), k in zip(pictures.items(), labels, strict=True) if class_names[k] == part}
        labels, class_names = classes_of(list(pictures.values()))
    left_out = ", ".join(f"{number:,} {kind}" for kind, number in kinds.most_common() if kind in NOT_READ)
    return tuple(pictures), labels, class_names, part, left_out


def _parts(name: str) -> list[str]:
    """A path's parts; only names are made of them, never files, so ".." is dropped, not obeyed."""
    *folders, last = name.replace("\\", "/").split("/")
    return [folder for folder in folders if folder not in ("", ".", "..")] + [last]


def _hidden(part: str) -> bool:
    return part.startswith(".") or part in ("__MACOSX", "Thumbs.db")


def classes_of(paths: Sequence[Sequence[str]]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Labels from the first folder where the pictures part; none when some lie beside those folders."""
    depth = 0
    while all(len(path) > depth + 1 for path in paths):
        folders = sorted({path[depth] for path in paths})
        if len(folders) > 1:
            index = {folder: label for label, folder in enumerate(folders)}
            return tuple(index[path[depth]] for path in paths), tuple(folders)
        depth += 1
    return (-1,) * len(paths), ()


def _load_bytes(content: bytes, size: int) -> Image.Image:
    check_file_size(size)
    return open_image(content)
