"""IDX files, whole and damaged, and the folders they are in."""

import gzip
import tracemalloc
from typing import Any

import numpy as np
import pytest

from dcgan.data.idx import is_idx, read_idx
from dcgan.data.sources import find_source
from dcgan.errors import InputError
from tests.data.samples import idx, noise, write_idx


def find(*args: Any, **options: Any) -> Any:
    """`find_source`, without the type: these tests know which kind they get."""
    return find_source(*args, **options)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx_round_trip(tmp_path, pack):
    array = noise(5, 4, 3)
    (tmp_path / "x").write_bytes(pack(idx(array)))
    assert is_idx(tmp_path / "x")
    assert np.array_equal(read_idx(tmp_path / "x"), array)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX"),
        (b"\0\0", "not an IDX"),
        (b"rubbish", "not an IDX"),
        (b"\0\0\x0d\x03" + bytes(12), "not an IDX"),
        (b"\0\0\x08\x03\0\0", "damaged"),
        (idx(np.zeros((0, 4, 4), np.uint8)), "damaged"),
        (b"\0\0\x08\x03" + b"\xff" * 12 + b"abc", "damaged"),
        (idx(noise(5, 4, 3))[:-7], "only 53"),
        (idx(noise(5, 4, 3)) + b"x", "holds more"),
    ],
)
def test_idx_garbage(tmp_path, pack, content, message):
    path = tmp_path / "x-idx3-ubyte"
    path.write_bytes(pack(content))
    with pytest.raises(InputError, match=message):
        read_idx(path)


def test_truncated_gzip_idx(tmp_path):
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(idx(noise(50, 28, 28)))[:-200])
    with pytest.raises(InputError, match="truncated"):
        read_idx(path)
    path.write_bytes(b"\x1f\x8brubbish")
    assert not is_idx(path)
    with pytest.raises(InputError, match="cannot read"):
        read_idx(path)


def test_idx_gzip_bomb_costs_no_more_than_its_header_promises(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(idx(noise(1, 4, 4)) + bytes(50 * 2**20)))
    tracemalloc.start()
    with pytest.raises(InputError, match="holds more"):
        read_idx(path)
    assert tracemalloc.get_traced_memory()[1] < 5 * 2**20
    tracemalloc.stop()


@pytest.mark.parametrize("below", ["", "MNIST/raw", "FashionMNIST/raw"])
@pytest.mark.parametrize("zipped", [True, False])
def test_idx_folder(tmp_path, below, zipped):
    images = write_idx(tmp_path / "digits" / below, zipped=zipped)
    test = write_idx(tmp_path / "digits" / below, "t10k", 2, zipped=zipped)
    source = find(tmp_path / "digits")
    assert source.name == "digits"
    assert np.array_equal(source.images, images)
    assert source.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert source.class_names == ("0", "1", "2")
    assert np.array_equal(find(tmp_path / "digits", split="test").images, test)
    assert "6 images in 3 classes" in source.description


def test_idx_folder_named_raw_and_dotted_names(tmp_path):
    write_idx(tmp_path / "MNIST/raw", joint=".")
    assert find(tmp_path / "MNIST/raw").name == "mnist"


def test_idx_folder_troubles(tmp_path):
    write_idx(tmp_path / "one/MNIST/raw")
    with pytest.raises(InputError, match="has no t10k-images"):
        find(tmp_path / "one", split="test")
    write_idx(tmp_path / "one/FashionMNIST/raw")
    with pytest.raises(InputError, match="name one of them"):
        find(tmp_path / "one")


def test_single_idx_file(tmp_path):
    images = write_idx(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    source = find(path)
    assert np.array_equal(source.images, images)
    assert len(source.class_names) == 3
    with pytest.raises(InputError, match="holds no images"):
        find(tmp_path / "train-labels-idx1-ubyte.gz")
    path.rename(tmp_path / "pictures.gz")
    assert find(tmp_path / "pictures.gz").labels is None


def test_idx_with_channels(tmp_path):
    (tmp_path / "rgb").write_bytes(idx(np.zeros((2, 4, 4, 3), np.uint8)))
    assert find(tmp_path / "rgb").images.shape == (2, 4, 4, 3)
    (tmp_path / "grey").write_bytes(idx(noise(2, 4, 4, 1)))
    source = find(tmp_path / "grey")
    assert source.images.shape == (2, 4, 4)
    assert [np.asarray(item.load()).tolist() for item in source.items()] == noise(2, 4, 4, 1)[..., 0].tolist()
    (tmp_path / "odd").write_bytes(idx(np.zeros((2, 4, 4, 5), np.uint8)))
    with pytest.raises(InputError, match="1, 3 or 4 channels"):
        find(tmp_path / "odd")


@pytest.mark.parametrize(
    ("train", "test"), [("train", "t10k"), ("emnist-letters-train", "emnist-letters-test")], ids=["mnist", "emnist"]
)
def test_classes_are_the_labels_that_occur(tmp_path, train, test):
    def write(split, labels):
        write_idx(tmp_path, split)
        (tmp_path / f"{split}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.array(labels, np.uint8))))
        return tmp_path / f"{split}-images-idx3-ubyte.gz"

    held_out = write(test, [7, 1, 1, 1, 7, 1])
    assert find(held_out).class_names == ("1", "7")  # there is no train split
    source = find(write(train, [1, 7, 26, 26, 7, 1]))
    assert source.class_names == ("1", "7", "26")
    assert source.labels.tolist() == [0, 1, 2, 2, 1, 0]
    assert find(held_out).class_names == ("1", "7", "26")
    assert find(held_out).labels.tolist() == [1, 0, 0, 0, 1, 0]
    with pytest.raises(InputError, match=r"has the label 2, which .*train-labels-idx1-ubyte\.gz has not"):
        find(write(test, [1, 7, 26, 2, 3, 1]))


def test_idx_labels_missing_or_of_another_length(tmp_path):
    write_idx(tmp_path, labels=False)
    source = find(tmp_path)
    assert source.labels is None
    assert source.class_names == ()
    assert {item.label for item in source.items()} == {-1}
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(5, np.uint8)))
    with pytest.raises(InputError, match="but there are 6 images"):
        find(tmp_path)
