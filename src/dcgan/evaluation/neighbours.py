"""The paper's Table 3: real images classified by their nearest neighbour among labelled drawings.

Good drawings with the right labels, as varied as the real images, are a training set as good as those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dcgan.errors import InputError
from dcgan.evaluation.intervals import wilson
from dcgan.evaluation.nearest import Nearest
from dcgan.pretrained import Generator, class_labels

Labelled = tuple[np.ndarray, np.ndarray]
"""uint8 images (N, H, W, C) and their labels int64 (N,)."""
Predict = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""uint8 images → labels int64 (N,) and the confidence in each, as a classifier gives them."""
LabelsFrom = Literal["data", "class", "classifier"]

MARKS = (1_000, 10_000, 50_000, 100_000, 1_000_000, 10_000_000)
"""The numbers of references after which the authors' code and the paper look at the error."""
PIECE = 4096  # references compared at once
CONTROL_DRAWS = 5


@dataclass(frozen=True)
class NeighbourScore:
    """The test after so many references."""

    references: int
    error: float
    """Share of the queries whose nearest reference has another label."""
    low: float
    high: float
    """95 % interval of the error, if the queries are a sample of all there could be (Wilson 1927)."""
    distance: float
    """Mean of the queries' Euclidean distances to their nearest reference, pixels in [0, 1] [authors' nnd_score]."""


@dataclass(frozen=True)
class NeighbourTest:
    """Scores at growing numbers of references."""

    scores: tuple[NeighbourScore, ...]
    queries: int
    labels_from: LabelsFrom
    """data: real images; class: what the generator was asked for; classifier: what one took the drawings for."""


def nearest_neighbour_test(
    blocks: Iterable[Labelled],
    queries: np.ndarray,
    query_labels: np.ndarray,
    marks: Sequence[int],
    labels_from: LabelsFrom = "data",
    progress: Callable[[int, int], None] | None = None,
    device: str = "cpu",
) -> NeighbourTest:
    """Classify the queries by the nearest of the references in `blocks`, and score at each of the marks.

    queries: uint8 (Q, H, W, C), with labels (Q,). blocks: labelled images of the same shape, of any sizes, read
    up to the last mark and not kept. marks: growing numbers of references; `marks_up_to` makes them. Of references
    at the same distance the first counts. progress(done, total) is called after each piece. device: where the distances
    are computed, cpu or cuda.
    Raises InputError if the blocks end before the last mark, ValueError for shapes and marks that make no sense.
    """
    scores = tuple(scores_at(marks, blocks, queries, query_labels, progress, device))
    return NeighbourTest(scores, len(queries), labels_from)


def scores_at(
    marks: Sequence[int],
    blocks: Iterable[Labelled],
    queries: np.ndarray,
    query_labels: np.ndarray,
    progress: Callable[[int, int], None] | None = None,
    device: str = "cpu",
) -> Iterator[NeighbourScore]:
    """The scores of `nearest_neighbour_test`, each when its mark is reached: ten million drawings take an hour."""
    if query_labels.shape != (len(queries),):
        raise ValueError(f"labels have shape {query_labels.shape}; {len(queries)} queries want one each")
    if not marks or sorted({*marks, 0}) != [0, *marks]:
        raise ValueError(f"marks: {marks} are not growing numbers of references, each at least 1")
    search = Nearest(queries, device=device)
    for images, labels in _pieces(blocks, marks):
        search.add(images, labels)
        if progress:
            progress(search.seen, marks[-1])
        if search.seen in marks:
            yield _score(search, query_labels)


def real_control(
    images: np.ndarray,
    labels: np.ndarray,
    queries: np.ndarray,
    query_labels: np.ndarray,
    n: int,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> NeighbourScore:
    """The test with at most n of the real images, chosen at random: what drawings have to be compared with.

    The mean of CONTROL_DRAWS choices, because they differ: 50,000 of MNIST's 60,000 give 3.27 % ± 0.08 (20 choices).
    The whole set is used once. progress(done, total) is called after each choice, with all choices' images.
    """
    draws, n = (CONTROL_DRAWS, n) if n < len(images) else (1, len(images))
    scores: list[NeighbourScore] = []
    for draw in range(draws):
        chosen = np.sort(np.random.default_rng([seed, draw]).permutation(len(images))[:n])
        scores += scores_at([n], [(images[chosen], labels[chosen])], queries, query_labels)
        if progress:
            progress((draw + 1) * n, draws * n)
    error = float(np.mean([score.error for score in scores]))
    interval = wilson(error * len(queries), len(queries))
    return NeighbourScore(scores[0].references, error, *interval, float(np.mean([score.distance for score in scores])))


def marks_up_to(n: int) -> list[int]:
    """The numbers of the paper and of the authors' code below n, and n."""
    return [mark for mark in MARKS if mark < n] + [n]


def labelled_blocks(
    generator: Generator,
    n: int,
    seed: int = 0,
    *,
    predict: Predict | None = None,
    truncation: float | None = None,
    precision: str = "fp32",
) -> Iterator[Labelled]:
    """The n drawings of `generator.stream`, all classes in turn, with their labels: the class asked for.

    predict: labels the drawings of a generator without classes. Raises InputError if there is neither.
    """
    classes = generator.info.network.classes
    if not classes and predict is None:
        raise InputError(
            "1nn: this generator was trained without classes, and no classifier is given to label its images"
        )
    start = 0
    for images in generator.stream(n, seed, truncation=truncation, precision=precision):
        labels = class_labels(classes, len(images), start)
        if labels is not None:
            yield images, labels.numpy()
        elif predict:
            yield images, predict(images)[0]
        start += len(images)


def _score(search: Nearest, query_labels: np.ndarray) -> NeighbourScore:
    wrong, n = int((search.tags[:, 0] != query_labels).sum()), len(query_labels)
    return NeighbourScore(search.seen, wrong / n, *wilson(wrong, n), float(search.distances.mean() / 255))


def _pieces(blocks: Iterable[Labelled], marks: Sequence[int]) -> Iterator[Labelled]:
    """The same references in pieces of PIECE, cut at the marks, up to the last."""
    source, seen = iter(blocks), 0
    images: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    for mark in marks:
        while seen < mark:
            size = min(PIECE, mark - seen)
            while (held := sum(len(some) for some in labels)) < size:
                block = next(source, None)
                if block is None:
                    raise InputError(f"1nn: there are {seen + held:,} labelled images; {marks[-1]:,} were asked for")
                if len(block[0]) != len(block[1]):
                    raise ValueError(f"a block of {len(block[0])} images has {len(block[1])} labels")
                images.append(block[0])
                labels.append(block[1])
            joined = (images[0], labels[0]) if len(labels) == 1 else (np.concatenate(images), np.concatenate(labels))
            yield joined[0][:size], joined[1][:size]
            images, labels = [joined[0][size:]], [joined[1][size:]]
            seen += size
