"""What the tests of the explorer share: a small run with its packed data, other generators, and a client."""

from __future__ import annotations

import io
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dcgan
from dcgan.pretrained import Generator
from tests.test_pretrained import BATCH, CLASSES, trained

pytest.importorskip("fastapi", reason="needs the extra explore")
pytest.importorskip("httpx", reason="needs httpx")

from starlette.testclient import TestClient

from dcgan.explorer.guard import Guard
from dcgan.explorer.opened import Opened
from dcgan.explorer.server import PORT, create_app

ADDRESS = f"http://127.0.0.1:{PORT}"
KINDS: dict[str, dict[str, Any]] = {"plain": {}, "classes": CLASSES, "batch": BATCH, "uniform": {"latent": "uniform"}}


@pytest.fixture(scope="session")
def finished(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 20 steps of 16×16 in RGB; not to be changed."""
    out = tmp_path_factory.mktemp("explored") / "small"
    settings: dict[str, Any] = {"image_size": 16, "width": 4, "latent_dim": 8, "batch_size": 8, "device": "cpu"}
    intervals: dict[str, Any] = {"log_interval": 5, "sample_interval": 8, "checkpoint_interval": 6}
    dcgan.train(photos, out=out, images=160, precision="fp32", quiet=True, **settings, **intervals)
    return out


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "small"))


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of generators of 16×20 in RGB."""
    folder = tmp_path_factory.mktemp("weights")
    for name, settings in KINDS.items():
        trained(Generator, **settings).save_pretrained(folder / name)
    return {name: folder / name for name in KINDS}


def client_of(*paths: Path, **options: Any) -> TestClient:
    """A client of a server of these runs that asks as the page does."""
    app: Guard = create_app([Opened(path, "cpu") for path in paths], **options)
    return TestClient(app, base_url=ADDRESS)


@pytest.fixture(scope="session")
def client(finished: Path, weights: dict[str, Path]) -> Iterator[TestClient]:
    """Run 0 is the small one, the others are those of KINDS in order."""
    with client_of(finished, *weights.values()) as client:
        yield client


def images_of(content: bytes, count: int, size: tuple[int, int], columns: int | None = None) -> np.ndarray:
    """The images of a sprite, uint8 (N, H, W, C), cut up as the page does."""
    from PIL import Image

    sheet = np.asarray(Image.open(io.BytesIO(content)))
    sheet = sheet[..., None] if sheet.ndim == 2 else sheet
    (height, width), columns = size, columns or math.ceil(math.sqrt(count))
    assert sheet.shape[:2] == (math.ceil(count / columns) * height, columns * width)
    rows = [sheet[i // columns * height :, i % columns * width :][:height, :width] for i in range(count)]
    return np.stack(rows)
