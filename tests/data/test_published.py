"""CIFAR-10, SVHN, CelebA and LSUN in the layouts people have on disk."""

import os
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcgan.data.lmdb_file import DamagedDatabase, open_database
from dcgan.data.sources import find_source
from dcgan.errors import InputError
from tests.data.samples import noise, png


def find(name: str, root: Path, **options: Any) -> Any:
    """`find_source` of what is on disk, without the type: these tests know which kind they get."""
    return find_source(name, root, download=False, **options)


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """No data and no cache but what a test makes."""
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DCGAN_DATA", raising=False)


@pytest.mark.parametrize("below", ["", "cifar10"])
def test_cifar10_binary(tmp_path, below):
    folder = tmp_path / below / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    images = noise(10, 32, 32, 3)
    for i in range(5):
        rows = [bytes([3 + i]) + image.transpose(2, 0, 1).tobytes() for image in images[2 * i : 2 * i + 2]]
        (folder / f"data_batch_{i + 1}.bin").write_bytes(b"".join(rows))
    (folder / "data_batch_1 copy.bin").write_bytes(bytes(3073))
    source = find("cifar10", tmp_path)
    assert np.array_equal(source.images, images)
    assert source.labels.tolist() == [3, 3, 4, 4, 5, 5, 6, 6, 7, 7]
    assert source.class_names[7] == "horse"
    with pytest.raises(InputError, match=r"test_batch\.bin: cannot be read \(No such file"):
        find("cifar10", tmp_path, split="test")
    (folder / "data_batch_2.bin").write_bytes(bytes([10]) + bytes(3072))
    with pytest.raises(InputError, match="label 10"):
        find("cifar10", tmp_path)
    (folder / "data_batch_2.bin").write_bytes(bytes(3000))
    with pytest.raises(InputError, match="damaged: 3000 bytes"):
        find("cifar10", tmp_path)
    (folder / "data_batch_2.bin").unlink()
    with pytest.raises(InputError, match=r"data_batch_2\.bin: cannot be read \(No such file"):
        find("cifar10", tmp_path)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
def test_cifar10_pickles_are_taken_apart_and_never_loaded(tmp_path, protocol):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    images = noise(2, 32, 32, 3)
    batch = {"data": images.transpose(0, 3, 1, 2).reshape(2, -1), "labels": [3, 4], "filenames": ["a.png", "b.png"]}
    content = pickle.dumps(batch, protocol)
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        (folder / name).write_bytes(content)
    if protocol < 3:  # the bytes of the array are written as a call, which is not on the list
        with pytest.raises(InputError, match="data_batch_1 is damaged or changed: holds"):
            find("cifar10", tmp_path)
        return
    source = find("cifar10", tmp_path)
    assert np.array_equal(source.images, np.concatenate([images] * 5))
    assert source.labels.tolist() == [3, 4] * 5
    assert source.class_names[3] == "cat"
    assert len(find("cifar10", tmp_path, split="test")) == 2
    (tmp_path / "cifar-10-batches-bin").mkdir()  # with none of the split in it
    assert len(find("cifar10", tmp_path)) == 10


