"""Squared-hinge problems of many images, all classes at once: each pass over the features serves all of them.

For each column y of the targets the minimum over w of ½‖w‖² + c Σ max(0, 1 - y f)², f = x·w, where every x has one more
feature that is always 1. Newton's method in the primal (Keerthi and DeCoste 2005): the Hessian is I + 2c XᵀX over the
rows short of their margin, and is met in conjugate gradients only, so that these rows are all that most passes read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from dcgan.errors import InputError
from dcgan.features.columns import wide
from dcgan.features.preconditioner import Choice

BLOCK, GPU_BLOCK = 2**22, 2**28
"""Numbers made float32 at once, 16 MB: about 128 rows of 28,672, which is as fast as it gets on one core; or 1 GB."""
MOST = 0.75
"""The share of the rows above which picking them out is slower than reading all."""
MOST_STEPS, MOST_PRODUCTS = 200, 500
"""Newton steps, and products with the Hessian for one of them."""
FORCING = 0.1
"""How far conjugate gradients reduce the residual of a step, at least; near the end as far as the gradient is."""

Progress = Callable[[int, int, int], None]
"""Told how many times the images have been gone through, and to how many of how many it has come this time."""


@dataclass
class Rows:
    """Features (N, F) of any float type and the constant one, read in blocks of `dtype`."""

    features: torch.Tensor
    dtype: torch.dtype
    progress: Progress | None = None
    read: int = 0
    """How many rows have been read, again and again."""

    @property
    def passes(self) -> float:
        """The same in numbers of all rows."""
        return self.read / len(self.features)

    def blocks(self, wanted: torch.Tensor | None = None) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """The numbers of rows and the rows (n, F + 1), of all or at least those wanted. A block is good until the next.

        wanted: 1 for them (N,). Where they are most, all are read: one after the other that is quicker.
        """
        number, dimensions = self.features.shape
        device = self.features.device
        which = None if wanted is None else wanted.nonzero().squeeze(1)
        if which is None or len(which) > MOST * number:
            which = torch.arange(number, device=device)
        size = block_rows(self.features)
        pitch = dimensions + 1 + -(dimensions + 1) % 16  # each row begins where a line of the cache does
        buffer = torch.ones(min(size, number), pitch, dtype=self.dtype, device=device)[:, : dimensions + 1]
        for some in which.split(size) if len(which) else ():
            first, last = int(some[0]), int(some[-1])
            together = last - first + 1 == len(some)
            block = buffer[: len(some)]
            block[:, :-1] = self.features[first : last + 1] if together else self.features[some]
            yield some, block
            self.read += len(some)
            if self.progress:
                self.progress(self.read // number, self.read % number, number)

    def scores(self, w: torch.Tensor) -> torch.Tensor:
        """x·w of all rows (N, K)."""
        columns = wide(w)
        return torch.cat([block @ columns for _, block in self.blocks()])[:, : w.shape[1]]

    def gradient(self, w: torch.Tensor, scores: torch.Tensor, targets: torch.Tensor, c: float) -> torch.Tensor:
        """Of the objective (F + 1, K), from the scores of w."""
        share = wide(2 * c * targets * short_of(targets, scores).clamp_min(0))
        gradient = wide(w).clone()
        for some, block in self.blocks(share.any(1)):
            gradient.addmm_(block.T, share[some], alpha=-1)
        return gradient[:, : w.shape[1]]

    def curve(self, d: torch.Tensor, active: torch.Tensor, c: float) -> torch.Tensor:
        """The Hessian's products with directions (F + 1, K); active (N, K): 1 for rows short of their margin."""
        columns, active = wide(d), wide(active)
        product = columns.clone()
        for some, block in self.blocks(active.any(1)):
            product.addmm_(block.T, active[some] * (block @ columns), alpha=2 * c)
        return product[:, : d.shape[1]]


