"""IDX, the format of MNIST: a whole data set in one file of images and one of labels.

A file that is broken or hostile ends as an `InputError`.
"""

from __future__ import annotations

import lzma
import math
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from dcgan.data.source import ArraySource, Source, Split, array_source, slug
from dcgan.data.streams import open_stream
from dcgan.errors import InputError, printable
from dcgan.reading import size_text

_SPLITS = {"train": "train", "test": "t10k"}
_GZIP_RATIO = 1032  # deflate cannot do better: a header that promises more lies
LARGEST = 2**30
"""Bytes of an array: EMNIST's largest has half of that."""


def idx_folder(path: Path, split: Split) -> Source | None:
    """The IDX files in a folder, or in MNIST/raw or FashionMNIST/raw below it; None when it has none."""
    folders = [f for f in (path, path / "MNIST/raw", path / "FashionMNIST/raw") if images_file(f)]
    if not folders:
        return None
    if len(folders) > 1:
        raise InputError(f"{printable(path)} holds {' and '.join(map(printable, folders))}: name one of them")
    images = images_file(folders[0], split)
    if images is None:
        raise InputError(f"{printable(folders[0])} has no {_SPLITS[split]}-images-idx3-ubyte.gz")
    return idx_source(images, slug(path.parent if path.name == "raw" else path))


def idx_source(
    images_path: Path, name: str | None = None, classes: tuple[str, ...] = (), kind: str = "IDX file"
) -> ArraySource:
    """One IDX file of images, with the labels file beside it when there is one.

    The classes are the labels that occur, those of a test split the ones of its train split if that is beside it;
    `classes` are the names of 0, 1, … where all labels have one.
    """
    images = read_idx(images_path)
    if images.ndim < 3:
        raise InputError(f"{printable(images_path)} holds no images: its shape is {images.shape}")
    if images.ndim == 4 and images.shape[3] not in (1, 3, 4):
        raise InputError(f"{printable(images_path)} should hold 1, 3 or 4 channels; its shape is {images.shape}")
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    labels = None
    if labels_path := _beside(images_path, ("images", "labels"), ("idx3", "idx1")):
        labels = read_idx(labels_path)
        if labels.shape != images.shape[:1]:
            raise InputError(f"{printable(labels_path)} has shape {labels.shape}, but there are {len(images)} images")
        labels, classes = _classes(labels_path, labels, classes)
    return array_source(name or slug(images_path), kind, images_path, images, labels, classes)


def _beside(path: Path, *replaced: tuple[str, str]) -> Path | None:
    """The file beside this one, gzipped or not, that has other words in its name; None when there is none."""
    stem = name = path.name.removesuffix(".gz")
    for old, new in replaced:
        name = name.replace(old, new)
    files = [path.with_name(name + end) for end in (".gz", "")] if name != stem else []
    return next((file for file in files if file.is_file()), None)


def _classes(path: Path, labels: np.ndarray, names: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    """The labels of a file as 0, 1, … and the names of the classes."""
    train = _beside(path, ("t10k", "train"), ("test", "train"))
    known = np.unique(read_idx(train) if train else labels)
    if names and max(known[-1], labels.max()) < len(names):
        return labels, names
    if unknown := sorted({*labels.tolist()} - {*known.tolist()}):
        raise InputError(f"{printable(path)} has the label {unknown[0]}, which {printable(train)} has not")
    return np.searchsorted(known, labels), tuple(map(str, known.tolist()))


def images_file(folder: Path, split: Split | None = None) -> Path | None:
    """The IDX file in a folder that holds the images of a split, or of any; None when there is none."""
    for prefix in [_SPLITS[split]] if split else _SPLITS.values():
        for end in ("-idx3-ubyte.gz", "-idx3-ubyte", ".idx3-ubyte.gz", ".idx3-ubyte"):
            if (path := folder / f"{prefix}-images{end}").is_file():
                return path
    return None


def is_idx(path: Path) -> bool:
    """Whether a file, gzipped or not, begins like IDX with unsigned bytes."""
    try:
        with _open_idx(path) as stream:
            magic = stream.read(4)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError):
        return False
    return len(magic) == 4 and magic[:3] == b"\0\0\x08" and 1 <= magic[3] <= 4


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array of an IDX file, gzipped or not; memory is taken for what is there, not what is promised."""
    try:
        with _open_idx(path) as stream:
            magic = stream.read(4)
            if len(magic) < 4 or magic[:3] != b"\0\0\x08" or not 1 <= magic[3] <= 4:
                raise InputError(f"{printable(path)} is not an IDX file of bytes")
            header = stream.read(4 * magic[3])
            shape = tuple(int.from_bytes(header[i : i + 4], "big") for i in range(0, len(header), 4))
            count = math.prod(shape)
            if len(shape) < magic[3] or count == 0 or count > _GZIP_RATIO * path.stat().st_size:
                raise InputError(f"{printable(path)} is damaged: its header says shape {shape}")
            if count > LARGEST:
                raise InputError(f"{printable(path)} holds an array of more than {size_text(LARGEST)}: {shape}")
            content = bytearray()
            while chunk := stream.read(min(2**20, count + 1 - len(content))):
                content += chunk
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise InputError(f"cannot read {printable(path)}: {error}; it may be truncated") from error
    if len(content) != count:
        more = "more" if len(content) > count else f"only {len(content)}"
        raise InputError(f"{printable(path)} should hold {count} bytes of shape {shape}, but holds {more}")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _open_idx(path: Path) -> IO[bytes]:
    return open_stream(path, _GZIP_RATIO)
