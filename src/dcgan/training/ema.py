"""The running average of the generator, which draws better images than any single step's weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Average:
    """An exponential moving average of a network's parameters and floating buffers (batch-norm statistics).

    After t updates the decay is min(decay, (1 + t) / (10 + t)), so that the random start is soon forgotten:
    an average over about the last ninth of them, and over the last 1 / (1 - decay) once those are fewer.
    With decay 0 `network` is the network itself.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.network = copy.deepcopy(network).requires_grad_(False) if decay else network
        pairs = zip(_tensors(self.network), _tensors(network), strict=True)
        floating = [(own, source) for own, source in pairs if own.is_floating_point()]
        self._own = [own for own, _ in floating]
        self._source = [source for _, source in floating]

    @torch.no_grad()
    def update(self) -> None:
        """Move towards the network as it is now."""
        if self.decay:
            decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
            torch._foreach_lerp_(self._own, self._source, 1 - decay)
            self.updates += 1


def _tensors(network: nn.Module) -> list[torch.Tensor]:
    return [*(p.detach() for p in network.parameters()), *network.buffers()]
