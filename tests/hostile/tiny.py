"""The smallest run there is, with everything in it, trained once a process and written wherever it is wanted."""

from __future__ import annotations

import functools
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from dcgan.files import read_tensors
from dcgan.reading import parse_json


@functools.cache
def _original() -> Path:
    """A run of four steps on 8 pictures."""
    import dcgan

    folder = Path(tempfile.mkdtemp(prefix="hostile-tiny-"))
    (folder / "photos").mkdir()
    for i in range(8):
        pixels = np.random.default_rng(i).integers(0, 256, (16, 16), np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{i}.png")
    small: dict[str, Any] = {"image_size": 16, "width": 2, "latent_dim": 6, "batch_size": 4, "device": "cpu"}
    rarely: dict[str, Any] = {"precision": "fp32", "log_interval": 1, "sample_interval": 2, "checkpoint_interval": 4}
    return dcgan.train(folder / "photos", out=folder / "run", images=16, quiet=True, **small, **rarely).path


def trained_run(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Write the run into an empty folder; what its checkpoint says, and its tensors."""
    shutil.copytree(_original(), path, dirs_exist_ok=True)
    (file,) = (path / "checkpoints").glob("*.safetensors")
    tensors, metadata = read_tensors(file)
    return parse_json(metadata["checkpoint"]), tensors
