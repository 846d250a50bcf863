"""Planted copies are found, good drawings are not accused, and the statistics are the textbooks'."""

import itertools
import math

import numpy as np
import pytest

from dcgan.errors import InputError
from dcgan.evaluation.memorisation import in_training, memorisation, neighbour_grid, probability_less, share_copied
from dcgan.evaluation.nearest import Nearest

rng = np.random.default_rng(0)


def real(n, seed=0):
    """Images of a source: smooth noise, so that neighbours are near."""
    coarse = np.random.default_rng(seed).integers(40, 216, (n, 2, 2, 1))
    fine = np.random.default_rng(seed + 99).integers(-20, 21, (n, 4, 4, 1))
    return (coarse.repeat(2, 1).repeat(2, 2) + fine).astype(np.uint8)


def slightly_changed(images):
    return (images.astype(int) + rng.integers(-2, 3, images.shape)).clip(0, 255).astype(np.uint8)


TRAIN, HELD_OUT = real(600), real(300, seed=1)


def test_copies_are_found():
    result = memorisation(slightly_changed(TRAIN[:200]), TRAIN, HELD_OUT)
    assert result.space == "pixels"
    assert (result.samples, result.train) == (200, 600)
    contrast = result.contrast
    assert contrast is not None
    assert contrast.held_out == 300
    assert contrast.nearer == 1
    assert contrast.near_copies == 200
    assert contrast.near_copied == 1
    assert contrast.copied == 1
    assert contrast.copied_interval[0] > 0.7
    assert result.median < contrast.median / 3
    assert result.reading.startswith("signs of memorisation")


def test_new_images_are_not_accused():
    result = memorisation(real(400, seed=2), TRAIN, HELD_OUT)
    contrast = result.contrast
    assert contrast is not None
    assert contrast.nearer_interval[0] < 0.5 < contrast.nearer_interval[1]
    assert contrast.copied_interval[0] < 0 < contrast.copied_interval[1]
    assert contrast.near_copies <= 12  # 4 are to be expected
    assert contrast.near_copied_interval[0] <= 0 <= contrast.near_copied_interval[1]
    assert result.median == pytest.approx(contrast.median, rel=0.1)
    assert result.reading.startswith("no sign of memorisation")


def test_typical_images_are_not_accused_of_being_near_to_everything():
    typical = (real(400, seed=3).astype(float) * 0.5 + 64).astype(np.uint8)
    result = memorisation(typical, TRAIN, HELD_OUT)
    assert result.contrast is not None
    assert result.contrast.nearer_interval[0] > 0.6
    assert result.reading.startswith("no sign of memorisation")


def test_one_copy_among_many_is_the_one_to_look_at():
    drawn = real(150, seed=4)
    drawn[77] = TRAIN[5]
    result = memorisation(drawn, TRAIN, HELD_OUT)
    assert result.nearest == 0
    assert result.suspects[0] == 77
    assert len(set(result.suspects)) == 8
    assert result.contrast is not None
    assert result.contrast.near_copies >= 1


def test_what_is_near_to_everything_is_no_suspect():
    train, held_out = places(0, 10, 20), places(1, 15, 30)
    drawn = places(0.45, 12, 9, 17, 27)  # from training images 0.45, 2, 1, 3, 7; from held-out ones 0.55, 3, 6, 2, 3
    assert memorisation(drawn, train, held_out).suspects == (2, 1, 0, 3, 4)
    assert memorisation(drawn, train).suspects == (0, 2, 1, 3, 4)


def test_a_few_copies_are_seen_among_the_near_ones():
    drawn = real(800, seed=10)
    drawn[:40] = slightly_changed(TRAIN[100:140])
    result = memorisation(drawn, TRAIN, HELD_OUT)
    assert result.contrast is not None
    assert result.contrast.copied_interval[0] < 0  # lost among the others
    assert result.contrast.near_copied_interval[0] > 0.3
    assert result.reading == (
        "signs of memorisation: 6.1% of the samples are nearer to training images than 99% of held-out ones; "
        "copies beyond chance: 1% of all samples (-10% to 11%), 88% of the nearest (48% to 100%)"
    )


def test_without_held_out_images_nothing_is_concluded():
    told = []
    result = memorisation(TRAIN[:3], TRAIN, progress=lambda *done: told.append(done))
    assert result.contrast is None
    assert (result.median, result.nearest, result.suspects) == (0, 0, (0, 1, 2))
    assert "do not tell" in result.reading
    assert told == [(600, 600)]