def block_rows(features: torch.Tensor) -> int:
    """How many rows of the features (N, F) make a block, where they are."""
    return max(16, (GPU_BLOCK if features.is_cuda else BLOCK) // features.shape[1])


def short_of(targets: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """1 - y f, how far each row is from its margin (N, K); 0 where the target is 0, "not in this problem"."""
    return targets.square() - targets * scores


def too_large(c: float) -> InputError:
    """What to raise where rounding hides the minimum."""
    return InputError(f"c: {c:g} is too large for these features, the minimum is lost in rounding; name smaller ones")


def solve(
    rows: Rows, targets: torch.Tensor, c: float, tolerance: float, start: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The minima w (F + 1, K), from 0 or a start, and how small their gradients are (K,).

    targets: (N, K) of 1, -1 or 0. tolerance: of the gradient's norm as a share of √(2 objective); half the norm
    squared is the duality gap, so that 1e-3 is within a millionth of the least objective. Columns that are done wait.
    Raises InputError for features that are not finite, and for a C so large that rounding keeps the gradient above it.
    """
    dimensions, columns = rows.features.shape[1] + 1, targets.shape[1]
    choice = Choice.of(rows.features, targets.any(1).nonzero().squeeze(1), rows.dtype)
    w = targets.new_zeros(dimensions, columns) if start is None else start.clone()
    scores = torch.zeros_like(targets) if start is None else rows.scores(w)
    for step in range(MOST_STEPS + 1):
        gradient = rows.gradient(w, scores, targets, c)
        relative = gradient.norm(dim=0) / _twice_objective(w, short_of(targets, scores), c).sqrt()
        if not relative.isfinite().all():
            raise InputError("features: some are not finite numbers")
        left = (relative > tolerance).nonzero().squeeze(1)
        if not len(left):
            break
        if step == MOST_STEPS:
            raise too_large(c)
        short = short_of(targets[:, left], scores[:, left])
        forcing = relative[left].clamp_max(FORCING)
        try:
            d = _direction(rows, gradient[:, left], (short > 0).to(w.dtype), c, forcing, choice)
        except torch.linalg.LinAlgError as error:
            raise too_large(c) from error
        change = rows.scores(d)
        along, across = (w[:, left] * d).sum(0), d.square().sum(0)
        length = lowest(along, across, short, targets[:, left] * change, c)
        w[:, left] += length * d
        scores[:, left] += length * change
    return w, relative


def _twice_objective(w: torch.Tensor, short: torch.Tensor, c: float) -> torch.Tensor:
    return w.square().sum(0) + 2 * c * short.clamp_min(0).square().sum(0)


def _direction(
    rows: Rows, gradient: torch.Tensor, active: torch.Tensor, c: float, forcing: torch.Tensor, choice: Choice | None
) -> torch.Tensor:
    """Preconditioned conjugate gradients: about -H⁻¹ g (F + 1, K), to a residual of `forcing` times g."""
    inverse = choice.inverse(active, c) if choice else None

    def near(residual: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        return inverse(residual, columns) if inverse else residual

    d, residual = torch.zeros_like(gradient), -gradient
    goal = forcing.square() * residual.square().sum(0)
    left = torch.arange(len(goal), device=goal.device)
    p = near(residual, left).clone()
    along = (residual * p).sum(0)
    for _ in range(MOST_PRODUCTS):
        some = p[:, left]
        product = rows.curve(some, active[:, left], c)
        alpha = along[left] / (some * product).sum(0)
        d[:, left] += alpha * some
        residual[:, left] -= alpha * product
        left = left[residual[:, left].square().sum(0) > goal[left]]
        if not len(left):
            break
        z = near(residual[:, left], left)
        now = (residual[:, left] * z).sum(0)
        p[:, left] = z + now / along[left] * p[:, left]
        along[left] = now
    return d


def lowest(
    along: torch.Tensor, across: torch.Tensor, short: torch.Tensor, change: torch.Tensor, c: float
) -> torch.Tensor:
    """The t in (0, 1] at which the objective is lowest on w + t d (K,), by w·d and d·d (K,), 1 - y f and y x·d (N, K).

    Its derivative is piecewise linear and rises: Newton's method on it, kept between bounds that it moves. Beyond 1
    the objective may still fall, but there nearly all rows are past their margins and the next step knows of none.
    """
    first = along - 2 * c * (change * short.clamp_min(0)).sum(0)
    t, low, high = torch.ones_like(along), torch.zeros_like(along), torch.ones_like(along)
    for _ in range(40):
        over = (short - t * change).clamp_min(0)
        slope = along + t * across - 2 * c * (change * over).sum(0)
        low, high = torch.where(slope < 0, t, low), torch.where(slope < 0, high, t)
        if ((low == 1) | (slope.abs() <= 1e-6 * first.abs())).all():
            break
        t = t - slope / (across + 2 * c * (change.square() * (over > 0)).sum(0))
        t = torch.where((t > low) & (t <= high), t, (low + high) / 2)
    return t
