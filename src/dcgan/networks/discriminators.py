"""The discriminators: images (N, C, H, W) in [-1, 1], and labels (N,) if conditional → logits (N,)."""

from __future__ import annotations

import itertools

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from dcgan.config import NetworkConfig
from dcgan.networks.blocks import concat_maps, downsample, initialise, norm1d, norm2d, one_hot, through
from dcgan.networks.generators import strided_widths

LEAK = 0.2


def features_of(discriminator: nn.Module, images: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
    """What the last, linear layer of any of them gets, (N, units); differentiable."""
    seen: list[torch.Tensor] = []
    layer = discriminator.get_submodule("to_logit")
    handle = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        discriminator(images, labels)
    finally:
        handle.remove()
    return seen[0]


def _norm(config: NetworkConfig, channels: int) -> nn.Module:
    return norm2d(config, channels) if config.discriminator_norm == "batch" else nn.Identity()


def _begin(network: nn.Module, config: NetworkConfig) -> None:
    """Weights N(0, 0.02) where batch norms set the scale of each layer; He's, which keep it, and zero biases elsewhere.

    Without norms narrow layers of N(0, 0.02) would shrink the signal three-hundredfold on the way, and G would learn
    nothing for long (He et al. 2015). Spectral norm has one power iteration a look (Miyato et al. 2018).
    """
    initialise(network)
    if config.discriminator_norm == "batch":
        return
    for module in list(network.modules()):
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, LEAK)
            assert module.bias is not None
            nn.init.zeros_(module.bias)
        if config.discriminator_norm == "spectral" and isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding):
            spectral_norm(module)


class StridedDiscriminator(nn.Module):
    """The paper's discriminator at any size: stride-2 convolutions, then one linear unit [paper, section 3].

    A conditional one adds the inner product of the label's embedding with the pooled features (projection; Miyato
    and Koyama 2018), or with `concat` has the one-hot beside every layer's input.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.classes, self.concat = config.classes, bool(config.classes) and config.condition == "concat"
        k = config.classes if self.concat else 0
        widths = [config.image_channels, *reversed(strided_widths(config))]
        self.blocks = nn.Sequential(
            *[
                nn.Sequential(
                    downsample(config, inputs + k, outputs),
                    _norm(config, outputs) if i else nn.Identity(),  # none at the image [paper, section 3]
                    nn.LeakyReLU(LEAK, inplace=True),
                )
                for i, (inputs, outputs) in enumerate(itertools.pairwise(widths))
            ]
        )
        self.to_logit = nn.Linear(_strided_features(config) + k, 1, bias=config.discriminator_bias)
        self.embed = nn.Embedding(config.classes, widths[-1]) if config.classes and not self.concat else None
        _begin(self, config)

    def forward(self, images: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        y = one_hot(labels, self.classes, images) if self.concat and labels is not None else None
        h = through(self.blocks, images, y)  # (N, 8w at most, the shorter side about 4)
        units = h.flatten(1)
        logit = self.to_logit(units if y is None else torch.cat([units, y.to(h.dtype)], 1)).squeeze(1)
        if self.embed is not None:
            logit = logit + (self.embed(labels) * h.mean((2, 3))).sum(1)
        return logit


def _strided_features(config: NetworkConfig) -> int:
    widths = strided_widths(config)
    height, width = config.size
    for _ in widths:  # kernel 4 rounds an odd side down, 3 and 5 up
        up = config.kernel_size % 2
        height, width = (height + up) // 2, (width + up) // 2
    return widths[0] * height * width


class BlogDiscriminator(nn.Module):
    """The blog post's discriminator: 0.10 M parameters at 32×32×1; dropout before the norm, whose eps is 0.8."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        widths = [config.image_channels, 16, 32, 64, 128]
        height, width = config.size
        for inputs, outputs in itertools.pairwise(widths):
            layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.LeakyReLU(LEAK, inplace=True), nn.Dropout2d(0.25)]
            if outputs > 16:
                layers.append(nn.BatchNorm2d(outputs, config.norm_eps))
            height, width = (height + 1) // 2, (width + 1) // 2
        self.blocks = nn.Sequential(*layers)
        self.to_logit = nn.Linear(128 * height * width, 1)
        initialise(self, linear=False)

    def forward(self, images: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        h = self.blocks(images)  # (N, 128, H / 16, W / 16)
        return self.to_logit(h.flatten(1)).squeeze(1)


class ImageNet32Discriminator(nn.Module):
    """The authors' ImageNet discriminator: six 3×3 convolutions, every second with stride 2.

    At width 128 and 32×32 their maps, pooled to 4×4, are the 28,672 features of the paper's Table 1.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        w = config.width

        def conv(inputs: int, outputs: int, stride: int, first: bool = False) -> nn.Sequential:
            return nn.Sequential(
                nn.Conv2d(inputs, outputs, 3, stride, 1, bias=config.discriminator_bias),
                nn.Identity() if first else _norm(config, outputs),
                nn.LeakyReLU(LEAK, inplace=True),
            )

        self.blocks = nn.Sequential(
            conv(config.image_channels, w, 1, first=True),
            conv(w, w, 2),  # (N, w, H / 2, W / 2)
            conv(w, 2 * w, 1),
            conv(2 * w, 2 * w, 2),  # (N, 2w, H / 4, W / 4)
            conv(2 * w, 4 * w, 1),
            conv(4 * w, 4 * w, 2),  # (N, 4w, H / 8, W / 8)
        )
        height, width = config.size
        self.to_logit = nn.Linear(4 * w * (height // 8) * (width // 8), 1, bias=config.discriminator_bias)
        _begin(self, config)

    def forward(self, images: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        return self.to_logit(self.blocks(images).flatten(1)).squeeze(1)


class MnistDiscriminator(nn.Module):
    """The authors' class-conditional discriminator: the one-hot label is appended at every layer.

    Theirs sees pixels in [0, 1], so the image is mapped there first.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.classes = k = config.classes
        w, (height, width) = config.width, config.size
        self.down1 = downsample(config, config.image_channels + k, w)
        self.down2 = downsample(config, w + k, 2 * w)
        self.norm2 = _norm(config, 2 * w)
        biased = config.discriminator_norm != "batch"
        self.hidden = nn.Linear(2 * w * (height // 4) * (width // 4) + k, 16 * w, bias=biased)
        self.hidden_norm = norm1d(config, 16 * w) if config.discriminator_norm == "batch" else nn.Identity()
        self.to_logit = nn.Linear(16 * w + k, 1, bias=biased)
        _begin(self, config)

    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        leaky = nn.functional.leaky_relu
        y = one_hot(labels, self.classes, images)
        h = leaky(self.down1(concat_maps((images + 1) / 2, y)), LEAK)  # (N, w, H / 2, W / 2)
        h = leaky(self.norm2(self.down2(concat_maps(h, y))), LEAK)  # (N, 2w, H / 4, W / 4)
        h = torch.cat([h.flatten(1), y.to(h.dtype)], 1)
        h = leaky(self.hidden_norm(self.hidden(h)), LEAK)  # (N, 16w)
        return self.to_logit(torch.cat([h, y.to(h.dtype)], 1)).squeeze(1)
