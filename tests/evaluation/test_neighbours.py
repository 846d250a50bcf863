"""Table 3's test against a plain restatement, on cases with known answers, and on real digits."""

import itertools
import math

import numpy as np
import pytest

from dcgan.data.idx import read_idx
from dcgan.errors import InputError
from dcgan.evaluation import neighbours
from dcgan.evaluation.intervals import wilson
from dcgan.evaluation.neighbours import (
    MARKS,
    Labelled,
    labelled_blocks,
    marks_up_to,
    nearest_neighbour_test,
    real_control,
)
from dcgan.pretrained import Generator, ModelInfo
from tests.test_pretrained import CLASSES, trained


def labelled(n, seed=0, classes=5) -> Labelled:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 4, 4, 1), dtype=np.uint8), rng.integers(0, classes, n)


def restated(references, labels, queries, query_labels):
    """Error, and mean distance with pixels in [0, 1], in float64."""
    flat, wanted = (images.reshape(len(images), -1) / 255 for images in (references, queries))
    distances = np.sqrt(((wanted[:, None] - flat[None]) ** 2).sum(2))
    return (labels[distances.argmin(1)] != query_labels).mean(), distances.min(1).mean()


def cut(references, labels, *sizes):
    edges = [0, *itertools.accumulate(sizes), len(labels)]
    return [(references[a:b], labels[a:b]) for a, b in itertools.pairwise(edges)]


def test_agrees_with_a_plain_restatement_at_every_mark():
    (references, labels), (queries, query_labels) = labelled(300), labelled(40, seed=1)
    test = nearest_neighbour_test([(references, labels)], queries, query_labels, [1, 60, 300])
    assert [score.references for score in test.scores] == [1, 60, 300]
    assert (test.queries, test.labels_from) == (40, "data")
    for score in test.scores:
        error, distance = restated(references[: score.references], labels[: score.references], queries, query_labels)
        assert score.error == error
        assert (score.low, score.high) == wilson(error * 40, 40)
        assert score.distance == pytest.approx(distance, rel=1e-12)


@pytest.mark.parametrize("sizes", [(), (1, 2, 3), (64,) * 4, (100, 0, 1), (299,)])
def test_how_references_come_changes_nothing(monkeypatch, sizes):
    monkeypatch.setattr(neighbours, "PIECE", 48)
    (references, labels), (queries, query_labels) = labelled(300), labelled(20, seed=1)
    whole = nearest_neighbour_test([(references, labels)], queries, query_labels, [70, 300], "class")
    told = []
    blocks = cut(references, labels, *sizes)
    test = nearest_neighbour_test(blocks, queries, query_labels, [70, 300], "class", lambda *done: told.append(done))
    assert test == whole
    assert told == [(n, 300) for n in (48, 70, 118, 166, 214, 262, 300)]


def test_no_more_is_read_than_asked_for():
    read = []

    def endless():
        for number in itertools.count():
            read.append(number)
            yield labelled(64, seed=number)

    test = nearest_neighbour_test(endless(), *labelled(3), [100], "class")
    assert [score.references for score in test.scores] == [100]
    assert len(read) == 2


def test_the_training_images_themselves_are_found():
    images, labels = labelled(50)
    (score,) = nearest_neighbour_test([(images, labels)], images, labels, [50]).scores
    assert (score.error, score.distance) == (0, 0)
    (wrong,) = nearest_neighbour_test([(images, labels + 1)], images, labels, [50]).scores
    assert wrong.error == 1


@pytest.mark.parametrize("marks", [[], [0], [-1, 5], [5, 3], [3, 3]])
def test_marks_that_do_not_grow_are_refused(marks):
    with pytest.raises(ValueError, match="not growing numbers of references"):
        nearest_neighbour_test([labelled(5)], *labelled(2), marks)


def test_missing_references_and_labels_are_named():
    images, labels = labelled(5)
    with pytest.raises(InputError, match="there are 10 labelled images; 1,000 were asked for"):
        nearest_neighbour_test([labelled(5), labelled(5)], images, labels, [7, 1000])
    with pytest.raises(ValueError, match=r"labels have shape \(4,\); 5 queries want one each"):
        nearest_neighbour_test([labelled(5)], images, labels[:4], [5])
    with pytest.raises(ValueError, match="a block of 5 images has 4 labels"):
        nearest_neighbour_test([(images, labels[:4])], images, labels, [5])


def test_marks_up_to():
    assert marks_up_to(5) == [5]
    assert marks_up_to(10_000) == [1_000, 10_000]
    assert marks_up_to(60_000) == [1_000, 10_000, 50_000, 60_000]
    assert marks_up_to(10**7) == list(MARKS)


