"""The maps of D's convolutions, and the features they are pooled to [paper, section 5.1; authors' SVHN code]."""

from __future__ import annotations

import torch
from torch import nn

from dcgan.config import NetworkConfig
from dcgan.networks.blocks import concat_maps
from dcgan.networks.discriminators import LEAK, BlogDiscriminator, MnistDiscriminator, StridedDiscriminator

GRID = 4
"""Side of the grid that each map is pooled to [paper, section 5.1]."""


def conv_maps(network: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """What comes out of each convolutional block of a discriminator, its norm and leaky ReLU included: (N, C, H, W).

    images: (N, C, H, W) in [-1, 1]. The blog post's blocks end with a dropout and a norm, which are part of them.
    Networks that have the one-hot label beside their layers' inputs get zeros for it: no class. In those with a
    projection the label comes after the last convolution only.
    """
    if isinstance(network, BlogDiscriminator):
        return _blog_maps(network, images)
    if isinstance(network, MnistDiscriminator):
        return _mnist_maps(network, images)
    codes = None
    if isinstance(network, StridedDiscriminator) and network.concat:
        codes = images.new_zeros(len(images), network.classes)
    maps, h = [], images
    blocks = network.blocks
    assert isinstance(blocks, nn.Sequential)
    for block in blocks:
        h = block(h if codes is None else concat_maps(h, codes))
        maps.append(h)
    return maps


def pooled(maps: list[torch.Tensor]) -> torch.Tensor:
    """Each map max-pooled to 4×4, all side by side: features (N, F), in the order layer, map, row, column.

    The pools are equal where the sides are multiples of 4, and overlap elsewhere, also in maps smaller than 4.
    """
    return torch.cat([nn.functional.adaptive_max_pool2d(h, GRID).flatten(1) for h in maps], 1)


def map_counts(network: nn.Module, config: NetworkConfig) -> list[int]:
    """How many maps each convolution makes."""
    weight = next(network.parameters())
    image = torch.zeros(1, config.image_channels, *config.size, dtype=weight.dtype, device=weight.device)
    with torch.inference_mode():
        return [h.shape[1] for h in conv_maps(network, image)]


def _blog_maps(network: BlogDiscriminator, images: torch.Tensor) -> list[torch.Tensor]:
    maps, h = [], images
    for i, layer in enumerate(network.blocks):
        if i and isinstance(layer, nn.Conv2d):
            maps.append(h)
        h = layer(h)
    return [*maps, h]


def _mnist_maps(network: MnistDiscriminator, images: torch.Tensor) -> list[torch.Tensor]:
    codes = images.new_zeros(len(images), network.classes)
    leaky = nn.functional.leaky_relu
    first = leaky(network.down1(concat_maps((images + 1) / 2, codes)), LEAK)  # (N, w, H / 2, W / 2)
    second = leaky(network.norm2(network.down2(concat_maps(first, codes))), LEAK)  # (N, 2w, H / 4, W / 4)
    return [first, second]
