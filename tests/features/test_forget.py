"""Forgetting: dropping maps by weights is dropping the maps; places and their classes against a re-statement."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from dcgan.errors import InputError
from dcgan.features.forget import (
    Forgetting,
    Samples,
    coverage,
    doubling,
    drawn,
    forget,
    map_count,
    save_run,
    weigh,
    without,
)
from dcgan.features.logistic import logistic
from dcgan.features.masks import region
from dcgan.networks import build_generator
from dcgan.presets import load_preset
from dcgan.pretrained import Generator, ModelInfo
from tests.networks.plain import shaken

CONCAT = {"conditional": True, "classes": 3, "condition": "concat"}
FAMILIES = [
    ("fast", {}),
    ("fast", {"image_size": "28x20", "upsampling": "resize"}),
    ("fast", {"norm_stats": "batch", "norm_affine": False, "kernel_size": 5, "conv_bias": True}),
    ("fast", {**CONCAT}),
    ("fast", {**CONCAT, "upsampling": "resize", "image_size": 40}),
    ("fast", {"conditional": True, "classes": 3}),
    ("blog", {}),
    ("paper-imagenet32", {}),
    ("paper-svhn", {}),
    ("paper-mnist", {"classes": 3, "image_size": 28}),
]


def generator(preset="fast", **changes):
    defaults = {"image_size": 32, "channels": 3, "width": 6, "latent_dim": 8}
    config = load_preset(preset).replace(**defaults | changes).network
    return Generator(shaken(build_generator(config)).float(), ModelInfo(config)).eval()


def forgetting(scale, maps):
    return Forgetting(scale, maps, np.zeros(1), 1, 1, 1.0)


def scales_of(which):
    layers = [
        m for m in which.network.modules() if isinstance(m, nn.ConvTranspose2d) or type(m).__name__ == "UpsampleConv"
    ]
    return [2**i for i in range(1, len(layers) + 1)]


@pytest.mark.parametrize(("preset", "changes"), FAMILIES)
def test_weights_at_zero_are_exactly_maps_at_zero(preset, changes):
    whole = generator(preset, **changes)
    z, classes = torch.randn(5, 8), whole.info.network.classes
    labels = torch.arange(5) % 3 if classes else None
    scales = scales_of(whole)
    assert len(scales) >= 2
    for scale in scales:
        count = map_count(whole, scale)
        maps = (count - 1, 0, 2)

        def drop(module, inputs, maps=maps):
            kept = inputs[0].clone()
            kept[:, list(maps)] = 0
            return (kept, *inputs[1:])

        edited = without(whole, forgetting(scale, maps))
        before = whole(z, labels)
        hook = doubling(whole.network, scale).register_forward_pre_hook(drop)
        expected = whole(z, labels)
        hook.remove()
        assert torch.equal(edited(z, labels), expected)
        assert not torch.equal(expected, before)
        assert torch.equal(whole(z, labels), before)  # the one given is left


@pytest.mark.parametrize(("preset", "changes"), FAMILIES)
def test_maps_are_as_many_times_smaller_as_is_said(preset, changes):
    whole = generator(preset, **changes)
    height, width = whole.info.network.size
    for scale in scales_of(whole):
        ((numbers, images, maps),) = drawn(whole, Samples((5, 1)), scale)
        assert numbers.tolist() == [1, 5]
        assert images.shape == (2, height, width, 3)
        assert maps.shape[0] == 2
        assert maps.shape[3] == map_count(whole, scale)
        for side, cells in zip((height, width), maps.shape[1:3], strict=True):
            assert 0 <= cells * scale - side < 2 * scales_of(whole)[-1]
        assert (maps >= 0).all() or preset == "blog"  # after the ReLU; the blog post's are leaky


@pytest.mark.parametrize("changes", [{}, {"norm_stats": "batch"}, CONCAT])
def test_drawn_samples_are_those_of_their_numbers(changes):
    whole = generator(**changes)
    chosen = Samples((130, 3, 64, 65, 3), seed=4, truncation=0.8)
    expected = whole.sample(131, 4, truncation=0.8)
    pieces = list(drawn(whole, chosen, 2))
    numbers = np.concatenate([piece[0] for piece in pieces])
    assert numbers.tolist() == [3, 64, 65, 130]
    images = np.concatenate([piece[1] for piece in pieces])
    assert np.abs(images.astype(int) - expected[numbers]).max() <= 1  # folded norms round otherwise
    if changes is CONCAT:
        one = np.concatenate([piece[1] for piece in drawn(whole, Samples((3, 64), 4, 1), 2)])
        assert np.abs(one.astype(int) - whole.sample(65, 4, label=1)[[3, 64]]).max() <= 1


def test_the_layer_is_the_one_the_paper_names():
    whole = generator("paper-svhn")
    assert doubling(whole.network, 2) is whole.network.get_submodule("to_image")
    assert doubling(whole.network, 8) is whole.network.get_submodule("blocks.0.0")
    assert doubling(generator("blog").network, 2).in_channels == 128
    for scale in (0, 1, 3, 16, -2):
        with pytest.raises(InputError, match=r"no maps .* smaller than the image \(\[2, 4, 8\]\)"):
            doubling(whole.network, scale)


def test_coverage_of_places():
    masks = np.zeros((1, 6, 8), bool)
    masks[0, 2:5, 3:8] = True
    assert coverage(masks, (3, 4), 2)[0].tolist() == [[0, 0, 0, 0], [0, 0.5, 1, 1], [0, 0.25, 0.5, 0.5]]
    cropped = coverage(masks, (2, 2), 4)[0]  # drawn 8×8, and a row is cut off above and below
    assert np.isnan(cropped).all()
    inner = coverage(masks, (5, 6), 2)[0]  # drawn 10×12, two pixels around
    assert np.isnan(inner[[0, -1]]).all()
    assert np.isnan(inner[:, [0, -1]]).all()
    assert inner[1:-1, 1:-1].tolist() == coverage(masks, (3, 4), 2)[0].tolist()


def test_the_weights_are_those_of_a_regression_written_out():
    """A place that the box covers by half is inside; one that it covers by less is neither inside nor outside."""
    whole = generator()
    chosen = Samples(tuple(range(70)), seed=2)
    found = forget(whole, chosen, lambda _, images: region(8, 4, 13, 18)(images), scale=4, l2=0.03, seed=5)
    rng, inside, outside = np.random.default_rng(5), [], []
    for _, _, maps in drawn(whole, chosen, 4):
        for cells in maps:
            box, touched = np.zeros((2, 8, 8), bool)
            box[2:5, 1:6] = touched[2:6, 1:6] = True
            inside.append(cells[box])
            others = cells[~touched]
            outside.append(others[rng.permutation(len(others))[:15]])
    x = np.concatenate(inside + outside).astype(float)
    y = np.arange(len(x)) < 70 * 15
    weights, bias = logistic(x / x.std(0), y, 0.03)
    np.testing.assert_allclose(found.weights, weights, rtol=1e-6)
    assert found.maps == tuple(int(i) for i in np.argsort(-weights) if weights[i] > 0)
    assert 0 < len(found.maps) < 12
    assert (found.images, found.places) == (70, 1050)
    assert found.accuracy == ((x / x.std(0) @ weights + bias > 0) == y).mean()
    fewer = forget(whole, chosen, lambda _, images: region(8, 4, 13, 18)(images), scale=4, l2=0.03, seed=5, maps=2)
    assert fewer.maps == found.maps[:2]


def test_a_map_that_marks_the_place_is_the_one_that_is_dropped():
    """A generator whose image is bright where one of its maps is: masks of brightness find that map."""
    whole = generator(width=6, channels=1, norm_affine=False)
    layer = doubling(whole.network, 2)
    with torch.no_grad():
        layer.weight.mul_(1e-3)
        layer.weight[4] = 5.0
    found = forget(
        whole, Samples(tuple(range(64))), lambda _, images: images[..., 0] > np.percentile(images, 80), l2=1e-3
    )
    assert found.maps[0] == 4
    assert found.weights[4] > 5 * np.delete(found.weights, 4).max()
    edited = without(whole, forgetting(2, found.maps[:1]))
    assert edited.sample(64).std() < whole.sample(64).std() / 10


def test_maps_far_from_zero_weigh_as_much_as_those_around_it():
    rng = np.random.default_rng(0)
    y = np.arange(40) % 4 == 0
    x = rng.standard_normal((40, 6)) + 0.3 * y[:, None]
    weights, accuracy = weigh(x, y, 0.03)
    far, as_accurate = weigh(x + 1e6, y, 0.03)
    np.testing.assert_allclose(far, weights, rtol=1e-6)
    assert as_accurate == accuracy > 0.5


def test_maps_that_never_change_have_no_weight():
    rng = np.random.default_rng(0)
    y = np.arange(40) < 20
    x = np.stack([np.full(40, 3.0), y + rng.standard_normal(40)], 1)
    weights, accuracy = weigh(x, y, 0.1)
    assert weights[0] == 0
    assert weights[1] > 0
    assert accuracy > 0.5
    assert weigh(np.ones((4, 2)), np.arange(4) < 2, 0.1)[1] == 0.5
    with pytest.raises(InputError, match="NaN"):
        weigh(np.full((4, 2), np.nan), np.arange(4) < 2, 0.1)


@pytest.mark.parametrize(
    ("masks", "options", "said"),
    [
        (lambda n, i: np.zeros(i.shape[:3], bool), {}, "nothing to learn from in 9 samples"),
        (lambda n, i: np.ones(i.shape[:3], bool), {}, "nothing to learn from"),
        (lambda n, i: region(0, 0, 1, 1)(i), {"scale": 4}, "half a place of 4x4 pixels"),
        (lambda n, i: region(0, 0, 8, 8)(i), {"maps": 0}, "maps: 0 cannot be dropped"),
        (lambda n, i: region(0, 0, 8, 8)(i), {"l2": 0.0}, "l2: 0.0 is outside"),
        (lambda n, i: region(0, 0, 8, 8)(i), {"l2": float("nan")}, "l2: nan is outside"),
        (lambda n, i: region(0, 0, 8, 8)(i), {"l2": float("inf")}, "l2: inf is outside"),
        (lambda n, i: region(0, 0, 8, 8)(i), {"scale": 3}, "no maps 3 times smaller"),
    ],
)
def test_senseless_requests_are_refused(masks, options, said):
    with pytest.raises(InputError) as caught:
        forget(generator(), Samples(tuple(range(9))), masks, **options)
    assert said in str(caught.value)


def test_an_edited_run_is_a_run(tmp_path, small_run):
    whole = Generator.from_pretrained(small_run, "cpu")
    edited = without(whole, forgetting(2, (1, 3)))
    save_run(edited, small_run, tmp_path / "new" / "run")
    back = Generator.from_pretrained(tmp_path / "new" / "run", "cpu")
    assert np.array_equal(back.sample(5), edited.sample(5))
    assert back.info.trained["forgot"] == [{"scale": 2, "maps": [1, 3]}]
    again = without(back, forgetting(4, (0,)))
    assert again.info.trained["forgot"] == [{"scale": 2, "maps": [1, 3]}, {"scale": 4, "maps": [0]}]
    for name in ("config.yaml", "data.json", "discriminator.safetensors"):
        assert (tmp_path / "new" / "run" / name).read_bytes() == (small_run / name).read_bytes()
    with pytest.raises(InputError, match="exists already"):
        save_run(edited, small_run, tmp_path / "new")
    save_run(edited, small_run / "generator.safetensors", tmp_path / "alone")
    assert {p.name for p in (tmp_path / "alone").iterdir()} == {"generator.safetensors", "model.json"}
    assert json.loads((tmp_path / "alone" / "model.json").read_text())["trained"]["forgot"]