def test_pixels_are_measured_in_0_to_1_and_features_as_they_are():
    black, white = np.zeros((1, 2, 2, 1), np.uint8), np.full((1, 2, 2, 1), 255, np.uint8)
    assert memorisation(black, white).median == 2
    features = memorisation(np.zeros((1, 4)), np.full((1, 4), 255.0), np.full((1, 4), 300.0))
    assert (features.space, features.median) == ("features", 510)
    assert features.contrast is not None
    assert features.contrast.median == 90


def test_held_out_images_that_are_training_images_are_refused():
    held_out = HELD_OUT.copy()
    held_out[:16] = TRAIN[100:116]
    with pytest.raises(
        InputError, match="test: 16 of 300 held-out images are training images; name others with --test"
    ):
        memorisation(TRAIN[:100], TRAIN, held_out)
    with pytest.raises(InputError, match="test: 600 of 600 held-out"):
        memorisation(TRAIN[:100], TRAIN, TRAIN.copy())


def test_a_few_images_that_are_in_both_sets_hide_no_copies():
    held_out, drawn = HELD_OUT.copy(), real(800, seed=10)
    held_out[:15] = TRAIN[100:115]
    drawn[:40] = TRAIN[200:240]
    contrast = memorisation(drawn, TRAIN, held_out).contrast
    assert contrast is not None
    assert contrast.near_copies >= 40
    assert contrast.near_copied_interval[0] > 0.3


def test_held_out_images_that_are_training_images_make_no_drawing_farther():
    train, held_out, drawn = np.split(
        np.random.default_rng(4).integers(0, 256, (4000, 2, 2, 1), np.uint8), [1000, 2000]
    )
    held_out[:50] = train[:50]
    contrast, without = (memorisation(drawn, train, part).contrast for part in (held_out, held_out[50:]))
    assert contrast is not None
    assert without is not None
    for name in ("held_out", "median", "nearer", "nearer_interval", "near_copies"):
        assert getattr(contrast, name) == getattr(without, name)
    assert contrast.held_out == 950
    assert contrast.nearer == pytest.approx(0.5, abs=0.01)


def test_features_of_training_images_alone_are_no_contrast():
    train = rng.normal(size=(30, 6))
    assert memorisation(train[:5], train, train[10:20]).contrast is None


def test_features_find_copies_too():
    train, held_out = rng.normal(size=(300, 6)), rng.normal(size=(300, 6))
    contrast = memorisation(train[:100] + 1e-3, train, held_out).contrast
    assert contrast is not None
    assert contrast.copied == 1
    assert contrast.near_copies == 100


@pytest.mark.parametrize("rounding", [0, 1e-6])
def test_a_few_images_that_are_in_both_sets_hide_no_copies_in_features(rounding):
    """Rounding alone keeps an image from itself, and more in another batch."""
    train, held_out, drawn = np.split(np.random.default_rng(2).normal(size=(1400, 24)), [600, 1000])
    drawn[:40] = train[200:240] + 1e-2
    held_out[:8] = train[100:108]
    seen = in_training(held_out, train)
    assert seen.tolist() == [True] * 8 + [False] * 392
    held_out += rng.normal(size=held_out.shape) * rounding
    contrast = memorisation(drawn, train, held_out, learned=True, seen=seen if rounding else None).contrast
    assert contrast is not None
    assert contrast.near_copies >= 40
    assert contrast.near_copied_interval[0] > 0.3


def test_in_features_learned_from_the_training_images_only_the_nearest_tell():
    train, held_out, drawn = np.split(np.random.default_rng(1).normal(size=(1000, 10)), [300, 600])
    train *= 1.2  # what was learned lies elsewhere
    biased = memorisation(drawn, train, held_out).contrast
    assert biased is not None
    assert biased.copied_interval[1] < 0
    result = memorisation(drawn, train, held_out, learned=True)
    assert result.contrast is not None
    assert list(result.contrast.shares) == ["near_copied"]
    assert "of all samples" not in result.reading
    drawn[:40] = train[:40] + 1e-3
    assert memorisation(drawn, train, held_out, learned=True).reading.startswith("signs of memorisation")


def test_the_share_of_copies_is_found():
    drawn = real(400, seed=6)
    drawn[:100] = slightly_changed(TRAIN[100:200])
    contrast = memorisation(drawn, TRAIN, HELD_OUT).contrast
    assert contrast is not None
    assert 0 < contrast.copied_interval[0] < 0.25 < contrast.copied_interval[1]


def searched(queries, references):
    search = Nearest(queries)
    search.add(references)
    return search


def everyone(n):
    return np.full(n, True)


def places(*numbers):
    return np.array(numbers, float)[:, None]


