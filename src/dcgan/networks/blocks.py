"""The layers the families share: initialisation, batch norm in the authors' modes, up- and downsampling."""

from __future__ import annotations

import math

import torch
from torch import nn

from dcgan.config import NetworkConfig
from dcgan.networks.convolutions import UpsampleConv


def initialise(network: nn.Module, linear: bool = True) -> None:
    """Weights N(0, 0.02), norm gains N(1, 0.02), norm biases 0, in place [paper, section 4; authors' code].

    Linear layers and embeddings are included unless `linear` is False (the blog post leaves them at PyTorch's default);
    biases of convolutions keep PyTorch's default.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) or (
            linear and isinstance(module, nn.Linear | nn.Embedding)
        ):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.affine:
            nn.init.normal_(module.weight, 1.0, 0.02)
            nn.init.zeros_(module.bias)


def norm2d(config: NetworkConfig, channels: int) -> nn.BatchNorm2d:
    """Batch norm of (N, C, H, W), per channel, in the mode of the settings."""
    return nn.BatchNorm2d(channels, config.norm_eps, 0.1, config.norm_affine, config.norm_stats == "running")


def norm1d(config: NetworkConfig, units: int) -> nn.BatchNorm1d:
    """Batch norm of (N, units), per unit, in the mode of the settings."""
    return nn.BatchNorm1d(units, config.norm_eps, 0.1, config.norm_affine, config.norm_stats == "running")


def downsample(config: NetworkConfig, inputs: int, outputs: int) -> nn.Conv2d:
    """Stride-2 convolution: halves (H, W); an odd side is rounded up by kernels 3 and 5, down by 4."""
    kernel = config.kernel_size
    return nn.Conv2d(inputs, outputs, kernel, 2, (kernel - 1) // 2, bias=config.discriminator_bias)


def upsample(config: NetworkConfig, inputs: int, outputs: int) -> nn.Conv2d | nn.ConvTranspose2d:
    """Doubles (H, W): a stride-2 transposed convolution, exactly for kernels 3, 4 and 5, or a resize-convolution.

    The latter has no phases, and so no checkerboard (Odena, Dumoulin and Olah 2016).
    """
    if config.upsampling == "resize":
        return UpsampleConv(inputs, outputs, config.conv_bias)
    kernel = config.kernel_size
    return nn.ConvTranspose2d(
        inputs, outputs, kernel, 2, (kernel - 1) // 2, output_padding=kernel % 2, bias=config.conv_bias
    )


def as_maps(units: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    """Units (N, C·H·W) as maps (N, C, H, W) in channels-last memory, which every layer after them keeps.

    Left as the matrix product wrote them, they would take the whole generator along to the slower layout.
    """
    return units.unflatten(1, shape).contiguous(memory_format=torch.channels_last)


class Projection(nn.Module):
    """The latent as the first feature maps: a matrix product, reshaped to (N, C, H, W), and its norm."""

    def __init__(self, config: NetworkConfig, inputs: int, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.shape = (channels, *size)
        self.linear = nn.Linear(inputs, channels * size[0] * size[1], bias=False)
        self.norm: nn.Module
        if config.projection_norm == "unit":
            self.norm = norm1d(config, self.linear.out_features)
        else:
            self.norm = norm2d(config, channels)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        if isinstance(self.norm, nn.BatchNorm1d):
            return as_maps(self.norm(self.linear(z)), self.shape)
        return self.norm(as_maps(self.linear(z), self.shape))


def one_hot(labels: torch.Tensor, classes: int, like: torch.Tensor) -> torch.Tensor:
    """Labels (N,) as (N, classes), of the type of `like`."""
    return nn.functional.one_hot(labels, classes).to(like.dtype)


def concat_maps(features: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """Append the class codes (N, K) to features (N, C, H, W) as K constant maps [authors' MNIST code]."""
    maps = codes.to(features.dtype)[:, :, None, None].expand(-1, -1, *features.shape[2:])
    return torch.cat([features, maps], dim=1)


def through(blocks: nn.Sequential, features: torch.Tensor, codes: torch.Tensor | None) -> torch.Tensor:
    """Features (N, C, H, W) through all blocks, with the class codes (N, K), if any, appended before each."""
    if codes is None:
        return blocks(features)
    for block in blocks:
        features = block(concat_maps(features, codes))
    return features


def base_size(size: tuple[int, int], doublings: int) -> tuple[int, int]:
    """The smallest (H, W) that reaches `size` after so many doublings."""
    return math.ceil(size[0] / 2**doublings), math.ceil(size[1] / 2**doublings)
