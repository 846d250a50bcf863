"""The interface behind which all data stands: a `Source` of `Item`s. Also the one kind that is an array.

A source counts its pictures, says what it is, and hands out items whose `load` is called later, in the
packer's threads.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from PIL import Image

from dcgan.errors import last_name, printable

Split = Literal["train", "test"]
SPLITS: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "test": ("test", "testing", "val", "valid", "validation"),
}
"""What folders and archives of each are called, whatever the case; of several for one the first counts."""

TAR_EXTENSIONS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
ARCHIVES = (".zip", *TAR_EXTENSIONS)


@dataclass(frozen=True)
class Item:
    """One candidate picture."""

    name: str  # path inside the source, for messages
    label: int  # -1 when the source has no labels
    load: Callable[[], Image.Image]  # raises BadImage or OSError; called in worker threads
    weight: int = 0  # bytes that the item holds in memory until it is dropped


class Source(Protocol):
    """Pictures in a fixed order, with or without labels."""

    @property
    def name(self) -> str:
        """A short slug for run names: "digits", "smiles64"."""

    @property
    def description(self) -> str:
        """One line for who uses it: "folder /x/photos: 1,234 images in 3 classes"."""

    @property
    def shared(self) -> str:
        """The same for everyone, as it is recorded: "folder photos: 1,234 images in 3 classes"."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Label k is `class_names[k]`; empty when there are no labels."""

    @property
    def sequential(self) -> bool:
        """Whether reaching an item means reading all before it (a tar)."""

    def __len__(self) -> int:
        """The number of candidate pictures, broken ones included."""

    def fingerprint(self) -> str:
        """SHA-256 (hex) that changes when the content does."""

    def items(self) -> Iterator[Item]:
        """The candidates, in order."""


@dataclass(frozen=True, eq=False)
class ArraySource:
    """Pictures that already are one array: uint8 (N, H, W) or (N, H, W, C), labels (N,) or None."""

    name: str
    description: str
    shared: str
    images: np.ndarray
    labels: np.ndarray | None
    class_names: tuple[str, ...]
    sequential = False

    def __len__(self) -> int:
        return len(self.images)

    def fingerprint(self) -> str:
        digest = hashlib.sha256(repr((self.images.shape, self.class_names)).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        if self.labels is not None:
            digest.update(self.labels.astype("<i8").tobytes())
        return digest.hexdigest()

    def items(self) -> Iterator[Item]:
        for i, image in enumerate(self.images):
            label = -1 if self.labels is None else int(self.labels[i])
            yield Item(f"#{i}", label, partial(Image.fromarray, image))


def array_source(
    name: str, kind: str, path: Path | None, images: np.ndarray, labels: Any, classes: tuple[str, ...]
) -> ArraySource:
    """An array as a source that describes itself; `labels` are any integers, or None for no classes."""
    labels = None if labels is None else np.asarray(labels, np.int64)
    classes = () if labels is None else classes
    said, shared = (describe(kind, place, len(images), len(classes)) for place in (path or "", called(path or "")))
    return ArraySource(name, said, shared, images, labels, classes)


def describe(kind: str, place: str | Path, images: int, classes: int) -> str:
    """`kind place: 1,234 images in 3 classes`."""
    what = f"{kind} {printable(place)}".rstrip()
    return f"{what}: {images:,} image{'s' * (images != 1)}" + (f" in {classes} classes" if classes else "")


def called(place: str | Path) -> str:
    """What a path or URL is called, without its folders; empty for none."""
    return last_name(place if not place or "://" in str(place) else os.path.abspath(place))


def slug(path: Path) -> str:
    """A path's last name as lower-case words joined by "-", without an archive's suffix; of photos/train "photos"."""
    path = path.resolve()
    name = path.name.lower()
    suffix = next((s for s in sorted(ARCHIVES, key=len)[::-1] if name.endswith(s)), "")
    name = name.removesuffix(suffix)
    if any(name in words for words in SPLITS.values()) and path.parent.name:
        return slug(path.parent)
    return re.sub(r"[^a-z0-9]+", "-", name).strip("-") or "data"
