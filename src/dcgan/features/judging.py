"""The images of a probe and their splits, the same for every row; and choosing C and testing in one row's space."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dcgan.config import NetworkConfig
from dcgan.data.pack import Pack
from dcgan.errors import InputError, printable
from dcgan.evaluation.originals import Originals
from dcgan.features import svm
from dcgan.features.labelled import balanced_draws, labelled_images, split_off, stratified_folds
from dcgan.features.primal import block_rows
from dcgan.features.protocol import Protocol
from dcgan.progress import Display

VALIDATION = 10_000
"""Images that choose C, as in the paper; a fifth of the training images if that is less."""
ROUGH, FINE = 1e-2, 1e-3
"""Tolerances of the SVM while C is chosen, and of the one that is tested."""


@dataclass(frozen=True, eq=False)
class Job:
    """Images, their splits, and how they are judged: the same for every row."""

    protocol: Protocol
    train: Pack
    test: Pack
    pool: np.ndarray
    """Numbers of the training images that may be drawn."""
    validation: np.ndarray
    """Numbers of those that choose C; empty with cv."""
    draws: list[np.ndarray]
    display: Display

    @property
    def classes(self) -> int:
        return len(self.train.class_names)

    @property
    def wanted(self) -> np.ndarray:
        """Numbers of all training images that any draw or the choice looks at, sorted."""
        return np.unique(np.concatenate([self.validation, *self.draws]))


def prepare(
    network: NetworkConfig, source: Originals, test: str | Path | None, protocol: Protocol, display: Display
) -> Job:
    """The images, and the draws that all rows share."""
    train, held_out = labelled_images(network, source, test, display)
    labels, number = labels_of(train), len(train.images)
    pool, validation = np.arange(number), np.empty(0, np.int64)
    if protocol.choose == "validation":
        wanted = protocol.validation or min(VALIDATION, number // 5)
        if not 0 < wanted < number:
            raise InputError(f"validation: of {number:,} training images {wanted:,} cannot be held out")
        pool, validation = split_off(labels, wanted, protocol.seed)
    if protocol.labels is None:
        draws = [pool]
    else:
        draws = balanced_draws(labels, pool, protocol.labels, protocol.draws, train.class_names, protocol.seed)
    counts = np.bincount(labels[draws[0]], minlength=len(train.class_names))
    for name, count in zip(train.class_names, counts, strict=True):
        if protocol.choose == "cv" and count < protocol.folds:
            raise InputError(f"labels: {count} of {printable(name)} are too few for {protocol.folds} folds")
        if not count:
            raise InputError(f"labels: no image of {printable(name)} is left to train on; a smaller --validation")
    return Job(protocol, train, held_out, pool, validation, draws, display)


@dataclass(frozen=True, eq=False)
class Space:
    """The images as one row sees them."""

    job: Job
    train: torch.Tensor
    """Features of `job.wanted`."""
    test: torch.Tensor
    cs: tuple[float, ...]
    name: str

    def places(self, which: np.ndarray) -> torch.Tensor:
        """Where the features of training images are, by the images' numbers."""
        return self.beside(np.searchsorted(self.job.wanted, which))

    def beside(self, numbers: np.ndarray) -> torch.Tensor:
        """Numbers as a tensor where the features are."""
        return torch.from_numpy(numbers).to(self.train.device)

    def few(self, which: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Features, copied, and labels of training images by their numbers."""
        return self.train[self.places(which)], self.beside(labels_of(self.job.train)[which])

    def wrong(self, svms: Sequence[svm.LinearSVM], features: torch.Tensor, labels: torch.Tensor) -> list[float]:
        """The share of wrongly classed images by each SVM, all looked up in one pass."""
        weights, bias = torch.cat([s.weights for s in svms], 1), torch.cat([s.bias for s in svms])
        together = svm.LinearSVM(weights, bias, 0.0, 0.0, 0.0).decision(features)
        predicted = together.unflatten(1, (len(svms), self.job.classes)).argmax(2)
        return (predicted != labels[:, None]).double().mean(0).tolist()

    def with_few(self) -> tuple[list[float], list[float], list[dict[str, Any]]]:
        """Test errors of all draws, the C, and what each C did. By validation one C for all draws; by cv its own."""
        job, tried = self.job, []
        show = job.display.counter(f"{self.name}: choosing C by draws,")
        show(0, len(job.draws) * len(job.draws[0]))
        for i, draw in enumerate(job.draws):
            features, labels = self.few(draw)
            if job.protocol.choose == "cv":
                tried.append(self._by_folds(features, labels))
            else:
                path = list(svm.fit_path(features, labels, job.classes, self.cs, tolerance=ROUGH))
                tried.append(self.wrong(path, *self.few(job.validation)))
            show((i + 1) * len(draw), len(job.draws) * len(draw))
        mean = np.mean(tried, 0)
        best = [int(np.argmin(own)) for own in tried] if job.protocol.choose == "cv" else [int(np.argmin(mean))]
        errors = []
        for draw, which in zip(job.draws, best * (len(job.draws) // len(best)), strict=True):
            fitted = svm.fit(*self.few(draw), job.classes, self.cs[which], tolerance=FINE)
            errors += self.wrong([fitted], self.test, self.beside(labels_of(job.test)))
        return errors, [self.cs[which] for which in best], self._tried(mean)

    def with_all(self) -> tuple[list[float], list[float], list[dict[str, Any]]]:
        """As `with_few`, of all training images: those that chose C are trained on too in the end."""
        job = self.job
        labels = self.beside(labels_of(job.train)[job.wanted])
        if job.protocol.choose == "cv":
            tried, start = self._by_folds(self.train, labels), None
        else:
            tried, start = self._by_validation(labels)
        best = int(np.argmin(tried))
        progress = self._progress("fitting")
        final = svm.fit(self.train, labels, job.classes, self.cs[best], tolerance=FINE, start=start, progress=progress)
        errors = self.wrong([final], self.test, self.beside(labels_of(job.test)))
        return errors, [self.cs[best]], self._tried(tried)

    def _by_validation(self, labels: torch.Tensor) -> tuple[list[float], svm.LinearSVM | None]:
        """Validation errors at rising C, until they rise twice in a row, and the best SVM."""
        job, tried = self.job, list[float]()
        best: svm.LinearSVM | None = None
        held_out, progress = self.few(job.validation), self._progress("choosing C")
        pool = self.places(job.pool)
        for fitted in svm.fit_path(
            self.train, labels, job.classes, self.cs, which=pool, tolerance=ROUGH, progress=progress
        ):
            tried += self.wrong([fitted], *held_out)
            job.display.say(f"{self.name}: C of {fitted.c:.2g}: {tried[-1]:.2%} of the validation images wrong")
            if tried[-1] == min(tried):
                best = fitted
            elif len(tried) > 2 and tried[-1] > tried[-2] > tried[-3]:
                break
        return tried, best

    def _by_folds(self, features: torch.Tensor, labels: torch.Tensor) -> list[float]:
        protocol = self.job.protocol
        folds = torch.from_numpy(stratified_folds(labels.cpu().numpy(), protocol.folds, protocol.seed))
        progress = self._progress("cross-validating")
        return svm.cross_validated(
            features, labels, self.job.classes, self.cs, folds, tolerance=ROUGH, progress=progress
        )

    def _progress(self, doing: str) -> svm.Progress:
        counters: dict[int, Any] = {}

        def show(passes: int, done: int, total: int) -> None:
            if passes not in counters:
                counters.clear()
                counters[passes] = self.job.display.counter(f"{self.name}: {doing}, pass {passes + 1},")
            counters[passes](done, total)

        return show

    def _tried(self, errors: Any) -> list[dict[str, Any]]:
        return [
            {"c": c, "error": float(error)} for c, error in zip(self.cs, errors, strict=False)
        ]  # not all may be tried


def standardise_(train: torch.Tensor, test: torch.Tensor) -> None:
    """Give each of the features (N, F) mean 0 and variance 1 over the training images, in place, in both sets.

    Constant ones become 0. Beyond 1,000 deviations, where only test images can be, a value counts as that.
    """
    size, count = block_rows(train), len(train)
    mean = sum(block.double().sum(0) for block in train.split(size)) / count
    variance = sum((block.double() - mean).square_().sum(0) for block in train.split(size)) / count
    deviation = variance.sqrt_()
    deviation[deviation <= 1e-6 * mean.abs()] = 1.0
    mean, scale = mean.float(), deviation.reciprocal_().float()
    for block in itertools.chain(train.split(size), test.split(size)):
        block.copy_(((block.float() - mean) * scale).clamp_(-1000, 1000))


def labels_of(images: Pack) -> np.ndarray:
    """int64 (N,)."""
    assert images.labels is not None  # `labelled_images` has looked
    return images.labels
