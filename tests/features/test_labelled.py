from __future__ import annotations

import numpy as np
import pytest

from dcgan.errors import InputError
from dcgan.features.labelled import Spread, balanced_draws, split_off, stratified_folds, student_t

LABELS = np.repeat([0, 1, 2], [60, 30, 12])
NAMES = ("a", "b", "c")


def test_student_t() -> None:
    stats = pytest.importorskip("scipy.stats")
    for freedom in (1, 2, 3, 4, 5, 6, 9, 20, 99, 1000):
        assert student_t(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=1e-3)


def test_spread() -> None:
    spread = Spread.of([1.0, 2.0, 4.0])
    assert spread.mean == pytest.approx(7 / 3)
    assert spread.deviation == pytest.approx((14 / 3 / 2) ** 0.5)
    assert spread.half == pytest.approx(4.30265 * (7 / 3 / 3) ** 0.5)
    assert Spread.of([3.0]) == Spread(3.0, None, None)


def test_what_is_held_out_has_every_class_in_its_share() -> None:
    pool, held_out = split_off(LABELS, 17, seed=0)
    assert np.array_equal(np.sort(np.concatenate([pool, held_out])), np.arange(102))
    assert np.abs(np.bincount(LABELS[held_out]) - np.array([10, 5, 2])).max() <= 1
    assert not np.array_equal(split_off(LABELS, 17, seed=1)[1], held_out)
    assert np.array_equal(split_off(LABELS, 17, seed=0)[1], held_out)


def test_draws_are_balanced_and_from_the_pool() -> None:
    pool, _ = split_off(LABELS, 17, seed=0)
    draws = balanced_draws(LABELS, pool, 24, 5, NAMES, seed=3)
    for draw in draws:
        assert np.isin(draw, pool).all()
        assert len(np.unique(draw)) == 24
        assert np.bincount(LABELS[draw]).tolist() == [8, 8, 8]
    assert len({tuple(draw) for draw in draws}) == 5
    assert np.array_equal(balanced_draws(LABELS, pool, 24, 1, NAMES, seed=3)[0], draws[0])


def test_draws_that_cannot_be_made() -> None:
    everything = np.arange(len(LABELS))
    with pytest.raises(InputError, match=r"100 cannot be balanced over 3 classes; nearest: 99 and 102"):
        balanced_draws(LABELS, everything, 100, 1, NAMES, 0)
    with pytest.raises(InputError, match=r"20 images of each class, and of c there are 12"):
        balanced_draws(LABELS, everything, 60, 1, NAMES, 0)
    with pytest.raises(InputError, match=r"nearest: 3 and 6"):
        balanced_draws(LABELS, everything, 2, 1, NAMES, 0)


def test_folds_have_every_class_in_its_share() -> None:
    folds = stratified_folds(LABELS, 5, seed=0)
    for k, number in enumerate((60, 30, 12)):
        counts = np.bincount(folds[k == LABELS], minlength=5)
        assert counts.max() - counts.min() <= 1
        assert counts.sum() == number
    assert not np.array_equal(stratified_folds(LABELS, 5, seed=1), folds)
