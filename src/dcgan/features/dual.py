"""Squared-hinge problems of a few images with many features, by the products among them.

The best w is a combination of the images (the representer theorem): w = Xᵀβ, with β_i = 2C y_i max(0, 1 - y_i f_i).
So β is 0 but for the images short of their margin, and for these (K + I / 2C) β = y, K = X Xᵀ: one small system a
Newton step, and the minimum is exact (Chapelle 2007).
"""

from __future__ import annotations

import torch

from dcgan.features.primal import lowest, too_large

MOST_STEPS = 100


def products(features: torch.Tensor) -> torch.Tensor:
    """K of features (N, F) of any float type and the feature that is always 1: float64 (N, N)."""
    number = len(features)
    gram = torch.ones(number, number, dtype=torch.float64, device=features.device)  # of the constant feature
    for columns in features.split(1024, 1):
        some = columns.double()
        gram += some @ some.T
    return gram


def solve_all(
    gram: torch.Tensor, targets: torch.Tensor, c: float, tolerance: float, start: torch.Tensor | None = None
) -> tuple[torch.Tensor, float]:
    """β (N, K) for targets ±1 (N, K), each column a problem, and its `gradient`; quick from a start near it.

    Raises InputError for a C so large that rounding leaves the gradient above the tolerance.
    """
    if start is None:  # as if all were short of their margin: one system for all classes
        start = _best(gram.clone(), targets, c)
    pairs = zip(targets.T.contiguous(), start.T.contiguous(), strict=True)
    beta = torch.stack([solve(gram, y, c, beta) for y, beta in pairs], 1)
    left = gradient(gram, targets, c, beta)
    if not left <= tolerance:
        raise too_large(c)
    return beta, left


def solve(gram: torch.Tensor, y: torch.Tensor, c: float, beta: torch.Tensor) -> torch.Tensor:
    """β (N,) for one column of targets, from another β; the minimum is where those solved for are short of a margin.

    After MOST_STEPS it may be none: `gradient` tells.
    """
    scores = gram @ beta
    for _ in range(MOST_STEPS):
        short = 1 - y * scores
        active = (short > 0).nonzero().squeeze(1)
        full = torch.zeros_like(y)
        full[active] = _best(gram[active][:, active], y[active, None], c).squeeze(1)
        change = gram @ full - scores
        if torch.equal(y * (scores + change) < 1, short > 0):
            return full
        d = full - beta
        along, across = (beta @ change)[None], (d @ change)[None]
        length = lowest(along, across, short[:, None], (y * change)[:, None], c)
        beta, scores = beta + length * d, scores + length * change
    return beta


def gradient(gram: torch.Tensor, targets: torch.Tensor, c: float, beta: torch.Tensor) -> float:
    """Norm of the gradient at w = Xᵀβ as a share of √(2 objective), the largest of the columns."""
    scores = gram @ beta
    short = (1 - targets * scores).clamp_min(0)
    residual = beta - 2 * c * targets * short  # the gradient is Xᵀ of this
    twice = (beta * scores).sum(0) + 2 * c * short.square().sum(0)
    return ((residual * (gram @ residual)).sum(0).clamp_min(0) / twice).sqrt().max().item()


def _best(gram: torch.Tensor, targets: torch.Tensor, c: float) -> torch.Tensor:
    """The β of images that are all short of their margin; `gram` is changed."""
    gram.diagonal().add_(0.5 / c)
    try:
        return torch.cholesky_solve(targets, torch.linalg.cholesky(gram))
    except torch.linalg.LinAlgError as error:
        raise too_large(c) from error
