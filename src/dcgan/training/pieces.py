"""A batch with everything that is random about its images, to be played as a whole or in pieces.

The numbers are drawn for the whole batch, a row an image, and shared out with the images: however small the pieces,
an image has the numbers that it would have in the whole. (Dropout draws its own, piece by piece.)
"""

from __future__ import annotations

from typing import NamedTuple

import torch

SMALLEST = 2
"""Images of a piece, at least: batch norm compares them with one another."""


class Piece(NamedTuple):
    """n images, all of a batch or some of them; what is None is not wanted in this move."""

    images: torch.Tensor  # (n, C, H, W) uint8, real
    labels: torch.Tensor | None  # (n,)
    mirror: torch.Tensor | None  # (n, 1, 1, 1) in [0, 1): the real image is mirrored below a half
    augment_real: torch.Tensor | None  # (n, 10) in [0, 1), as `augment` takes them
    z: torch.Tensor  # (n, latent_dim)
    augment_drawn: torch.Tensor | None  # (n, 10)
    mix: torch.Tensor | None  # (n, 1, 1, 1): the place between real and drawn where D's slope is to be 1
    turn: torch.Tensor | None  # (n, 1, 1, 1) in [0, 1): the quarter turn that D is to tell of the real image
    share: float = 1.0  # of the batch

    def weigh(self, mean: torch.Tensor) -> torch.Tensor:
        """The part that a mean over this piece has in the mean over the batch."""
        return mean if self.share == 1 else self.share * mean

    def split(self, most: int) -> list[Piece]:
        """Pieces of at most `most` images and as equal as can be, none of a single one; 0: as it is, in one piece.

        Each has every so-manieth image: the first of a stream's batch are of other shards than its last.
        """
        n = len(self.images)
        count = min(-(-n // most), n // SMALLEST) if most else 1
        if count <= 1:
            return [self]
        rows = [[None if t is None else t[first::count] for first in range(count)] for t in self[:-1]]
        return [Piece._make((*piece, len(piece[0]) / n)) for piece in zip(*rows, strict=True)]
