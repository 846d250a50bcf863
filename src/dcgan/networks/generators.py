"""The generators: latents (N, latent_dim), and labels (N,) if conditional → images (N, C, H, W) in [-1, 1]."""

from __future__ import annotations

import itertools
import math

import torch
from torch import nn

from dcgan.config import NetworkConfig
from dcgan.networks.blocks import (
    Projection,
    as_maps,
    base_size,
    concat_maps,
    initialise,
    norm1d,
    norm2d,
    one_hot,
    through,
    upsample,
)
from dcgan.networks.convolutions import ThinConv, UpsampleConv


def strided_widths(config: NetworkConfig) -> list[int]:
    """Feature maps from the smallest resolution to the one next to the image.

    As many halvings as bring the shorter side nearest to 4; maps double with each, up to 8 times the width.
    At 64×64 and width 128: [1024, 512, 256, 128], the paper's Figure 1.
    """
    halvings = round(math.log2(min(config.size) / 4))
    return [config.width * min(2**i, 8) for i in reversed(range(halvings))]


class StridedGenerator(nn.Module):
    """The paper's generator at any size [paper, Figure 1; authors' faces and SVHN code].

    Sides that are no multiple of the doublings are drawn a little larger and cropped. The classes
    of a conditional one are a one-hot beside the latent, and with `concat` beside every layer's maps too.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.size, self.classes, self.concat = config.size, config.classes, config.condition == "concat"
        widths, k = strided_widths(config), config.classes if self.concat else 0
        base = base_size(config.size, len(widths))
        self.project = Projection(config, config.latent_dim + config.classes, widths[0], base)
        self.blocks = nn.Sequential(
            *[
                nn.Sequential(upsample(config, inputs + k, outputs), norm2d(config, outputs), nn.ReLU(inplace=True))
                for inputs, outputs in itertools.pairwise(widths)
            ]
        )
        self.to_image = upsample(config, widths[-1] + k, config.image_channels)
        initialise(self)

    def forward(self, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        y = None
        if labels is not None:
            y = one_hot(labels, self.classes, z)
            z, y = torch.cat([z, y], dim=1), y if self.concat else None
        x = self.project(z).relu()  # (N, widths[0], H / 2^k, W / 2^k), the shorter side about 4
        x = through(self.blocks, x, y)  # (N, width, H / 2, W / 2)
        x = self.to_image(x if y is None else concat_maps(x, y))  # (N, C, H, W) or a little larger
        top, left = (x.shape[2] - self.size[0]) // 2, (x.shape[3] - self.size[1]) // 2
        return x[:, :, top : top + self.size[0], left : left + self.size[1]].tanh()


class BlogGenerator(nn.Module):
    """The blog post's generator: 1.05 M parameters at 32×32×1.

    Its quirks are kept: 0.8 is the eps of the later norms (meant as a momentum), and nothing but a norm
    stands between the projection and the first upsampling. `width` and `kernel_size` do not apply.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.base = base_size(config.size, 2)
        self.project = nn.Linear(config.latent_dim, 128 * self.base[0] * self.base[1])
        self.blocks = nn.Sequential(
            nn.BatchNorm2d(128),
            UpsampleConv(128, 128),  # (N, 128, H / 2, W / 2)
            nn.BatchNorm2d(128, config.norm_eps),
            nn.LeakyReLU(0.2, inplace=True),
            UpsampleConv(128, 64),  # (N, 64, H, W)
            nn.BatchNorm2d(64, config.norm_eps),
            nn.LeakyReLU(0.2, inplace=True),
            ThinConv(64, config.image_channels),
            nn.Tanh(),
        )
        initialise(self, linear=False)

    def forward(self, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        x = as_maps(self.project(z), (128, *self.base))  # (N, 128, H / 4, W / 4)
        return self.blocks(x)  # (N, C, H, W)


class ImageNet32Generator(nn.Module):
    """The authors' ImageNet generator: 3×3 kernels, each doubling followed by a layer that halves the maps."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        w = config.width
        self.project = Projection(config, config.latent_dim, 4 * w, base_size(config.size, 3))

        def double(inputs: int, outputs: int) -> nn.Sequential:
            return nn.Sequential(upsample(config, inputs, outputs), norm2d(config, outputs), nn.ReLU(inplace=True))

        def mix(inputs: int, outputs: int) -> nn.Sequential:
            conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=config.conv_bias)
            return nn.Sequential(conv, norm2d(config, outputs), nn.ReLU(inplace=True))

        self.blocks = nn.Sequential(
            double(4 * w, 4 * w),  # (N, 4w, H / 4, W / 4)
            mix(4 * w, 2 * w),
            double(2 * w, 2 * w),  # (N, 2w, H / 2, W / 2)
            mix(2 * w, w),
            double(w, w),  # (N, w, H, W)
        )
        self.to_image = ThinConv(w, config.image_channels, bias=config.conv_bias)
        initialise(self)

    def forward(self, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        x = self.project(z).relu()  # (N, 4w, H / 8, W / 8)
        return self.to_image(self.blocks(x)).tanh()  # (N, C, H, W)


class MnistGenerator(nn.Module):
    """The authors' class-conditional generator: the one-hot label is appended at every layer.

    Theirs draws sigmoid(x) in [0, 1]; 2 sigmoid(x) - 1 = tanh(x / 2) is the same image in [-1, 1].
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.classes = k = config.classes
        w, base = config.width, base_size(config.size, 2)
        self.shape, units = (2 * w, *base), 2 * w * base[0] * base[1]
        self.hidden = nn.Linear(config.latent_dim + k, 16 * w, bias=False)  # 1024 at width 64
        self.hidden_norm = norm1d(config, 16 * w)
        self.project = nn.Linear(16 * w + k, units, bias=False)
        self.project_norm = norm1d(config, units)
        self.up = upsample(config, 2 * w + k, w)
        self.up_norm = norm2d(config, w)
        self.to_image = upsample(config, w + k, config.image_channels)
        initialise(self)

    def forward(self, z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        y = one_hot(labels, self.classes, z)
        h = self.hidden_norm(self.hidden(torch.cat([z, y], 1))).relu()  # (N, 16w)
        h = self.project_norm(self.project(torch.cat([h, y.to(h.dtype)], 1))).relu()
        h = as_maps(h, self.shape)  # (N, 2w, H / 4, W / 4)
        h = self.up_norm(self.up(concat_maps(h, y))).relu()  # (N, w, H / 2, W / 2)
        return (self.to_image(concat_maps(h, y)) / 2).tanh()  # (N, C, H, W)
