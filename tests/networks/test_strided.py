"""The paper's networks: any size, the authors' batch norms, and the released SVHN weights."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dcgan.config import Config
from dcgan.networks import build_discriminator, build_generator
from dcgan.presets import load_preset
from tests.networks.plain import close, count, noise, norm, shaken

SIZES = ["16", "17", "28", "31", "32", "37", "48", "64", "100", "128", "256", "48x64", "64x48", "16x256", "100x37"]
PADDING = {3: (1, 1), 4: (1, 0), 5: (2, 1)}  # kernel → padding, output padding


def settings(preset="fast", **changes):
    return load_preset(preset).replace(**{"image_size": 32, "channels": 3, "width": 4} | changes).network


def both(config):
    torch.manual_seed(0)
    return build_generator(config), build_discriminator(config)


def plain_generator(weights, config, z, doublings, base):
    """z → projection → norm → ReLU, (transposed convolution → norm → ReLU) × n, transposed convolution → tanh."""
    padding, extra = PADDING[config.kernel_size]

    def up(x, name):
        return F.conv_transpose2d(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"), 2, padding, extra)

    x = z @ weights["project.linear.weight"].T
    if config.projection_norm == "unit":
        x = norm(x, weights, "project.norm", config.norm_eps).reshape(len(z), -1, *base)
    else:
        x = norm(x.reshape(len(z), -1, *base), weights, "project.norm", config.norm_eps)
    x = F.relu(x)
    for i in range(doublings - 1):
        x = F.relu(norm(up(x, f"blocks.{i}.0"), weights, f"blocks.{i}.1", config.norm_eps))
    return torch.tanh(up(x, "to_image"))


def plain_discriminator(weights, config, x, halvings, normed=True):
    """(convolution → norm but for the first → leaky ReLU) × n → one linear unit; also gives the last maps."""
    for i in range(halvings):
        name = f"blocks.{i}.0"
        x = F.conv2d(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"), 2, PADDING[config.kernel_size][0])
        if i and normed:
            x = norm(x, weights, f"blocks.{i}.1", config.norm_eps)
        x = F.leaky_relu(x, 0.2)
    return F.linear(x.flatten(1), weights["to_logit.weight"], weights.get("to_logit.bias"))[:, 0], x


VARIANTS = [
    {},
    {"kernel_size": 3},
    {"kernel_size": 5, "conv_bias": True},
    {"projection_norm": "unit", "norm_stats": "batch", "norm_eps": 1e-8},
    {"norm_affine": False},
]


@pytest.mark.parametrize("changes", VARIANTS)
@pytest.mark.parametrize(("size", "doublings", "base"), [("32", 3, (4, 4)), ("16x24", 2, (4, 6)), ("64", 4, (4, 4))])
def test_generator_is_the_papers(changes, size, doublings, base):
    config = settings(image_size=size, **changes)
    network = shaken(build_generator(config))
    z = noise(4, 100)
    images = network(z)
    assert images.shape == (4, 3, *config.size)
    close(images, plain_generator(network.state_dict(), config, z, doublings, base))


@pytest.mark.parametrize("changes", VARIANTS)
@pytest.mark.parametrize(("size", "halvings"), [("32", 3), ("16x24", 2), ("37x30", 3), ("64", 4)])
def test_discriminator_is_the_papers(changes, size, halvings):
    config = settings(image_size=size, **changes)
    network = shaken(build_discriminator(config))
    images = noise(4, 3, *config.size)
    close(network(images), plain_discriminator(network.state_dict(), config, images, halvings)[0])


def test_discriminator_without_norms():
    config = settings(discriminator_norm="none")
    network = shaken(build_discriminator(config))
    images = noise(4, 3, 32, 32)
    close(network(images), plain_discriminator(network.state_dict(), config, images, 3, normed=False)[0])
    assert not [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]


def test_sizes_that_are_no_multiple_are_the_middle_of_a_larger_image():
    config = settings(image_size="37x30", conv_bias=True)  # base 5x4, drawn as 40x32
    network = shaken(build_generator(config))
    z = noise(4, 100)
    close(network(z), plain_generator(network.state_dict(), config, z, 3, (5, 4))[:, :, 1:38, 1:31])


def test_classes_are_a_one_hot_for_g_and_a_projection_for_d():
    config = settings(conditional=True, classes=3)
    generator, discriminator = map(shaken, both(config))
    z, labels = noise(5, 100), torch.tensor([0, 1, 2, 2, 0])
    images = generator(z, labels)
    coded = torch.cat([z, torch.eye(3, dtype=torch.float64)[labels]], 1)
    close(images, plain_generator(generator.state_dict(), config, coded, 3, (4, 4)))
    weights = discriminator.state_dict()
    logits, maps = plain_discriminator(weights, config, images, 3)
    close(discriminator(images, labels), logits + (weights["embed.weight"][labels] * maps.mean((2, 3))).sum(1))


def test_drawing_uses_running_statistics_when_asked_for():
    network = shaken(build_generator(settings()))
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    z = noise(4, 100)

    def bn(x, name):
        return F.batch_norm(x, *(weights[f"{name}.{p}"] for p in ("running_mean", "running_var", "weight", "bias")))

    x = F.relu(bn((z @ weights["project.linear.weight"].T).reshape(4, -1, 4, 4), "project.norm"))
    for i in range(2):
        x = F.relu(bn(F.conv_transpose2d(x, weights[f"blocks.{i}.0.weight"], None, 2, 1), f"blocks.{i}.1"))
    expected = F.conv_transpose2d(x, weights["to_image.weight"], None, 2, 1).tanh()
    close(network.eval()(z), expected)
    close(network.eval()(z[:1]), expected[:1])


def test_batch_statistics_are_the_same_in_both_modes():
    generator, discriminator = both(settings(norm_stats="batch"))
    z = torch.randn(4, 100)
    images = generator.train()(z)
    assert torch.equal(generator.eval()(z), images)
    assert torch.equal(discriminator.eval()(images), discriminator.train()(images))
    assert not [name for name, _ in generator.named_buffers()]


def norms(network):
    return [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]


def test_affine_free_norms_have_neither_gain_nor_bias():
    for network in both(settings(norm_affine=False)):
        assert norms(network)
        assert all(n.weight is None and n.bias is None for n in norms(network))


@pytest.mark.parametrize(("kind", "features"), [("unit", 16 * 4 * 6), ("channel", 16)])
def test_norm_after_the_projection(kind, features):
    generator = build_generator(settings(image_size="32x48", projection_norm=kind))
    assert norms(generator)[0].num_features == features


def test_norms_have_the_eps_of_the_settings():
    for network in both(settings(norm_eps=0.25)):
        assert {n.eps for n in norms(network)} == {0.25}


@pytest.mark.parametrize("conv_bias", [False, True])
def test_biases_only_when_asked_for(conv_bias):
    for network in both(settings(conv_bias=conv_bias)):
        convs = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        assert all((c.bias is not None) == conv_bias for c in convs)


@pytest.mark.parametrize("classes", [0, 10])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", SIZES)
def test_any_size_is_drawn_exactly_and_trains_every_weight(size, channels, classes):
    config = settings(image_size=size, channels=channels, classes=classes, width=2, conditional=classes > 0)
    generator, discriminator = both(config)
    labels = torch.tensor([1, 7]) if classes else None
    images = generator(torch.randn(2, 100), labels)
    assert images.shape == (2, channels, *config.size)
    assert images.abs().max() <= 1
    logits = discriminator(images, labels)
    assert logits.shape == (2,)
    (logits * torch.tensor([1.0, 3.0])).sum().backward()
    for name, parameter in [*generator.named_parameters(), *discriminator.named_parameters()]:
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("kernel_size", [3, 4, 5])
@pytest.mark.parametrize("size", ["16", "17", "31", "37x100"])
def test_every_kernel_fits_odd_sizes(size, kernel_size):
    config = settings(image_size=size, kernel_size=kernel_size)
    generator, discriminator = both(config)
    images = generator(torch.randn(2, 100))
    assert images.shape == (2, 3, *config.size)
    assert discriminator(images).shape == (2,)


def test_weights_begin_normal_and_norms_near_1():
    checked = 0
    for network in both(settings(width=32, image_size=64)):
        for name, parameter in network.named_parameters():
            wide = 5 / math.sqrt(2 * parameter.numel())  # five standard errors of a standard deviation
            if parameter.ndim >= 2:
                assert parameter.std().item() == pytest.approx(0.02, rel=wide), name
                assert abs(parameter.mean().item()) < 0.1 / math.sqrt(parameter.numel())
                checked += 1
            elif name.endswith("weight"):
                assert parameter.std().item() == pytest.approx(0.02, rel=wide), name
                assert parameter.mean().item() == pytest.approx(1.0, abs=0.1 / math.sqrt(parameter.numel()))
                checked += 1
            else:
                assert not parameter.any(), name
    assert checked == 17  # 5 + 4 in G, 5 + 3 in D


def test_parameter_counts_of_the_papers_faces():
    with torch.device("meta"):
        generator, discriminator = both(settings("paper", image_size=64, width=128))
    z, norms1d, k = 100 * 16384, 2 * 16384, 25
    assert count(generator) == 18_885_760
    assert count(generator) == z + norms1d + k * (1024 * 512 + 512 * 256 + 256 * 128 + 128 * 3) + 2 * (512 + 256 + 128)
    assert count(discriminator) == 17_232_768
    blocks = k * (3 * 128 + 128 * 256 + 256 * 512 + 512 * 1024) + 2 * (256 + 512 + 1024)
    assert count(discriminator) == blocks + 1024 * 16


GEN = [(100, 4096), (4096,), (4096,), (256, 128, 5, 5), (128,), (128,), (128, 64, 5, 5), (64,), (64,), (64, 3, 5, 5)]
DISCRIM = [(64, 3, 5, 5), (128, 64, 5, 5), (128,), (128,), (256, 128, 5, 5), (256,), (256,), (4096, 1)]


def svhn():
    return both(load_preset("paper-svhn").network)


def as_theirs(tensor):
    """A weight of ours as the authors store it: matrices are (inputs, outputs), kernels flipped."""
    return tensor.T if tensor.ndim == 2 else tensor.flip(2, 3) if tensor.ndim == 4 else tensor


def test_svhn_networks_have_the_shapes_of_the_released_ones():
    generator, discriminator = svhn()
    assert [tuple(as_theirs(p).shape) for p in generator.parameters()] == GEN
    assert [tuple(as_theirs(p).shape) for p in discriminator.parameters()] == DISCRIM


@pytest.fixture(scope="module")
def released():
    """The authors' tensors in their order, kernels not flipped yet."""
    folder = Path(os.environ.get("DCGAN_DATA", "nowhere")) / "../reference/svhn-authors-weights"
    if not folder.is_dir():
        pytest.skip("the released SVHN weights are not beside $DCGAN_DATA")
    return [
        [torch.from_numpy(np.load(path)) for path in sorted(folder.glob(pattern))]
        for pattern in ("gen_*.npy", "discrim_*.npy")
    ]


