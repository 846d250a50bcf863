"""The blog post's networks against the post's layers written out as functions."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dcgan.networks import build_discriminator, build_generator
from dcgan.presets import load_preset
from tests.networks.plain import close, count, noise, shaken


def settings(**changes):
    return load_preset("blog").replace(channels=1, **changes).network


def plain_generator(weights, z, side):
    """The post's Generator in train mode: the 0.8 is the eps of the second and third norm."""

    def conv(x, i):
        return F.conv2d(x, weights[f"blocks.{i}.weight"], weights[f"blocks.{i}.bias"], padding=1)

    def norm(x, i, eps):
        gain, bias = weights[f"blocks.{i}.weight"], weights[f"blocks.{i}.bias"]
        return F.batch_norm(x, None, None, gain, bias, training=True, eps=eps)

    def double(x):
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

    x = F.linear(z, weights["project.weight"], weights["project.bias"])
    x = double(norm(x.reshape(len(z), 128, side // 4, side // 4), 0, 1e-5))
    x = double(F.leaky_relu(norm(conv(x, 1), 2, 0.8), 0.2))
    x = F.leaky_relu(norm(conv(x, 4), 5, 0.8), 0.2)
    return torch.tanh(conv(x, 7))


def plain_discriminator(weights, x, train):
    """The post's Discriminator without its sigmoid; dropout works on whole maps, before the norm."""
    for i, (conv, norm) in enumerate([(0, None), (3, 6), (7, 10), (11, 14)]):
        x = F.conv2d(x, weights[f"blocks.{conv}.weight"], weights[f"blocks.{conv}.bias"], 2, 1)
        x = F.dropout2d(F.leaky_relu(x, 0.2), 0.25, train)
        if i:
            name = f"blocks.{norm}"
            mean, var = weights[f"{name}.running_mean"].clone(), weights[f"{name}.running_var"].clone()
            x = F.batch_norm(x, mean, var, weights[f"{name}.weight"], weights[f"{name}.bias"], train, 0.1, 0.8)
    return F.linear(x.flatten(1), weights["to_logit.weight"], weights["to_logit.bias"])[:, 0]


@pytest.mark.parametrize("side", [16, 32, 48])
def test_generator_is_the_posts(side):
    network = shaken(build_generator(settings(image_size=side)))
    z = noise(5, 100)
    close(network(z), plain_generator(network.state_dict(), z, side))


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("side", [16, 32, 48])
def test_discriminator_is_the_posts(side, train):
    network = shaken(build_discriminator(settings(image_size=side))).train(train)
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    images = noise(5, 1, side, side)
    torch.manual_seed(3)  # the same dropout
    logits = network(images)
    torch.manual_seed(3)
    close(logits, plain_discriminator(weights, images, train))


def test_parameter_counts_at_32_pixels_are_the_posts():
    generator, discriminator = build_generator(settings()), build_discriminator(settings())

    def conv(inputs, outputs):
        return inputs * outputs * 9 + outputs

    def norm(channels):
        return 2 * channels

    linear = 100 * 128 * 64 + 128 * 64
    assert count(generator) == 1_049_985
    assert count(generator) == linear + norm(128) + conv(128, 128) + norm(128) + conv(128, 64) + norm(64) + conv(64, 1)
    assert count(discriminator) == 98_113
    blocks = conv(1, 16) + conv(16, 32) + norm(32) + conv(32, 64) + norm(64) + conv(64, 128) + norm(128)
    assert count(discriminator) == blocks + 128 * 4 + 1


def test_only_convolutions_and_norms_are_initialised_anew():
    torch.manual_seed(0)
    for network in (build_generator(settings()), build_discriminator(settings())):
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                n = module.weight.numel()
                assert module.weight.std().item() == pytest.approx(0.02, rel=5 / math.sqrt(2 * n))
                assert module.bias is not None
                bound = 1 / math.sqrt(module.in_channels * 9)
                assert 0 < module.bias.abs().max() <= bound  # PyTorch's default
            elif isinstance(module, nn.BatchNorm2d):
                assert module.weight.mean().item() == pytest.approx(1.0, abs=0.02)
                assert module.weight.std().item() == pytest.approx(0.02, rel=0.6)
                assert not module.bias.any()
            elif isinstance(module, nn.Linear):
                bound = 1 / math.sqrt(module.in_features)
                assert 0.9 * bound < module.weight.abs().max() <= bound  # PyTorch's default
                assert module.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)


@pytest.mark.parametrize("size", ["16", "20", "28x36", "64x16", "100"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_any_multiple_of_4_and_any_channels(size, channels):
    config = load_preset("blog").replace(image_size=size, channels=channels).network
    images = build_generator(config)(torch.randn(2, 100))
    assert images.shape == (2, channels, *config.size)
    assert build_discriminator(config)(images).shape == (2,)
