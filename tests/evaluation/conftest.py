"""What the tests of evaluation share: packs of two classes, a classifier trained in a moment, a tiny run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import dcgan
from dcgan.data.pack import Pack, pack
from dcgan.data.sources import find_source
from dcgan.evaluation import classifier
from dcgan.evaluation.extractors import Extractor


def write_photos(folder: Path, n: int, seed: int) -> Path:
    """n pictures of 16×16 in each of two classes, `bright` and `dark`."""
    rng = np.random.default_rng(seed)
    for name, low, high in (("bright", 100, 256), ("dark", 0, 156)):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            pixels = rng.integers(low, high, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i:02d}.png")
    return folder


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 60 pictures."""
    return write_photos(tmp_path_factory.mktemp("small") / "photos", 30, 0)


@pytest.fixture(scope="session")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 more of the same kind."""
    return write_photos(tmp_path_factory.mktemp("held-out") / "more", 20, 1)


@pytest.fixture(scope="session")
def packed(small: Path) -> Pack:
    return pack(find_source(small), (16, 16), 3)


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A classifier that is trained in a moment, in a cache of its own."""
    monkeypatch.setattr(classifier, "STEPS", 12)
    monkeypatch.setattr(classifier, "BATCH", 16)
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without Inception's weights."""
    monkeypatch.delenv("DCGAN_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.fixture(scope="session")
def run(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a few steps."""
    out = tmp_path_factory.mktemp("runs") / "run"
    dcgan.train(small, out=out, images=64, width=4, latent_dim=8, batch_size=16, quiet=True)
    return out


def plain_extractor(has_classes: bool = False) -> Extractor:
    """Means and deviations of the channels as features; the first two of them as logits if asked."""

    def network(pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        values = pixels.float().flatten(2)
        features = torch.cat([values.mean(2), values.std(2)], 1)
        return features, features[:, :2] if has_classes else None

    return Extractor("plain", "0", "none", 6, has_classes, "fp32", torch.device("cpu"), network)
