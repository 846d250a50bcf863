"""Walks through the latent space, from one sample to the next [paper, section 6.1 and Figure 4]."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dcgan.errors import InputError
from dcgan.latents import BLOCK, check_seed, latents, truncate
from dcgan.networks.statistics import Statistics
from dcgan.pretrained import Generator

MOST_FRAMES = 10_000
PIECE = 4 * BLOCK
INTERPOLATIONS = ("spherical", "linear")


@dataclass(frozen=True, eq=False)
class Walk:
    """Paths between samples, one a row, both ends included, and what was drawn of them."""

    through: tuple[int, ...]
    """The samples' numbers; with a loop the first again at the end."""
    z: torch.Tensor
    """(rows, steps, latent_dim); the last of a row is the first of the next."""
    frames: np.ndarray
    """uint8 (rows, steps, H, W, C)."""

    def flat(self) -> np.ndarray:
        """The frames of one walk from the first sample to the last, each sample once: uint8 (N, H, W, C)."""
        return np.concatenate([self.frames[0, :1], *self.frames[:, 1:]])

    def smoothness(self) -> Smoothness:
        """How far neighbouring frames are from each other."""
        return Smoothness(_rms(self.frames[:, 1:], self.frames[:, :-1]), _rms(self.frames[:, -1], self.frames[:, 0]))


