"""Pictures that can be told apart, as a folder and as the shards made of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dcgan.data.shards.write import Sharding, write_shards
from dcgan.data.sources import find_source


@pytest.fixture(scope="session")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """203 pictures of 16×16 in two classes, PNG and JPEG, each with pixels of its own."""
    folder = tmp_path_factory.mktemp("album")
    rng = np.random.default_rng(0)
    for i in range(203):
        path = folder / ("bright" if i % 3 else "dark") / f"{i:03d}.{'jpg' if i % 5 == 0 else 'png'}"
        path.parent.mkdir(exist_ok=True)
        coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((16, 16), Image.Resampling.NEAREST).save(path)
    return folder


@pytest.fixture(scope="session")
def shards(album: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The album as 20 shards of 11 pictures, the last of which is short (203 = 18 × 11 + 5: 19 shards)."""
    out = tmp_path_factory.mktemp("shards") / "twenty"
    write_shards(find_source(album), out, Sharding(images=11))
    return out
