"""The networks by family: `build_generator` and `build_discriminator` make one from its settings."""

from __future__ import annotations

import torch
from torch import nn

from dcgan.config import NetworkConfig
from dcgan.errors import InputError
from dcgan.networks.discriminators import (
    BlogDiscriminator,
    ImageNet32Discriminator,
    MnistDiscriminator,
    StridedDiscriminator,
)
from dcgan.networks.generators import BlogGenerator, ImageNet32Generator, MnistGenerator, StridedGenerator

_GENERATORS: dict[str, type[nn.Module]] = {
    "strided": StridedGenerator,
    "blog": BlogGenerator,
    "imagenet32": ImageNet32Generator,
    "mnist": MnistGenerator,
}
_DISCRIMINATORS: dict[str, type[nn.Module]] = {
    "strided": StridedDiscriminator,
    "blog": BlogDiscriminator,
    "imagenet32": ImageNet32Discriminator,
    "mnist": MnistDiscriminator,
}


MOST_WEIGHTS = 2**28
"""Of one network; 1 GiB in float32. The paper's largest has 13 million."""
MOST_VALUES = 2**30
"""Of one layer's maps, those of class codes included, when a block of 64 images is drawn."""


def build_generator(config: NetworkConfig) -> nn.Module:
    """A freshly initialised generator: (z (N, latent_dim), labels (N,) or None) → (N, C, H, W) in [-1, 1].

    Raises InputError, before anything is allocated, for one of more than `MOST_WEIGHTS` or `MOST_VALUES`.
    """
    return _built(_GENERATORS[config.family], config)


def build_discriminator(config: NetworkConfig) -> nn.Module:
    """A freshly initialised discriminator: (images (N, C, H, W), labels (N,) or None) → logits (N,); as above."""
    return _built(_DISCRIMINATORS[config.family], config)


def _built(family: type[nn.Module], config: NetworkConfig) -> nn.Module:
    height, width = config.size
    codes = config.classes if config.family == "mnist" or config.condition == "concat" else 0
    values = 64 * (config.width + codes) * (height // 2) * (width // 2)
    with torch.device("meta"):
        network = family(config)
    weights = sum(parameter.numel() for parameter in network.parameters())
    if weights > MOST_WEIGHTS or values > MOST_VALUES:
        raise InputError(
            f"a network of {weights:,} weights, with maps of {values:,} values for 64 images, is too large: at most "
            f"{MOST_WEIGHTS:,} and {MOST_VALUES:,}; take a smaller --width, --image-size, --latent-dim or fewer classes"
        )
    return network if torch.get_default_device().type == "meta" else family(config)
