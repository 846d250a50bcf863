"""Where latents are: normal ones of d dimensions at a length near √d, uniform ones in the box from -1 to 1."""

from __future__ import annotations

import math

import torch

SPREAD = 1.4
"""95 % of all normal latents have a length within this of the usual one: it is nearly normal, with a variance of ½."""


def usual_length(dim: int) -> float:
    """Of normal latents: nearly the mean and the median of their lengths."""
    return math.sqrt(dim - 0.5)


def typical(z: torch.Tensor, distribution: str) -> torch.Tensor:
    """Means and sums (N, latent_dim) as they are drawn: normal ones at the usual length, uniform ones as they are.

    The mean of k independent normal latents is shorter than one of them by √k. Uniform ones are left alone as in the
    paper, whose latents are uniform.
    """
    return z if distribution == "uniform" else _with_lengths(z, usual_length(z.shape[1]), usual_length(z.shape[1]))


def keep_likely(z: torch.Tensor, distribution: str) -> torch.Tensor:
    """z (N, latent_dim) moved to the nearest ones that are likely: within [-1, 1], or of a length that 95 % have."""
    if distribution == "uniform":
        return z.clamp(-1, 1)
    usual = usual_length(z.shape[1])
    return _with_lengths(z, max(0.0, usual - SPREAD), usual + SPREAD)


def _with_lengths(z: torch.Tensor, least: float, most: float) -> torch.Tensor:
    lengths = z.norm(dim=1, keepdim=True).clamp_min(1e-12)
    return z * (lengths.clamp(least, most) / lengths)
