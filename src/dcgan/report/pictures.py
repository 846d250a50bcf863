"""Pictures inside a page, as data: addresses, within a number of bytes."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dcgan.reading import read_bytes

KINDS, LARGEST = ("png", "jpeg"), 100_000_000
"""What is embedded, of files of at most so many bytes."""
JPEG_QUALITIES = (92, 85, 70)


def spread(paths: Sequence[Path], most: int) -> list[Path]:
    """At most so many of them, evenly spread, the first and the last included."""
    if len(paths) <= most:
        return list(paths)
    return [paths[row] for row in sorted({round(row) for row in np.linspace(0, len(paths) - 1, most)})]


def embedded(path: Path, budget: int) -> tuple[str, tuple[int, int]] | None:
    """A picture file as a data: address of at most `budget` bytes, and its width and height; None if it is no picture.

    As it is if it fits; else as a JPEG, and at last at half the size, a quarter, …, down to one pixel.
    """
    from PIL import Image

    from dcgan.data.decode import BadImage, open_image

    try:
        content = read_bytes(path, LARGEST)
        with open_image(content) as image:
            kind, size = str(image.format).lower(), image.size
            if kind not in KINDS:
                return None
            if len(content) * 4 / 3 <= budget:
                return _address(kind, content), size
            image.load()
            smaller = image.convert("L" if image.mode in ("L", "1", "I;16") else "RGB")
    except (BadImage, OSError, ValueError, SyntaxError):
        return None
    while True:
        for quality in JPEG_QUALITIES:
            buffer = io.BytesIO()
            smaller.save(buffer, "JPEG", quality=quality, optimize=True)
            if buffer.tell() * 4 / 3 <= budget or smaller.size == (1, 1):
                return _address("jpeg", buffer.getvalue()), size
        smaller = smaller.resize((max(1, smaller.width // 2), max(1, smaller.height // 2)), Image.Resampling.LANCZOS)


def _address(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
