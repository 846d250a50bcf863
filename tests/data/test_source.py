"""What every source is told by, and arrays as a source."""

from pathlib import Path

import numpy as np
import pytest

from dcgan.data.source import ArraySource, array_source, describe, slug


def test_array_source():
    images = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    source = ArraySource("x", "x", "x", images, np.array([1, 0]), ("a", "b"))
    assert [(item.name, item.label) for item in source.items()] == [("#0", 1), ("#1", 0)]
    assert np.array_equal(np.asarray(list(source.items())[1].load()), images[1])
    other = ArraySource("x", "x", "x", images, np.array([1, 1]), ("a", "b"))
    assert source.fingerprint() != other.fingerprint()
    assert ArraySource("x", "x", "x", images, None, ()).fingerprint() != source.fingerprint()


def test_array_source_describes_itself():
    images = np.zeros((6000, 2, 2), np.uint8)
    labelled = array_source("x", "arrays", None, images, [0, 1] * 3000, ("a", "b"))
    assert labelled.description == "arrays: 6,000 images in 2 classes"
    assert labelled.labels is not None
    assert labelled.labels.dtype == np.int64
    assert array_source("x", "arrays", None, images, None, ("a", "b")).class_names == ()


@pytest.mark.parametrize(
    ("images", "classes", "expected"),
    [
        *[(1, 0, "folder /x, y: 1 image"), (999, 0, "folder /x, y: 999 images")],
        *[(1_234_567, 0, "folder /x, y: 1,234,567 images"), (6000, 10, "folder /x, y: 6,000 images in 10 classes")],
    ],
)
def test_describe(images, classes, expected):
    assert describe("folder", "/x, y", images, classes) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        *[("x/My Photos (2)", "my-photos-2"), ("smiles64.zip", "smiles64"), ("a.tar.gz", "a")],
        *[("été.tgz", "t"), ("写真", "data"), ("v1.2", "v1-2")],
        *[
            ("x/Photos/train", "photos"),
            ("/data/cifar10/test.zip", "cifar10"),
            ("/train", "train"),
            ("trains", "trains"),
        ],
    ],
)
def test_slug(path, expected):
    assert slug(Path(path)) == expected
