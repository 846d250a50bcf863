"""A linear support vector machine on as many features as D has: squared hinge, one against the rest, L2.

For each class the minimum of ½‖w‖² + ½b² + C Σ max(0, 1 - y f(x))², f(x) = w·x + b and y = ±1, which is what
scikit-learn's LinearSVC minimises: the bias is regularised too, as the weight of one more feature that is always 1.

Many images are solved for by their features (`primal`), which stay in memory, or in a memory map, as float16 and are
made float32 a block of rows at a time: 50,000 × 28,672 take 2.9 GB. A few are solved for exactly, by the products among
them (`dual`). All of it happens where the features and labels are, on the CPU or a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from dcgan.errors import InputError
from dcgan.features import dual, primal
from dcgan.features.primal import Progress, block_rows

TOLERANCE = 1e-3
"""Of the gradient: where `primal.solve` stops."""
FEW, FEW_OF_MANY = 1500, 6000
"""Images up to which the products among them are used, in any case and with as many features or more: 0.3 GB."""
BEGINNING = 1000
"""Images, evenly spread, that the others begin from."""
SMALL = 2**22
"""Features of all images together up to which the arithmetic is in float64."""


@dataclass(frozen=True, eq=False)
class LinearSVM:
    """Weights (F, K) and biases (K,), float32 or float64, and how they were found."""

    weights: torch.Tensor
    bias: torch.Tensor
    c: float
    gradient: float
    """Norm of the gradient at the end as a share of √(2 objective); the largest of the classes."""
    passes: float
    """How many times all features were read for it; 0 if it was solved by products."""

    def decision(self, features: torch.Tensor) -> torch.Tensor:
        """f(x) of features (N, F) of any float type, for each class: (N, K)."""
        if features.ndim != 2 or features.shape[1] != len(self.weights):
            raise ValueError(f"features have shape {tuple(features.shape)}; this SVM wants (N, {len(self.weights)})")
        blocks = features.split(block_rows(features))
        return torch.cat([block.to(self.weights.dtype) @ self.weights for block in blocks]) + self.bias

    def predict(self, features: torch.Tensor) -> torch.Tensor:
        """Class numbers int64 (N,)."""
        return self.decision(features).argmax(1)


def fit(
    features: torch.Tensor,
    labels: torch.Tensor,
    classes: int,
    c: float,
    *,
    tolerance: float = TOLERANCE,
    start: LinearSVM | None = None,
    progress: Progress | None = None,
) -> LinearSVM:
    """The SVM of features (N, F), of any float type, and labels int64 (N,) in [0, classes).

    start: one to begin from, which is quick if its C is near and most of its images are among these.
    tolerance: of the gradient of what is found. Raises InputError for a C that is not positive, or too large for it to
    be reached, and a class without images.
    """
    return next(fit_path(features, labels, classes, [c], tolerance=tolerance, start=start, progress=progress))


def fit_path(
    features: torch.Tensor,
    labels: torch.Tensor,
    classes: int,
    cs: Sequence[float],
    *,
    which: torch.Tensor | None = None,
    tolerance: float = TOLERANCE,
    start: LinearSVM | None = None,
    progress: Progress | None = None,
) -> Iterator[LinearSVM]:
    """As `fit`, at one C after the other: each begins where the one before it has ended.

    which: numbers (n,) of the images to train on, by default all; the others are left where they are, which takes no
    memory for a copy.
    """
    used = labels if which is None else labels[which]
    _check(features, labels, classes, cs, used)
    if by_products(len(used), features.shape[1]):
        features = features if which is None else features[which]
        gram = _products(features)
        targets = _targets(used, classes, gram.dtype)
        beta: torch.Tensor | None = None
        for c in cs:
            beta, left = dual.solve_all(gram, targets, c, tolerance, beta)
            weights, bias = _combined(features, beta)
            yield LinearSVM(weights, bias, c, left, 0.0)
        return
    dtype = torch.float64 if features.numel() <= SMALL or features.dtype == torch.float64 else torch.float32
    rows = primal.Rows(features, dtype, progress)
    targets = _targets(labels, classes, dtype)
    if which is not None:
        targets *= torch.zeros(len(labels), 1, dtype=dtype, device=labels.device).index_fill_(0, which, 1.0)
    start = start or _beginning(features, labels, classes, cs[0], which)
    w = None if start is None else torch.cat([start.weights, start.bias[None]]).to(dtype)
    for c in cs:
        before = rows.passes
        w, gradient = primal.solve(rows, targets, c, tolerance, w)
        yield LinearSVM(w[:-1].clone(), w[-1].clone(), c, gradient.max().item(), rows.passes - before)


def cross_validated(
    features: torch.Tensor,
    labels: torch.Tensor,
    classes: int,
    cs: Sequence[float],
    folds: torch.Tensor,
    *,
    tolerance: float = TOLERANCE,
    progress: Progress | None = None,
) -> list[float]:
    """The share of images that are put into a wrong class, at each C, by SVMs fitted without their fold.

    folds: the fold of each image, int64 (N,), from 0. Raises InputError as `fit` does, and for a class all of whose
    images are in one fold.
    """
    _check(features, labels, classes, cs, labels)
    wrong = [0] * len(cs)
    gram = _products(features) if by_products(len(features), features.shape[1]) else None
    for fold in range(int(folds.max()) + 1):
        kept, out = (folds != fold).nonzero().squeeze(1), (folds == fold).nonzero().squeeze(1)
        if not torch.bincount(labels[kept], minlength=classes).all():
            raise InputError("labels: a class is in one fold only; cross-validation wants more images of it")
        if gram is None:
            path = fit_path(features, labels, classes, cs, which=kept, tolerance=tolerance, progress=progress)
            for i, svm in enumerate(path):
                wrong[i] += int((svm.predict(features[out]) != labels[out]).sum())
            continue
        inside, across = gram[kept][:, kept], gram[out][:, kept]
        targets, beta = _targets(labels[kept], classes, gram.dtype), None
        for i, c in enumerate(cs):
            beta, _ = dual.solve_all(inside, targets, c, tolerance, beta)
            wrong[i] += int(((across @ beta).argmax(1) != labels[out]).sum())
    return [count / len(labels) for count in wrong]


def _beginning(
    features: torch.Tensor, labels: torch.Tensor, classes: int, c: float, which: torch.Tensor | None
) -> LinearSVM | None:
    """The exact SVM of a few images, which spares a third of the passes at the first C; None if a class has none."""
    which = torch.arange(len(labels), device=labels.device) if which is None else which
    some = which[:: len(which) // BEGINNING + 1]
    if len(some) > FEW or not torch.bincount(labels[some], minlength=classes).all():
        return None
    return fit(features[some], labels[some], classes, c)


def by_products(number: int, dimensions: int) -> bool:
    """Whether so many images are solved for by the products among them."""
    return number <= FEW or number <= min(FEW_OF_MANY, dimensions)


def _products(features: torch.Tensor) -> torch.Tensor:
    gram = dual.products(features)
    if not gram.isfinite().all():
        raise InputError("features: some are not finite numbers")
    return gram


def _targets(labels: torch.Tensor, classes: int, dtype: torch.dtype) -> torch.Tensor:
    """1 for an image's class and -1 for the others (N, K)."""
    return (2 * torch.nn.functional.one_hot(labels, classes) - 1).to(dtype)


def _combined(features: torch.Tensor, beta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The weights (F, K) and biases (K,) that are the images' combinations β (N, K)."""
    dtype = torch.float64 if features.dtype == torch.float64 else torch.float32
    weights = torch.zeros(features.shape[1], beta.shape[1], dtype=torch.float64, device=features.device)
    size = block_rows(features)
    for some, share in zip(features.split(size), beta.split(size), strict=True):
        weights.addmm_(some.double().T, share)
    return weights.to(dtype), beta.sum(0).to(dtype)


def _check(features: torch.Tensor, labels: torch.Tensor, classes: int, cs: Sequence[float], used: torch.Tensor) -> None:
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise ValueError(f"features {tuple(features.shape)} and labels {tuple(labels.shape)} do not go together")
    if not cs or any(not 0 < c < float("inf") for c in cs):
        raise InputError(f"c: {', '.join(f'{c:g}' for c in cs) or 'none given'}; numbers above 0 are wanted")
    counts = torch.bincount(used, minlength=classes)
    if len(counts) > classes:
        raise ValueError(f"labels go up to {len(counts) - 1}; of {classes} classes the last is {classes - 1}")
    if not counts.all():
        raise InputError(f"labels: of {classes} classes, {int((counts == 0).sum())} have no image")
