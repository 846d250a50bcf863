"""Shuffled batches without end, whose place in the data is two numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from dcgan.data.patience import rows_of
from dcgan.device import has_room

Batch = tuple[torch.Tensor, torch.Tensor | None]
Place = dict[str, int]


def open_batches(
    images: np.ndarray,
    labels: np.ndarray | None,
    device: torch.device,
    stream: Callable[..., Batches] | None = None,
    **options: Any,
) -> Batches | ReadAhead:
    """Batches in the way that suits the device; `options` are those of Batches, and the batches are the same.

    A GPU gets the whole set if that takes no more than half of its free memory, and otherwise batches that
    are read and pinned ahead of need. A CPU reads them from the memory map when it wants them.
    `stream`: opens a stream of shards in place of these images, with the same options; it reads ahead by itself.
    """
    if stream is not None:
        return stream(**options, pin=device.type == "cuda")
    if device.type != "cuda":
        return Batches(images, labels, **options)
    if has_room(device, images.nbytes):
        return Batches(images, labels, **options, device=device)
    return ReadAhead(Batches(images, labels, **options), pin=True)


class Batches(Iterator[Batch]):
    """Batches of images uint8 (N, C, H, W) in channels-last memory, and labels int64 (N,) if there are any.

    Raises DataLost when the drive of a memory map does not answer any more.

    Every epoch is a permutation of its own, made from the seed and the epoch's number, so that the
    place in the data, and with it a resume, is the epoch and an offset. With `partial` an epoch ends with
    a smaller batch if need be (of at least 2: batch norm has no use for one); otherwise a batch runs on into
    the next epoch, and a set smaller than a batch is simply gone through several times in one.
    With a `device` the set is copied there as a whole, once. Of several processes each gets its share of the same
    batches: the parts of `share` = (which, of how many), none of them twice; the place is that of all.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray | None,
        batch_size: int,
        seed: int,
        partial: bool = False,
        device: torch.device | None = None,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        self.share = share
        self.images, self.labels = images, labels
        self._rows = rows_of(images)
        self._resident: Batch | None = None
        if device:
            on_device = None if labels is None else torch.tensor(labels, device=device)
            self._resident = torch.tensor(images, device=device), on_device
        self.batch_size, self.seed, self.partial = batch_size, seed, partial
        self.epoch = self.offset = 0
        self._order = self._permutation()

    def __next__(self) -> Batch:
        rows = self._own_rows()
        if self._resident:
            return self._gather(*self._resident, torch.from_numpy(rows))
        images = torch.from_numpy(self._rows[rows]).permute(0, 3, 1, 2)
        labels = None if self.labels is None else torch.from_numpy(self.labels[rows])
        return images, labels

    def _own_rows(self) -> np.ndarray:
        """This process's rows of the next batch, in random order: a part of a batch is to be a sample of all of it.

        Sorted as they are in a set of classes one after the other, the pieces of a batch (`Memory`) and the shares
        of processes would each be of a few classes, and so would what their batch norms see.
        """
        return np.split(self._take(self.batch_size), self.share[1])[self.share[0]]

    @staticmethod
    def _gather(images: torch.Tensor, labels: torch.Tensor | None, rows: torch.Tensor) -> Batch:
        where = rows.pin_memory() if images.is_cuda else rows  # so that the copy waits for nothing
        where = where.to(images.device, non_blocking=True)
        return images[where].permute(0, 3, 1, 2), None if labels is None else labels[where]

    def state(self) -> Place:
        """The place in the data, for `restore`."""
        return {"epoch": self.epoch, "offset": self.offset}

    def restore(self, state: Place) -> None:
        """Go to a place that `state` gave."""
        self.epoch, self.offset = state["epoch"], state["offset"]
        self._order = self._permutation()

    def close(self) -> None:
        """No further batch is wanted."""

    def _take(self, n: int) -> np.ndarray:
        parts: list[np.ndarray] = []
        while n and not (self.partial and parts):
            parts.append(self._order[self.offset : self.offset + n])
            n, self.offset = n - len(parts[-1]), self.offset + len(parts[-1])
            if len(self._order) - self.offset <= (1 if self.partial else 0):
                self.epoch, self.offset = self.epoch + 1, 0
                self._order = self._permutation()
        return np.concatenate(parts)

    def _permutation(self) -> np.ndarray:
        rng = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, 1, self.epoch]))
        return rng.permutation(len(self.images))


class ReadAhead(Iterator[Batch]):
    """The batches of another, each read by a thread while the one before it is trained on; same places."""

    def __init__(self, batches: Batches, pin: bool = False) -> None:
        self.batches, self.pin = batches, pin
        self._thread = ThreadPoolExecutor(1, "dcgan-batches")
        self._coming: tuple[Place, Future[Batch]] | None = None

    def __next__(self) -> Batch:
        batch = (self._coming or self._start())[1].result()
        self._coming = self._start()
        return batch

    def state(self) -> Place:
        """The place of the next batch that will be handed out."""
        return self._coming[0] if self._coming else self.batches.state()

    def restore(self, state: Place) -> None:
        """Go to a place that `state` gave."""
        if self._coming:
            self._coming[1].exception()  # whatever has come of it
        self._coming = None
        self.batches.restore(state)

    def close(self) -> None:
        """No further batch is wanted."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self.batches.close()

    def _start(self) -> tuple[Place, Future[Batch]]:
        return self.batches.state(), self._thread.submit(self._read)

    def _read(self) -> Batch:
        images, labels = next(self.batches)
        if self.pin:
            images, labels = images.pin_memory(), None if labels is None else labels.pin_memory()
        return images, labels
