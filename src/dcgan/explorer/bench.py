"""What all requests share: the runs, and the one thread in which everything is drawn.

One thread keeps to the networks' rule that nobody else changes them meanwhile, and to one set of torch's threads,
however many ask at once. What only reads files has a thread of its own, so that following a training never waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from starlette.exceptions import HTTPException

from dcgan.explorer.opened import Opened

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Bench:
    """The runs in the order that they were named."""

    runs: Sequence[Opened]
    usual: dict[str, float] = field(default_factory=dict)
    """The usual distance between training images, by the key of their pack: it takes a while."""
    _drawing: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "dcgan-drawing"))
    _reading: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "dcgan-reading"))

    def run(self, number: int) -> Opened:
        """A run by its number; 404 if there is none."""
        if not 0 <= number < len(self.runs):
            raise HTTPException(404, "no such run")
        return self.runs[number]

    async def draw(self, work: Callable[[], Result]) -> Result:
        """What work() gives, after what others have asked for."""
        return await asyncio.get_running_loop().run_in_executor(self._drawing, work)

    async def read(self, work: Callable[[], Result]) -> Result:
        """What work() gives, which draws nothing."""
        return await asyncio.get_running_loop().run_in_executor(self._reading, work)

    def close(self) -> None:
        """End the threads when what they are at is done."""
        for pool in (self._drawing, self._reading):
            pool.shutdown(wait=True, cancel_futures=True)
