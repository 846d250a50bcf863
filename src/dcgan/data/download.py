"""Named data sets from the network.

torchvision fetches and verifies them; here is what it lacks: an end to waiting for a network that is not there.
"""

from __future__ import annotations

import socket
import threading
import urllib.request
from pathlib import Path

from dcgan.data.source import Split
from dcgan.files import scratch, sync_file, sync_folder

DOWNLOAD_TIMEOUT = 20.0  # seconds a socket may stay silent
PROBE_TIMEOUT = 5.0  # seconds that `dcgan train` without DATA waits to learn whether there is a network
PROBE_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/train-labels-idx1-ubyte.gz"


def fetch(name: str, root: Path, split: Split) -> None:
    """Let torchvision fetch and verify a set, never waiting long on a silent socket, and put it into `root` when whole.

    What torchvision has half written when it is interrupted it later takes for whole: so it never writes in `root`.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)  # torchvision passes none of its own
    try:
        root.mkdir(parents=True, exist_ok=True)
        with scratch(root / "download") as folder:
            folder.mkdir()
            _download(name, folder, split)
            for path in folder.rglob("*"):
                if path.is_file():
                    sync_file(path)
            _merge(folder, root)
    finally:
        socket.setdefaulttimeout(before)


def _download(name: str, root: Path, split: Split) -> None:
    from torchvision import datasets

    if name == "svhn":
        datasets.SVHN(str(root), split=split, download=True)
    elif name == "celeba":
        datasets.CelebA(str(root), download=True)
    else:
        kinds = {"mnist": datasets.MNIST, "fashion-mnist": datasets.FashionMNIST, "cifar10": datasets.CIFAR10}
        kinds[name](str(root), train=split == "train", download=True)


def _merge(folder: Path, into: Path) -> None:
    """Move what is in a folder into another one; what is not there yet moves in one step."""
    for entry in sorted(folder.iterdir()):
        target = into / entry.name
        if entry.is_dir() and target.is_dir():
            _merge(entry, target)
        else:
            entry.replace(target)
    sync_folder(into)


def no_network() -> str | None:
    """Why MNIST's mirror cannot be reached within `PROBE_TIMEOUT`, or None when it can.

    In a thread that is left behind, because no socket timeout bounds a name look-up.
    """
    answer = ["the network did not answer"]

    def probe() -> None:
        try:
            request = urllib.request.Request(PROBE_URL, method="HEAD")
            with urllib.request.urlopen(request, timeout=PROBE_TIMEOUT):
                answer.clear()
        except (OSError, ValueError) as error:
            answer[0] = f"the network could not be reached ({error})"

    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    thread.join(PROBE_TIMEOUT)
    return answer[0] if answer else None
