"""Guided back-propagation: what in an image makes a feature of D respond [paper, Figure 5; Springenberg et al. 2014].

A feature is a map of one of D's convolutions, its response the value after the convolution and the norm, if one comes
before the nonlinearity (the blog post's norms come after it, and are not part of it). On the way back from a response
to the image a gradient passes a nonlinearity only where the unit was active and the gradient is positive. D's
nonlinearities are leaky: forwards they stay so, and the network responds as it always does; backwards a unit at or
below 0 passes nothing, as in a ReLU. The gradient begins at the response itself, whatever its sign.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from dcgan.config import NetworkConfig
from dcgan.errors import InputError
from dcgan.images import to_float
from dcgan.networks import build_discriminator
from dcgan.networks.statistics import NORMS, batch_statistics, with_statistics
from dcgan.pretrained import Discriminator

BATCH = 256
"""Images looked at together."""
SETTLING = 512
"""Images whose statistics norms without their own get."""


@dataclass(frozen=True)
class Field:
    """The receptive field of a layer: the pixels that unit (row, column) sees are `size` from `start + jump · place`.

    All are (height, width) in pixels; a field may reach beyond the image.
    """

    size: tuple[int, int]
    jump: tuple[int, int]
    start: tuple[int, int]

    def at(self, row: int, column: int) -> tuple[int, int]:
        """(top, left) of the field of one unit."""
        return self.start[0] + row * self.jump[0], self.start[1] + column * self.jump[1]


@dataclass(frozen=True, eq=False)
class Strongest:
    """For each of F features the k images of maximal response, strongest first, and where in their maps it is."""

    features: tuple[int, ...]
    images: np.ndarray
    """int64 (F, k): numbers of the images."""
    places: np.ndarray
    """int64 (F, k, 2): row and column of the maximum in the feature's map."""
    responses: np.ndarray
    """float32 (F, k)."""


class _Reached(Exception):
    """The layer that was wanted has been computed; what comes after it need not be."""


class _Leaky(TorchFunctionMode):
    """Sees every leaky ReLU of a forward pass, as a module or a function, and ends the pass at the wanted one."""

    def __init__(self, layer: int) -> None:
        super().__init__()
        self.left = layer
        self.response = torch.empty(0)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is not nn.functional.leaky_relu:
            return func(*args, **kwargs)
        self.left -= 1
        if not self.left:
            self.response = args[0]
            raise _Reached
        slope = kwargs.get("negative_slope", args[1] if len(args) > 1 else 0.01)
        return _Guided.apply(args[0], slope)


class _Guided(torch.autograd.Function):
    """A leaky ReLU with the backward pass of guided back-propagation."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, slope: float) -> torch.Tensor:
        ctx.save_for_backward(x > 0)
        return torch.where(x > 0, x, slope * x)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        (active,) = ctx.saved_tensors
        return grad.clamp(min=0) * active, None


def conv_layers(network: nn.Module) -> list[nn.Conv2d]:
    """A discriminator's convolutions, in the order of the way through it; a leaky ReLU follows each."""
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


def checked_layer(network: nn.Module, layer: int | None) -> int:
    """The number of a convolution from 1 to the last, which None stands for. Raises InputError if there is none."""
    count = len(conv_layers(network))
    if layer is not None and not 1 <= layer <= count:
        raise InputError(f"layer: {layer} is none of this discriminator's {count} convolutions (1 to {count})")
    return layer or count


def receptive_field(network: nn.Module, layer: int) -> Field:
    """Which pixels the units of a convolution see, from the kernels, strides and paddings up to it."""
    return Field(*zip(*(_along(network, layer, axis) for axis in (0, 1)), strict=True))


def _along(network: nn.Module, layer: int, axis: int) -> tuple[int, int, int]:
    size, jump, start = 1, 1, 0
    for conv in conv_layers(network)[:layer]:
        padding = conv.padding[axis]
        assert isinstance(padding, int)
        start -= padding * jump
        size += (conv.kernel_size[axis] - 1) * jump
        jump *= conv.stride[axis]
    return size, jump, start


def responses(network: nn.Module, images: torch.Tensor, layer: int, labels: torch.Tensor | None = None) -> torch.Tensor:
    """The maps (N, C, H, W) of a convolution before its nonlinearity, for images (N, C, H, W) in [-1, 1].

    Their gradients by the images are guided.
    """
    with _Leaky(layer) as mode:
        try:
            network(images, labels)
        except _Reached:
            return mode.response
    raise ValueError(f"no nonlinearity {layer} in this network")


def guided(
    network: nn.Module,
    images: torch.Tensor,
    layer: int,
    feature: int,
    places: np.ndarray,
    labels: torch.Tensor | None = None,
) -> torch.Tensor:
    """Guided gradients (N, C, H, W) of one feature's responses at `places` (N, 2), by the images that caused them."""
    images = images.detach().clone().requires_grad_()
    maps = responses(network, images, layer, labels)
    rows, columns = torch.from_numpy(places).to(maps.device).unbind(1)
    total = maps[torch.arange(len(images), device=maps.device), feature, rows, columns].sum()
    return torch.autograd.grad(total, images)[0]


