"""The one place where [-1, 1] and uint8 meet; grids; PNG and GIF.

Networks speak float tensors (N, C, H, W) in [-1, 1]; people and files speak uint8 arrays (N, H, W, C).
The mapping is linear and fixed (0 ↔ -1, 255 ↔ 1), never a min-max stretch: the same pixel always
looks the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image


def to_float(images: torch.Tensor) -> torch.Tensor:
    """uint8 → float32 in [-1, 1], any shape; exactly undone by `to_uint8`."""
    return images.float().div_(127.5).sub_(1.0)


def to_uint8(images: torch.Tensor) -> torch.Tensor:
    """Floats in [-1, 1] → uint8, rounded to the nearest level; values outside are clipped."""
    return images.float().add(1.0).mul_(127.5).round_().clamp_(0, 255).byte()


def to_array(images: torch.Tensor) -> np.ndarray:
    """Float tensor (N, C, H, W) in [-1, 1] → uint8 array (N, H, W, C)."""
    return np.ascontiguousarray(to_uint8(images).permute(0, 2, 3, 1).cpu().numpy())


def to_pil(image: np.ndarray) -> Image:
    """A uint8 array (H, W, C), C one of 1, 3, 4, as a Pillow image."""
    from PIL import Image

    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def grid(images: np.ndarray, columns: int | None = None, padding: int = 2) -> np.ndarray:
    """Lay images (N, H, W, C) out row by row as one (H', W', C) array on black.

    `columns` defaults to the squarest layout that is at least as wide as high.
    """
    if images.ndim != 4 or len(images) == 0:
        raise ValueError(f"grid wants at least one image as (N, H, W, C); got shape {images.shape}")
    n, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    sheet = np.zeros((rows * (height + padding) + padding, columns * (width + padding) + padding, channels), np.uint8)
    if channels == 4:
        sheet[..., 3] = 255
    for i, image in enumerate(images):
        top = padding + (i // columns) * (height + padding)
        left = padding + (i % columns) * (width + padding)
        sheet[top : top + height, left : left + width] = image
    return sheet


def save_png(path: Path, image: np.ndarray) -> None:
    """Write one (H, W, C) uint8 array as a PNG that is either whole or absent."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)  # a link would be written through
    to_pil(image).save(partial, format="PNG")
    partial.replace(path)


def save_gif(path: Path, frames: Sequence[np.ndarray], seconds: float = 8.0, hold: float = 2.0) -> None:
    """Write (H, W, C) uint8 frames as a looping GIF of about `seconds`; the last frame stays for `hold` seconds."""
    if not frames:
        raise ValueError("a GIF needs at least one frame")
    # Each frame has the 256 colours that suit it best; Pillow's own choice is a fixed palette and a pattern of dots.
    pictures = [to_pil(frame[..., :3]).quantize(256) for frame in frames]
    each = max(20, int(1000 * seconds / len(pictures)))
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    pictures[0].save(
        partial,
        format="GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=[each] * (len(pictures) - 1) + [max(each, int(1000 * hold))],
        loop=0,
    )
    partial.replace(path)
