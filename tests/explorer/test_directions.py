"""Principal directions, against drawing many z and regressing them on the components, as GANSpace does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dcgan.errors import InputError
from dcgan.explorer.directions import first_layer, principal_directions
from dcgan.latents import latents
from dcgan.pretrained import Generator, class_labels
from tests.test_pretrained import BATCH, CLASSES, trained

SMALL = {"image_size": 16, "channels": 1}


class Enough(Exception):
    """The first activations are there; the rest of the network would take long."""


def after_first(network, z, labels):
    """What comes out of the first norm: (N, units)."""
    seen = []

    def note(_, __, output):
        seen.append(output.flatten(1))
        raise Enough

    hook = first_layer(network)[1].register_forward_hook(note)
    with pytest.raises(Enough):
        network(z, labels)
    hook.remove()
    return seen[0]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"latent": "uniform"},
        {"projection_norm": "unit"},
        BATCH,
        CLASSES,
        {"norm_affine": False},
        {"family": "blog", **SMALL},
        {"family": "imagenet32", **SMALL},
        {"family": "mnist", **SMALL, **CLASSES},
        {"family": "mnist", **SMALL, **CLASSES, **BATCH},
    ],
)
@torch.no_grad()
def test_directions_are_what_drawing_many_z_finds(settings):
    generator = trained(Generator, **settings)
    config, n = generator.info.network, 40_000
    first_layer(generator.network)[0].weight[:, :6] *= 1.5 ** torch.arange(6)  # components far from each other
    z = latents(n, 6, 1, distribution=config.latent)
    network = generator.alone().eval()
    # One class: what the classes change is no direction of z.
    activations = torch.cat(
        [after_first(network, part, class_labels(config.classes, len(part), label=1)) for part in z.split(8000)]
    )
    centred = activations.double().numpy()
    centred -= centred.mean(0)
    values, components = np.linalg.eigh(centred.T @ centred / n)
    values, components = values[::-1][:6], components[:, ::-1][:, :6]
    coordinates = centred @ components
    regressed = np.linalg.lstsq(coordinates, z.double().numpy(), rcond=None)[0]
    found = principal_directions(generator)
    assert found.vectors.shape == (6, 6)
    np.testing.assert_allclose(found.shares, values / values.sum(), atol=0.01)
    deviation = {"normal": 1.0, "uniform": 3**-0.5}[config.latent]
    np.testing.assert_allclose(found.vectors.norm(dim=1), deviation, rtol=1e-5)
    gaps = np.append(np.inf, values[:-1] / values[1:])
    clear = np.minimum(gaps, np.append(gaps[1:], np.inf)) > 1.2  # components of like variance may mix
    assert clear.sum() >= 3
    for vector, other in zip(found.vectors.numpy()[clear], regressed[clear], strict=True):
        cosine = vector @ other / np.linalg.norm(vector) / np.linalg.norm(other)
        assert abs(cosine) > 0.98


def test_a_variance_below_0_is_refused():
    generator = trained(Generator)
    first_layer(generator.network)[1].state_dict()["running_var"].fill_(-5)
    with pytest.raises(InputError, match="first norm makes NaN"):
        principal_directions(generator)


def test_the_first_so_many_and_always_the_same_way_round():
    generator = trained(Generator)
    few, all_of_them = principal_directions(generator, 2), principal_directions(generator)
    assert torch.equal(few.vectors, all_of_them.vectors[:2])
    assert few.shares == all_of_them.shares[:2]
    assert sum(all_of_them.shares) == pytest.approx(1)
    largest = all_of_them.vectors.gather(1, all_of_them.vectors.abs().argmax(1, keepdim=True))
    assert (largest > 0).all()
    assert list(all_of_them.shares) == sorted(all_of_them.shares, reverse=True)