@pytest.mark.parametrize(("successes", "n"), [(1, 10), (5, 10), (148, 10_000), (298, 10_000)])
def test_wilson_has_the_shares_that_a_normal_test_does_not_reject(successes, n):
    for end in wilson(successes, n):
        assert abs(successes / n - end) == pytest.approx(1.959964 * math.sqrt(end * (1 - end) / n), rel=1e-6)


def test_wilson_at_the_ends():
    for n in range(1, 200):
        share = 1 / (1 + 1.959964**2 / n)
        assert wilson(0, n) == (0, pytest.approx(1 - share))
        assert wilson(n, n) == (pytest.approx(share), 1)


def test_drawings_are_labelled_with_their_class():
    generator = trained(Generator, **CLASSES)
    blocks = list(labelled_blocks(generator, 130, seed=4))
    images, labels = (np.concatenate(part) for part in zip(*blocks, strict=True))
    assert np.array_equal(images, generator.sample(130, seed=4))
    assert labels.tolist() == [i % 3 for i in range(130)]
    rounded = np.concatenate([images for images, _ in labelled_blocks(generator, 130, seed=4, precision="bf16")])
    assert np.array_equal(rounded, generator.sample(130, seed=4, precision="bf16"))


def test_a_classifier_labels_what_has_no_classes():
    generator = trained(Generator)

    def parity(images):
        return images[:, 0, 0, 0].astype(np.int64) % 2, np.ones(len(images))

    blocks = list(labelled_blocks(generator, 70, predict=parity))
    assert [len(images) for images, _ in blocks] == [64, 6]
    images, labels = (np.concatenate(part) for part in zip(*blocks, strict=True))
    assert np.array_equal(images, generator.sample(70))
    assert np.array_equal(labels, parity(images)[0])
    assert 0 < labels.mean() < 1


def test_without_classes_and_classifier_nothing_is_drawn():
    with pytest.raises(InputError, match="trained without classes, and no classifier"):
        next(labelled_blocks(trained(Generator), 5))


def test_a_generator_that_draws_the_right_images_scores_well():
    """One whose images are flat, as bright as their class says."""
    generator = trained(Generator, **CLASSES)

    class Flat(Generator):
        def stream(self, n, seed=0, **settings):
            yield np.broadcast_to((np.arange(n) % 3 * 100).astype(np.uint8)[:, None, None, None], (n, 16, 20, 3))

    flat = Flat(generator.network, ModelInfo(generator.info.network))
    queries = np.stack([np.full((16, 20, 3), level, np.uint8) for level in (5, 110, 190)])
    (score,) = nearest_neighbour_test(labelled_blocks(flat, 9), queries, np.arange(3), [9], "class").scores
    assert score.error == 0
    assert score.distance == pytest.approx(np.mean([5, 10, 10]) / 255 * math.sqrt(960))


def test_the_control_is_the_mean_of_several_choices(monkeypatch):
    monkeypatch.setattr(neighbours, "CONTROL_DRAWS", 3)
    (images, labels), queries = labelled(40), labelled(30, seed=1)
    told: list[tuple[int, int]] = []
    control = real_control(images, labels, *queries, 25, seed=7, progress=lambda *done: told.append(done))
    assert told == [(25, 75), (50, 75), (75, 75)]
    wanted = []
    for draw in range(3):
        chosen = np.random.default_rng([7, draw]).permutation(40)[:25]
        wanted.append(restated(images[chosen], labels[chosen], *queries))
    assert len(set(wanted)) == 3
    assert control.references == 25
    assert (control.error, control.distance) == pytest.approx(np.mean(wanted, axis=0))
    assert control.low < control.error < control.high
    assert real_control(images, labels, *queries, 25, seed=8) != control


def test_the_control_of_a_whole_set_is_the_test_itself():
    (images, labels), queries = labelled(40), labelled(30, seed=1)
    (score,) = nearest_neighbour_test([(images, labels)], *queries, [40]).scores
    assert real_control(images, labels, *queries, 40) == score == real_control(images, labels, *queries, 99)


@pytest.mark.data
def test_real_digits_err_as_the_paper_says(data_root):
    """3.1 % [paper, Table 3]; of all 60,000, scikit-learn's KNeighborsClassifier(1) errs on the same 309."""
    parts = [
        read_idx(data_root / "mnist" / f"{split}-{kind}-ubyte.gz")
        for split in ("train", "t10k")
        for kind in ("images-idx3", "labels-idx1")
    ]
    images, labels, queries, query_labels = parts
    order = np.random.default_rng(0).permutation(len(images))
    blocks = [(images[order], labels[order])]
    some, whole = nearest_neighbour_test(blocks, queries, query_labels, [50_000, 60_000]).scores
    assert some.error == pytest.approx(0.031, abs=0.002)
    assert whole.error == 0.0309
