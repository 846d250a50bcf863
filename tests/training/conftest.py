"""Trainings small enough for a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import dcgan

TINY: dict[str, Any] = {
    "image_size": 16,
    "width": 4,
    "latent_dim": 8,
    "batch_size": 8,
    "device": "cpu",
    "precision": "fp32",
    "quiet": True,
}


@pytest.fixture
def tiny() -> dict[str, Any]:
    """Settings of a network that trains a step in a millisecond or two."""
    return dict(TINY)


@pytest.fixture(scope="session")
def finished(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dcgan.Run:
    """A run of 20 steps that is done; not to be changed."""
    out = tmp_path_factory.mktemp("runs") / "finished"
    return dcgan.train(photos, out=out, images=160, log_interval=5, sample_interval=8, checkpoint_interval=6, **TINY)
