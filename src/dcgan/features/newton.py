"""Many squared-hinge problems on one matrix, solved side by side: every pass over its rows serves all of them.

Each column m of the targets Y, of 1, -1, or 0 for "not in this problem", asks for the minimum over w of
½‖w‖² + c_m Σ max(0, 1 - y x·w)². Newton's method in the primal (Chapelle 2007): the Hessian I + 2c Xᵀ A X, with A the
rows short of their margin, is met in conjugate gradients only. A skinny matrix product waits for memory, so sixty
columns take less than twice the time of ten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

ROWS = 128
"""Rows made float32 at once: 128 × 28,672 are 15 MB, and as fast as it gets on one core."""
MOST_STEPS, MOST_PRODUCTS = 200, 500
"""Newton steps, and products with the Hessian for one of them."""
FORCING = 0.1
"""How far conjugate gradients reduce the residual of a step, at least; near the end as far as the gradient is."""

Progress = Callable[[int, int, int], None]
"""Told the number of the pass, and how many rows of how many it has come to."""


@dataclass(frozen=True, eq=False)
class Solution:
    """The minima, a column each."""

    w: torch.Tensor
    """(D, M)."""
    shares: torch.Tensor
    """The dual solution with its sign, 2c y max(0, 1 - y x·w) (N, M): w is Xᵀ times this, but for the gradient."""
    gradient: torch.Tensor
    """Norm of each column's gradient as a share of √(2 objective) (M,)."""
    steps: int
    passes: int


@dataclass
class Matrix:
    """Rows (N, D) of any float type, with one more feature that is always 1 if `one` says so, looked at in blocks."""

    rows: torch.Tensor
    one: bool
    dtype: torch.dtype
    progress: Progress | None = None
    passes: int = 0

    @property
    def width(self) -> int:
        """D, the constant feature included."""
        return self.rows.shape[1] + self.one

    def blocks(self) -> Iterator[tuple[slice, torch.Tensor]]:
        """One pass: the rows in the type of the arithmetic, some at a time. A block is good until the next."""
        self.passes += 1
        number, dimensions = self.rows.shape
        buffer = torch.ones(min(ROWS, number), self.width, dtype=self.dtype)
        for start in range(0, number, ROWS):
            place = slice(start, min(start + ROWS, number))
            block = buffer[: place.stop - start]
            block[:, :dimensions] = self.rows[place]
            yield place, block
            if self.progress:
                self.progress(self.passes, place.stop, number)

    def look(self, w: torch.Tensor, targets: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The gradients (D, M) at w, and 1 - y x·w (N, M), 0 where the target is."""
        short, gradient = torch.empty_like(targets), w.clone()
        for place, block in self.blocks():
            y = targets[place]
            short[place] = y.square() - y * (block @ w)
            gradient.addmm_(block.T, y * short[place].clamp_min(0) * (-2 * c))
        return gradient, short

    def curve(self, d: torch.Tensor, active: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The Hessian's products with directions (D, M), and x·d (N, M); active: 1 where there is slack, else 0."""
        scores, product = torch.empty_like(active), d.clone()
        for place, block in self.blocks():
            scores[place] = block @ d
            product.addmm_(block.T, active[place] * scores[place] * (2 * c))
        return product, scores


def solve(
    matrix: Matrix, targets: torch.Tensor, c: torch.Tensor, tolerance: float, start: torch.Tensor | None = None
) -> Solution:
    """The minima for targets (N, M) and c (M,), from w = 0 or a start (D, M). Columns that are done wait for the rest.

    tolerance: of the gradient's norm as a share of √(2 objective). Half the norm squared is the duality gap, so that
    1e-3 is within a millionth of the least objective.
    """
    w = targets.new_zeros(matrix.width, targets.shape[1]) if start is None else start.clone()
    before = matrix.passes
    for step in range(MOST_STEPS + 1):
        gradient, short = matrix.look(w, targets, c)
        relative = gradient.norm(dim=0) / _twice_objective(w, short, c).sqrt()
        left = (relative > tolerance).nonzero().squeeze(1)
        if not len(left) or step == MOST_STEPS:
            break
        w[:, left] += _step(matrix, w[:, left], gradient[:, left], short[:, left], targets[:, left], c[left])
    return Solution(w, 2 * c * targets * short.clamp_min(0), relative, step, matrix.passes - before)


def _twice_objective(w: torch.Tensor, short: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    return w.square().sum(0) + 2 * c * short.clamp_min(0).square().sum(0)


def _step(
    matrix: Matrix,
    w: torch.Tensor,
    gradient: torch.Tensor,
    short: torch.Tensor,
    targets: torch.Tensor,
    c: torch.Tensor,
) -> torch.Tensor:
    """About -H⁻¹ g (D, M), as far along as the objective falls."""
    relative = gradient.norm(dim=0) / _twice_objective(w, short, c).sqrt()
    d, scores = _direction(matrix, gradient, (short > 0).to(w.dtype), c, relative.clamp_max(FORCING))
    return d * _length(w, d, short, targets * scores, c)


def _direction(
    matrix: Matrix, gradient: torch.Tensor, active: torch.Tensor, c: torch.Tensor, forcing: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Conjugate gradients: about -H⁻¹ g (D, M), to a residual of `forcing` times g; and x·d (N, M)."""
    d, residual = torch.zeros_like(gradient), -gradient
    scores, p = torch.zeros_like(active), residual.clone()
    squared = residual.square().sum(0)
    goal = forcing.square() * squared
    for _ in range(MOST_PRODUCTS):
        left = (squared > goal).nonzero().squeeze(1)
        if not len(left):
            break
        some = p[:, left]
        product, some_scores = matrix.curve(some, active[:, left], c[left])
        alpha = squared[left] / (some * product).sum(0)
        d[:, left] += alpha * some
        scores[:, left] += alpha * some_scores
        residual[:, left] -= alpha * product
        now = residual[:, left].square().sum(0)
        p[:, left] = residual[:, left] + now / squared[left] * some
        squared[left] = now
    return d, scores


def _length(
    w: torch.Tensor, d: torch.Tensor, short: torch.Tensor, change: torch.Tensor, c: torch.Tensor
) -> torch.Tensor:
    """The t in (0, 1] at which the objective is lowest on w + t d (M,); short and change (N, M): 1 - y x·w, and y x·d.

    Its derivative is piecewise linear and rises: Newton's method on it, kept between bounds that it moves. Beyond 1
    the objective may still fall, but there nearly all rows are past their margins and the next step knows of none.
    """
    along, across = (w * d).sum(0), d.square().sum(0)
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
