"""Planted patterns are found, each with its share of the energy; networks leave theirs."""

import numpy as np
import pytest
import torch

from dcgan.evaluation.checkerboard import checkerboard, checkerboard_ratio
from dcgan.images import to_array
from dcgan.networks import build_generator
from dcgan.presets import load_preset


def wave(height, width, down, right, phase=0.0):
    """A cosine of so many cycles a pixel."""
    y, x = np.mgrid[:height, :width]
    return np.cos(2 * np.pi * (down * y + right * x) + phase)


def smooth(height, width):
    """Energy 1/2, at three cycles a side."""
    return wave(height, width, 3 / height, 3 / width)


def share(pattern, others=0.0):
    """What the measure should say of a pattern of an energy beside a smooth image's and others'."""
    energy = (pattern**2).mean()
    return energy / (energy + 0.5 + others)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 48), (40, 100)])
@pytest.mark.parametrize(
    ("period", "down", "right"),
    [
        (2, 1 / 2, 1 / 2),
        (2, 0, 1 / 2),
        (2, 1 / 2, 0),
        (4, 1 / 4, 1 / 4),
        (4, 0, 1 / 4),
        (4, 1 / 2, 1 / 4),
        (4, 1 / 4, 0),
    ],
)
def test_a_planted_pattern_has_its_share_of_the_energy(height, width, period, down, right):
    pattern = 0.3 * wave(height, width, down, right, phase=0.25)
    image = smooth(height, width) + pattern
    images = np.stack([image, 5 - image])[..., None].repeat(3, 3)
    found = checkerboard(images)
    assert found[period] == pytest.approx(share(pattern), rel=1e-4)
    assert found[6 - period] == pytest.approx(0, abs=1e-6)


def test_both_patterns_are_told_apart():
    fine, coarse = 0.2 * wave(32, 32, 1 / 2, 1 / 2), 0.5 * wave(32, 32, 1 / 4, 1 / 4)
    found = checkerboard((smooth(32, 32) + fine + coarse)[None, ..., None])
    assert found[2] == pytest.approx(share(fine, (coarse**2).mean()), rel=1e-4)
    assert found[4] == pytest.approx(share(coarse, (fine**2).mean()), rel=1e-4)


def test_a_pattern_that_comes_and_goes_is_found_too():
    pattern = wave(32, 32, 1 / 2, 1 / 2) * wave(32, 32, 1 / 32, 0)
    found = checkerboard((smooth(32, 32) + pattern)[None, ..., None])
    assert found[2] == pytest.approx(share(pattern), rel=0.3)
    assert found[4] < 0.01


def test_neither_scale_nor_number_matters():
    images = np.random.default_rng(0).integers(0, 256, (1001, 16, 20, 1), dtype=np.uint8)
    found = checkerboard(images)
    assert checkerboard(images / 127.5 - 1) == pytest.approx(found)
    # White noise has as much in a band as the band is wide: of 16×20 frequencies, 3 beside 3 around each point.
    assert found[2] == pytest.approx(3 * 9 / 320, rel=0.05)
    assert found[4] == pytest.approx(12 * 9 / 320, rel=0.05)


def test_white_noise_is_counted_once():
    pieces = np.random.default_rng(0).standard_normal((600, 16, 16, 1))
    together = checkerboard(pieces)
    halves = [checkerboard(pieces[:300]), checkerboard(pieces[300:])]
    assert together[2] == pytest.approx((halves[0][2] + halves[1][2]) / 2, rel=0.01)


def test_the_ratio_is_to_the_real_images():
    fine, coarse = 0.1 * wave(32, 32, 1 / 2, 1 / 2), 0.2 * wave(32, 32, 1 / 4, 0)
    real = np.stack([smooth(32, 32) + fine, smooth(32, 32) + coarse])[..., None]
    assert checkerboard_ratio(real, real) == {2: pytest.approx(1), 4: pytest.approx(1)}
    drawn = real + 0.4 * wave(32, 32, 1 / 2, 0)[..., None]
    assert checkerboard_ratio(drawn, real)[2] == pytest.approx(checkerboard(drawn)[2] / checkerboard(real)[2])
    assert checkerboard_ratio(drawn, real)[2] > 10


def test_flat_images_have_none():
    assert checkerboard(np.full((2, 16, 16, 3), 7, np.uint8)) == {2: 0.0, 4: 0.0}
    assert checkerboard_ratio(np.zeros((1, 16, 16, 1)), np.zeros((1, 16, 16, 1))) == {2: 0.0, 4: 0.0}


@pytest.mark.parametrize("shape", [(16, 16, 3), (0, 16, 16, 3)])
def test_what_is_no_images(shape):
    with pytest.raises(ValueError, match="at least one image"):
        checkerboard(np.zeros(shape))


def at_the_start(**settings):
    config = load_preset("fast").replace(image_size=32, channels=3, width=16, **settings).network
    torch.manual_seed(0)
    with torch.no_grad():
        return checkerboard(to_array(20 * build_generator(config)(torch.randn(64, 100)).atanh()))


def test_resizing_leaves_less_than_transposed_convolutions():
    resized = at_the_start(upsampling="resize")
    for kernel_size in (3, 4, 5):
        transposed = at_the_start(kernel_size=kernel_size)
        assert transposed[2] > 2 * resized[2]
