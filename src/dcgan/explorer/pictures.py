"""Images as the page gets them: one PNG of all, without gaps, which it cuts up itself; GIFs; zips of PNGs."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dcgan.images import grid, save_gif, to_pil

FRAMES_A_SECOND = 12
MOVIE_SIDE = 128
"""Frames are enlarged by a whole number to at least so many pixels."""


def png(image: np.ndarray, level: int = 6) -> bytes:
    """A uint8 array (H, W, C) as a PNG, packed that well: from 0, not at all, to 9."""
    buffer = io.BytesIO()
    to_pil(image).save(buffer, "PNG", compress_level=level)
    return buffer.getvalue()


def sprite(images: np.ndarray, columns: int | None = None) -> bytes:
    """Images (N, H, W, C) row by row in one PNG; columns: ⌈√N⌉ if not given, as the page expects.

    Not packed, since it stays on this machine: to pack 25 of 64×64 takes 6 to 26 ms, as long as drawing them.
    """
    return png(grid(images, columns, padding=0), level=0)


def gif(frames: np.ndarray) -> bytes:
    """uint8 frames (N, H, W, C), 12 a second, again and again."""
    times = -(-MOVIE_SIDE // min(frames.shape[1:3]))
    large = [np.kron(frame, np.ones((times, times, 1), np.uint8)) for frame in frames]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "walk.gif"
        save_gif(path, large, len(frames) / FRAMES_A_SECOND, hold=0)
        return path.read_bytes()


def zipped(named: Iterable[tuple[str, np.ndarray]]) -> bytes:
    """PNGs under these names; stored, since they are packed already."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, image in named:
            archive.writestr(name, png(image))
    return buffer.getvalue()
