"""A direction and what it does to samples, against plain sums."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dcgan.errors import InputError
from dcgan.latent.concepts import by_numbers
from dcgan.latent.saved import generator_digest
from dcgan.latent.turn import direction, turn
from dcgan.latents import latents
from dcgan.pretrained import Generator


def test_a_direction_is_a_difference_of_means(generator: Generator) -> None:
    found = direction(generator, by_numbers(generator, (1, 2, 3, 70), 6), by_numbers(generator, (8,), 6))
    z = latents(71, 5, 6).double().numpy()
    assert np.allclose(found.vector, z[8] - z[[1, 2, 3, 70]].mean(0), atol=1e-6)
    assert (found.start, found.end) == ("samples 1, 2, 3, 70", "samples 8")
    assert found.generator == generator_digest(generator)


def test_rows_run_from_one_end_to_the_other(generator: Generator) -> None:
    vector = torch.tensor([1.5, 0, 0, 0, 0])
    found = turn(generator, vector, rows=6, steps=5, reach=0.75, seed=2, without={0, 3, 4})
    assert found.numbers == (1, 2, 5, 6, 7, 8)
    samples = latents(9, 5, 2)[list(found.numbers)].numpy()
    for step, share in enumerate((-0.75, -0.375, 0, 0.375, 0.75)):
        assert np.allclose(found.z[:, step], samples + share * vector.numpy(), atol=1e-6)
    assert found.images.shape == (6, 5, 16, 16, 1)
    assert np.array_equal(found.images[:, 2], generator.sample(9, seed=2)[list(found.numbers)])
    assert np.array_equal(found.images[4, 1], generator.draw(found.z[4, 1:2])[0])
    means = found.images.astype(float).mean((2, 3, 4))
    assert (
        np.diff(means, axis=1) > 15
    ).all()  # z[0] is brightness: 1.5 / 4 · 0.375 · 127.5 = 17.9 a step, unless clipped


def test_it_reaches_a_whole_vector_to_either_side(generator: Generator) -> None:
    shares = turn(generator, torch.ones(generator.info.network.latent_dim), rows=1).shares
    assert shares.tolist() == [-1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75, 1]


def test_a_row_keeps_its_class(classes: Generator) -> None:
    found = turn(classes, torch.zeros(5), rows=4, steps=2)
    assert np.array_equal(found.images[:, 0], classes.sample(4))
    assert np.array_equal(found.images[:, 1], classes.sample(4))


def test_picture_and_frames(generator: Generator) -> None:
    found = turn(generator, torch.ones(5), rows=3, steps=4)
    picture = found.picture()
    assert picture.shape == (3 * 18 + 2, 4 * 18 + 2, 1)
    assert np.array_equal(picture[20:36, 56:72], found.images[1, 3])
    frames = found.frames()
    assert len(frames) == 6  # 0 1 2 3 2 1
    assert np.array_equal(frames[1], frames[5])
    assert np.array_equal(frames[2][2:18, 20:36], found.images[1, 2])
    assert frames[0].shape == (2 * 18 + 2, 2 * 18 + 2, 1)


@pytest.mark.parametrize(
    "wrong",
    [{"rows": 0}, {"steps": 1}, {"reach": 0.0}, {"reach": float("nan")}, {"reach": 1e300}, {"seed": -1}],
)
def test_wrong_values(generator: Generator, wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"wants 1 or more|seed: -1 is outside"):
        turn(generator, torch.zeros(5), **wrong)  # type: ignore[arg-type]


def test_what_is_no_vector_and_too_many(generator: Generator) -> None:
    for vector in (torch.zeros(4), torch.zeros(1, 5), torch.full((5,), torch.nan)):
        with pytest.raises(InputError, match=r"vector: .*wants 5 finite numbers"):
            turn(generator, vector)
    with pytest.raises(InputError, match="27,000,000 images are too many for one turn"):
        turn(generator, torch.zeros(5), rows=3_000_000)
