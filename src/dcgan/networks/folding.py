"""Networks made ready to draw: batch norm's fixed statistics go into the weights before it, and cost nothing."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from dcgan.networks.blocks import Projection

NORMS = nn.BatchNorm1d | nn.BatchNorm2d


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
            _fold_projection(module, module.norm)
    return network.to(memory_format=torch.channels_last)


def _is_fixed(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> bool:
    return norm.running_mean is not None


def _fold_projection(module: Projection, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    """Its norm is a unit's, or a map's: then all units of a map share its numbers."""
    linear = module.linear
    units = nn.BatchNorm1d(linear.out_features, norm.eps).to(linear.weight).eval()
    state = {
        name: tensor.repeat_interleave(linear.out_features // len(tensor)) if tensor.ndim else tensor
        for name, tensor in norm.state_dict().items()
    }
    units.load_state_dict(state, strict=False)  # without gain and bias: 1 and 0, as it is made
    module.linear, module.norm = fuse_linear_bn_eval(linear, units), nn.Identity()
