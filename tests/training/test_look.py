"""What a look sees, against plain loops and networks whose failure is made by hand."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dcgan.config import Config
from dcgan.data.pack import Pack
from dcgan.presets import load_preset
from dcgan.training.look import MOVES, Activations, Layer, Looks, mean_nearest, share_dead, share_moving
from dcgan.training.step import TrainingStep

SMALL = {"image_size": 16, "channels": 1, "width": 4, "latent_dim": 8}
FAMILIES = [("fast", {}), ("blog", {}), ("paper-imagenet32", {}), ("paper-mnist", {"classes": 3}), ("paper", {})]


def settings(preset="fast", **changes) -> Config:
    return load_preset(preset).replace(**SMALL | changes)


def pack(n=200, side=16, labels=None) -> Pack:
    """Pictures with some structure."""
    rng = np.random.default_rng(0)
    images = np.kron(
        rng.integers(0, 256, (n, 4, 4, 1), dtype=np.uint8), np.ones((1, side // 4, side // 4, 1), np.uint8)
    )
    return Pack(images, labels, (), (), 0, "key", Path(), "some", True)


def looking(preset="fast", data=None, **changes) -> tuple[TrainingStep, Looks]:
    config = settings(preset, **changes)
    torch.manual_seed(0)
    step = TrainingStep(config, torch.device("cpu"))
    return step, Looks(config, step, data or pack())


# How varied images are -------------------------------------------------------------------------------------------


def plain_nearest(images, labels):
    """Loops over pairs of images pooled to 16 × 16."""
    n, size = len(images), images.shape[2] // 16
    pooled = images.numpy().reshape(n, -1, 16, size, 16, size).mean((3, 5))
    found = []
    for i in range(n):
        others = [j for j in range(n) if j != i and labels[j] == labels[i]]
        if others:
            found.append(min(np.sqrt(((pooled[i] - pooled[j]) ** 2).sum()) for j in others))
    return np.mean(found)


@pytest.mark.parametrize("labels", [None, torch.tensor([0, 1, 0, 1, 1, 2, 0])])
def test_mean_nearest_is_the_plain_loops(labels):
    images = torch.randn(7, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    expected = plain_nearest(images, [0] * 7 if labels is None else labels.tolist())
    assert mean_nearest(images, labels) == pytest.approx(expected, rel=1e-5)


def test_mean_nearest_of_what_cannot_be_compared_is_zero():
    assert mean_nearest(torch.randn(1, 1, 16, 16)) == 0
    assert mean_nearest(torch.randn(3, 1, 16, 16), torch.tensor([0, 1, 2])) == 0


def test_a_collapse_to_a_few_images_is_seen_where_the_mean_of_pairs_sees_none():
    few = torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(0)).repeat(16, 1, 1, 1)
    varied = torch.randn(64, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    assert mean_nearest(few) == 0
    assert (
        torch.cdist(few.flatten(1), few.flatten(1)).mean()
        > 0.7 * torch.cdist(varied.flatten(1), varied.flatten(1)).mean()
    )


def draw_instead(images, step, monkeypatch):
    """Have G draw these, whatever it makes itself."""
    forward = step.average.network.forward

    def instead(z, labels):
        forward(z, labels)
        return images

    monkeypatch.setattr(step.average.network, "forward", instead)


def test_diversity_is_one_for_the_data_itself_and_nothing_for_a_generator_that_ignores_z(monkeypatch):
    step, looks = looking()
    draw_instead(looks.real, step, monkeypatch)
    assert looks()["diversity"] == pytest.approx(1, rel=1e-6)
    monkeypatch.undo()
    forward = step.average.network.forward
    monkeypatch.setattr(step.average.network, "forward", lambda z, labels: forward(0 * z, labels))
    assert looks()["diversity"] == 0


def test_diversity_of_a_conditional_generator_is_that_within_a_class(monkeypatch):
    labels = np.arange(200) % 3
    step, looks = looking(data=pack(labels=labels), conditional=True, classes=3)
    of_class = looks.real[:3]
    draw_instead(of_class.repeat(22, 1, 1, 1)[:64], step, monkeypatch)  # one image a class
    assert looks()["diversity"] == 0


def test_images_that_are_all_alike_leave_diversity_out():
    data = pack()
    _, looks = looking(data=Pack(np.zeros_like(data.images), None, (), (), 0, "key", Path(), "black", True))
    assert "diversity" not in looks()


@pytest.mark.parametrize(("n", "classes", "expected"), [(200, 0, 64), (20, 0, 20), (200, 5, 64), (20, 5, 20)])
def test_as_many_real_images_as_latents_each_once_and_of_the_same_classes(n, classes, expected):
    labels = np.arange(n) % classes if classes else None
    data = pack(n, labels=labels)
    _, looks = looking(data=data, conditional=classes > 0, classes=classes)
    assert len(looks.real) == expected == len(looks.real.flatten(1).unique(dim=0))
    if classes:
        assert looks.both_labels is not None
        counts = torch.bincount(looks.both_labels[:expected], minlength=classes).tolist()
        assert counts == ([13, 13, 13, 13, 12] if n == 200 else [4] * 5)
        rows = [
            int(
                (data.images == image.add(1).mul(127.5).round().byte().permute(1, 2, 0).numpy()).all((1, 2, 3)).argmax()
            )
            for image in looks.real
        ]
        assert [row % classes for row in rows] == looks.both_labels[:expected].tolist()


# Filters ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preset", "changes", "of_g", "of_d"),
    [
        ("fast", {}, [8, 4], [4, 8]),
        ("blog", {}, [128, 64], [16, 32, 64, 128]),
        ("paper-imagenet32", {"channels": "3"}, [16, 16, 8, 8, 4, 4], [4, 4, 8, 8, 16, 16]),
        ("paper-mnist", {"classes": 3}, [64, 128, 4], [4, 8, 64]),
    ],
)
def test_every_familys_activations_are_seen(preset, changes, of_g, of_d):
    config = settings(preset, **changes)
    step = TrainingStep(config, torch.device("cpu"))
    labels = torch.arange(6) % 3 if config.network.conditional else None
    with Activations() as g:
        drawn = step.generator(step.latent(6), labels)
    with Activations() as d:
        step.discriminator(drawn, labels)
    assert [len(layer.ranges) for layer in g.layers] == of_g
    assert [len(layer.ranges) for layer in d.layers] == of_d


@pytest.mark.parametrize("shape", [(6, 5, 8, 8), (6, 5, 4, 4), (6, 5)])
def test_a_layer_keeps_ranges_means_and_spreads(shape):
    maps = torch.randn(shape, generator=torch.Generator().manual_seed(0)).double()
    layer = Layer.of(maps)
    array = maps.numpy().reshape(6, 5, *(shape[2:] or (1, 1)))
    k = array.shape[2] // 4 or 1
    places = array.reshape(6, 5, array.shape[2] // k, k, array.shape[3] // k, k).mean((3, 5)).reshape(6, 5, -1)
    np.testing.assert_allclose(layer.ranges, array.max((0, 2, 3)) - array.min((0, 2, 3)))
    np.testing.assert_allclose(layer.means, places.mean(0))
    np.testing.assert_allclose(layer.spreads, places.var(0, ddof=1).mean(1))


def test_dead_filters_of_both_networks_are_counted():
    step, looks = looking()
    alive = looks()
    assert (alive["dead_g"], alive["dead_d"]) == (0, 0)
    norm: Any = step.average.network.get_submodule("blocks.0.1")
    with torch.no_grad():
        norm.bias[:3] = -100  # its ReLU gives 0 everywhere
        dict(step.discriminator.named_parameters())["blocks.0.0.weight"][0] = 0
    sick = looks()
    assert sick["dead_g"] == pytest.approx(3 / 12)
    assert sick["dead_d"] == pytest.approx(1 / 12)


def test_a_layer_that_is_dead_as_a_whole_is_dead():
    assert share_dead([Layer.of(torch.zeros(4, 3, 4, 4)), Layer.of(torch.randn(4, 3, 4, 4))]) == 0.5


def test_maps_that_move_further_than_they_differ_are_counted():
    spread, shift = torch.tensor([1.0, 1.0, 0.0]), torch.tensor([0.9, 1.1, 0.0])  # the last is dead, and stays
    layer = Layer(torch.ones(3), torch.zeros(3, 4), spread)
    before = (layer.means + shift[:, None]).flatten()
    assert share_moving([layer], before) == pytest.approx(1 / 3)
    assert share_moving([layer, layer], torch.cat([layer.means.flatten(), before])) == pytest.approx(1 / 6)


def test_a_filter_that_leaves_the_latent_and_swings_oscillates():
    step, looks = looking()
    norm: Any = step.average.network.get_submodule("blocks.0.1")
    seen = []
    for i in range(4):
        with torch.no_grad():
            norm.weight[:2] = 0  # two of twelve maps are their bias, whatever the latent
            norm.bias[:2] = 1 + i % 2
        seen.append(looks())
    assert "oscillation" not in seen[0]
    assert [look["oscillation"] for look in seen[1:]] == [pytest.approx(2 / 12)] * 3
    assert looks()["oscillation"] == 0  # nothing has changed since


def test_moved_is_the_largest_change_of_a_norm_against_the_norm_of_all():
    step, looks = looking()
    parameters = list(step.generator.parameters())
    before = [p.norm().item() for p in parameters]
    with torch.no_grad():
        parameters[1].mul_(1.5)
        parameters[2].mul_(1.01)
    assert "moved_g" not in looks()  # G has had no update
    step.pushed += MOVES
    changes = [abs(p.norm().item() - b) for p, b in zip(parameters, before, strict=True)]
    assert looks()["moved_g"] == pytest.approx(
        max(changes) / torch.cat([p.flatten() for p in parameters]).norm().item(), rel=1e-4
    )
    step.pushed += MOVES / 2
    assert "moved_g" not in looks()
    step.pushed += MOVES / 2
    assert looks()["moved_g"] == 0


@pytest.mark.parametrize("classes", [40, 70])
def test_many_classes_are_compared_as_well(classes):
    images = pack(10 * classes, labels=np.arange(10 * classes) % classes)
    step, looks = looking("fast", images, conditional=True, classes=classes)
    assert 0 < looks()["diversity"] < 2
    with torch.no_grad():  # blind to the latent, as after a collapse
        projection: Any = step.average.network.get_submodule("project.linear")
        projection.weight[:, : step.net.latent_dim] = 0
    assert looks()["diversity"] < 0.01


# What a look leaves as it was ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("preset", "changes"), FAMILIES)
def test_a_look_changes_nothing_and_repeats(preset, changes):
    labels = np.arange(200) % 3 if "classes" in changes else None
    step, looks = looking(preset, pack(labels=labels), **changes)
    before = {name: tensor.clone() for name, tensor in step.tensors().items()}
    modes = [m.training for m in itertools.chain(step.generator.modules(), step.discriminator.modules())]
    first, again = looks(), looks()
    assert modes == [m.training for m in itertools.chain(step.generator.modules(), step.discriminator.modules())]
    for name, tensor in step.tensors().items():
        assert torch.equal(tensor, before[name]), name
    assert all(np.isfinite(value) for value in first.values())
    assert again == first | {"oscillation": 0.0}


def test_a_restored_look_compares_with_the_one_before():
    step, looks = looking()
    looks()
    _, resumed = looking()
    resumed.step = step
    resumed.restore(looks.tensors())
    with torch.no_grad():
        next(step.generator.parameters()).mul_(2)
        step.average.update()
    assert resumed() == looks()
