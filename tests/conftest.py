"""What every test shares: a cache of its own, small images, and the reasons to skip."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["DCGAN_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Networks as small as the tests' only wait for their threads, and other tests run beside; also in processes."""
    import torch

    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Of `-n auto`: a process has half a gigabyte before its first test, and the longest file bounds what more give.

    A number in the environment counts first, as without this.
    """
    return None if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") else min(8, os.cpu_count() or 1)


def pytest_configure(config: pytest.Config) -> None:
    """Of `--dist loadfile`: keep our order of files, below; its own puts those of few tests last, however long."""
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, that no worker is left alone with one; skip by name what needs what is not here."""
    import torch

    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)

    folder = os.environ.get("DCGAN_DATA", "")
    missing = {
        "data": None if folder and Path(folder).is_dir() else "needs the data sets of $DCGAN_DATA",
        "gpu": None if torch.cuda.is_available() else "needs a CUDA device",
    }
    for item in items:
        for name, reason in missing.items():
            if reason and item.get_closest_marker(name):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def data_root() -> Path:
    """The folder of $DCGAN_DATA, for tests marked `data`."""
    return Path(os.environ["DCGAN_DATA"]).resolve()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium. A module's own, because as long as it runs nobody else can use asyncio."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("needs Chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 40 RGB pictures of 24×20 in two classes, `bright` and `dark`."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for name, low, high in (("bright", 128, 256), ("dark", 0, 128)):
        (folder / name).mkdir()
        for i in range(20):
            pixels = rng.integers(low, high, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i:02d}.png")
    return folder
