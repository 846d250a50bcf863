"""What is recorded of data, and so read by others, names no folder that it lies in: every kind of source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dcgan.data.pack import pack
from dcgan.data.shards.write import Sharding, write_shards
from dcgan.data.source import Source, called
from dcgan.data.sources import find_source
from dcgan.errors import without_folders
from tests.data.samples import noise, png, write_folder, write_idx, write_tar, write_zip

NAMES = ["a/1.png", "b/2.png", "b/3.png"]


def folder(root: Path) -> Source:
    return find_source(write_folder(root / "my pics", [*NAMES, "b/4.heic"]))


def idx(root: Path) -> Source:
    write_idx(root / "digits")
    return find_source(root / "digits")


def shards(root: Path, pattern: str = "") -> Source:
    write_shards(folder(root), root / "my shards", Sharding(images=2))
    return find_source(f"{root}/my shards{pattern}")


def cifar10(root: Path) -> Source:
    (root / "cifar-10-batches-bin").mkdir(parents=True)
    for number in range(1, 6):
        (root / f"cifar-10-batches-bin/data_batch_{number}.bin").write_bytes(bytes(3073))
    return find_source("cifar10", root)


def svhn(root: Path) -> Source:
    savemat = pytest.importorskip("scipy.io").savemat
    savemat(root / "train_32x32.mat", {"X": noise(32, 32, 3, 2), "y": np.array([[1], [9]], np.uint8)})
    return find_source("svhn", root)


def lsun(root: Path) -> Source:
    environment = pytest.importorskip("lmdb").open(str(root / "bedroom_train_lmdb"), map_size=2**20)
    with environment, environment.begin(write=True) as transaction:
        transaction.put(b"key", png())
    return find_source("lsun-bedroom", root)


def mnist(root: Path) -> Source:
    write_idx(root / "mnist")
    return find_source("mnist", root)


def celeba(root: Path) -> Source:
    write_zip(root / "img_align_celeba.zip", NAMES)
    return find_source("celeba", root)


KINDS: list[tuple[Callable[[Path], Source], str]] = [
    (folder, "folder my pics: 3 images in 2 classes (left out, as no such file is read: 1 .heic)"),
    (lambda root: find_source(write_zip(root / "my pics.zip", NAMES)), "zip my pics.zip: 3 images in 2 classes"),
    (lambda root: find_source(write_tar(root / "my pics.tar", NAMES)), "tar my pics.tar: 3 images in 2 classes"),
    (idx, "IDX file train-images-idx3-ubyte.gz: 6 images in 3 classes"),
    (shards, "2 shards my shards: 3 images in 2 classes"),
    (lambda root: shards(root, "/*.tar"), "2 shards *.tar: 3 images in 2 classes"),
    (cifar10, "cifar10 cifar-10-batches-bin: 5 images in 10 classes"),
    (svhn, "svhn train_32x32.mat: 2 images in 10 classes"),
    (lsun, "lsun-bedroom bedroom_train_lmdb: 1 image"),
    (mnist, "mnist train-images-idx3-ubyte.gz: 6 images in 10 classes"),
    (celeba, "zip img_align_celeba.zip: 3 images"),
    (lambda root: find_source(None, root, download=False), "bundled digits from MNIST: 6,000 images in 10 classes"),
]


@pytest.mark.parametrize("odd", ["Jane Doe secret", "of: 24 images", "a zip (b)/faces"])
@pytest.mark.parametrize(("find", "told"), KINDS, ids=[told for _, told in KINDS])
def test_folders_are_nobodys_business(
    odd: str, find: Callable[[Path], Source], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DCGAN_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    for root in (tmp_path / odd, Path("below", odd)):
        root.mkdir(parents=True)
        source = find(root)
        assert source.shared == told
        assert str(root) in source.description
        assert without_folders(source.description) == without_folders(told) == told  # as earlier versions wrote it


def test_a_pack_of_another_place_is_called_as_it_is_now(tmp_path: Path) -> None:
    first, other = (write_zip(tmp_path / name, NAMES) for name in ("first.zip", "other.zip"))
    packed, again = (pack(find_source(path), (4, 4), 1, cache=tmp_path / "cache") for path in (first, other))
    assert not again.fresh
    assert [each.source for each in (packed, again)] == [
        f"zip {name}: 3 images in 2 classes" for name in ("first.zip", "other.zip")
    ]


def test_what_a_place_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert called(".") == tmp_path.name
    assert called("below/..") == tmp_path.name
    assert called("https://user:word@host/a/x-{0..9}.tar?key=1/2") == "x-{0..9}.tar"
    assert called("/") == called("") == ""
