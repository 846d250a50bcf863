"""Batch norm's statistics taken from one batch and kept: how networks that use the batch's draw an image alone.

The authors' networks normalise by whatever batch they are given, so an image depends on its company. With the
statistics of a batch of latents kept, each image is what it would be in that batch, whatever it is drawn with.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn

NORMS = nn.BatchNorm1d | nn.BatchNorm2d


@dataclass(frozen=True, eq=False)
class Statistics:
    """Mean and biased variance of each norm that has none of its own, by its name: (channels or units,) each."""

    values: dict[str, tuple[torch.Tensor, torch.Tensor]]

    def towards(self, other: Statistics, share: float) -> Statistics:
        """On the straight line to `other`: these at 0, the others at 1."""
        mixed = {
            name: (torch.lerp(mean, other.values[name][0], share), torch.lerp(variance, other.values[name][1], share))
            for name, (mean, variance) in self.values.items()
        }
        return Statistics(mixed)


@torch.no_grad()
def batch_statistics(network: nn.Module, inputs: torch.Tensor, labels: torch.Tensor | None) -> Statistics:
    """What the norms without running averages see in this batch; the network is left as it is."""
    values: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    hooks = []
    for name, norm in _without_own(network).items():

        def note(_: nn.Module, seen: tuple[torch.Tensor], name: str = name) -> None:
            axes = [axis for axis in range(seen[0].ndim) if axis != 1]
            variance, mean = torch.var_mean(seen[0].float(), axes, correction=0)
            values[name] = mean, variance

        hooks.append(norm.register_forward_pre_hook(note))
    try:
        network(inputs, labels)
    finally:
        for hook in hooks:
            hook.remove()
    return Statistics(values)


def with_statistics(network: nn.Module, statistics: Statistics) -> nn.Module:
    """A copy in evaluation mode whose norms use these statistics, as if they were running averages."""
    network = copy.deepcopy(network).eval()
    for name, norm in _without_own(network).items():
        mean, variance = statistics.values[name]
        norm.running_mean, norm.running_var = mean.clone(), variance.clone()
        norm.track_running_stats = True
    return network


def _without_own(network: nn.Module) -> dict[str, nn.BatchNorm1d | nn.BatchNorm2d]:
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, NORMS) and module.running_mean is None
    }
