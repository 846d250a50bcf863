"""How near drawn images are to real ones: pure functions of their features.

Features are float arrays (N, D), one row an image, of whatever extractor. Every metric is an `Estimate` with a
95 % interval and the words for where the interval comes from. FID, precision and recall, density and coverage are
our own, so that 50,000 images fit into memory; KID and the Inception Score are torch-fidelity's.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from dcgan.errors import InputError
from dcgan.evaluation.intervals import Z95, wilson

BLOCK = 2048
"""Rows that are multiplied at once: with 50,000 columns of float32, 400 MB."""
KID_SUBSETS, KID_SIZE = 100, 1000
SCORE_SPLITS = 10


class Estimate(NamedTuple):
    """A value, the 95 % interval around it if there is one, and in a few words where the interval is from."""

    value: float
    low: float | None = None
    high: float | None = None
    how: str = ""


@dataclass(frozen=True, eq=False)
class Statistics:
    """What FID compares: the mean (D,), the covariance (D, D), float64, and how many rows they are of."""

    mean: np.ndarray
    covariance: np.ndarray
    count: int

    @functools.cached_property
    def factor(self) -> np.ndarray:
        """F (rank, D) with F'F = the covariance; directions without variance are left out."""
        values, vectors = np.linalg.eigh(self.covariance)
        kept = values > max(values[-1], 0.0) * len(values) * np.finfo(np.float64).eps
        return np.sqrt(values[kept])[:, None] * vectors[:, kept].T


class Moments:
    """Mean and covariance of features that come in pieces, in float64."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, features: np.ndarray) -> None:
        """Take in rows (n, D). Raises InputError unless all are finite."""
        _require_finite(features)
        if not self.count:  # sums of differences from a value near the mean lose no digits
            self._shift = features.mean(0, np.float64)
            self._sum = np.zeros(features.shape[1])
            self._products = np.zeros((features.shape[1], features.shape[1]))
        for block in _blocks(features):
            rows = block - self._shift
            self._sum += rows.sum(0)
            self._products += rows.T @ rows
        self.count += len(features)

    def statistics(self) -> Statistics:
        """Of all rows so far, the covariance with N - 1 in the denominator. Raises InputError for fewer than two."""
        _require_rows(self.count)
        offset = self._sum / self.count
        covariance = (self._products - self.count * np.outer(offset, offset)) / (self.count - 1)
        return Statistics(self._shift + offset, covariance, self.count)


def statistics(features: np.ndarray) -> Statistics:
    """Mean and covariance of features (N, D). Raises InputError unless there are two rows or more, all finite."""
    _require_rows(len(features))
    moments = Moments()
    moments.add(features)
    return moments.statistics()


def frechet(a: Statistics, b: Statistics) -> float:
    """|μa - μb|² + tr(Σa + Σb - 2 (Σa Σb)^½): the squared Fréchet distance of two Gaussians (Heusel et al. 2017).

    The trace of the root is the sum of the singular values of Fa Fb' where F'F = Σ, which unlike the eigenvalues
    of Σa Σb loses no digits where Σ is singular: a set is at 0 from itself however few its rows.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"features of {len(a.mean)} and of {len(b.mean)} dimensions cannot be compared")
    cross = torch.linalg.svdvals(torch.from_numpy(a.factor @ b.factor.T)).sum().item() if _both_vary(a, b) else 0.0
    distance = ((a.mean - b.mean) ** 2).sum() + np.trace(a.covariance) + np.trace(b.covariance) - 2 * cross
    return max(float(distance), 0.0)


def fid(drawn: np.ndarray, real: Statistics, interval: bool = True) -> Estimate:
    """Fréchet distance of drawn features (N, D) to the real ones' statistics; 0 is best.

    It is biased upwards by about 1/N, the more the more dimensions: compare only at the same N. The interval is
    of the estimate at this N, with the real side held fixed: ± 1.96 standard errors of the mean of what each row
    adds to the value (the delta method). Where most of the value is bias, near the floor, it is too wide, by up to
    1.8 times in our measurement (`docs/evaluation.md`). Without `interval` there is the value alone, sooner.
    """
    own = statistics(drawn)
    value = frechet(own, real)
    if not interval:
        return Estimate(value)
    error = float(_influences(drawn, own, real).std(ddof=1)) / math.sqrt(len(drawn))
    return Estimate(value, max(value - Z95 * error, 0.0), value + Z95 * error, "delta method over the images")


