"""Laying pictures over each other, against pictures whose place is known by construction."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dcgan.curation.autoencoder import thumbnails
from dcgan.curation.registration import _correlation, agreement, registered, standardised
from tests.curation.conftest import cropped, smooth


def waves(place: tuple[float, float, float], side: int = 32) -> torch.Tensor:
    """A smooth picture as a formula, seen at (zoom - 1, right, down): (1, 1, side, side)."""
    zoom, right, down = place
    centres = (torch.arange(side) * 2 + 1) / side - 1
    x, y = (1 + zoom) * centres[None] + right, (1 + zoom) * centres[:, None] + down
    return (torch.sin(5 * x + 1) + torch.cos(4 * y - 7 * x) + torch.sin(6 * y))[None, None]


@pytest.mark.parametrize("place", [(0.0, 0.0, 0.0), (0.05, 0.04, -0.06), (-0.08, -0.05, 0.02), (0.0, 0.1, 0.1)])
def test_the_place_is_found(place: tuple[float, float, float]) -> None:
    found = registered(waves(place), waves((0, 0, 0)), torch.zeros(1, 3), 12)
    torch.testing.assert_close(found, torch.tensor([place]), atol=4e-3, rtol=0)


def test_the_same_picture_agrees_whatever_its_brightness_and_contrast() -> None:
    pictures = thumbnails(smooth(8))
    torch.testing.assert_close(agreement(pictures, pictures), torch.ones(8))
    assert agreement(pictures, 0.7 * pictures + 20).min() > 0.999


def test_versions_agree_and_others_do_not() -> None:
    images = smooth(40)
    versions = np.stack([cropped(image, 0.06) for image in images])
    versions[20:] = np.roll(images[20:], (2, -1), (1, 2))
    pictures = thumbnails(images)
    assert agreement(pictures, thumbnails(versions)).min() > 0.94
    assert agreement(thumbnails(versions), pictures).min() > 0.94
    assert agreement(pictures, pictures.roll(1, 0)).max() < 0.8


def test_colours_count() -> None:
    pictures = thumbnails(smooth(6, channels=3))
    other = pictures.clone()
    other[:, 2] = pictures[:, 2].roll(1, 0)  # another picture in blue
    assert agreement(pictures, other).max() < 0.94
    assert agreement(pictures, pictures * 0.8).min() > 0.999


def test_flat_pictures_agree_only_if_they_are_the_same() -> None:
    flat = torch.full((3, 1, 32, 32), 100.0)
    other = flat + torch.tensor([0.0, 1.0, 0.0])[:, None, None, None]
    other[2, 0, 3, 3] += 1
    assert agreement(flat, other).tolist() == [1, 0, 0]


def test_correlation_is_that_of_the_central_differences() -> None:
    a, b = (standardised(thumbnails(smooth(3, channels=2, seed=seed))) for seed in (0, 1))
    found = _correlation(a, b, torch.zeros(3, 3))
    for i in range(3):
        p, q = (np.concatenate([differences(x[i, c].numpy()) for c in range(2)]) for x in (a, b))
        assert found[i].item() == pytest.approx((p * q).sum() / np.sqrt((p * p).sum() * (q * q).sum()), abs=1e-5)


def differences(x: np.ndarray) -> np.ndarray:
    """Horizontal and vertical ones, one after the other."""
    return np.concatenate([(x[:, 2:] - x[:, :-2]).ravel(), (x[2:] - x[:-2]).ravel()])
