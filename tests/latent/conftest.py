"""What the tests of latents share: a generator whose first number is brightness, and a classifier that sees it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dcgan.config import Config
from dcgan.data.pack import Pack
from dcgan.evaluation.classifier import TrainedClassifier
from dcgan.pretrained import Generator, ModelInfo

DIM = 5
SHAPE = (16, 16, 1)
CPU = torch.device("cpu")


class Plain(nn.Module):
    """Brightness z[0] / 4 all over, plus a pattern of its own for each of the other numbers; a class adds a stripe."""

    def __init__(self) -> None:
        super().__init__()
        patterns = torch.randn(DIM - 1, 1, *SHAPE[:2], generator=torch.Generator().manual_seed(0))
        patterns -= patterns.mean((1, 2, 3), keepdim=True)
        self.patterns = nn.Parameter(patterns / 16)

    def forward(self, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        images = z[:, :1, None, None] / 4 + torch.einsum("nk,kchw->nchw", z[:, 1:], self.patterns)
        if labels is not None:
            images[:, :, 0] += labels[:, None, None] / 4
        return images


class Bright(nn.Module):
    """Class 1, "bright", if the mean pixel is above 127.5: the surer the further."""

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean = pixels.float().mean((1, 2, 3))[:, None] - 127.5
        return mean, torch.cat([-mean, mean], 1) / 8


def plain(**settings: object) -> Generator:
    described = Config().replace(image_size=16, channels=1, latent_dim=DIM, **settings).network
    return Generator(Plain(), ModelInfo(described)).eval()


@pytest.fixture
def generator() -> Generator:
    return plain()


@pytest.fixture
def classes() -> Generator:
    """The same with three classes."""
    return plain(conditional=True, classes=3)


@pytest.fixture
def classifier() -> TrainedClassifier:
    return TrainedClassifier(Bright(), ("dark", "bright"), SHAPE, "key", CPU)  # type: ignore[arg-type]


@pytest.fixture
def labelled() -> Pack:
    """103 flat pictures, the first 40 dark."""
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], [40, 63])
    images = rng.integers(0, 100, (103, *SHAPE)) + labels[:, None, None, None] * 150
    return Pack(images.astype(np.uint8), labels, ("dark", "bright"), (), 0, "key", Path(), "folder x", False)
