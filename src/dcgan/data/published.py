"""Readers of CIFAR-10, SVHN, CelebA and LSUN, each in the layouts in which it was published and people keep it.

`find_…(folder, split)` is None when the set is not in that folder, and raises `InputError` when it is damaged.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dcgan.data.decode import check_file_size, open_image
from dcgan.data.listings import FolderSource, ZipSource, folder_source, zip_source
from dcgan.data.lmdb_file import LARGEST_FILE, DamagedDatabase, Database, Place, open_database
from dcgan.data.pickles import NotInert, inert, uint8_array
from dcgan.data.source import Item, Source, Split, array_source, called, describe
from dcgan.errors import InputError, printable
from dcgan.reading import is_integer, open_regular, read_bytes, read_text, size_text

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
DIGIT_CLASSES = tuple("0123456789")
LARGEST_BATCH = 2**26
"""Bytes of one of CIFAR-10's files, which have 31 million."""
LARGEST_MAT, _COMPRESSED = 2**29, 15
"""Bytes of SVHN's file and of what is in it, which are 182 and 225 million; MATLAB's number for compressed parts."""
LARGEST_PARTITION = 2**24
"""Bytes of CelebA's list of splits, which has 3 million."""


def find_cifar10(folder: Path, split: Split) -> Source | None:
    """CIFAR-10's binary version, or else its python version. All of a split has to be there."""
    names = [f"data_batch_{i}" for i in range(1, 6)] if split == "train" else ["test_batch"]
    binary = [folder / "cifar-10-batches-bin" / f"{name}.bin" for name in names]
    python = [folder / "cifar-10-batches-py" / name for name in names]
    if any(path.exists() for path in binary):
        return _cifar10_binary(binary)
    if python[0].parent.is_dir():
        return _cifar10_python(python)
    return _cifar10_binary(binary) if binary[0].parent.is_dir() else None