def kid(drawn: np.ndarray, real: np.ndarray, seed: int = 0) -> Estimate:
    """Kernel distance: unbiased MMD² under (x·y/D + 1)³, mean of 100 random subsets of 1,000 (Bińkowski et al. 2018).

    0 is best, and slightly negative values are 0 within error. Unlike FID it does not depend on N on average.
    Of fewer than 2,000 rows a subset is half. Only N / size subsets share no row: the interval counts no more.
    Raises InputError if torch-fidelity is missing.
    """
    _require_comparable(drawn, real, 4)
    size = min(KID_SIZE, len(drawn) // 2, len(real) // 2)
    found = _torch_fidelity("metric_kid").kid_features_to_metric(
        torch.from_numpy(drawn),
        torch.from_numpy(real),
        kid_subsets=KID_SUBSETS,
        kid_subset_size=size,
        rng_seed=seed % 2**32,
        verbose=False,
    )
    mean, spread = found["kernel_inception_distance_mean"], found["kernel_inception_distance_std"]
    error = spread / math.sqrt(min(KID_SUBSETS, len(drawn) / size, len(real) / size))
    return Estimate(mean, mean - Z95 * error, mean + Z95 * error, f"{KID_SUBSETS} subsets of {size:,}")


def precision_recall(drawn: np.ndarray, real: np.ndarray, k: int = 3) -> tuple[Estimate, Estimate]:
    """Improved precision and recall (Kynkäänniemi et al. 2019), each in [0, 1].

    Precision: share of drawn images within the ball around some real image that reaches to its k-th neighbour
    among the real; recall: the same the other way round. Both fall as N grows: compare at equal N, of both sides.
    """
    drawn_rows, real_rows = _centred(drawn, real)
    drawn_radii, real_radii = _radii(drawn_rows, k), _radii(real_rows, k)
    inside = []
    reached = torch.zeros(len(real_rows), dtype=torch.bool)
    for start, distances in _distances(drawn_rows, real_rows):
        inside.append((distances <= real_radii).any(1))
        reached |= (distances <= drawn_radii[start : start + len(distances), None]).any(0)
    return _share(torch.cat(inside)), _share(reached)


def density_coverage(drawn: np.ndarray, real: np.ndarray, k: int = 5) -> tuple[Estimate, Estimate]:
    """Density, from 0 to above 1, and coverage in [0, 1] (Naeem et al. 2020), as in the authors' code.

    Density: in how many real images' balls, of a radius to the k-th neighbour, a drawn image lies, over k; about 1
    for a perfect generator. Coverage: share of the real images that have a drawn one in their ball; for a perfect
    generator and equal numbers 1 - 2⁻ᵏ. Outliers among the drawn inflate neither.
    """
    drawn_rows, real_rows = _centred(drawn, real)
    radii = _radii(real_rows, k)
    counts = []
    covered = torch.zeros(len(real_rows), dtype=torch.bool)
    for _, distances in _distances(drawn_rows, real_rows):
        inside = distances < radii
        counts.append(inside.sum(1))
        covered |= inside.any(0)
    densities = torch.cat(counts).double() / k
    density, error = densities.mean().item(), densities.std().item() / math.sqrt(len(densities))
    how = "over the images, the balls held fixed"
    return Estimate(density, max(density - Z95 * error, 0.0), density + Z95 * error, how), _share(covered)


def inception_score(logits: np.ndarray, seed: int = 0) -> Estimate:
    """exp of the mean KL divergence between p(class | image) and p(class) (Salimans et al. 2016).

    The mean of 10 random splits of logits (N, classes), as everyone reports it; from 1 to the number of classes,
    more is better. It knows nothing of the real images. Raises InputError if torch-fidelity is missing.
    """
    _require_rows(len(logits), 2 * SCORE_SPLITS)
    _require_finite(logits)
    found = _torch_fidelity("metric_isc").isc_features_to_metric(
        torch.from_numpy(logits), splits=SCORE_SPLITS, shuffle=True, rng_seed=seed % 2**32
    )
    mean, spread = found["inception_score_mean"], found["inception_score_std"]
    error = spread / math.sqrt(SCORE_SPLITS - 1)
    return Estimate(mean, mean - Z95 * error, mean + Z95 * error, f"{SCORE_SPLITS} splits")


def _influences(drawn: np.ndarray, own: Statistics, real: Statistics) -> np.ndarray:
    """What each drawn row adds to FID (N,), up to a constant: FID's derivative to the row's weight in the set.

    With x a row less the mean it is 2 x'(μa - μb) + x'(1 - T)x, where T = Fb' (Fb Σa Fb')^-½ Fb is the linear map
    that takes a Gaussian of Σa to one of Σb, and 1 - T is the derivative to Σa of the distance of the two.
    """
    root = np.zeros((own.mean.size, 0))
    if _both_vary(own, real):
        cross = own.factor @ real.factor.T
        values, vectors = np.linalg.eigh(cross.T @ cross)
        kept = values > values[-1] * len(values) * np.finfo(np.float64).eps
        root = real.factor.T @ (vectors[:, kept] / values[kept] ** 0.25)  # T is this times its transpose
    centred = (block - own.mean for block in _blocks(drawn))
    return np.concatenate([2 * x @ (own.mean - real.mean) + (x**2).sum(1) - ((x @ root) ** 2).sum(1) for x in centred])


def _both_vary(a: Statistics, b: Statistics) -> bool:
    return bool(len(a.factor) and len(b.factor))


def _centred(drawn: np.ndarray, real: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Both as float32 around the real mean: distances are the same, and small numbers lose fewer digits."""
    _require_comparable(drawn, real)
    centre = real.mean(0, np.float64)
    return torch.from_numpy((drawn - centre).astype(np.float32)), torch.from_numpy((real - centre).astype(np.float32))


def _distances(rows: torch.Tensor, columns: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
    """Euclidean distances of each block of rows to all columns, with the number of the block's first row."""
    for start in range(0, len(rows), BLOCK):
        yield start, torch.cdist(rows[start : start + BLOCK], columns)


def _radii(rows: torch.Tensor, k: int) -> torch.Tensor:
    """Each row's distance to its k-th nearest other row."""
    _require_rows(len(rows), k + 1)
    return torch.cat([distances.topk(k + 1, largest=False).values[:, k] for _, distances in _distances(rows, rows)])


def _share(hits: torch.Tensor) -> Estimate:
    """The share of hits, with Wilson's interval of a share."""
    n, inside = len(hits), int(hits.sum())
    return Estimate(inside / n, *wilson(inside, n), "over the images, the balls held fixed")


def _blocks(rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), BLOCK):
        yield rows[start : start + BLOCK]


def _require_rows(n: int, least: int = 2) -> None:
    if n < least:
        raise InputError(f"samples: {n} images are too few for this metric; at least {least}")


def _require_finite(features: np.ndarray) -> None:
    if not np.isfinite(features).all():
        wrong = len(features) - np.isfinite(features).all(1).sum()
        raise InputError(f"the features of {wrong:,} images are NaN or infinite; was the generator trained?")


def _require_comparable(drawn: np.ndarray, real: np.ndarray, least: int = 2) -> None:
    if drawn.ndim != 2 or drawn.shape[1:] != real.shape[1:]:
        raise ValueError(f"features of shapes {drawn.shape} and {real.shape} cannot be compared")
    for features in (drawn, real):
        _require_rows(len(features), least)
        _require_finite(features)


def _torch_fidelity(module: str) -> Any:
    """A module of torch-fidelity; InputError says how to install it."""
    import importlib

    try:
        return importlib.import_module(f"torch_fidelity.{module}")
    except ImportError as error:
        raise InputError("this metric wants torch-fidelity: pip install 'dcgan[evaluation]'") from error
