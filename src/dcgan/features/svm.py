"""A linear support vector machine on as many features as D has: squared hinge, one against the rest, L2.

For each class the minimum of ½‖w‖² + ½b² + C Σ max(0, 1 - y f(x))², f(x) = w·x + b and y = ±1, which is what
scikit-learn's LinearSVC minimises: the bias is regularised too, as the weight of one more feature that is always 1.

The features stay in memory, or in a memory map, as float16 and are made float32 a block of rows at a time:
50,000 × 28,672 take 2.9 GB. Far fewer images than features span a small space, where the same problem is solved
sooner. All classes, all C and all folds are solved side by side; see `newton`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from dcgan.errors import InputError
from dcgan.features.newton import ROWS, Matrix, Progress, solve

TOLERANCE = 1e-3
"""Where to stop, see `newton.solve`."""
MOST_SPANNED = 8192
"""Images up to which their span is used, if there are at least twice as many features: two matrices of 0.5 GB."""
SMALL = 2**22
"""Numbers in a matrix up to which the arithmetic is in float64."""


@dataclass(frozen=True, eq=False)
class LinearSVM:
    """Weights (F, K) and biases (K,), float32 or float64, and how they were found."""

    weights: torch.Tensor
    bias: torch.Tensor
    c: float
    gradient: float
    """Norm of the gradient at the end as a share of √(2 objective); the largest of the classes."""
    passes: int
    """Passes over the images that it took, together with the other C it was fitted beside."""

    def decision(self, features: torch.Tensor) -> torch.Tensor:
        """f(x) of features (N, F) of any float type, for each class: (N, K)."""
        if features.ndim != 2 or features.shape[1] != len(self.weights):
            raise ValueError(f"features have shape {tuple(features.shape)}; this SVM wants (N, {len(self.weights)})")
        scores = [block.to(self.weights.dtype) @ self.weights for block in features.split(ROWS)]
        return torch.cat(scores) + self.bias

    def predict(self, features: torch.Tensor) -> torch.Tensor:
        """Class numbers int64 (N,)."""
        return self.decision(features).argmax(1)


def fit(
    features: torch.Tensor,
    labels: torch.Tensor,
    classes: int,
    cs: Sequence[float],
    *,
    tolerance: float = TOLERANCE,
    start: LinearSVM | None = None,
    progress: Progress | None = None,
) -> list[LinearSVM]:
    """The SVMs at several C of features (N, F), of any float type, and labels int64 (N,) in [0, classes).

    start: one to begin all of them from, which is quick if its C is near and most of its images are among these.
    Raises InputError for a C that is not positive, and a class without images.
    """
    _check(features, labels, classes, cs)
    points = Points.of(features, progress)
    targets = points.targets(labels, classes).repeat(1, len(cs))
    begin = None if start is None or points.spanned else _stacked(start, points.matrix).repeat(1, len(cs))
    found = solve(points.matrix, targets, points.inside(cs).repeat_interleave(classes), tolerance, begin)
    parts = zip(cs, *(part.split(classes, -1) for part in (found.w, found.shares, found.gradient)), strict=True)
    fitted = []
    for c, w, shares, gradient in parts:
        weights, bias = points.weights(features, w, shares)
        fitted.append(LinearSVM(weights, bias, c, gradient.max().item(), found.passes))
    return fitted


def cross_validated(
    features: torch.Tensor,
    labels: torch.Tensor,
    classes: int,
    cs: Sequence[float],
    folds: torch.Tensor,
    *,
    tolerance: float = TOLERANCE,
    progress: Progress | None = None,
) -> torch.Tensor:
    """The share of images that are put into a wrong class, at each C, by SVMs fitted without their fold.

    folds: the fold of each image, int64 (N,), from 0. All folds at all C are solved side by side.
    Raises InputError as `fit` does, and for a class that is in one fold only.
    """
    number = int(folds.max()) + 1
    _check(features, labels, classes, cs)
    for fold in range(number):
        if not torch.bincount(labels[folds != fold], minlength=classes).all():
            raise InputError("labels: a class has too few images for cross-validation, two a class at least")
    points = Points.of(features, progress)
    each = points.targets(labels, classes)
    kept = [each * (folds != fold).to(each.dtype)[:, None] for fold in range(number)]
    c = points.inside(cs).repeat_interleave(classes).repeat(number)
    found = solve(points.matrix, torch.cat([fold.repeat(1, len(cs)) for fold in kept], 1), c, tolerance)
    scores = points.scores(found.w).unflatten(1, (number, len(cs), classes))
    predicted = scores[torch.arange(len(labels)), folds].argmax(2)  # (N, number of C)
    return (predicted != labels[:, None]).double().mean(0)


@dataclass(frozen=True, eq=False)
class Points:
    """The images as the solver sees them: their features and a constant one, or points in the space that they span.

    N images span N dimensions at most, and the best w is in them (the representer theorem). Only products among the
    images matter, and the rows of L have the same, L Lᵀ = X Xᵀ + jitter. The jitter, which keeps L real when images
    repeat, is no approximation: it adds to 1 / 2C, and is taken off there.
    """

    matrix: Matrix
    spanned: bool
    jitter: float

    @classmethod
    def of(cls, features: torch.Tensor, progress: Progress | None = None) -> Points:
        """The points of features (N, F), in the way that is quicker."""
        number, dimensions = features.shape
        if number > MOST_SPANNED or 2 * number > dimensions:
            return cls(Matrix(features, True, arithmetic(features), progress), False, 0.0)
        gram = torch.ones(number, number, dtype=torch.float64)  # of the constant feature
        dtype = torch.float64 if features.dtype == torch.float64 else torch.float32
        for columns in features.split(1024, 1):  # short sums in float32, their sum in float64
            some = columns.to(dtype)
            gram += some @ some.T
        mean = gram.diagonal().mean().item()
        for exponent in range(-9, 0):
            jitter = mean * 10.0**exponent
            gram.diagonal().add_(jitter - (mean * 10.0 ** (exponent - 1) if exponent > -9 else 0.0))
            lower, failed = torch.linalg.cholesky_ex(gram)
            if not failed:
                return cls(Matrix(lower.to(arithmetic(lower)), False, arithmetic(lower), progress), True, jitter)
        raise InputError("features: some are not finite")

    def targets(self, labels: torch.Tensor, classes: int) -> torch.Tensor:
        """1 for an image's class and -1 for the others (N, K)."""
        return (2 * torch.nn.functional.one_hot(labels, classes) - 1).to(self.matrix.dtype)

    def inside(self, cs: Sequence[float]) -> torch.Tensor:
        """The C of the solver."""
        left = [1 / c - 2 * self.jitter for c in cs]
        if min(left) <= 0:
            raise InputError(f"c: {max(cs):g} is too large for features of this size; below {0.5 / self.jitter:.2g}")
        return torch.tensor([1 / value for value in left], dtype=self.matrix.dtype)

    def scores(self, w: torch.Tensor) -> torch.Tensor:
        """x·w of all images (N, M)."""
        return torch.cat([block @ w for _, block in self.matrix.blocks()])

    def weights(
        self, features: torch.Tensor, w: torch.Tensor, shares: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The weights (F, K) and the biases (K,)."""
        if not self.spanned:
            return w[:-1].clone(), w[-1].clone()
        dtype = torch.float64 if features.dtype == torch.float64 else torch.float32
        weights = torch.zeros(features.shape[1], shares.shape[1], dtype=dtype)
        for some, share in zip(features.split(ROWS), shares.to(dtype).split(ROWS), strict=True):
            weights.addmm_(some.to(dtype).T, share)
        return weights, shares.sum(0).to(dtype)


def arithmetic(matrix: torch.Tensor) -> torch.dtype:
    """float64 for small matrices, float32 for large ones."""
    return torch.float64 if matrix.numel() <= SMALL else torch.float32


def _stacked(svm: LinearSVM, matrix: Matrix) -> torch.Tensor:
    return torch.cat([svm.weights, svm.bias[None]]).to(matrix.dtype)


def _check(features: torch.Tensor, labels: torch.Tensor, classes: int, cs: Sequence[float]) -> None:
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise ValueError(
            f"features {tuple(features.shape)} and labels {tuple(labels.shape)} are not of the same images"
        )
    if not cs or any(not 0 < c < float("inf") for c in cs):
        raise InputError(f"c: {', '.join(f'{c:g}' for c in cs) or 'none given'}; numbers above 0")
    counts = torch.bincount(labels, minlength=classes)
    if len(counts) > classes or not counts.all():
        raise InputError(f"labels: of {classes} classes, {int((counts == 0).sum())} have no image")
