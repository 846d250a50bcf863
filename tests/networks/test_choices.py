"""Choices beside the paper's: classes at every layer, resize-convolutions, no or spectral norm; each written out."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dcgan.config import Config
from dcgan.errors import InputError
from dcgan.files import read_tensors, write_tensors
from dcgan.networks import build_discriminator, build_generator
from dcgan.networks.blocks import norm1d, norm2d
from dcgan.networks.convolutions import UpsampleConv
from dcgan.presets import load_preset
from tests.networks.plain import close, noise, norm, shaken

LABELS = torch.tensor([0, 1, 2, 2])


def layers_of(network):
    return [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear | nn.Embedding)]


def original(layer):
    """Its weight as the optimiser sees it, under spectral norm or not."""
    return layer.parametrizations.weight.original if hasattr(layer, "parametrizations") else layer.weight


def settings(**changes):
    return load_preset("fast").replace(**{"image_size": 32, "channels": 3, "width": 4} | changes).network


def with_codes(x, labels, classes):
    """The one-hot of each label beside every pixel, or beside the units."""
    codes = torch.eye(classes, dtype=torch.float64)[labels]
    return torch.cat([x, codes if x.ndim == 2 else codes[:, :, None, None] * torch.ones(1, 1, *x.shape[2:])], 1)


def test_concat_appends_the_class_at_every_layer_of_g():
    config = settings(conditional=True, classes=3, condition="concat")
    network = shaken(build_generator(config))
    w, z = network.state_dict(), noise(4, 100)
    x = (with_codes(z, LABELS, 3) @ w["project.linear.weight"].T).reshape(4, 16, 4, 4)
    x = F.relu(norm(x, w, "project.norm", config.norm_eps))
    for i in range(2):
        x = F.conv_transpose2d(with_codes(x, LABELS, 3), w[f"blocks.{i}.0.weight"], None, 2, 1)
        x = F.relu(norm(x, w, f"blocks.{i}.1", config.norm_eps))
    close(network(z, LABELS), F.conv_transpose2d(with_codes(x, LABELS, 3), w["to_image.weight"], None, 2, 1).tanh())


def test_concat_appends_the_class_at_every_layer_of_d():
    config = settings(conditional=True, classes=3, condition="concat")
    network = shaken(build_discriminator(config))
    w, x = network.state_dict(), noise(4, 3, 32, 32)
    images = x
    for i in range(3):
        x = F.conv2d(with_codes(x, LABELS, 3), w[f"blocks.{i}.0.weight"], None, 2, 1)
        x = F.leaky_relu(norm(x, w, f"blocks.{i}.1", config.norm_eps) if i else x, 0.2)
    close(network(images, LABELS), (with_codes(x.flatten(1), LABELS, 3) @ w["to_logit.weight"].T)[:, 0])
    assert "embed.weight" not in w


@pytest.mark.parametrize(("make", "shape"), [(norm2d, (8, 3, 4, 4)), (norm1d, (8, 3))])
def test_running_statistics_move_by_a_tenth(make, shape):
    layer, x = make(settings(norm_stats="running"), 3), noise(*shape).float()
    mean, variance = torch.full((3,), 5.0), torch.full((3,), 7.0)
    layer.running_mean.copy_(mean)
    layer.running_var.copy_(variance)
    close(layer(x), F.batch_norm(x, mean, variance, training=True, momentum=0.1, eps=layer.eps))
    close(layer.running_mean, mean)
    close(layer.running_var, variance)


@pytest.mark.parametrize("build", [build_generator, build_discriminator])
def test_without_classes_the_condition_changes_nothing(build):
    names = [
        {n: t.shape for n, t in build(settings(condition=c)).state_dict().items()} for c in ("projection", "concat")
    ]
    assert names[0] == names[1]


def test_concat_works_in_bfloat16():
    config = settings(conditional=True, classes=3, condition="concat")
    with torch.autocast("cpu", torch.bfloat16):
        images = build_generator(config)(torch.randn(4, 100), LABELS)
        logits = build_discriminator(config)(images, LABELS)
    assert (images.dtype, logits.dtype) == (torch.bfloat16, torch.bfloat16)


@pytest.mark.parametrize("conv_bias", [False, True])
def test_resize_is_nearest_neighbours_and_a_convolution(conv_bias):
    config = settings(upsampling="resize", conv_bias=conv_bias)
    network = shaken(build_generator(config))
    w, z = network.state_dict(), noise(4, 100)

    def up(x, name):
        x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        return F.conv2d(x, w[f"{name}.weight"], w.get(f"{name}.bias"), padding=1)

    x = F.relu(norm((z @ w["project.linear.weight"].T).reshape(4, 16, 4, 4), w, "project.norm", config.norm_eps))
    for i in range(2):
        x = F.relu(norm(up(x, f"blocks.{i}.0"), w, f"blocks.{i}.1", config.norm_eps))
    close(network(z), up(x, "to_image").tanh())


@pytest.mark.parametrize("family", ["imagenet32", "mnist"])
def test_other_families_can_resize_too(family):
    classes = 3 if family == "mnist" else 0
    config = settings(family=family, upsampling="resize", conditional=classes > 0, classes=classes)
    network = build_generator(config)
    assert not [m for m in network.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert [m for m in network.modules() if isinstance(m, UpsampleConv)]
    assert network(torch.randn(4, 100), LABELS if classes else None).shape == (4, 3, 32, 32)


FAMILIES = [("strided", 0), ("strided", 3), ("imagenet32", 0), ("mnist", 3)]


@pytest.mark.parametrize(("family", "classes"), FAMILIES)
@pytest.mark.parametrize("kind", ["none", "spectral"])
def test_without_batch_norm_layers_have_biases_and_keep_the_scale(family, classes, kind):
    """He's weights: white noise comes out of every layer about as strong as it went in; N(0, 0.02) loses it."""
    torch.manual_seed(0)
    config = settings(family=family, width=32, discriminator_norm=kind, conditional=classes > 0, classes=classes)
    network = build_discriminator(config)
    layers = [m for m in layers_of(network) if not isinstance(m, nn.Embedding)]
    assert not [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    for layer in layers:
        weight = original(layer)
        expected = math.sqrt(2 / 1.04 / weight[0].numel())
        assert weight.std().item() == pytest.approx(expected, rel=5 / math.sqrt(2 * weight.numel()))
        assert layer.bias is not None
        assert not layer.bias.any()
    if kind == "none":
        logits = network(torch.randn(64, 3, 32, 32), torch.arange(64) % classes if classes else None)
        assert 0.2 < logits.std() < 2


@pytest.mark.parametrize("classes", [0, 3])
def test_spectral_norm_divides_each_weight_by_its_largest_singular_value(classes):
    torch.manual_seed(0)
    config = settings(discriminator_norm="spectral", conditional=classes > 0, classes=classes)
    network = build_discriminator(config)
    images, labels = torch.randn(4, 3, 32, 32), LABELS if classes else None
    for _ in range(300):  # a power iteration at each look
        network(images, labels)
    assert len(layers_of(network)) == 4 + bool(classes)
    plain = build_discriminator(settings(discriminator_norm="none", conditional=classes > 0, classes=classes))
    for layer, other in zip(layers_of(network), layers_of(plain), strict=True):
        largest = torch.linalg.svdvals(original(layer).flatten(1).double())[0]
        torch.testing.assert_close(layer.weight, (original(layer) / largest).float(), rtol=2e-3, atol=1e-5)
        other.weight.data.copy_(original(layer) / largest)
    torch.testing.assert_close(network.eval()(images, labels), plain(images, labels), rtol=1e-2, atol=1e-4)


def test_spectral_norm_survives_a_copy_a_file_and_the_memory_layout(tmp_path):
    torch.manual_seed(0)
    network = build_discriminator(settings(discriminator_norm="spectral")).to(memory_format=torch.channels_last)
    images = torch.randn(4, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    network(images).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())
    expected = network.eval()(images)
    assert torch.equal(copy.deepcopy(network)(images), expected)
    write_tensors(tmp_path / "x", network.state_dict(), {})
    other = build_discriminator(settings(discriminator_norm="spectral")).to(memory_format=torch.channels_last).eval()
    other.load_state_dict(read_tensors(tmp_path / "x")[0])
    assert torch.equal(other(images), expected)


@pytest.mark.parametrize("build", [build_generator, build_discriminator])
@pytest.mark.parametrize(
    "settings",
    [
        {"image_size": 64, "width": 1024},
        {"image_size": 256, "width": 64, "classes": 2000, "conditional": True, "condition": "concat"},
    ],
)
def test_networks_that_are_too_large_are_refused_before_they_are_made(build, settings):
    config = Config().replace(channels=3, **settings).network
    with pytest.raises(InputError, match="too large: at most 268,435,456 and 1,073,741,824"):
        build(config)


@pytest.mark.parametrize("build", [build_generator, build_discriminator])
def test_counting_weights_takes_no_random_numbers(build):
    config = Config().replace(image_size=16, channels=1).network
    torch.manual_seed(0)
    one = build(config)
    torch.manual_seed(0)
    other = type(one)(config)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))
