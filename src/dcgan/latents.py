"""Latents by number: the z of image i of a seed is always the same, however many are drawn and in what batches."""

from __future__ import annotations

import math

import numpy as np
import torch

from dcgan.errors import InputError

MOST_SAMPLES = 2**40
"""Of a seed: samples are numbered from 0 to one less."""
BLOCK = 64
"""Images are drawn in whole blocks of this many, so that neither rounding nor batch statistics vary."""


def latents(
    n: int, dim: int, seed: int, start: int = 0, distribution: str = "normal", truncation: float | None = None
) -> torch.Tensor:
    """The z of images start … start + n - 1 of `seed`, float32 (n, dim).

    truncation: "normal" is squeezed smoothly into ±truncation (a truncated normal, z by z, so that an
    image keeps its character), "uniform" is scaled by it; None or anything ≥ 10 for normals: untouched.
    Raises InputError for numbers that no image has, a seed outside [0, 2^63), and a truncation that is not > 0.
    """
    if n < 0 or not 0 <= start < 2**63:
        raise InputError(f"{n} samples from number {start} on: wants 0 or more, from a number in [0, 2^63)")
    check_seed(seed)
    first, last = start // BLOCK, -(-(start + n) // BLOCK)
    blocks = [_block(seed, block, dim, distribution) for block in range(first, last)]
    z = torch.from_numpy(np.concatenate(blocks)[start - first * BLOCK :][:n]) if n else torch.empty(0, dim)
    return z if truncation is None else truncate(z, truncation, distribution)


def check_seed(seed: int) -> None:
    """Raises InputError for a seed that nothing can be drawn with."""
    if not 0 <= seed < 2**63:
        raise InputError(f"seed: {seed} is outside [0, 2^63)")


def check_truncation(truncation: float | None) -> None:
    """Raises InputError unless it is none, or above 0 and finite."""
    if truncation is not None and not (math.isfinite(truncation) and truncation > 0):
        raise InputError(f"truncation: {truncation} is outside (0, ∞)")


def truncate(z: torch.Tensor, truncation: float, distribution: str = "normal") -> torch.Tensor:
    """z within ±truncation: smaller is more typical and less varied. Raises InputError unless it is > 0."""
    check_truncation(truncation)
    if distribution == "uniform":
        return z * min(truncation, 1.0)
    if truncation >= 10:
        return z
    # The normal's quantile, mapped linearly to the quantiles within ±truncation.
    root2 = math.sqrt(2.0)
    squeezed = torch.erf(z.double() / root2) * math.erf(truncation / root2)
    return (torch.erfinv(squeezed) * root2).float().clamp_(-truncation, truncation)


def _block(seed: int, block: int, dim: int, distribution: str) -> np.ndarray:
    """BLOCK latents from a counter-based generator: any block is as near as the first."""
    rng = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, block]))
    if distribution == "uniform":
        return rng.uniform(-1.0, 1.0, (BLOCK, dim)).astype(np.float32)
    return rng.standard_normal((BLOCK, dim)).astype(np.float32)