def test_the_share_of_copies_and_its_interval():
    drawn = places(1, 2, 3, 9, 51, 99, 5)
    copied, interval = share_copied(searched(drawn, places(0, 100, 200)), searched(drawn, places(10, 50)), everyone(7))
    # 1, 2, 3 and 99 are at training images, and 5 is in the middle; chance is 3 / 5.
    assert copied == pytest.approx(((4 + 3 / 5) / 7 - 3 / 5) / (2 / 5))
    # The middle one counts as held out: 3 and 1 at the training images, 2 and 1 at the others.
    # Any three of the five images could have been the training images.
    shares = [sum(chosen) / 7 for chosen in itertools.combinations((3, 1, 0, 2, 1), 3)]
    half = (1.959964 * np.std(shares) + 0.5 / 7) / (2 / 5)
    assert interval == pytest.approx((copied - half, 1.0))


def test_the_share_of_copies_of_chosen_samples():
    drawn = places(1, 2, 99, 12, 48)
    searches = searched(drawn, places(0, 100)), searched(drawn, places(10, 50))
    chosen = np.array([True, True, False, False, True])
    apart = searched(drawn[chosen], places(0, 100)), searched(drawn[chosen], places(10, 50))
    assert share_copied(*searches, chosen) == share_copied(*apart, everyone(3))
    assert share_copied(*searches, ~everyone(5)) == (0, (-1, 1))  # as many training images as others; nothing is known


def test_the_interval_of_the_share_of_copies_holds_what_it_says():
    """The same samples, and 200 times two sets of one source: about 95 % of the intervals hold 0."""
    drawn = rng.normal(size=(60, 2))
    held = 0
    for _ in range(200):
        to_train, to_held_out = (searched(drawn, rng.normal(size=(n, 2))) for n in (40, 20))
        _, (low, high) = share_copied(to_train, to_held_out, everyone(60))
        held += low <= 0 <= high
    assert 180 <= held <= 199


def test_probability_less_is_the_share_of_pairs():
    some, others = rng.integers(0, 6, 15).astype(float), rng.integers(1, 8, 20).astype(float)
    pairs = np.array([[(a < b) + (a == b) / 2 for b in others] for a in some])
    probability, (low, high) = probability_less(some, others)
    assert probability == pytest.approx(pairs.mean())
    deviation = math.sqrt(pairs.mean(1).var(ddof=1) / 15 + pairs.mean(0).var(ddof=1) / 20)
    assert (low, high) == pytest.approx((probability - 1.959964 * deviation, probability + 1.959964 * deviation))


@pytest.mark.parametrize(
    ("some", "others", "probability"),
    [([1, 2], [3, 4], 1), ([3, 4], [1, 2], 0), ([2, 2], [2, 2], 0.5), ([1], [2], 1), ([2], [1, 2, 3, 4], 0.625)],
)
def test_probability_less_at_its_ends(some, others, probability):
    found, (low, high) = probability_less(np.array(some, float), np.array(others, float))
    assert found == probability
    assert 0 <= low <= found <= high <= 1


def cells(sheet, rows, columns, side=4, padding=2):
    step = side + padding
    corners = [(padding + row * step, padding + column * step) for row in range(rows) for column in range(columns)]
    return [sheet[top : top + side, left : left + side] for top, left in corners]


def test_the_picture_has_each_sample_beside_its_neighbours():
    drawn = slightly_changed(TRAIN[[10, 20]])
    sheet = neighbour_grid(drawn, TRAIN, k=3)
    assert sheet.shape == (2 * 6 + 2, 4 * 6 + 2, 1)
    shown = cells(sheet, 2, 4)
    for row, number in enumerate((10, 20)):
        assert np.array_equal(shown[4 * row], drawn[row])
        assert np.array_equal(shown[4 * row + 1], TRAIN[number])
        gaps = [np.square(image.astype(float) - drawn[row]).sum() for image in shown[4 * row : 4 * row + 4]]
        assert gaps == sorted(gaps)


def test_the_picture_goes_on_with_the_neighbours_by_features():
    features = np.arange(600.0)[:, None]
    sheet = neighbour_grid(TRAIN[[10, 20]], TRAIN, k=2, features=(np.array([[300.2], [400.2]]), features))
    shown = cells(sheet, 2, 6)
    for row, (sample, near) in enumerate(((10, 300), (20, 400))):
        for place, number in ((0, sample), (1, sample), (3, sample), (4, near), (5, near + 1)):
            assert np.array_equal(shown[6 * row + place], TRAIN[number])


def test_the_picture_of_a_tiny_set_has_what_there_is():
    assert neighbour_grid(TRAIN[:1], TRAIN[:2], k=5).shape == (8, 3 * 6 + 2, 1)


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="cannot be compared"):
        memorisation(TRAIN[:3], TRAIN[:, :2], HELD_OUT)
    with pytest.raises(ValueError, match="cannot be compared"):
        memorisation(TRAIN[:3], TRAIN, HELD_OUT / 255)
