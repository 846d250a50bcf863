"""Where names are looked up, what comes with the package, and what happens without a network."""

import os
import sys
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest

from dcgan.data import download, named
from dcgan.data.sources import find_source
from dcgan.errors import InputError
from tests.data.samples import write_idx


def find(*args: Any, **options: Any) -> Any:
    """`find_source`, without the type: these tests know which kind they get."""
    return find_source(*args, **options)


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """No data, no cache and no network but what a test makes."""
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DCGAN_DATA", raising=False)

    def no_network(*args, **kwargs):
        raise URLError("no network in tests")

    monkeypatch.setattr(download.urllib.request, "urlopen", no_network)
    monkeypatch.setattr(named, "fetch", no_network)


@pytest.mark.parametrize(("name", "torchvision"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")])
@pytest.mark.parametrize("layout", ["{name}", "{torchvision}/raw", "{name}/{torchvision}/raw"])
@pytest.mark.parametrize("where", ["argument", "environment", "cache"])
def test_idx_names(tmp_path, monkeypatch, name, torchvision, layout, where):
    root = tmp_path / "cache/data" if where == "cache" else tmp_path / "root"
    images = write_idx(root / layout.format(name=name, torchvision=torchvision))
    if where == "environment":
        monkeypatch.setenv("DCGAN_DATA", str(root))
    source = find(name, root if where == "argument" else None)
    assert np.array_equal(source.images, images)
    assert source.name == name
    assert source.description.startswith(f"{name} ")
    assert len(source.class_names) == 10


@pytest.mark.parametrize("name", ["mnist", "svhn", "celeba"])
def test_data_root_that_is_missing(tmp_path, name):
    with pytest.raises(InputError, match="is not below"):
        find(name, tmp_path / "nowhere", download=False)


def test_data_root_that_is_the_set_itself(tmp_path):
    write_idx(tmp_path / "mnist")
    assert len(find("mnist", tmp_path / "mnist")) == 6
    with pytest.raises(InputError, match="fashion-mnist"):
        find("fashion-mnist", tmp_path / "mnist")


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10", "svhn", "celeba"])
def test_no_network_says_what_to_put_where(tmp_path, name):
    with pytest.raises(InputError, match=r"download failed.*no network in tests.*Put ") as caught:
        find(name, tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert str(caught.value).endswith(", or set DCGAN_DATA to the folder where it is")
    with pytest.raises(InputError, match="downloads are off"):
        find(name, tmp_path, download=False)


def test_a_download_that_fails_in_its_own_way(tmp_path, monkeypatch):
    class FileURLRetrievalError(Exception):
        """As gdown's."""

    def fetch(*args):
        raise FileURLRetrievalError("Too many users have viewed\nthis file.")

    monkeypatch.setattr(named, "fetch", fetch)
    with pytest.raises(InputError, match=r"its download failed: Too many users have viewed this file\. Put "):
        find("celeba", tmp_path)


def test_svhn_is_not_fetched_where_it_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr(named, "fetch", lambda *args: pytest.fail("was fetched"))
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(InputError, match=r"pip install 'dcgan\[svhn\]'"):
        find("svhn", tmp_path)


def test_download_that_brings_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(named, "fetch", lambda *args: None)
    with pytest.raises(InputError, match="did not bring it"):
        find("mnist", tmp_path)


def test_download(tmp_path, monkeypatch):
    monkeypatch.setattr(named, "fetch", lambda name, root, split: write_idx(root / "MNIST/raw"))
    assert len(find("mnist", tmp_path / "new")) == 6


def test_no_data_means_mnist_or_the_digits(tmp_path, monkeypatch):
    source = find(None, tmp_path)
    assert source.name == "digits"
    assert len(source) == 6000
    assert "MNIST is not below" in source.description
    assert "no network in tests" in source.description
    assert "downloads are off" in find(None, tmp_path, download=False).description
    monkeypatch.setattr(named, "no_network", lambda: None)
    assert "its download failed" in find(None, tmp_path).description
    write_idx(tmp_path / "mnist")
    assert find(None, tmp_path).name == "mnist"


def test_bundled_digits():
    source = find("digits")
    assert source.images.shape == (6000, 28, 28)
    assert source.images.dtype == np.uint8
    assert np.bincount(source.labels).tolist() == [600] * 10
    assert source.class_names == tuple("0123456789")
    assert source.description == "bundled digits from MNIST: 6,000 images in 10 classes"
    with pytest.raises(InputError, match="no held-out split"):
        find("digits", split="test")


DATA = os.environ.get("DCGAN_DATA", "")


@pytest.mark.data
@pytest.mark.skipif(not (Path(DATA) / "mnist").is_dir(), reason="DCGAN_DATA/mnist is not there")
def test_real_mnist_holds_the_bundled_digits():
    mnist, digits = find("mnist", Path(DATA)), find("digits")
    assert mnist.images.shape == (60000, 28, 28)
    assert len(find("mnist", Path(DATA), split="test")) == 10000
    first = np.sort(np.concatenate([np.flatnonzero(mnist.labels == k)[:600] for k in range(10)]))
    assert np.array_equal(mnist.images[first], digits.images)
    assert np.array_equal(mnist.labels[first], digits.labels)


@pytest.mark.data
@pytest.mark.skipif(not (Path(DATA) / "fashion-mnist").is_dir(), reason="DCGAN_DATA/fashion-mnist is not there")
def test_real_fashion_mnist():
    source = find("fashion-mnist", Path(DATA))
    assert source.images.shape == (60000, 28, 28)
    assert source.class_names[9] == "Ankle boot"