@pytest.mark.data
def test_released_svhn_weights_work_in_our_networks(released):
    gen, discrim = released
    assert [tuple(t.shape) for t in gen] == GEN
    assert [tuple(t.shape) for t in discrim] == DISCRIM
    generator, discriminator = svhn()
    for network, tensors in ((generator, gen), (discriminator, discrim)):
        for parameter, theirs in zip(network.parameters(), tensors, strict=True):
            parameter.data.copy_(as_theirs(theirs))

    def bn(x, gain, bias):
        axes, shape = [0, *range(2, x.ndim)], (1, -1, *[1] * (x.ndim - 2))
        x = (x - x.mean(axes, keepdim=True)) / (x.var(axes, unbiased=False, keepdim=True) + 1e-8).sqrt()
        return x * gain.reshape(shape) + bias.reshape(shape)

    def up(x, kernel):
        return F.conv_transpose2d(x, kernel.flip(2, 3), None, 2, 2, 1)

    def down(x, kernel):
        return F.conv2d(x, kernel.flip(2, 3), None, 2, 2)

    w, g, b, w2, g2, b2, w3, g3, b3, wx = (t.double() for t in gen)
    z = noise(64, 100)
    h = F.relu(bn(z @ w, g, b)).reshape(64, 256, 4, 4)
    h = F.relu(bn(up(h, w2), g2, b2))
    h = F.relu(bn(up(h, w3), g3, b3))
    images = torch.tanh(up(h, wx))
    close(generator.double()(z), images)

    w, w2, g2, b2, w3, g3, b3, wy = (t.double() for t in discrim)
    h = F.leaky_relu(down(images, w), 0.2)
    h = F.leaky_relu(bn(down(h, w2), g2, b2), 0.2)
    h = F.leaky_relu(bn(down(h, w3), g3, b3), 0.2)
    logits = (h.flatten(1) @ wy)[:, 0]
    close(discriminator.double()(images), logits)
    # Trained to the end, it knows its generator's drawings; with kernels left unflipped it believes 9 in 10.
    assert logits.sigmoid().mean() < 0.05


def test_settings_of_the_defaults_at_64_pixels():
    config = Config().replace(image_size=64, channels=3).network
    generator, discriminator = both(config)
    assert [tuple(p.shape) for n, p in generator.named_parameters() if p.ndim == 4] == [
        (192, 96, 4, 4),
        (96, 48, 4, 4),
        (48, 24, 4, 4),
        (24, 3, 4, 4),
    ]
    assert discriminator.to_logit.in_features == 192 * 16
