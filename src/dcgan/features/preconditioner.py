"""What makes conjugate gradients quick on features as alike as D's: the Hessian of a random few images, inverted.

Features of one network are far from independent, so that the Hessian I + 2c XᵀX has a few huge eigenvalues and very
many small ones, and conjugate gradients want hundreds of passes over all images. Those few show in a random choice of
the images: with its rows Z short of their margin, each standing for `share` rows, P = I + 2c·share ZᵀZ, and by
Woodbury's identity P⁻¹ g = g - Zᵀ (I / (2c·share) + Z Zᵀ)⁻¹ Z g, a system as small as the choice.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dcgan.features.columns import times

CHOSEN = 2000
"""Images in the choice: 0.23 GB of 28,672 features."""
WORTH = 4
"""So many times as many images there have to be for it to be worth the trouble."""


@dataclass(frozen=True, eq=False)
class Choice:
    """A random choice of the rows of a problem."""

    which: torch.Tensor
    """Numbers of the rows (m,)."""
    rows: torch.Tensor
    """(m, F + 1)."""
    products: torch.Tensor
    """Among them (m, m), float64."""
    share: float
    """How many rows each stands for."""

    @classmethod
    def of(cls, features: torch.Tensor, used: torch.Tensor, dtype: torch.dtype) -> Choice | None:
        """Of the rows (N, F) that are used, by their numbers; None of so few that it is not worth it."""
        if len(used) < WORTH * CHOSEN:
            return None
        order = torch.randperm(len(used), generator=torch.Generator().manual_seed(0))
        which = used[order[:CHOSEN].sort().values.to(used.device)]
        rows = torch.cat([features[which].to(dtype), torch.ones(CHOSEN, 1, dtype=dtype, device=features.device)], 1)
        return cls(which, rows, (rows @ rows.T).double(), len(used) / CHOSEN)

    def inverse(self, active: torch.Tensor, c: float) -> Inverse:
        """P⁻¹ for each column; active (N, K): 1 for rows short of their margin."""
        chosen = active[self.which] > 0
        damping = 1 / (2 * c * self.share)
        factors = []
        for column in chosen.T:
            own = column.nonzero().squeeze(1)
            small = self.products[own][:, own]
            small.diagonal().add_(damping)
            factors.append((own, torch.linalg.cholesky(small)))
        return Inverse(self.rows, factors)


@dataclass(frozen=True, eq=False)
class Inverse:
    """P⁻¹ of each column."""

    rows: torch.Tensor
    factors: list[tuple[torch.Tensor, torch.Tensor]]
    """For each column the chosen rows short of their margin, and the Cholesky factor of their system."""

    def __call__(self, g: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        """P⁻¹ g (F + 1, k) for some of the columns (k,)."""
        seen = times(self.rows, g).double()
        weights = torch.zeros_like(seen)
        for i, column in enumerate(columns.tolist()):
            own, factor = self.factors[column]
            if len(own):
                weights[own, i] = torch.cholesky_solve(seen[own, i, None], factor).squeeze(1)
        return g - times(self.rows.T, weights.to(g.dtype))