def _cifar10_python(files: Sequence[Path]) -> Source:
    """The python version: pickles, which are never loaded but taken apart."""
    rows, labels = [], []
    for path in files:
        try:
            found = inert(io.BytesIO(read_bytes(path, LARGEST_BATCH)))
            batch, own = uint8_array(found["data"]), list(found["labels"])
        except (NotInert, LookupError, TypeError) as error:
            raise InputError(f"{printable(path)} is damaged or changed: {error}") from error
        if batch.ndim != 2 or batch.shape[1] != 3072 or len(batch) != len(own):
            raise InputError(f"{printable(path)} is damaged: {batch.shape} with {len(own)} labels")
        if not all(is_integer(label, 0, 9) for label in own):
            raise InputError(f"{printable(path)} is damaged: a label is not one of 0 to 9")
        rows.append(batch)
        labels += own
    images = np.ascontiguousarray(np.concatenate(rows).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return array_source("cifar10", "cifar10", files[0].parent, images, labels, CIFAR10_CLASSES)


def _cifar10_binary(files: Sequence[Path]) -> Source:
    batches = []
    for path in files:
        batch = np.frombuffer(read_bytes(path, LARGEST_BATCH), np.uint8)
        if batch.size == 0 or batch.size % 3073:
            raise InputError(f"{printable(path)} is damaged: {batch.size} bytes are no records of 3073")
        batches.append(batch.reshape(-1, 3073))  # a label, then the red, the green and the blue plane
        if (label := batches[-1][:, 0].max()) > 9:
            raise InputError(f"{printable(path)} is damaged: label {label} is not one of 0 to 9")
    records = np.concatenate(batches)
    images = np.ascontiguousarray(records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return array_source("cifar10", "cifar10", files[0].parent, images, records[:, 0], CIFAR10_CLASSES)


def find_svhn(folder: Path, split: Split) -> Source | None:
    """SVHN's cropped digits, a file of MATLAB's."""
    path = folder / f"{split}_32x32.mat"
    if not path.is_file():
        return None
    loadmat = svhn_reader()
    _check_mat(path)
    try:
        content = loadmat(path, variable_names=["X", "y"])
        images = np.ascontiguousarray(content["X"].transpose(3, 0, 1, 2))
        labels = content["y"].reshape(-1).astype(np.int64)
    except Exception as error:  # scipy raises many kinds for a damaged file, MemoryError for lengths that lie
        raise InputError(f"{printable(path)} is not SVHN's 32×32 format, or damaged: {error}") from error
    if images.dtype != np.uint8 or images.shape != (len(labels), 32, 32, 3):
        raise InputError(f"{printable(path)} holds {images.dtype} {images.shape} with {len(labels)} labels")
    if not 0 <= labels.min() <= labels.max() <= 10:
        wrong = labels[(labels < 0) | (labels > 10)][0]
        raise InputError(f"{printable(path)} is damaged: label {wrong} is not one of 0 to 10")
    labels %= 10  # the file calls the digit 0 "10"
    return array_source("svhn", "svhn", path, images, labels, DIGIT_CLASSES)


def svhn_reader() -> Callable[..., dict[str, Any]]:
    """scipy's reader of MATLAB's files; InputError if it is not installed."""
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise InputError("reading SVHN needs scipy: pip install 'dcgan[svhn]'") from error
    return loadmat


def _check_mat(path: Path) -> None:
    """Raise InputError for a file of MATLAB's whose compressed parts are bombs: scipy inflates them as they come."""
    inflated = 0
    with open_regular(path, LARGEST_MAT) as file:
        file.seek(128)
        while len(head := file.read(8)) == 8:
            kind, left = struct.unpack("<II", head)
            if kind != _COMPRESSED:
                file.seek(left, 1)
                continue
            decoder = zlib.decompressobj()
            while left and not decoder.eof and (piece := file.read(min(left, 2**16))):
                left -= len(piece)
                while piece:
                    try:
                        inflated += len(decoder.decompress(piece, 2**20))
                    except zlib.error as error:
                        raise InputError(f"{printable(path)} is damaged: {error}") from error
                    piece = decoder.unconsumed_tail
                    if inflated > LARGEST_MAT:
                        raise InputError(f"{printable(path)} is a bomb: more than {size_text(LARGEST_MAT)} in it")
            file.seek(left, 1)


def find_celeba(folder: Path, split: Split) -> Source | None:
    """CelebA's aligned and cropped faces, as a folder or as the zip that it comes in."""
    for base in (folder, folder / "celeba"):
        pictures, archive = base / "img_align_celeba", base / "img_align_celeba.zip"
        if pictures.is_dir():
            return _celeba_split(folder_source(pictures), base, split)
        if archive.is_file():
            return _celeba_split(zip_source(archive), base, split)
    return None


def _celeba_split(source: FolderSource | ZipSource, base: Path, split: Split) -> Source:
    """The pictures of one split of `list_eval_partition.txt` (0 train, 1 validation, 2 test), unlabelled."""
    partition = base / "list_eval_partition.txt"
    names = source.names
    if partition.is_file():
        lines = (line.split() for line in read_text(partition, LARGEST_PARTITION).splitlines())
        wanted = {words[0] for words in lines if words[1:] == ["0" if split == "train" else "2"]}
        names = tuple(name for name in names if name.rsplit("/", 1)[-1] in wanted)
    elif split == "test":
        raise InputError(f"celeba's test split needs {printable(partition)}")
    if not names:
        raise InputError(f"{printable(partition)} names no picture of the {split} split that is there")
    return replace(source, names=names, labels=(-1,) * len(names), class_names=())


def find_lsun(folder: Path, split: Split) -> Source | None:
    """LSUN's bedrooms, an LMDB; its validation set stands for the test split."""
    path = folder / f"bedroom_{'train' if split == 'train' else 'val'}_lmdb"
    if not path.is_dir():
        return None
    try:
        return LmdbSource(path, open_database(path))
    except DamagedDatabase as error:
        raise InputError(f"cannot read {printable(path)}: {error}") from error


@dataclass(frozen=True)
class LmdbSource:
    """Encoded pictures in an LMDB (LSUN), unlabelled. The fingerprint is the file's size and time."""

    path: Path
    database: Database
    name = "lsun-bedroom"
    class_names = ()
    sequential = False

    @property
    def description(self) -> str:
        return describe("lsun-bedroom", self.path, len(self), 0)

    @property
    def shared(self) -> str:
        return describe("lsun-bedroom", called(self.path), len(self), 0)

    def __len__(self) -> int:
        return self.database.entries

    def fingerprint(self) -> str:
        status = self.database.path.stat()
        return hashlib.sha256(repr((len(self), status.st_size, status.st_mtime_ns)).encode()).hexdigest()

    def items(self) -> Iterator[Item]:
        try:
            for place in self.database.places():
                yield Item(place.key.decode("ascii", "replace"), -1, partial(self._load, place))
        except DamagedDatabase as error:
            raise InputError(f"cannot read {printable(self.path)}: {error}") from error

    def _load(self, place: Place) -> Image.Image:
        check_file_size(place.length)
        with open_regular(self.database.path, LARGEST_FILE) as file:
            file.seek(place.offset)
            return open_image(file.read(place.length))
