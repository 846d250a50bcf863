"""How torchvision's downloads are called, and what the probe says of the network; nothing here uses one."""

import io
import socket
import threading
from urllib.error import URLError

import pytest

from dcgan.data import download


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        *[("mnist", "MNIST", {"train": True}), ("fashion-mnist", "FashionMNIST", {"train": True})],
        *[
            ("cifar10", "CIFAR10", {"train": True}),
            ("svhn", "SVHN", {"split": "train"}),
            ("celeba", "CelebA", {}),
        ],
    ],
)
def test_downloaders_run_with_a_socket_timeout(tmp_path, monkeypatch, name, kind, options):
    datasets = pytest.importorskip("torchvision.datasets")
    calls = []
    monkeypatch.setattr(datasets, kind, lambda root, **given: calls.append((given, socket.getdefaulttimeout())))
    download.fetch(name, tmp_path / "root", "train")
    assert calls == [({**options, "download": True}, download.DOWNLOAD_TIMEOUT)]
    assert socket.getdefaulttimeout() is None


def test_probe(monkeypatch):
    def no_network(*args, **kwargs):
        raise URLError("no network in tests")

    monkeypatch.setattr(download.urllib.request, "urlopen", no_network)
    assert "no network in tests" in (download.no_network() or "")
    monkeypatch.setattr(download.urllib.request, "urlopen", lambda *args, **kwargs: io.BytesIO())
    assert download.no_network() is None


def test_probe_does_not_wait_for_a_name_server(monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(download, "PROBE_TIMEOUT", 0.05)
    monkeypatch.setattr(download.urllib.request, "urlopen", lambda *args, **kwargs: release.wait(10) and io.BytesIO())
    assert download.no_network() == "the network did not answer"
    release.set()
