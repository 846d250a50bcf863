"""Which queries and references cannot be near each other: told by a few dimensions, before all are looked at.

A distance in a subspace is never longer than the whole one. Of digits, 96 of 784 dimensions leave one pair in 4,000
to be looked at in full when 50,000 references have been seen, and fewer the nearer the neighbours are by then.
"""

from __future__ import annotations

import math

import torch

DIMENSIONS = 96
FEWEST_QUERIES = 16 * DIMENSIONS
"""With fewer it is not worth while: each reference is taken into the subspace, at the price of 96 queries."""
FEWEST_PIXELS = 4 * DIMENSIONS
SAMPLE = 2048  # queries that the subspace is chosen by
# 97 products summed in float32, and their factors rounded to it, are off by less than 100 · 2^-24 of |q|² + 2 |r|².
SLACK = 2e-5


class Bounds:
    """The subspace in which the queries vary most, and they in it.

    With |q - r|² = |q|² + |r|² - 2 q·r, all that depends on both is one matrix product of DIMENSIONS + 1 columns.
    """

    def __init__(self, queries: torch.Tensor) -> None:
        """queries: (Q, pixels), int8 or float64."""
        sample = queries[:: -(-len(queries) // SAMPLE)].double()
        self._mean = sample.mean(0)
        sample = sample - self._mean
        # Any orthonormal basis bounds. Two steps of subspace iteration from a random one bound as well as the best
        # (Halko, Martinsson, Tropp 2011), where all eigenvectors of large images would take hours.
        random = torch.Generator().manual_seed(0)
        inside = torch.randn(len(sample), DIMENSIONS, generator=random, dtype=torch.float64)
        for _ in range(3):
            self._basis, _ = torch.linalg.qr(sample.t() @ inside)
            inside = sample @ self._basis
        inside = torch.cat([self._inside(block) for block in queries.split(SAMPLE)])
        self._norms = inside.square().sum(1) * (1 - SLACK)
        self._queries = torch.cat([-2 * inside, torch.ones_like(inside[:, :1])], 1).float()

    def _inside(self, items: torch.Tensor) -> torch.Tensor:
        return (items.double() - self._mean) @ self._basis

    def outlines(self, references: torch.Tensor) -> torch.Tensor:
        """What `near` wants to know of references (R, pixels): float32 (R, DIMENSIONS + 1)."""
        inside = self._inside(references)
        return torch.cat([inside, inside.square().sum(1, keepdim=True) * (1 - SLACK)], 1).float()

    def near(
        self, part: slice, outlines: torch.Tensor, furthest: torch.Tensor, room: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """All pairs that may be nearer than `furthest` (Q of the part,), a squared distance: rows in the part, columns.

        Those whose distance is not known, because it is infinite or because nothing is near yet, are among them.
        room: at least as many int32 as there are pairs, to be written over.
        """
        queries = self._queries[part]
        shape = len(queries), len(outlines)
        bounds = torch.mm(queries, outlines.t(), out=room.view(torch.float32)[: math.prod(shape)].view(shape))
        limit = (furthest - self._norms[part]).float()
        rows = (~(bounds.amin(1) > limit)).nonzero()[:, 0]  # nearly none later on: the minimum alone tells
        pairs = (~(bounds[rows] > limit[rows, None])).nonzero()
        return rows[pairs[:, 0]], pairs[:, 1]
