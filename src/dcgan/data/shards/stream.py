"""Batches read from shards while they are trained on, whose place is two numbers as that of any other batches.

The order of an epoch is a function of the seed, the epoch's number, the index, the batch size and the buffer alone.
So it is the same whatever the number of workers and processes, and a resume rebuilds it and reads nothing twice but
the shards that were open.
"""

from __future__ import annotations

import math
import os
import warnings
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch

from dcgan.data.batches import Batch, Batches, Place
from dcgan.data.decode import BadImage, check_file_size, decode, open_image
from dcgan.data.shards.index import LABEL, SHARD
from dcgan.data.shards.remote import cache_bytes
from dcgan.data.shards.source import ShardSource
from dcgan.errors import InputError, printable

LANES = 16
"""Places of the epoch from which a batch is put together, at most: so that a batch is mixed even if shards are not."""
AHEAD_BYTES = 256 * 2**20
MOST_WORKERS = 8
ENOUGH = 1000
"""Pictures after which the share of broken ones is judged."""
SUBSTITUTES = 1000


class _Read(NamedTuple):
    images: torch.Tensor
    labels: torch.Tensor | None
    broken: list[tuple[int, str]]


class Stream(Batches):
    """Batches of the interface of `Batches`, of which never more than a few are in memory.

    shape: (H, W, C). buffer: over how many pictures an epoch is shuffled beside the order of its shards.
    A picture that cannot be read is counted, said by `warn`, and the next good one of its shard stands in for it;
    more than `max_skipped` of them are an InputError.
    """

    def __init__(
        self,
        source: ShardSource,
        shape: tuple[int, int, int],
        batch_size: int,
        seed: int,
        partial: bool = False,
        share: tuple[int, int] = (0, 1),
        *,
        buffer: int = 16_384,
        resample: str = "lanczos",
        workers: int = 0,
        max_skipped: float = 0.1,
        warn: Callable[[str], None] = warnings.warn,
        pin: bool = False,
    ) -> None:
        self.source, self.shape, self.buffer, self.resample, self.pin = source, shape, buffer, resample, pin
        self.max_skipped, self.warn = max_skipped, warn
        self._starts = source.index.starts()
        workers = workers or min(MOST_WORKERS, _cores())
        self._pool = ThreadPoolExecutor(workers, "dcgan-stream")
        self._fetching = ThreadPoolExecutor(2, "dcgan-fetch") if source.remote else None
        self._depth = max(2, min(2 * workers + 2, AHEAD_BYTES // (batch_size * math.prod(shape) + 1)))
        self._coming: deque[tuple[Place, Future[_Read]]] = deque()
        self._broken: set[int] = set()
        self._seen = self._met = 0
        self._fetched: set[int] = set()
        self._closed = False
        # The threads decode as long as it trains, so the filter is for the process; broken pictures are counted.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        super().__init__(source.index.table, None, batch_size, seed, partial, share=share)
        self._sizes = np.array([shard.size for shard in source.index.shards])
        if source.remote:
            self._warn_of_small_cache()

    def __next__(self) -> Batch:
        while len(self._coming) < self._depth:
            place = super().state()
            self._fetch_ahead()
            self._coming.append((place, self._pool.submit(self._read, self._own_rows())))
        read = self._coming[0][1].result()
        self._coming.popleft()
        self._judge(read)
        return read.images, read.labels

    def state(self) -> Place:
        """The place of the next batch that will be handed out."""
        return self._coming[0][0] if self._coming else super().state()

    def restore(self, state: Place) -> None:
        """Go to a place that `state` gave."""
        for _, future in self._coming:
            future.cancel()
        self._coming.clear()
        super().restore(state)

    def close(self) -> None:
        """Give up what was to be read ahead; a thread ends once it has the picture or shard it is waiting for."""
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._fetching:
            self._fetching.shutdown(wait=False, cancel_futures=True)

    def _permutation(self) -> np.ndarray:
        return epoch_order(self._starts, self.seed, self.epoch, self.batch_size, self.buffer)

    def _read(self, rows: np.ndarray) -> _Read:
        """Decode one batch, in a thread; read from front to back, in the order of the rows in the end."""
        height, width, channels = self.shape
        images = np.empty((len(rows), *self.shape), np.uint8)
        taken, broken, order = rows.copy(), [], rows.argsort()
        for i, content in zip(order, self.source.read(rows[order].tolist()), strict=True):
            if self._closed:
                raise CancelledError
            for _ in range(SUBSTITUTES):
                try:
                    check_file_size(len(content))
                    with open_image(content) as image:
                        images[i] = decode(image, (height, width), channels, self.resample)
                    break
                except BadImage as error:
                    broken.append((int(taken[i]), str(error)))
                    taken[i] = self._after(int(taken[i]))
                    content = next(self.source.read([int(taken[i])]))
            else:
                name = printable(self.source.name_of(int(rows[i])))
                raise InputError(f"{name}: this picture and the {SUBSTITUTES:,} after it cannot be read")
        batch = torch.from_numpy(images).permute(0, 3, 1, 2)
        labels = torch.from_numpy(self.images[taken, LABEL].astype(np.int64)) if self.source.class_names else None
        if self.pin:
            batch, labels = batch.pin_memory(), None if labels is None else labels.pin_memory()
        return _Read(batch, labels, broken)

    def _after(self, row: int) -> int:
        """The next picture of the same shard, the first one after the last."""
        first, end = self._starts[self.images[row, SHARD]], self._starts[self.images[row, SHARD] + 1]
        return int(first + (row + 1 - first) % (end - first))

    def _judge(self, read: _Read) -> None:
        self._seen, self._met = self._seen + len(read.images), self._met + len(read.broken)
        for row, why in read.broken:
            if row in self._broken:
                continue
            self._broken.add(row)
            if len(self._broken) in (1, 10, 100, 1000, 10_000):
                name = f"{printable(self.source.name_of(row))}: {printable(why)}"
                self.warn(
                    f"pictures that could not be read, and the next ones stand in for: {len(self._broken):,} ({name})"
                )
        if self._seen >= ENOUGH and self._met > self.max_skipped * self._seen:
            raise InputError(
                f"{self.source.description}: {self._met:,} of {self._seen:,} pictures cannot be read, more than "
                f"{self.max_skipped:.0%} (--max-skipped)"
            )

    def _fetch_ahead(self) -> None:
        """Have the shards of the next buffer of this process's pictures fetched, as far as the cache holds them."""
        if self._fetching is None or (self.offset // self.batch_size) % 16:
            return
        coming = self._order[self.offset : self.offset + self.buffer + self._depth * self.batch_size]
        whole = coming[: len(coming) // self.batch_size * self.batch_size].reshape(-1, self.batch_size)
        own = self.images[np.split(whole, self.share[1], axis=1)[self.share[0]].ravel(), SHARD]
        shards, first = np.unique(own, return_index=True)
        shards = shards[np.argsort(first)]  # as they are needed; beyond the cache they would drive each other out
        held = shards[np.cumsum(self._sizes[shards]) <= cache_bytes()].tolist()
        for shard in held:
            if shard not in self._fetched:
                self._fetching.submit(self.source.index.shards[shard].path)
        self._fetched = set(held)

    def _warn_of_small_cache(self) -> None:
        """A lane is in two shards at times; with less room than that they are fetched several times an epoch."""
        lanes, held = math.gcd(self.batch_size, LANES), cache_bytes()
        needed = min(2 * lanes * int(self._sizes.max()), int(self._sizes.sum()))
        if needed > held:
            self.warn(
                f"{printable(self.source.pattern)}: batches are put together from {lanes} places at a time, so these "
                f"shards want {needed / 1e9:.2g} GB of cache and not {held / 1e9:.2g}: they will be fetched several "
                f"times an epoch. Set DCGAN_SHARD_CACHE={math.ceil(needed / 1e9)}, or make smaller shards"
            )


def epoch_order(starts: np.ndarray, seed: int, epoch: int, batch_size: int, buffer: int) -> np.ndarray:
    """Every row once, int64 (N,).

    The shards are permuted and laid end to end; that is cut into lanes of equal length, each lane's rows move back by
    a random way up to buffer / lanes, and a batch takes as many from each lane. A process whose share is a w-th of
    each batch so reads about a w-th of the shards, and all have equally many pictures, however long the shards are.
    """
    rng = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 1, epoch]))
    order = rng.permutation(len(starts) - 1)
    rows = np.concatenate([np.arange(starts[shard], starts[shard + 1]) for shard in order])
    lanes = math.gcd(batch_size, LANES)
    each, width = batch_size // lanes, max(1, buffer // lanes)
    longest = -(-len(rows) // (lanes * each)) * each
    laid = np.full((lanes, longest), -1)
    for lane, part in enumerate(np.array_split(rows, lanes)):
        if len(part) <= width:
            laid[lane, : len(part)] = rng.permutation(part)
        else:  # at any time only `width` rows are behind the furthest that has been taken
            laid[lane, : len(part)] = part[np.argsort(np.arange(len(part)) + width * rng.random(len(part)))]
    flat = laid.reshape(lanes, -1, each).transpose(1, 0, 2).ravel()
    return flat[flat >= 0]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
