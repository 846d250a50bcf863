"""Data sets that have a name: looked for on disk first, in the layouts people have, and downloaded if need be.

MNIST and Fashion-MNIST are IDX (`idx`); the other ones have readers in `published`; digits come with the package.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib import resources
from pathlib import Path

from dcgan.data.archives import UNREADABLE, reason
from dcgan.data.cache import default_data_root
from dcgan.data.download import fetch, no_network
from dcgan.data.idx import idx_source, images_file, read_idx
from dcgan.data.published import DIGIT_CLASSES, find_celeba, find_cifar10, find_lsun, find_svhn, svhn_reader
from dcgan.data.source import ArraySource, Source, Split, array_source
from dcgan.errors import InputError, printable
from dcgan.reading import at_home

NAMES = ("mnist", "fashion-mnist", "cifar10", "svhn", "celeba", "lsun-bedroom", "digits")
FASHION_CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)

_IDX_FILES = "train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz (and t10k-… for the test split)"
_NEEDED = {  # what to put where, below the data root, when there is no download
    "mnist": f"{_IDX_FILES} into mnist/",
    "fashion-mnist": f"{_IDX_FILES} into fashion-mnist/",
    "cifar10": "the folder cifar-10-batches-py or cifar-10-batches-bin",
    "svhn": "train_32x32.mat (and test_32x32.mat for the test split) into svhn/",
    "celeba": "img_align_celeba.zip, or the folder img_align_celeba, and list_eval_partition.txt into celeba/",
    "lsun-bedroom": "the folder bedroom_train_lmdb (and bedroom_val_lmdb for the test split), unzipped",
}


def default_source(data_root: Path | None, split: Split, download: bool) -> Source:
    """MNIST if it is on disk or can be downloaded, else the bundled digits; the description, not shared, says why."""
    if (found := _on_disk("mnist", data_root, split)) is not None:
        return found
    reason = no_network() if download else "downloads are off"
    if reason is None:
        try:
            return find_named("mnist", data_root, split, download)
        except InputError:
            reason = "its download failed"
    digits = digits_source(split)
    roots = ", ".join(printable(root) for root in _roots(data_root))
    return replace(digits, description=f"{digits.description} (MNIST is not below {roots}, and {reason})")


def find_named(name: str, data_root: Path | None, split: Split, download: bool) -> Source:
    """A data set by its name; `InputError` says which files to put where when it cannot be had."""
    if name == "digits":
        return digits_source(split)
    if (found := _on_disk(name, data_root, split)) is not None:
        return found
    root = _roots(data_root)[0]
    reason = "it has no automatic download" if name == "lsun-bedroom" else "downloads are off"
    if download and name != "lsun-bedroom":
        if name == "svhn":
            svhn_reader()  # its absence is said before 182 MB are fetched
        try:
            fetch(name, root, split)
        except Exception as error:  # torchvision's, gdown's and the network's are of many kinds
            reason = f"its download failed: {' '.join(str(error).split()).rstrip('.')}"
        else:
            if (found := _on_disk(name, data_root, split)) is not None:
                return found
            reason = "its download did not bring it"
    raise InputError(
        f"{name} ({split}) is not below {', '.join(printable(root) for root in _roots(data_root))}, and "
        f"{reason}. Put {_NEEDED[name]} below {printable(root)}, or set DCGAN_DATA to the folder where it is"
    )


def digits_source(split: Split = "train") -> ArraySource:
    """The 6,000 MNIST digits that come with the package."""
    if split == "test":
        raise InputError("the bundled digits have no held-out split; use mnist")
    folder = resources.files("dcgan.data") / "digits"
    with resources.as_file(folder / "train-images-idx3-ubyte.gz") as path:
        images = read_idx(path)
    with resources.as_file(folder / "train-labels-idx1-ubyte.gz") as path:
        labels = read_idx(path)
    return array_source("digits", "bundled digits from MNIST", None, images, labels, DIGIT_CLASSES)


def _roots(data_root: Path | None) -> list[Path]:
    env = os.environ.get("DCGAN_DATA")
    given = [at_home(root) for root in (data_root, env) if root]
    return list(dict.fromkeys([*given, default_data_root()]))


def _on_disk(name: str, data_root: Path | None, split: Split) -> Source | None:
    finder = _FINDERS[name]
    for root in _roots(data_root):
        for folder in (root / name, root):
            try:
                if folder.is_dir() and (found := finder(folder, split)) is not None:
                    return found
            except UNREADABLE as error:
                raise InputError(f"cannot read {name} in {printable(folder)}: {printable(reason(error))}") from error
    return None


def _find_idx(name: str, below: str, classes: tuple[str, ...], folder: Path, split: Split) -> Source | None:
    flat = [folder] if folder.name == name else []
    for place in (*flat, folder / below / "raw"):
        if images := images_file(place, split):
            return idx_source(images, name, classes, kind=name)
    return None


_FINDERS: dict[str, Callable[[Path, Split], Source | None]] = {
    "mnist": partial(_find_idx, "mnist", "MNIST", DIGIT_CLASSES),
    "fashion-mnist": partial(_find_idx, "fashion-mnist", "FashionMNIST", FASHION_CLASSES),
    "cifar10": find_cifar10,
    "svhn": find_svhn,
    "celeba": find_celeba,
    "lsun-bedroom": find_lsun,
}
