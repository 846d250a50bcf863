"""The networks by family: `build_generator` and `build_discriminator` make one from its settings."""

from __future__ import annotations

from torch import nn

from dcgan.config import NetworkConfig
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


def build_generator(config: NetworkConfig) -> nn.Module:
    """A freshly initialised generator: (z (N, latent_dim), labels (N,) or None) → (N, C, H, W) in [-1, 1]."""
    return _GENERATORS[config.family](config)


def build_discriminator(config: NetworkConfig) -> nn.Module:
    """A freshly initialised discriminator: (images (N, C, H, W), labels (N,) or None) → logits (N,)."""
    return _DISCRIMINATORS[config.family](config)
