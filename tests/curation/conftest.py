"""What the tests of curation share: pictures that look like something, and an autoencoder trained in a moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dcgan.curation import autoencoder


def smooth(n: int, side: int = 64, channels: int = 1, seed: int = 0) -> np.ndarray:
    """n pictures of blobs, uint8 (n, side, side, channels)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (n, 8, 8, channels), dtype=np.uint8)
    pictures = np.empty((n, side, side, channels), np.uint8)
    for i in range(n):
        for c in range(channels):
            blobs = Image.fromarray(coarse[i, ..., c]).resize((side, side), Image.Resampling.BICUBIC)
            pictures[i, ..., c] = np.asarray(blobs)
    return pictures


def cropped(image: np.ndarray, share: float) -> np.ndarray:
    """An image (H, H, 1) less a share of its side at the left and the top, enlarged again."""
    side = len(image)
    box = (side * share, side * share, side, side)
    return np.asarray(Image.fromarray(image[..., 0]).resize((side, side), Image.Resampling.LANCZOS, box))[..., None]


def write_pngs(folder: Path, images: np.ndarray) -> Path:
    folder.mkdir(parents=True)
    for i, image in enumerate(images):
        Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(folder / f"{i:03d}.png")
    return folder


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A hasher that is trained in a moment, and a cache of its own."""
    monkeypatch.setattr(autoencoder, "STEPS", 60)
    monkeypatch.setattr(autoencoder, "BATCH", 32)
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))
