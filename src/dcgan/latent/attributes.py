"""What classifiers see in drawn images: those of a labelled set's classes, trained and tested on parts of the set.

One classifier picks the samples of a concept, another one judges what sums make of them: a picker's mistakes
are then not counted as successes. No image trains both, and a tenth of the images trains neither: it tests both.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dcgan.data.pack import Pack, Progress
from dcgan.errors import InputError, nearest, printable
from dcgan.evaluation.classifier import TrainedClassifier, load_classifier
from dcgan.evaluation.intervals import wilson
from dcgan.evaluation.originals import originals
from dcgan.pretrained import Generator
from dcgan.progress import Display

SPLIT = 1
"""Of the rule below; part of the key that a classifier is kept by."""
MOST_TRAINED, MOST_TESTED = 50_000, 5_000
CONFIDENT = 0.99
SCANNED = 50_000
"""Samples that are looked at before a class counts as too rare."""


@dataclass(frozen=True, eq=False)
class Split:
    """Three parts of a labelled pack that share no image."""

    pick: Pack
    judge: Pack
    held_out: Pack


@dataclass(frozen=True)
class Reliability:
    """How a classifier does on images that it was not trained on."""

    images: int
    right: int
    recall: dict[str, float]
    """Of each class, the share that is recognised."""

    @property
    def accuracy(self) -> float:
        return self.right / self.images

    def __str__(self) -> str:
        low, high = wilson(self.right, self.images)
        shares = ", ".join(f"{printable(name)} {share:.1%}" for name, share in self.recall.items())
        return f"{self.accuracy:.1%} of {self.images:,} held-out images right ({low:.1%} to {high:.1%}; {shares})"


@dataclass(frozen=True)
class Pick:
    """A sample by its number, and how sure the classifier is of its class."""

    number: int
    confidence: float


def labelled_images(model: Path, generator: Generator, data: str | Path | None, display: Display) -> Pack:
    """The labelled images whose classes can be named: `data`, or by default those the run was trained on.

    At the generator's size and channels. Raises InputError if they are not there or have no classes.
    """
    pack = originals(model, data).packed(generator.info.network, display)
    if pack.labels is None or len(pack.class_names) < 2:
        raise InputError(
            f"{printable(pack.source)}: has no classes to pick samples by; name labelled images by --data, "
            "or pick samples by their numbers"
        )
    return pack


def split(pack: Pack) -> Split:
    """A tenth of each class is held out, and half of the others each trains the picker and the judge.

    Which image goes where depends on the pack alone. Raises InputError for a class of fewer than three images.
    """
    assert pack.labels is not None
    held_out, pick, judge = list[np.ndarray](), list[np.ndarray](), list[np.ndarray]()
    for label, name in enumerate(pack.class_names):
        rows = np.flatnonzero(pack.labels == label)
        if len(rows) < 3:
            raise InputError(
                f"{printable(pack.source)}: class {printable(name)} has {len(rows)} images; wants 3 or more"
            )
        rows = rows[np.random.Generator(np.random.Philox(key=SPLIT)).permutation(len(rows))]
        first = max(1, len(rows) // 10)
        rest = rows[first:]
        held_out.append(rows[: max(1, min(first, MOST_TESTED * len(rows) // len(pack.labels)))])
        most = max(1, MOST_TRAINED * len(rows) // len(pack.labels))
        pick.append(rest[0::2][:most])
        judge.append(rest[1::2][:most])
    return Split(_part(pack, pick, "pick"), _part(pack, judge, "judge"), _part(pack, held_out, "held out"))


def classifier_of(
    part: Pack, held_out: Pack, generator: Generator, display: Display
) -> tuple[TrainedClassifier, Reliability]:
    """The classifier of one part, trained or from the cache, and how it does on the images held out."""
    device = next(generator.parameters()).device
    trained = load_classifier(part, device, display.counter("training a classifier on"))
    return trained, tested(trained, held_out)


def tested(classifier: TrainedClassifier, held_out: Pack) -> Reliability:
    """Predict the classes of labelled images that the classifier was not trained on."""
    assert held_out.labels is not None
    right = classifier.predict(held_out.images)[0] == held_out.labels
    recall = {name: float(right[held_out.labels == label].mean()) for label, name in enumerate(held_out.class_names)}
    return Reliability(len(right), int(right.sum()), recall)


def class_number(name: str, class_names: tuple[str, ...]) -> int:
    """The number of a class by its name; InputError if there is none."""
    if name not in class_names:
        known = ", ".join(map(printable, class_names))
        raise InputError(f"no class {name!r}{nearest(name, class_names)} (there are: {known})")
    return class_names.index(name)


def pick(
    generator: Generator,
    classifier: TrainedClassifier,
    wanted: dict[int, int],
    *,
    seed: int = 0,
    confidence: float = CONFIDENT,
    without: Collection[int] = (),
    most: int = SCANNED,
    progress: Progress | None = None,
) -> dict[int, list[Pick]]:
    """The first so many samples of a seed that the classifier puts into each class, at least so confidently.

    wanted: class → how many. without: numbers of samples not to take. Raises InputError if there are too few among
    the first `most` samples.
    """
    found: dict[int, list[Pick]] = {label: [] for label in wanted}
    missing = sum(wanted.values())
    for number, label, sure in _seen(generator, classifier, seed, most):
        if label in wanted and len(found[label]) < wanted[label] and sure >= confidence and number not in without:
            found[label].append(Pick(number, sure))
            missing -= 1
        if progress:
            progress(sum(wanted.values()) - missing, sum(wanted.values()))
        if not missing:
            return found
    short = ", ".join(
        f"{len(found[label])} of {n} {printable(classifier.class_names[label])}"
        for label, n in wanted.items()
        if len(found[label]) < n
    )
    raise InputError(
        f"among {most:,} samples there are {short} that the classifier is {confidence:.0%} sure of; "
        "ask for less (--confidence), or pick samples by their numbers"
    )


def _seen(
    generator: Generator, classifier: TrainedClassifier, seed: int, most: int
) -> Iterator[tuple[int, int, float]]:
    """Number, class and the classifier's confidence of each sample in turn."""
    number = 0
    for images in generator.stream(most, seed):
        for label, confidence in zip(*classifier.predict(images), strict=True):
            yield number, int(label), float(confidence)
            number += 1


def _part(pack: Pack, rows: list[np.ndarray], name: str) -> Pack:
    assert pack.labels is not None
    chosen = np.sort(np.concatenate(rows))
    return replace(pack, images=pack.images[chosen], labels=pack.labels[chosen], key=f"{pack.key}, {name} {SPLIT}")
