"""Batch norm with fixed statistics: those of a training set, averaged over its batches [authors' SVHN code]."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from dcgan.errors import InputError
from dcgan.features.activations import conv_maps
from dcgan.images import to_float

BATCH = 128
"""Images whose statistics are taken together, the batch size of the paper."""
MOST_BATCHES = 100
"""Batches that are averaged; all 468 of MNIST's change the features by 0.2 %, half of what bfloat16 does."""


def needs_statistics(network: nn.Module) -> bool:
    """Whether the norms beside convolutions have none but each batch's own."""
    return any(isinstance(m, nn.BatchNorm2d) and m.running_mean is None for m in network.modules())


@torch.inference_mode()
def fix_statistics(
    network: nn.Module, images: np.ndarray, progress: Callable[[int, int], None] | None = None
) -> nn.Module:
    """A copy in evaluation mode whose norms beside convolutions have fixed statistics; what they had is forgotten.

    images: uint8 (N, H, W, C), of which up to 12,800 pass once, in random order (folders come class by class), 128 at a
    time, through norms that use each batch's own statistics; mean and variance of each map are averaged over the
    batches. What is left over after the last whole batch is not used. Raises InputError for fewer than 2 images.
    """
    if len(images) < 2:
        raise InputError(f"images: {len(images)} have no statistics to fix batch norm with; at least 2")
    network = copy.deepcopy(network).eval()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    seen: list[list[tuple[torch.Tensor, torch.Tensor]]] = [[] for _ in norms]
    for norm, own in zip(norms, seen, strict=True):
        norm.running_mean = norm.running_var = None  # each batch's own are used
        norm.register_forward_pre_hook(_keeper(own))
    device = next(network.parameters()).device
    order = np.random.Generator(np.random.Philox(key=0)).permutation(len(images))
    size = min(BATCH, len(images))
    end = min(len(images) // size, MOST_BATCHES) * size
    for start in range(0, end, size):
        rows = np.sort(order[start : start + size])
        pixels = torch.from_numpy(images[rows]).permute(0, 3, 1, 2).to(device)
        conv_maps(network, to_float(pixels))
        if progress:
            progress(start + size, end)
    for norm, own in zip(norms, seen, strict=True):
        norm._forward_pre_hooks.clear()
        means, variances = (torch.stack(list(values)).mean(0) for values in zip(*own, strict=True))
        norm.running_mean, norm.running_var, norm.track_running_stats = means, variances, True
    return network


def _keeper(own: list[tuple[torch.Tensor, torch.Tensor]]) -> Callable[[nn.Module, tuple[torch.Tensor]], None]:
    def keep(_: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        variance, mean = torch.var_mean(inputs[0].float(), (0, 2, 3), correction=0)
        own.append((mean, variance))

    return keep
