"""Shuffled batches without end, whose place in the data is two numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch


class Batches(Iterator[tuple[torch.Tensor, torch.Tensor | None]]):
    """Batches of images uint8 (N, C, H, W) in channels-last memory, and labels int64 (N,) if there are any.

    Every epoch is a permutation of its own, made from the seed and the epoch's number, so that the
    place in the data, and with it a resume, is the epoch and an offset. With `partial` an epoch ends with
    a smaller batch if need be (of at least 2: batch norm has no use for one); otherwise a batch runs on into
    the next epoch, and a set smaller than a batch is simply gone through several times in one.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray | None,
        batch_size: int,
        seed: int,
        partial: bool = False,
    ) -> None:
        self.images, self.labels = images, labels
        self.batch_size, self.seed, self.partial = batch_size, seed, partial
        self.epoch = self.offset = 0
        self._order = self._permutation()

    def __next__(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        rows = self._take(self.batch_size)
        # Sorted rows read a memory map front to back; the order within a batch means nothing.
        rows.sort()
        images = torch.from_numpy(self.images[rows]).permute(0, 3, 1, 2)
        labels = None if self.labels is None else torch.from_numpy(self.labels[rows])
        return images, labels

    def state(self) -> dict[str, int]:
        """The place in the data, for `restore`."""
        return {"epoch": self.epoch, "offset": self.offset}

    def restore(self, state: dict[str, int]) -> None:
        """Go to a place that `state` gave."""
        self.epoch, self.offset = state["epoch"], state["offset"]
        self._order = self._permutation()

    def _take(self, n: int) -> np.ndarray:
        rows = self._order[self.offset : self.offset + n].copy()
        self.offset += len(rows)
        if len(self._order) - self.offset <= (1 if self.partial else 0):
            self.epoch, self.offset = self.epoch + 1, 0
            self._order = self._permutation()
        if len(rows) < n and not (self.partial and len(rows)):
            rows = np.concatenate([rows, self._take(n - len(rows))])
        return rows

    def _permutation(self) -> np.ndarray:
        rng = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, 1, self.epoch]))
        return rng.permutation(len(self.images))