@dataclass(frozen=True, eq=False)
class Smoothness:
    """Differences of frames: root mean square over pixels and channels, in levels of 255."""

    steps: np.ndarray
    """Between neighbouring frames: (rows, steps - 1)."""
    ends: np.ndarray
    """Between the two ends of each path: (rows,); a sharp transition would be one step as large."""

    @property
    def mean(self) -> float:
        """The mean step."""
        return float(self.steps.mean())

    @property
    def largest(self) -> float:
        """The largest step."""
        return float(self.steps.max())

    @property
    def at(self) -> tuple[int, int]:
        """Row of the largest step, and the frame in it that the step begins at."""
        row, frame = divmod(int(self.steps.argmax()), self.steps.shape[1])
        return row, frame

    @property
    def ratio(self) -> float:
        """The largest step by the mean step; 1 if nothing moves at all."""
        return self.largest / self.mean if self.mean else 1.0

    def record(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        facts = {
            "mean_step": self.mean,
            "largest_step": self.largest,
            "largest_by_mean": self.ratio,
            "largest_at": self.at,
        }
        return facts | {"steps": self.steps.tolist(), "ends": self.ends.tolist()}


def walk(
    generator: Generator,
    through: Sequence[int] = tuple(range(9)),
    *,
    seed: int = 0,
    steps: int = 10,
    interpolation: str = "spherical",
    loop: bool = False,
    label: int | str | None = None,
    truncation: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Walk:
    """Walk through the samples of these numbers of a seed, with so many frames a path, both ends included.

    The samples are those that `Generator.sample` draws, at the ends of the paths; loop: the last path leads back to
    the first. interpolation: see `interpolate`. label: class name or number, which a conditional generator wants.
    truncation: as in `latents`. A generator that normalises by the batch draws each path with the statistics of the 64
    samples that its ends are drawn with, and where the two are of different blocks with those in between.
    Raises InputError for values that make no sense.
    """
    check(through, steps, seed, interpolation, loop)
    config = generator.info.network
    index = generator.class_index(label)
    if config.classes and index is None:
        known = ", ".join(generator.info.class_names) or f"0 to {config.classes - 1}"
        raise InputError(f"class: this generator draws classes; walk through one of them (there are: {known})")
    stops = (*through, through[0]) if loop else tuple(through)
    places = torch.cat([latents(1, config.latent_dim, seed, number, config.latent) for number in stops])
    how = interpolation, config.latent, truncation
    z = torch.stack([interpolate(a, b, steps, *how) for a, b in itertools.pairwise(places)])
    blocks = [number // BLOCK for number in stops]
    company = {block: generator.statistics(seed, block, index, truncation) for block in dict.fromkeys(blocks)}
    drawn: list[np.ndarray] = []
    for piece, statistics in _pieces(z, blocks, company):
        labels = None if index is None else torch.full((len(piece),), index)
        drawn.append(generator.draw(piece, labels, statistics=statistics))
        if progress:
            progress(sum(map(len, drawn)), z.shape[0] * z.shape[1])
    frames = np.concatenate(drawn)
    return Walk(stops, z, frames.reshape(*z.shape[:2], *frames.shape[1:]))


def check(
    through: Sequence[int], steps: int, seed: int, interpolation: str = INTERPOLATIONS[0], loop: bool = False
) -> None:
    """Raise InputError for values that make no walk; a range may be of any length."""
    if len(through) < 2:
        raise InputError(f"through: a walk wants two samples or more, not {len(through)}")
    if steps < 2:
        raise InputError(f"steps: {steps} frames make no path; at least 2, its ends")
    frames = (len(through) - (not loop)) * steps
    if frames > MOST_FRAMES:
        raise InputError(f"steps: {frames:,} frames are too many for one walk; at most {MOST_FRAMES:,}")
    if wrong := [number for number in through if not 0 <= number < 2**53]:
        raise InputError(f"through: {wrong[0]} is no sample's number; they count from 0")
    if interpolation not in INTERPOLATIONS:
        raise InputError(f"interpolation: {interpolation!r} is neither spherical nor linear")
    check_seed(seed)


def interpolate(
    a: torch.Tensor,
    b: torch.Tensor,
    steps: int,
    how: str,
    distribution: str = "normal",
    truncation: float | None = None,
) -> torch.Tensor:
    """Latents (steps, dim) from a to b, (dim,) each, both included exactly; then all of them truncated, if asked for.

    linear: the straight line. spherical: the arc, at constant angles (Shoemake 1985; White 2016). Half-way the line is
    nearer to 0 than samples ever are: two normals of 100 dimensions are 10 long and their mean 7. The arc is not.
    Uniform latents lie in a cube, where no arc stays: each value is taken to the normal with the same quantile, the arc
    is there, and its values are taken back. So they stay on [-1, 1], and as uniform as the ends.
    """
    shares = torch.linspace(0, 1, steps, dtype=torch.float64)[:, None]
    one, other = a.double(), b.double()
    if how == "linear":
        z = torch.lerp(one, other, shares)
    elif distribution == "uniform":
        z = _uniform(_arc(_normal(one), _normal(other), shares))
    else:
        z = _arc(one, other, shares)
    z = z.float()
    z[0], z[-1] = a, b
    return z if truncation is None else truncate(z, truncation, distribution)


def _arc(a: torch.Tensor, b: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """sin((1 - s) angle) a + sin(s angle) b, by sin(angle); the line where there is no one arc."""
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=0).clamp(-1, 1)
    angle = math.acos(cosine.item())
    if math.sin(angle) < 1e-6:
        return torch.lerp(a, b, shares)
    return (torch.sin((1 - shares) * angle) * a + torch.sin(shares * angle) * b) / math.sin(angle)


def _normal(u: torch.Tensor) -> torch.Tensor:
    """Values on [-1, 1] → the normal's with the same quantiles, finite at the edges."""
    return math.sqrt(2.0) * torch.erfinv(u.clamp(-1 + 1e-9, 1 - 1e-9))


def _uniform(z: torch.Tensor) -> torch.Tensor:
    return torch.erf(z / math.sqrt(2.0))


def _pieces(
    z: torch.Tensor, blocks: Sequence[int], company: dict[int, Statistics | None]
) -> Iterator[tuple[torch.Tensor, Statistics | None]]:
    """The latents row by row in pieces, each with the statistics to draw it with, if any are needed."""
    if len(company) == 1 or None in company.values():
        for piece in z.flatten(0, 1).split(PIECE):
            yield piece, company[blocks[0]]
        return
    for row, (first, last) in zip(z, itertools.pairwise(blocks), strict=True):
        one, other = company[first], company[last]
        assert one is not None
        assert other is not None
        if one is other:
            yield row, one
            continue
        for share, frame in zip(np.linspace(0, 1, len(row)), row, strict=True):
            yield frame[None], one.towards(other, float(share))


def _rms(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Root mean square of the difference over the last three axes."""
    return np.sqrt(np.square(one.astype(np.float64) - other).mean((-3, -2, -1)))
