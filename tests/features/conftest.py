"""A small run of two classes, trained for a moment, and a conditional one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import dcgan

SMALL: dict[str, Any] = {"images": 32, "image_size": 16, "width": 4, "latent_dim": 8, "batch_size": 8, "quiet": True}


@pytest.fixture(scope="session")
def small_run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dcgan.train(photos, out=tmp_path_factory.mktemp("runs") / "plain", **SMALL).path


@pytest.fixture(scope="session")
def class_run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "classes"
    return dcgan.train(photos, out=out, conditional=True, condition="concat", **SMALL).path