def test_cifar10_as_published_by_python_2(tmp_path):
    """Its own opcodes: protocol 2 with the pixels as a byte string, assembled here by hand."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    pixels = noise(2, 3072)
    raw = pixels.tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87Rq\x03"
        b"(K\x01K\x02M\x00\x0c\x86cnumpy\ndtype\nq\x04U\x02u1K\x00K\x01\x87Rq\x05"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T" + len(raw).to_bytes(4, "little") + raw + b"tb"
    )
    (folder / "test_batch").write_bytes(b"\x80\x02}q\x00(U\x04data" + array + b"U\x06labels](K\x03K\x04eu.")
    loaded = pickle.loads((folder / "test_batch").read_bytes(), encoding="latin1")  # of our own making
    assert np.array_equal(loaded["data"], pixels)
    source = find("cifar10", tmp_path, split="test")
    assert np.array_equal(source.images, pixels.reshape(2, 3, 32, 32).transpose(0, 2, 3, 1))
    assert source.labels.tolist() == [3, 4]


def test_cifar10_pickles_that_are_programs(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "trapped"),)

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    array = np.zeros((1, 3072), np.uint8)
    for value in (
        Trap(),
        {"data": Trap(), "labels": [1]},
        {"data": array, "labels": [10]},
        {"data": array, "labels": []},
    ):
        (folder / "test_batch").write_bytes(pickle.dumps(value))
        with pytest.raises(InputError, match="test_batch is damaged"):
            find("cifar10", tmp_path, split="test")
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize("below", ["", "svhn"])
def test_svhn(tmp_path, below, monkeypatch):
    savemat = pytest.importorskip("scipy.io").savemat
    (tmp_path / below).mkdir(exist_ok=True)
    path = tmp_path / below / "train_32x32.mat"
    images = noise(3, 32, 32, 3)
    savemat(path, {"X": images.transpose(1, 2, 3, 0), "y": np.array([[10], [1], [9]], np.uint8)})
    source = find("svhn", tmp_path)
    assert np.array_equal(source.images, images)
    assert source.labels.tolist() == [0, 1, 9]
    savemat(path, {"X": images.transpose(1, 2, 3, 0), "y": np.array([[10], [11], [9]], np.uint8)})
    with pytest.raises(InputError, match="label 11 is not one of 0 to 10"):
        find("svhn", tmp_path)
    savemat(path, {"X": np.zeros((8, 8, 3, 2)), "y": np.array([[1], [1]])})
    with pytest.raises(InputError, match="holds float64"):
        find("svhn", tmp_path)
    path.write_bytes(b"rubbish" * 100)
    with pytest.raises(InputError, match="damaged"):
        find("svhn", tmp_path)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(InputError, match=r"pip install 'dcgan\[svhn\]'"):
        find("svhn", tmp_path)


@pytest.mark.parametrize("below", ["", "celeba"])
@pytest.mark.parametrize("form", ["folder", "zip"])
def test_celeba(tmp_path, below, form):
    base = tmp_path / below
    pictures = base / "img_align_celeba"
    pictures.mkdir(parents=True)
    for i in range(4):
        (pictures / f"{i}.png").write_bytes(png(i))
    if form == "zip":
        shutil.make_archive(str(pictures), "zip", base, "img_align_celeba")
        shutil.rmtree(pictures)
    assert len(find("celeba", tmp_path)) == 4
    with pytest.raises(InputError, match="list_eval_partition"):
        find("celeba", tmp_path, split="test")
    (base / "list_eval_partition.txt").write_text("0.png 0\n1.png 1\n2.png 2\n3.png 0\n")
    source = find("celeba", tmp_path)
    assert sorted(np.asarray(item.load())[0, 0] for item in source.items()) == [0, 3]
    assert source.class_names == ()
    assert source.labels == (-1, -1)
    assert len(find("celeba", tmp_path, split="test")) == 1
    (base / "list_eval_partition.txt").write_text("")
    with pytest.raises(InputError, match="names no picture"):
        find("celeba", tmp_path)


def check_lsun(root):
    source = find("lsun-bedroom", root)
    for _ in range(2):
        items = list(source.items())
        assert [item.name for item in items] == ["key0", "key1", "key2"]
        assert [np.asarray(item.load())[0, 0] for item in items] == [0, 1, 2]
    assert len(source) == len(find("lsun-bedroom", root)) == 3
    assert source.description.endswith("3 images")
    assert not source.sequential
    first = source.fingerprint()
    os.utime(root / "bedroom_train_lmdb/data.mdb", (1, 1))
    assert source.fingerprint() != first


def test_lsun(tmp_path):
    """Written by the library, read without it."""
    lmdb = pytest.importorskip("lmdb")
    environment = lmdb.open(str(tmp_path / "bedroom_train_lmdb"), map_size=2**20)
    with environment, environment.begin(write=True) as transaction:
        for i in range(3):
            transaction.put(b"key%d" % i, png(i))
    check_lsun(tmp_path)


@pytest.mark.parametrize("entries", [0, 1, 2, 1000])
def test_lmdb_files_of_any_size_are_those_of_the_library(tmp_path, entries):
    lmdb = pytest.importorskip("lmdb")
    rng = np.random.default_rng(entries)
    values = {b"%x" % int(rng.integers(2**60)): rng.bytes(int(rng.integers(1, 5000))) for _ in range(entries)}
    with lmdb.open(str(tmp_path), map_size=2**24) as environment:
        for part in (list(values)[::2], list(values)[1::2]):  # two transactions: the newest facts count
            with environment.begin(write=True) as transaction:
                for key in part:
                    transaction.put(key, values[key])
    database = open_database(tmp_path)
    content = (tmp_path / "data.mdb").read_bytes()
    places = list(database.places())
    assert database.entries == entries
    assert [place.key for place in places] == sorted(values)
    assert all(content[p.offset : p.offset + p.length] == values[p.key] for p in places)


def test_a_damaged_lmdb_file_is_refused_or_read_within_itself(tmp_path):
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open(str(tmp_path), map_size=2**20) as environment, environment.begin(write=True) as transaction:
        for i in range(40):
            transaction.put(b"key%02d" % i, bytes(i * 100))
    content = (tmp_path / "data.mdb").read_bytes()
    rng, refused = np.random.default_rng(0), 0
    for _ in range(400):
        damaged = bytearray(content)
        for at in rng.integers(0, 4096 * 4, 20):
            damaged[at] = rng.integers(256)
        (tmp_path / "data.mdb").write_bytes(damaged)
        try:
            places = list(open_database(tmp_path).places())
            assert all(place.offset + place.length <= len(content) for place in places)
        except DamagedDatabase:
            refused += 1
    assert refused > 50


def test_lsun_without_files(tmp_path):
    with pytest.raises(InputError, match="bedroom_train_lmdb"):
        find("lsun-bedroom", tmp_path)
    (tmp_path / "bedroom_train_lmdb").mkdir()
    with pytest.raises(InputError, match=r"data\.mdb: cannot be read"):
        find("lsun-bedroom", tmp_path)
    (tmp_path / "bedroom_train_lmdb/data.mdb").write_bytes(b"x")
    with pytest.raises(InputError, match=r"cannot read .*bedroom_train_lmdb: it ends too early"):
        find("lsun-bedroom", tmp_path)
