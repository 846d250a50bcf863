"""A turn vector: from the mean of one group of samples to that of another, added to others bit by bit.

[paper, section 6.3.2 and Figure 8]: the mean z of four faces that look to one side, less that of four that look to
the other; interpolations along it turn random samples.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch

from dcgan.data.pack import Pack
from dcgan.errors import InputError
from dcgan.images import grid
from dcgan.latent.attributes import Reliability, class_number, classifier_of, split
from dcgan.latent.concepts import Concept, by_numbers
from dcgan.latent.saved import Direction, generator_digest
from dcgan.latents import check_seed
from dcgan.pretrained import Generator
from dcgan.progress import Display

GROUP = 4
ROWS, STEPS = 8, 9
REACH = 1.0
"""How far to either side, in lengths of the vector."""
FURTHEST, MOST_IMAGES = 1000, 100_000


@dataclass(frozen=True, eq=False)
class Turn:
    """Samples along a direction, a row each."""

    numbers: tuple[int, ...]
    """Which samples of the seed."""
    shares: np.ndarray
    """(steps,): lengths of the vector that are added."""
    z: torch.Tensor
    """(rows, steps, latent_dim)."""
    images: np.ndarray
    """uint8 (rows, steps, H, W, C)."""

    def picture(self) -> np.ndarray:
        """One row a sample."""
        return grid(self.images.reshape(-1, *self.images.shape[2:]), self.images.shape[1])

    def frames(self) -> list[np.ndarray]:
        """All samples at each step, there and back again."""
        steps = [grid(np.ascontiguousarray(self.images[:, step])) for step in range(self.images.shape[1])]
        return steps + steps[-2:0:-1]


def direction(generator: Generator, start: Concept, end: Concept) -> Direction:
    """From the mean z of one group to that of another."""
    return Direction(end.mean - start.mean, start.name, end.name, generator_digest(generator))


def check(rows: int, steps: int, seed: int, reach: float = REACH) -> None:
    """Raise InputError for values that make no turn."""
    check_seed(seed)
    if rows < 1 or steps < 2 or not 0 < reach <= FURTHEST:
        raise InputError(
            f"{rows} samples, {steps} steps, reach {reach:g}: wants 1 or more, 2 or more, and (0, {FURTHEST:,}]"
        )
    if rows * steps > MOST_IMAGES:
        raise InputError(f"steps: {rows * steps:,} images are too many for one turn; at most {MOST_IMAGES:,}")


def turn(
    generator: Generator,
    vector: torch.Tensor,
    *,
    rows: int = ROWS,
    steps: int = STEPS,
    reach: float = REACH,
    seed: int = 0,
    without: Collection[int] = (),
) -> Turn:
    """The first so many samples of a seed, each from `reach` vectors before it to as many behind it.

    vector: (latent_dim,), finite. reach: in (0, 1000]; images, rows times steps: at most 100,000. without: sample
    numbers that are left out, such as those the vector was made of. Sums are used as they are. Raises InputError for
    wrong values.
    """
    check(rows, steps, seed, reach)
    dim = generator.info.network.latent_dim
    if vector.shape != (dim,) or not vector.isfinite().all():
        raise InputError(f"vector: has shape {tuple(vector.shape)}; wants {dim} finite numbers, as this generator's z")
    numbers = tuple(number for number in range(rows + len(without)) if number not in without)[:rows]
    samples = by_numbers(generator, numbers, seed)
    shares = np.linspace(-reach, reach, steps, dtype=np.float32)
    z = samples.z[:, None] + torch.from_numpy(shares)[:, None] * vector
    labels = None if samples.labels is None else samples.labels.repeat_interleave(steps)
    images = generator.draw(z.flatten(0, 1), labels)
    return Turn(numbers, shares, z, images.reshape(rows, steps, *images.shape[1:]))


def arrivals(
    turned: Turn, end: str, images: Pack, generator: Generator, display: Display
) -> tuple[list[float], Reliability]:
    """What share of the samples is of the class `end` at each step, and how the judge does on images held out.

    images: those whose classes the vector's samples were picked by. The judge is trained on their other half: the
    picker's mistakes, which the vector bears, are not arrivals. Raises InputError if there is no such class.
    """
    label, parts = class_number(end, images.class_names), split(images)
    judge, reliability = classifier_of(parts.judge, parts.held_out, generator, display)
    return [float((judge.predict(step)[0] == label).mean()) for step in turned.images.swapaxes(0, 1)], reliability
