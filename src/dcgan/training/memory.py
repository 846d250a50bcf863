"""How many images are in memory at once: as many as asked for, and fewer once there is no room for them."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from dcgan import distributed
from dcgan.device import is_out_of_memory
from dcgan.training.pieces import SMALLEST

Result = TypeVar("Result")


class Memory:
    """The size of the pieces that batches are played in, 0 for whole batches, and what makes them smaller.

    When memory runs out while gradients are made, neither weights nor moments nor sums have changed. What has, is put
    back: the networks' buffers (norms' running averages, spectral norm's vectors) and the random state of dropout.
    """

    def __init__(self, most: int, networks: list[nn.Module], device: torch.device) -> None:
        self.most, self._device = most, device
        buffers = [buffer for network in networks for buffer in network.buffers()]
        self._kinds = [[b for b in buffers if b.dtype == kind] for kind in {b.dtype for b in buffers}]
        self._copies = [[b.clone() for b in kind] for kind in self._kinds]  # taken while there is room
        self._random: list[torch.Tensor] = []

    def fit(self, n: int, work: Callable[[int], Result], shrunk: Callable[[str], None]) -> Result:
        """`work(most)`, which makes gradients of n images in pieces of at most `most`; with fewer until it fits.

        Fewer they stay. `shrunk` hears it, and lets go of whatever memory it can. Where nothing smaller helps, and in
        one of several processes, of which the others wait in a sum by then, the error is as it was.
        """
        while True:
            # A recording runs nothing, and cannot be tried again.
            recording = self._device.type == "cuda" and torch.cuda.is_current_stream_capturing()
            most = min(self.most or n, n)
            final = recording or distributed.world() > 1 or most <= SMALLEST or n < 2 * SMALLEST
            if not final:
                self._note()
            try:
                return work(self.most)
            except (RuntimeError, MemoryError) as error:
                if final or not is_out_of_memory(error):
                    raise
            # Only here is the error gone, and with it the tensors of the frames that it came through.
            self.most = max(most // 2, SMALLEST)
            self._put_back()
            shrunk(
                f"there is not enough memory on {self._device.type} for {most} images at once; from here on batches "
                f"are played in pieces of {self.most} (--micro-batch {self.most} does so from the start)"
            )
            gc.collect()
            if self._device.type == "cuda":
                torch.cuda.empty_cache()

    @torch.no_grad()
    def _note(self) -> None:
        for copies, own in zip(self._copies, self._kinds, strict=True):
            torch._foreach_copy_(copies, own)
        self._random = [torch.get_rng_state()]
        if self._device.type == "cuda":
            self._random.append(torch.cuda.get_rng_state(self._device))

    @torch.no_grad()
    def _put_back(self) -> None:
        for copies, own in zip(self._copies, self._kinds, strict=True):
            torch._foreach_copy_(own, copies)
        torch.set_rng_state(self._random[0])
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(self._random[1], self._device)
