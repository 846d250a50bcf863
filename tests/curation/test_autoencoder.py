"""The paper's autoencoder, re-stated; and that it is the same each time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dcgan.curation import autoencoder
from dcgan.curation.autoencoder import Autoencoder, thumbnails, train_hasher
from tests.curation.conftest import smooth


@pytest.mark.parametrize("channels", [1, 3])
def test_the_layers_are_those_of_the_paper(channels: int) -> None:
    network = Autoencoder(1024 * channels)
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert shapes["encoder.weight"] == (128, 1024 * channels)
    assert shapes["decoder.weight"] == (1024 * channels, 128)
    x = torch.randn(2, 1024 * channels)
    code = (x @ network.encoder.weight.t() + network.encoder.bias).clamp_min(0)
    plain = code @ network.decoder.weight.t() + network.decoder.bias
    torch.testing.assert_close(network.eval()(x), plain)
    assert network.dropout.p == 0.5


def test_thumbnails_are_centre_crops() -> None:
    images = np.zeros((1, 40, 100, 3), np.uint8)
    images[:, :, 30:70] = 200  # the largest square at the centre
    small = thumbnails(images)
    assert small.shape == (1, 3, 32, 32)
    torch.testing.assert_close(small, torch.full((1, 3, 32, 32), 200.0))


def test_thumbnails_of_32_are_the_pixels() -> None:
    images = smooth(2, 32, 3)
    assert np.array_equal(thumbnails(images).numpy(), images.transpose(0, 3, 1, 2))


def test_thumbnails_are_averages() -> None:
    fine = np.indices((128, 128)).sum(0) % 2 * 200  # a checkerboard turns grey
    small = thumbnails(fine[None, :, :, None].astype(np.uint8))[0, 0]
    torch.testing.assert_close(small[2:-2, 2:-2], torch.full((28, 28), 100.0), atol=1, rtol=0)


@pytest.mark.usefixtures("few_steps")
def test_codes_say_which_units_are_active() -> None:
    images = smooth(30, 32)
    hasher = train_hasher(images)
    codes = hasher.codes(images)
    assert codes.shape == (30, 2)
    assert codes.dtype == np.uint64
    flat = images.reshape(30, -1).astype(np.float64)
    flat -= flat.mean(1, keepdims=True)
    flat /= np.sqrt((flat**2).mean(1, keepdims=True)) + 2
    encoder = hasher.network.encoder
    units = (flat - flat.mean(0)) @ encoder.weight.double().numpy().T + encoder.bias.double().numpy()
    bits = np.unpackbits(codes.view(np.uint8), axis=1)
    sure = np.abs(units) > 1e-4
    assert sure.mean() > 0.99
    assert np.array_equal(bits[sure], (units > 0)[sure])


@pytest.mark.usefixtures("few_steps")
def test_codes_do_not_know_brightness() -> None:
    images = smooth(50)
    darker = np.rint(images * 0.8).astype(np.uint8)
    differ = {}
    for invariant in (True, False):
        hasher = train_hasher(images, invariant=invariant)
        differ[invariant] = bits_that_differ(hasher.codes(images), hasher.codes(darker))
    assert differ[True] < 0.01 < differ[False]


def bits_that_differ(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.unpackbits((one ^ other).view(np.uint8)).mean())


@pytest.mark.usefixtures("few_steps")
def test_a_seed_gives_the_same_codes_and_leaves_the_random_state() -> None:
    images = smooth(20, channels=3)
    state = torch.random.get_rng_state()
    one, again, other = (train_hasher(images, seed=seed).codes(images) for seed in (0, 0, 1))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_it_learns_to_see_the_picture_under_the_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autoencoder, "STEPS", 200)
    images = smooth(200, 32)
    seen = []
    hasher = train_hasher(images, progress=lambda done, total: seen.append((done, total)))
    clean = autoencoder._pictures(images, True) - hasher.mean
    noisy = clean + 0.5 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    drawn = hasher.network(noisy.flatten(1)).view_as(clean)
    assert (drawn - clean).square().mean() < 0.4 * clean.square().mean()  # without learning: 1
    assert seen[-1] == (200 * 128, 200 * 128)
