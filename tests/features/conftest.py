"""What the tests of features share: discriminators of every family, labelled pictures, and tiny runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import dcgan
from dcgan.networks import build_discriminator
from dcgan.presets import load_preset
from dcgan.pretrained import Discriminator, ModelInfo

CLASSES = ("bright", "dark", "striped")
SMALL: dict[str, Any] = {"images": 32, "image_size": 16, "width": 4, "latent_dim": 8, "batch_size": 8, "quiet": True}


def discriminator(preset: str = "fast", seed: int = 0, **settings: Any) -> Discriminator:
    """An untrained one, its batch norms' statistics random so that none is hidden by its initial value."""
    config = load_preset(preset).replace(**settings).network
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    network = build_discriminator(config)
    for name, tensor in network.state_dict().items():
        if name.endswith(("running_var", "running_mean")):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + (0.5 if name.endswith("var") else -0.5))
    return Discriminator(network.to(memory_format=torch.channels_last), ModelInfo(config)).eval()


def random_images(found: Discriminator, n: int, seed: int = 0) -> np.ndarray:
    """uint8 images (n, H, W, C) of the size that a discriminator wants."""
    config = found.info.network
    return np.random.default_rng(seed).integers(0, 256, (n, *config.size, config.image_channels), dtype=np.uint8)


def write_pictures(folder: Path, each: int, seed: int) -> Path:
    """`each` grey pictures of 16×16 in each of three classes that can be told apart, but not by every image."""
    rng = np.random.default_rng(seed)
    for k, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for i in range(each):
            pixels = rng.normal(128 + (20, -20, 0)[k], 60, (16, 16))
            if name == "striped":
                pixels[::2] += 40
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name / f"{i:03d}.png")
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """90 training pictures."""
    return write_pictures(tmp_path_factory.mktemp("train") / "pictures", 30, 0)


@pytest.fixture(scope="session")
def more(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 test pictures."""
    return write_pictures(tmp_path_factory.mktemp("test") / "more", 20, 1)


@pytest.fixture(scope="session")
def run(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a few steps: two convolutions of 4 and 8 maps, so 192 features."""
    out = tmp_path_factory.mktemp("runs") / "run"
    dcgan.train(pictures, out=out, images=64, width=4, latent_dim=8, batch_size=16, quiet=True)
    return out


@pytest.fixture(scope="session")
def small_run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dcgan.train(photos, out=tmp_path_factory.mktemp("runs") / "plain", **SMALL).path


@pytest.fixture(scope="session")
def class_run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "classes"
    return dcgan.train(photos, out=out, conditional=True, condition="concat", **SMALL).path