def settled(
    network: nn.Module, images: torch.Tensor, labels: torch.Tensor | None = None, anew: bool = False
) -> nn.Module:
    """A copy whose norms have statistics of their own, so that an image's responses depend on no other image.

    Norms that use each batch's get those of `images` (the first 512); with `anew` those that have averages do too,
    which in a network that was never trained are none.
    """
    network = copy.deepcopy(network).eval()
    if anew:
        for module in network.modules():
            if isinstance(module, NORMS):
                module.running_mean = module.running_var = None
    some = slice(SETTLING)
    return with_statistics(network, batch_statistics(network, images[some], None if labels is None else labels[some]))


def untrained(config: NetworkConfig, seed: int, device: torch.device) -> nn.Module:
    """A discriminator of the same architecture as it is before its first step; global noise is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_discriminator(config).to(device).to(memory_format=torch.channels_last)


def require_there(network: nn.Module, images: int, layer: int, features: tuple[int, ...], k: int) -> None:
    """Raise InputError for more of the strongest, k, than there are images, and for features that the layer has not."""
    if not 1 <= k <= images:
        raise InputError(f"top: the {k:,} strongest of {images:,} images cannot be shown; 1 to {images:,}")
    count = conv_layers(network)[layer - 1].out_channels
    if not features or not all(0 <= feature < count for feature in features):
        raise InputError(f"features: convolution {layer} has {count} maps, 0 to {count - 1}; {listed(features)} is not")


def strongest(
    network: nn.Module,
    images: np.ndarray,
    layer: int,
    features: tuple[int, ...],
    k: int,
    labels: np.ndarray | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Strongest:
    """Stream over uint8 images (N, H, W, C) and keep, for each feature, the k of maximal response.

    An image counts once for a feature, with its highest place; of equal responses the earlier image comes first, and
    within a map the first place row by row. Raises InputError for fewer than k images, features that the layer has
    not, and responses that are no numbers.
    """
    require_there(network, len(images), layer, features, k)
    device = next(network.parameters()).device
    chosen = torch.tensor(features, device=device)
    best = Strongest(
        features,
        np.zeros((len(features), 0), np.int64),
        np.zeros((len(features), 0, 2), np.int64),
        np.zeros((len(features), 0), np.float32),
    )
    for start in range(0, len(images), BATCH):
        pixels, codes = batch(images, labels, np.arange(start, min(start + BATCH, len(images))), device)
        with torch.no_grad():
            maps = responses(network, pixels, layer, codes)[:, chosen].float()  # (n, F, h, w)
        best = _merged(best, maps, start, k)
        if progress:
            progress(start + len(pixels), len(images))
    if not np.isfinite(best.responses).all():
        raise InputError("the discriminator's responses are NaN or infinite; was it trained?")
    return best


def _merged(best: Strongest, maps: torch.Tensor, start: int, k: int) -> Strongest:
    """The best of those so far and of a batch whose first image has the number `start`."""
    flat = maps.flatten(2)
    first = flat.argmax(2, keepdim=True)  # of equal ones the first
    found = flat.gather(2, first).squeeze(2).T.cpu().numpy()
    spots = first.squeeze(2).T.cpu().numpy()
    places = np.stack(np.divmod(spots, maps.shape[3]), 2)
    numbers = np.broadcast_to(np.arange(start, start + len(maps)), found.shape)
    values = np.concatenate([best.responses, found], 1)
    order = np.argsort(-values, axis=1, kind="stable")[:, :k]
    return Strongest(
        best.features,
        np.take_along_axis(np.concatenate([best.images, numbers], 1), order, 1),
        np.take_along_axis(np.concatenate([best.places, places], 1), order[..., None], 1),
        np.take_along_axis(values, order, 1),
    )


def batch(
    images: np.ndarray, labels: np.ndarray | None, rows: np.ndarray, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Some uint8 images (N, H, W, C) as floats (n, C, H, W) in [-1, 1] on a device, and their labels."""
    pixels = torch.tensor(images[rows]).permute(0, 3, 1, 2).to(device)
    return to_float(pixels), None if labels is None else torch.from_numpy(labels[rows]).to(device)


def listed(numbers: tuple[int, ...]) -> str:
    """Numbers for people: 0, 1, 5; of many the first and the last."""
    shown = map(str, numbers) if len(numbers) <= 20 else (*map(str, numbers[:3]), "…", str(numbers[-1]))
    return ", ".join(shown) or "none"


def labels_for(discriminator: Discriminator, labels: np.ndarray | None, label: int | None, n: int) -> np.ndarray | None:
    """Labels (n,) for a conditional discriminator: one class for all, or each image's own; None if it wants none.

    Raises InputError for images whose labels do not fit its classes.
    """
    classes = discriminator.info.network.classes
    if not classes:
        return None
    if label is not None:
        return np.full(n, label, np.int64)
    if labels is None or (len(labels) and labels.max() >= classes):
        raise InputError(f"class: these images have no labels of the {classes} classes; give one --class for all")
    return labels
