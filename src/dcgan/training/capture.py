"""Recording a step's work on the GPU once, and replaying it: one launch instead of some hundred."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import torch

WARM_UP = 3
"""Runs before the recording: libraries choose their kernels and optimisers make their state meanwhile."""


class Captured:
    """`function(key, *tensors)`, recorded as a CUDA graph for each key and shapes, with inputs of its own.

    It must work in place on state that stays where it is, return nothing and wait for nothing. `noise` is the
    generator of its random numbers: a replay goes on from its state and moves it as an ordinary run would.
    What cannot be recorded goes on as it was, and `report` hears why.
    """

    def __init__(self, function: Callable[..., None], noise: torch.Generator, report: Callable[[str], None]) -> None:
        self.function, self.noise, self.report = function, noise, report
        self._runs: dict[Hashable, int] = {}
        self._recorded: dict[Hashable, tuple[Any, list[torch.Tensor | None]]] = {}
        self._stream: Any = None
        self._possible = True

    def __call__(self, key: Hashable, *tensors: torch.Tensor | None) -> None:
        case = (key, *(None if tensor is None else tensor.shape for tensor in tensors))
        if case not in self._recorded and not self._record(case, key, tensors):
            self.function(key, *tensors)
            return
        graph, inputs = self._recorded[case]
        for own, tensor in zip(inputs, tensors, strict=True):
            if own is not None and tensor is not None:
                own.copy_(tensor, non_blocking=True)
        graph.replay()

    def forget(self) -> None:
        """Record anew: the state that was recorded is no longer where it was."""
        if self._recorded:  # the last replay may still run, and its memory is other streams' once the recording is gone
            torch.cuda.synchronize(self.noise.device)
        self._runs.clear()
        self._recorded.clear()

    def _record(self, case: Hashable, key: Hashable, tensors: tuple[torch.Tensor | None, ...]) -> bool:
        """Record once it is warm; whether there is a recording now. Recording runs nothing."""
        runs = self._runs[case] = self._runs.get(case, 0) + 1
        if runs <= WARM_UP or not self._possible:
            return False
        device = self.noise.device
        inputs = [None if tensor is None else tensor.to(device, copy=True) for tensor in tensors]
        graph = torch.cuda.CUDAGraph()
        # cuBLAS has a workspace for each stream that is recorded on: trainings taken in turn must not share one.
        self._stream = self._stream or torch.cuda.Stream(device)
        try:
            graph.register_generator_state(self.noise)
            # Other threads go on meanwhile: the one that reads ahead pins memory, which a global recording forbids.
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                self.function(key, *inputs)
        except RuntimeError as error:
            self._possible = False
            self.report(f"the training step cannot be captured as a CUDA graph, so it runs slower: {error}")
            return False
        self._recorded[case] = graph, inputs
        return True
