"""The authors' ImageNet and MNIST networks, against their code's layers written out as functions."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dcgan.networks import build_discriminator, build_generator
from dcgan.presets import load_preset
from tests.networks.plain import close, count, noise, norm, shaken


def imagenet(**changes):
    return load_preset("paper-imagenet32").replace(**{"width": 4} | changes).network


def mnist(**changes):
    return load_preset("paper-mnist").replace(**{"width": 4, "classes": 10} | changes).network


def both(config):
    torch.manual_seed(0)
    return build_generator(config), build_discriminator(config)


def test_imagenet_generator():
    network = shaken(build_generator(imagenet()))
    w, z = network.state_dict(), noise(4, 256)
    x = F.relu(norm(z @ w["project.linear.weight"].T, w, "project.norm", 1e-8)).reshape(4, 16, 4, 4)
    for i, doubles in enumerate([True, False, True, False, True]):
        kernel = w[f"blocks.{i}.0.weight"]
        x = F.conv_transpose2d(x, kernel, None, 2, 1, 1) if doubles else F.conv2d(x, kernel, None, 1, 1)
        x = F.relu(norm(x, w, f"blocks.{i}.1", 1e-8))
    close(network(z), torch.tanh(F.conv2d(x, w["to_image.weight"], None, 1, 1)))


def test_imagenet_discriminator():
    network = shaken(build_discriminator(imagenet()))
    w, images = network.state_dict(), noise(4, 3, 32, 32)
    x = images
    for i, stride in enumerate([1, 2, 1, 2, 1, 2]):
        x = F.conv2d(x, w[f"blocks.{i}.0.weight"], None, stride, 1)
        x = F.leaky_relu(norm(x, w, f"blocks.{i}.1", 1e-8) if i else x, 0.2)
    close(network(images), x.flatten(1) @ w["to_logit.weight"][0])


def convs(network):
    return [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]


def test_imagenet_maps_are_those_of_the_authors_code():
    with torch.device("meta"):
        generator, discriminator = both(imagenet(width=128))
    assert [m.out_channels for m in convs(generator)] == [512, 256, 256, 128, 128, 3]
    assert [m.stride[0] for m in convs(generator)] == [2, 1, 2, 1, 2, 1]
    assert [m.out_channels for m in convs(discriminator)] == [128, 128, 256, 256, 512, 512]
    assert [m.stride[0] for m in convs(discriminator)] == [1, 2, 1, 2, 1, 2]
    assert generator.project.linear.weight.shape == (512 * 16, 256)


def test_imagenet_features_pooled_to_4_by_4_are_28672():
    discriminator = build_discriminator(imagenet(width=128))
    features = []
    for conv in convs(discriminator):
        conv.register_forward_hook(lambda _, __, maps: features.append(F.adaptive_max_pool2d(maps, 4).flatten(1)))
    with torch.no_grad():
        discriminator(torch.randn(2, 3, 32, 32))
    assert torch.cat(features, 1).shape == (2, 28_672)


def with_maps(x, code):
    """A constant map for each class, after the features."""
    return torch.cat([x, code[:, :, None, None] * torch.ones_like(x[:, :1])], 1)


@pytest.fixture
def code():
    return torch.eye(10, dtype=torch.float64)[[3, 0, 9, 3]]


@pytest.fixture
def labels():
    return torch.tensor([3, 0, 9, 3])


@pytest.mark.parametrize("affine", [False, True])
def test_mnist_generator(code, labels, affine):
    network = shaken(build_generator(mnist(norm_affine=affine)))
    w, z = network.state_dict(), noise(4, 100)
    h = F.relu(norm(torch.cat([z, code], 1) @ w["hidden.weight"].T, w, "hidden_norm", 1e-8))
    h = F.relu(norm(torch.cat([h, code], 1) @ w["project.weight"].T, w, "project_norm", 1e-8)).reshape(4, 8, 7, 7)
    h = F.conv_transpose2d(with_maps(h, code), w["up.weight"], None, 2, 2, 1)
    h = with_maps(F.relu(norm(h, w, "up_norm", 1e-8)), code)
    pixels = torch.sigmoid(F.conv_transpose2d(h, w["to_image.weight"], None, 2, 2, 1))  # theirs, in [0, 1]
    close(network(z, labels), 2 * pixels - 1)


@pytest.mark.parametrize("affine", [False, True])
def test_mnist_discriminator(code, labels, affine):
    network = shaken(build_discriminator(mnist(norm_affine=affine)))
    w, pixels = network.state_dict(), noise(4, 1, 28, 28).sigmoid()
    h = F.leaky_relu(F.conv2d(with_maps(pixels, code), w["down1.weight"], None, 2, 2), 0.2)
    h = F.conv2d(with_maps(h, code), w["down2.weight"], None, 2, 2)
    h = F.leaky_relu(norm(h, w, "norm2", 1e-8), 0.2)
    h = torch.cat([h.flatten(1), code], 1) @ w["hidden.weight"].T
    h = F.leaky_relu(norm(h, w, "hidden_norm", 1e-8), 0.2)
    close(network(2 * pixels - 1, labels), torch.cat([h, code], 1) @ w["to_logit.weight"][0])


def test_mnist_layers_are_as_wide_as_the_authors():
    with torch.device("meta"):
        generator, discriminator = both(mnist(width=64))
    up = 25 * (138 * 64 + 74 * 1)
    assert count(generator) == 110 * 1024 + 1034 * 128 * 49 + up
    assert count(discriminator) == 25 * (11 * 64 + 74 * 128) + (128 * 49 + 10) * 1024 + 1034


@pytest.mark.parametrize(
    ("make", "size"), [(imagenet, "16"), (imagenet, "24x40"), (mnist, "16"), (mnist, "28"), (mnist, "32x20")]
)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_other_sizes_are_drawn_exactly_and_train_every_weight(make, size, channels):
    config = make(image_size=size, channels=channels)
    generator, discriminator = both(config)
    labels = torch.tensor([1, 7, 0]) if config.classes else None
    images = generator(torch.randn(3, config.latent_dim), labels)
    assert images.shape == (3, channels, *config.size)
    (discriminator(images, labels) * torch.tensor([1.0, 3.0, -1.0])).sum().backward()
    for name, parameter in [*generator.named_parameters(), *discriminator.named_parameters()]:
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name
