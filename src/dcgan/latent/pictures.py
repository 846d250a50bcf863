"""The picture of an arithmetic in the layout of the paper's Figure 7."""

from __future__ import annotations

import numpy as np

from dcgan.latent.arithmetic import Arithmetic

GAP = 2
SHOWN = 6
WHITE = 255


def figure(found: Arithmetic) -> np.ndarray:
    """Three columns of samples, below each what its mean z draws: A - B + C = the result amid its neighbours.

    The bottom row does the same with the means of the images. Of many samples the first six are shown.
    """
    sources = [images[:SHOWN] for images in found.sources]
    height, width = found.pixels.shape[:2]
    sign = max(10, width // 4)
    rows = max(max(map(len, sources)) + 1, 3)
    line = height + GAP
    # Columns: A, B, C with signs between them, then three of results. The last two rows stand a little apart.
    lefts = [GAP + i * (width + sign + GAP) for i in range(3)]
    block = lefts[2] + width + sign + GAP
    mean_row, pixel_row = GAP + (rows - 1) * line + 2 * GAP, GAP + rows * line + 6 * GAP
    sheet = np.zeros((pixel_row + line, block + 3 * (width + GAP), found.pixels.shape[2]), np.uint8)
    if sheet.shape[2] == 4:
        sheet[..., 3] = 255

    def put(image: np.ndarray, top: int, left: int) -> None:
        sheet[top : top + height, left : left + width] = image

    for images, mean, pixel_mean, left in zip(sources, found.means, found.pixel_means, lefts, strict=True):
        for row, image in enumerate(images, rows - 1 - len(images)):
            put(image, GAP + row * line, left)
        put(mean, mean_row, left)
        put(pixel_mean, pixel_row, left)
    first = GAP + ((rows - 3) * line + 2 * GAP) // 2
    for i, image in enumerate(found.images):
        put(image, first + i // 3 * line, block + i % 3 * (width + GAP))
    put(found.pixels, pixel_row, block + width + GAP)
    for top in (mean_row, pixel_row):
        for kind, left in zip("-+", lefts, strict=False):
            _sign(sheet, kind, top + height // 2, left + width + sign // 2)
    for middle in (first + line + height // 2, pixel_row + height // 2):
        _sign(sheet, "=", middle, lefts[2] + width + sign // 2)
    return sheet


def _sign(sheet: np.ndarray, kind: str, y: int, x: int, arm: int = 4) -> None:
    """A minus, a plus or an equals sign around a point."""
    for row in (y - 3, y + 2) if kind == "=" else (y,):
        sheet[row : row + 2, x - arm : x + arm + 2] = WHITE
    if kind == "+":
        sheet[y - arm : y + arm + 2, x : x + 2] = WHITE
