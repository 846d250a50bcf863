"""A - B + C against plain arithmetic on z and on pixels, and the picture of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dcgan.errors import InputError
from dcgan.latent.arithmetic import arithmetic, around, noise_of, pixel_arithmetic
from dcgan.latent.concepts import Concept, by_numbers
from dcgan.latent.pictures import figure
from dcgan.latents import latents
from dcgan.pretrained import Generator
from tests.latent.conftest import plain

NUMBERS = (3, 17, 42), (0, 1, 2), (8, 9, 64)


def three(generator: Generator, seed: int = 5) -> tuple[Concept, Concept, Concept]:
    a, b, c = (by_numbers(generator, numbers, seed) for numbers in NUMBERS)
    return a, b, c


def usual(z: np.ndarray) -> np.ndarray:
    """As long as normal z of five numbers are."""
    return (z / (z**2).sum() ** 0.5 * 4.5**0.5).astype(np.float32)


def test_the_result_is_plain_arithmetic(generator: Generator) -> None:
    found = arithmetic(generator, *three(generator), noise=0.25, seed=5)
    z = latents(100, 5, 5).double().numpy()
    a, b, c = (z[list(numbers)].sum(0) / 3 for numbers in NUMBERS)
    assert np.allclose(found.z[4], usual(a - b + c), atol=1e-6)
    difference = (found.z - found.z[4]).numpy()
    assert np.abs(difference).max() <= 0.25
    assert np.array_equal(np.flatnonzero(np.abs(difference).sum(1)), [0, 1, 2, 3, 5, 6, 7, 8])
    assert np.array_equal(found.images, generator.draw(found.z))
    assert np.array_equal(found.means, generator.draw(torch.tensor(np.stack([usual(a), usual(b), usual(c)]))))
    for source, numbers in zip(found.sources, NUMBERS, strict=True):
        assert np.array_equal(source, generator.sample(100, seed=5)[list(numbers)])
    assert np.array_equal(found.pixel_means[1], np.rint(found.sources[1].mean(0)).astype(np.uint8))


def test_uniform_sums_are_left_as_they_are() -> None:
    generator = plain(latent="uniform")
    a, b, c = three(generator)
    found = arithmetic(generator, a, b, c)
    z = latents(100, 5, 5, distribution="uniform")
    means = torch.stack([z[list(numbers)].mean(0) for numbers in NUMBERS])
    assert torch.allclose(found.z[4], means[0] - means[1] + means[2], atol=1e-6)
    assert np.array_equal(found.means, generator.draw(means))


def test_the_mean_of_one_is_itself(generator: Generator) -> None:
    one, other = by_numbers(generator, (7,), 2), by_numbers(generator, (1, 2), 2)
    found = arithmetic(generator, one, other, one)
    assert np.array_equal(found.means[0], generator.sample(8, seed=2)[7])
    assert np.array_equal(found.means[2], found.sources[2][0])


def test_the_noise_is_uniform_and_its_own() -> None:
    added = torch.cat([around(torch.zeros(500), 0.25, noise_of(seed)) for seed in range(3)])
    others = np.delete(added.numpy(), [4, 13, 22], axis=0)
    assert abs(others.mean()) < 0.005
    assert others.std() == pytest.approx(0.25 / np.sqrt(3), rel=0.02)
    assert torch.equal(around(torch.zeros(5), 1.0, noise_of(3)), around(torch.zeros(5), 1.0, noise_of(3)))
    sample = latents(64, 5, 3, distribution="uniform").flatten()  # with one stream for both, noise would be a sample
    assert not torch.isin(around(torch.zeros(5), 1.0, noise_of(3))[0], sample).any()


def test_pixels_are_clipped_at_the_end_only() -> None:
    a, b, c = (np.array(values, np.uint8).reshape(-1, 1, 1, 1) for values in ([250, 240], [245, 255], [10, 20]))
    assert pixel_arithmetic(a, b, c).item() == 10  # 245 - 250 + 15
    assert pixel_arithmetic(b, c, a).item() == 255
    assert pixel_arithmetic(c, b, a).item() == 10
    assert pixel_arithmetic(c, b, c).item() == 0


def test_a_class_of_its_own_for_each(classes: Generator) -> None:
    a, b, c = three(classes)
    found = arithmetic(classes, a, b, c, noise=0.0)
    assert (a.label, b.label, c.label) == (0, 0, 2)
    assert found.label == 2
    assert np.array_equal(found.images, classes.draw(found.z, torch.full((9,), 2)))
    assert np.array_equal(found.images[0], found.images[4])
    means = torch.tensor(np.stack([usual(one.mean.double().numpy()) for one in (a, b, c)]))
    assert np.array_equal(found.means, classes.draw(means, torch.tensor([0, 0, 2])))


def test_the_figure_holds_every_image_once(generator: Generator) -> None:
    """Each is found in it, in the order of Figure 7: columns of samples, means below, results to the right."""
    found = arithmetic(generator, *three(generator))
    sheet = figure(found)
    assert sheet.dtype == np.uint8
    windows = np.lib.stride_tricks.sliding_window_view(sheet[..., 0], (16, 16))

    def place(image: np.ndarray) -> tuple[int, int]:
        places = np.argwhere((windows == image[..., 0]).all((2, 3)))
        assert len(places) == 1
        return int(places[0][0]), int(places[0][1])

    columns = [[place(image) for image in source] for source in found.sources]
    means, pixel_means = ([place(image) for image in row] for row in (found.means, found.pixel_means))
    for column, mean, pixel_mean in zip(columns, means, pixel_means, strict=True):
        assert [x for _, x in column] == [mean[1]] * 3 == [pixel_mean[1]] * 3
        assert [y for y, _ in column] == [2, 20, 38]
        assert pixel_mean[0] > mean[0] > 38
    results = [place(image) for image in found.images]
    assert [(y - results[0][0], x - results[0][1]) for y, x in results] == [
        (18 * row, 18 * column) for row in range(3) for column in range(3)
    ]
    assert means[0][1] < means[1][1] < means[2][1] < results[0][1]
    assert place(found.pixels) == (pixel_means[0][0], results[4][1])
    assert results[8][0] < pixel_means[0][0] - 16


def test_of_many_samples_six_are_shown(generator: Generator) -> None:
    many = by_numbers(generator, range(20), 0)
    six = by_numbers(generator, range(6), 0)
    assert figure(arithmetic(generator, many, many, many)).shape == figure(arithmetic(generator, six, six, six)).shape


@pytest.mark.parametrize("channels", [3, 4])
def test_one_sample_each_and_colours(channels: int) -> None:
    image = np.full((16, 20, channels), 7, np.uint8)
    one = Concept("x", torch.zeros(1, 5))
    from dcgan.latent.arithmetic import Arithmetic

    nine, three_of = np.stack([image] * 9), np.stack([image] * 3)
    found = Arithmetic((one, one, one), torch.zeros(9, 5), None, nine, (nine[:1],) * 3, three_of, three_of, image)
    sheet = figure(found)
    assert (sheet == 7).all(2).sum() == (3 + 3 + 3 + 9 + 1) * 16 * 20
    assert channels == 3 or (sheet[0, 0] == [0, 0, 0, 255]).all()


@pytest.mark.parametrize(
    ("wrong", "said"), [({"noise": 1e308}, "noise"), ({"noise": float("nan")}, "noise"), ({"seed": -1}, "seed: -1")]
)
def test_wrong_values(generator: Generator, wrong: dict[str, float], said: str) -> None:
    one = by_numbers(generator, (1,), 0)
    with pytest.raises(InputError, match=said):
        arithmetic(generator, one, one, one, **wrong)  # type: ignore[arg-type]
