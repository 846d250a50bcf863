"""Checkerboards: patterns that transposed convolutions leave, repeating every 2, 4, … pixels (Odena et al. 2016)."""

from __future__ import annotations

import numpy as np

PERIODS = (2, 4)
"""In pixels: of the last doubling of a generator, and of the one before it."""
NEAR = 1 / 16
"""Cycles a pixel around a pattern's own frequencies that count as it: a pattern that comes and goes spreads as far."""
PIECE = 500
"""Images transformed at once."""


def checkerboard(images: np.ndarray) -> dict[int, float]:
    """The share of the images' energy (their variance) that is in patterns of each of the PERIODS, in [0, 1].

    images: (N, H, W, C), of any scale. Natural images have little there, but not nothing, and drawings of an honest
    generator as much: what counts is `checkerboard_ratio`. A mean spectrum, under a Hann window, so that the
    borders do not count as patterns.
    """
    if images.ndim != 4 or len(images) == 0:
        raise ValueError(f"checkerboard wants at least one image as (N, H, W, C); got shape {images.shape}")
    height, width = images.shape[1:3]
    window = np.outer(_hann(height), _hann(width))[..., None]
    power = np.zeros((height, width))
    for start in range(0, len(images), PIECE):
        x = images[start : start + PIECE].astype(np.float32)
        x -= x.mean((1, 2), keepdims=True)
        power += np.square(np.abs(np.fft.fft2(x * window, axes=(1, 2)))).sum((0, 3))
    total = power.sum()
    shares, counted = {}, _near(power.shape, 1)
    for period in PERIODS:
        band = _near(power.shape, period) & ~counted
        shares[period] = float(power[band].sum() / total) if total else 0.0
        counted |= band
    return shares


def checkerboard_ratio(drawn: np.ndarray, real: np.ndarray) -> dict[int, float]:
    """How many times as much of each pattern the drawn images have as the real ones; about 1 is none to be seen."""
    ours, theirs = checkerboard(drawn), checkerboard(real)
    return {period: ours[period] / max(theirs[period], 1e-12) for period in PERIODS}


def _hann(n: int) -> np.ndarray:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)


def _near(shape: tuple[int, ...], period: int) -> np.ndarray:
    """Where both frequencies are near multiples of 1 / period: bool, of the shape of the spectrum."""
    rows, columns = (np.abs(period * f - np.round(period * f)) <= period * NEAR for f in map(np.fft.fftfreq, shape))
    return np.logical_and.outer(rows, columns)
