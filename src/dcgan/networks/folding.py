"""Networks made ready to draw: what only training needs is worked into the weights, and the quickest layers taken."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.utils import skip_init
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from dcgan.networks.blocks import Projection
from dcgan.networks.generators import BlogGenerator, MnistGenerator

NORMS = nn.BatchNorm1d | nn.BatchNorm2d


def ready_to_draw(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy in evaluation mode that draws the same images sooner, in float32 or bfloat16, but for rounding."""
    network = folded(network)
    if next(network.parameters()).device.type == "cpu":
        shuffled(network, most_maps=4 if dtype == torch.float32 else 2**16)
    network = network.to(dtype)
    for module in network.modules():
        if isinstance(module, NORMS):
            module.float()  # statistics lose too much in bfloat16
    return network


@torch.no_grad()
def folded(network: nn.Module) -> nn.Module:
    """A copy in evaluation mode in which each norm that follows its convolution or projection is part of it.

    The same function but for rounding. Norms that use the batch's statistics, and any in another place, stay.
    """
    network = copy.deepcopy(network).eval()
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            for i in range(len(module) - 1):
                layer, norm = module[i], module[i + 1]
                if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and isinstance(norm, NORMS) and _is_fixed(norm):
                    module[i] = fuse_conv_bn_eval(layer, norm, isinstance(layer, nn.ConvTranspose2d))
                    module[i + 1] = nn.Identity()
        elif isinstance(module, Projection) and isinstance(module.norm, NORMS) and _is_fixed(module.norm):
            module.linear, module.norm = _fused(module.linear, module.norm), nn.Identity()
        elif isinstance(module, BlogGenerator) and isinstance(module.blocks[0], NORMS):
            module.project, module.blocks[0] = _fused(module.project, module.blocks[0]), nn.Identity()
        elif isinstance(module, MnistGenerator) and _is_fixed(module.up_norm):
            _fold_mnist(module)
    return network.to(memory_format=torch.channels_last)


@torch.no_grad()
def shuffled(network: nn.Module, most_maps: int) -> nn.Module:
    """The network, changed: stride-2 transposed convolutions to at most so many maps become convolutions.

    The same function but for rounding, and on a CPU sooner computed, although it has more products. 64 times 74
    maps of 14×14 to one of 28×28, on a core with AMX: 4.7 ms as it was, 1.7 ms in float32 and 0.4 ms in bfloat16;
    128 of 7×7 to 64, in bfloat16: 5.1 ms and 2.0 ms. In float32 it pays for the few maps of an image only.
    """
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, nn.ConvTranspose2d) and layer.out_channels <= most_maps:
                setattr(parent, name, _shuffled(layer))
    return network.to(memory_format=torch.channels_last)


def _shuffled(layer: nn.ConvTranspose2d) -> nn.Sequential:
    """A 3×3 convolution to four maps for each of the layer's: one for each place in a 2×2 of its output.

    Row 2i + a of the output is the sum over d of row i + d of the input times row a + padding - 2d of the kernel.
    """
    kernel, padding = layer.kernel_size[0], int(layer.padding[0])
    inputs, outputs = layer.in_channels, layer.out_channels
    bias = layer.bias is not None
    conv = skip_init(nn.Conv2d, inputs, 4 * outputs, 3, padding=1, bias=bias).to(layer.weight)
    conv.weight.zero_()
    taps = [(a, d, a + padding - 2 * d) for a in (0, 1) for d in (-1, 0, 1)]
    taps = [tap for tap in taps if 0 <= tap[2] < kernel]
    by_place = conv.weight.view(outputs, 2, 2, inputs, 3, 3)
    for a, d, row in taps:
        for b, e, column in taps:
            by_place[:, a, b, :, d + 1, e + 1] = layer.weight[:, :, row, column].t()
    if conv.bias is not None and layer.bias is not None:
        conv.bias.copy_(layer.bias.repeat_interleave(4))
    return nn.Sequential(conv, nn.PixelShuffle(2))


def _is_fixed(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> bool:
    return norm.running_mean is not None


def _fold_mnist(network: MnistGenerator) -> None:
    """Its layers are no sequence: each stands beside its norm."""
    network.hidden = _fused(network.hidden, network.hidden_norm)
    network.project = _fused(network.project, network.project_norm)
    network.up = fuse_conv_bn_eval(network.up, network.up_norm, isinstance(network.up, nn.ConvTranspose2d))
    for name in ("hidden_norm", "project_norm", "up_norm"):
        setattr(network, name, nn.Identity())


def _fused(linear: nn.Linear, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> nn.Linear:
    """A projection with its norm in it. The norm is a unit's, or a map's: then all units of a map share its numbers."""
    units = nn.BatchNorm1d(linear.out_features, norm.eps).to(linear.weight).eval()
    state = {
        name: tensor.repeat_interleave(linear.out_features // len(tensor)) if tensor.ndim else tensor
        for name, tensor in norm.state_dict().items()
    }
    units.load_state_dict(state, strict=False)  # without gain and bias: 1 and 0, as it is made
    return fuse_linear_bn_eval(linear, units)
