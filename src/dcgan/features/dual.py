"""Squared-hinge problems of a few images with many features, by the products among them.

The best w is a combination of the images (the representer theorem): w = Xᵀβ, with β_i = 2C y_i max(0, 1 - y_i f_i).
So β is 0 but for the images short of their margin, and for these (K + I / 2C) β = y, K = X Xᵀ: one small system a
Newton step, and the minimum is exact (Chapelle 2007).
"""

from __future__ import annotations

import torch

MOST_STEPS = 100


def products(features: torch.Tensor) -> torch.Tensor:
    """K of features (N, F) of any float type and the feature that is always 1: float64 (N, N)."""
    number = len(features)
    gram = torch.ones(number, number, dtype=torch.float64, device=features.device)  # of the constant feature
    dtype = torch.float64 if features.dtype == torch.float64 else torch.float32
    for columns in features.split(1024, 1):  # short sums in float32, their sum in float64
        some = columns.to(dtype)
        gram += some @ some.T
    return gram


def solve_all(gram: torch.Tensor, targets: torch.Tensor, c: float, start: torch.Tensor | None = None) -> torch.Tensor:
    """β (N, K) for targets ±1 (N, K), each column a problem; quick from a start near it."""
    if start is None:  # as if all were short of their margin: one system for all classes
        start = _best(gram.clone(), targets, c)
    pairs = zip(targets.T.contiguous(), start.T.contiguous(), strict=True)
    return torch.stack([solve(gram, y, c, beta) for y, beta in pairs], 1)


def solve(gram: torch.Tensor, y: torch.Tensor, c: float, beta: torch.Tensor) -> torch.Tensor:
    """β (N,) for one column of targets, from another β; ends when the images short of their margin stay the same."""
    scores = gram @ beta
    before: torch.Tensor | None = None
    for _ in range(MOST_STEPS):
        active = (y * scores < 1).nonzero().squeeze(1)
        if before is not None and torch.equal(active, before):
            break
        full = torch.zeros_like(y)
        full[active] = _best(gram[active][:, active], y[active, None], c).squeeze(1)
        beta, scores = _towards(gram, y, c, beta, scores, full)
        before = active
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
    return torch.cholesky_solve(targets, torch.linalg.cholesky(gram))


def _towards(
    gram: torch.Tensor, y: torch.Tensor, c: float, beta: torch.Tensor, scores: torch.Tensor, full: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """From beta to `full`, or as often half as far as it takes for the objective to fall; and the scores K β there."""
    d = full - beta
    change = gram @ d
    slope = beta @ change - 2 * c * (y * change * (1 - y * scores).clamp_min(0)).sum()
    objective, length = _objective(y, c, beta, scores), 1.0
    while length > 1e-8 and (
        _objective(y, c, beta + length * d, scores + length * change) > objective + 1e-4 * length * slope
    ):
        length /= 2
    return beta + length * d, scores + length * change


def _objective(y: torch.Tensor, c: float, beta: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    return (beta @ scores) / 2 + c * (1 - y * scores).clamp_min(0).square().sum()
