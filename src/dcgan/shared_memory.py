"""Sums over the processes of one host in memory that all of them see, without sockets and the threads behind them.

Each process has slots there and a counter. A sum is: write into the own slot, count up, wait until all have counted
as far, add up the slots in the order of the processes. So the bits are the same everywhere, and nothing is sent.
The memory is an anonymous file that the others open through /proc: it has no name to be left behind by a process that
is killed, and what is not the same host, by whatever its name, does not find it. A counter that is seen has to mean
that the slot is: the order of stores is what x86-64 promises and other processors do not, so there it is not used.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import platform
import sys
import time
import uuid
from collections.abc import Iterator, Sequence

import torch

SLOT = 1 << 20
"""Bytes of a slot, of which each process has two: larger sums go by portions, which so stay in the core's cache."""
SMALL = 1 << 16
"""Bytes up to which all add up all: of more, and more than two processes, each adds up its part for the others."""
LINE = 8
"""64-bit words of a cache line. Each process writes its own: its counter, and the sizes of its last two portions."""
SPINS, BRIEF, NAP = 2000, 0.005, 0.002
"""Looks at a counter (100 µs) before the first system call; seconds until the waiting sleeps; the longest sleep."""
LOOK = 0.2
"""Seconds between looks whether the other still lives."""


class SharedMemory:
    """What one process knows of the memory. Made by `create` in one of them and by `find` in the others."""

    def __init__(self, descriptor: int, rank: int, world: int) -> None:
        """Map the file and take the lock on this process's byte of it, which ends with the process. OSError if not."""
        self.descriptor, self.rank, self.world = descriptor, rank, world
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, rank)
        memory = mmap.mmap(descriptor, _size(world))
        self._lines = memoryview(memory).cast("Q")
        self._others = [other for other in range(world) if other != rank]
        slots = torch.frombuffer(memory, dtype=torch.uint8, offset=8 * LINE * world, count=2 * world * SLOT)
        self._bytes = slots.view(2, world, SLOT)
        self._slots: dict[torch.dtype, torch.Tensor] = {}
        self._met, self._portions = 0, 0

    @classmethod
    def create(cls, world: int) -> tuple[SharedMemory, str]:
        """The memory, by process 0, and where the others find it. OSError where there can be none."""
        if sys.platform != "linux" or platform.machine() != "x86_64":
            raise OSError("memory is shared on Linux on x86-64 alone")
        name = f"dcgan-{uuid.uuid4().hex}"
        descriptor = os.memfd_create(name)
        try:
            os.posix_fallocate(descriptor, 0, _size(world))  # what is not there must not be found out by a SIGBUS
            return cls(descriptor, 0, world), f"{name} {os.getpid()} {descriptor}"
        except OSError:
            os.close(descriptor)
            raise

    @classmethod
    def find(cls, where: str, rank: int, world: int) -> SharedMemory:
        """The memory that process 0 has made; OSError if it is not seen from here, as on another host."""
        name, process, number = where.split()
        path = f"/proc/{process}/fd/{number}"
        if os.readlink(path) != f"/memfd:{name} (deleted)":
            raise FileNotFoundError(f"{path} is something else here")
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            return cls(descriptor, rank, world)
        except OSError:
            os.close(descriptor)
            raise

    def close(self) -> None:
        """Leave: whoever waits for this process hears that it is gone."""
        os.close(self.descriptor)
        self._slots.clear()
        del self._lines, self._bytes  # the mapping goes with the last of them

    def add_up(self, tensors: Sequence[torch.Tensor], patience: float, mean: bool = False) -> None:
        """Replace flat CPU tensors of one type by their sums over the processes, or by their means.

        All processes must call it alike, and often enough: RuntimeError if one of them is gone, has not come after
        `patience` seconds, or has come with another number of bytes.
        """
        for pieces in _portions(tensors, SLOT // tensors[0].itemsize):
            self._add_up(pieces, patience, mean)

    def collect(self, tensors: Sequence[torch.Tensor], patience: float) -> torch.Tensor:
        """What all processes have, one after the other: (world, numbers), of flat CPU tensors of a slot at most."""
        return self._exchange(tensors, patience).clone()

    def _exchange(self, pieces: Sequence[torch.Tensor], patience: float) -> torch.Tensor:
        """One portion of each process, (world, numbers), to be read before the next but one.

        By turns it is in one half of the slots and the other: some may still read the last portion, but the last but
        one nobody, because who has counted up for the last one had done with it.
        """
        dtype, count = pieces[0].dtype, sum(map(len, pieces))
        if dtype not in self._slots:
            self._slots[dtype] = self._bytes.view(dtype)
        self._portions += 1
        slots = self._slots[dtype][self._portions % 2, :, :count]
        if len(pieces) == 1:
            slots[self.rank].copy_(pieces[0])
        else:
            torch.cat(list(pieces), out=slots[self.rank])
        self._meet(count * dtype.itemsize, patience)
        return slots

    def _add_up(self, pieces: list[torch.Tensor], patience: float, mean: bool) -> None:
        """The sums of one portion."""
        slots = self._exchange(pieces, patience)
        if self.world > 2 and slots[0].nbytes > SMALL:
            own = slots.chunk(self.world, 1)[self.rank : self.rank + 1]
            for part in own:  # none if there are fewer numbers than processes
                _sum(part, part[0], self.world if mean else 1)
            self._meet(slots[0].nbytes, patience)
            total = slots[0]
        elif len(pieces) == 1:
            _sum(slots, pieces[0], self.world if mean else 1)
            return
        else:
            total = _sum(slots, torch.empty_like(slots[0]), self.world if mean else 1)
        torch._foreach_copy_(pieces, total.split([len(piece) for piece in pieces]))

    def _meet(self, size: int, patience: float) -> None:
        """Go on when all are here, each with a portion of so many bytes."""
        self._met += 1
        place = self._met % 2  # who is here already may be at the next meeting before we look
        self._lines[LINE * self.rank + 1 + place] = size
        self._lines[LINE * self.rank] = self._met
        for other in self._others:
            if self._lines[LINE * other] < self._met:
                self._wait_for(other, patience)
            if self._lines[LINE * other + 1 + place] != size:
                raise RuntimeError(f"process {other} adds up something else")

    def _wait_for(self, other: int, patience: float) -> None:
        """At first without a pause, as on cores that have nothing else to do; then let others work, then sleep."""
        lines, at, until = self._lines, LINE * other, self._met
        for _ in range(SPINS):
            if lines[at] >= until:
                return
        began = looked = time.monotonic()
        while lines[at] < until:
            now = time.monotonic()
            if now - began < BRIEF:
                os.sched_yield()
                continue
            if now - looked > LOOK:
                looked = now
                if self._is_gone(other) and lines[at] < until:
                    raise RuntimeError(f"process {other} has ended")
                if now - began > patience:
                    raise RuntimeError(f"process {other} has not been heard of for {patience:.0f} s")
            time.sleep(min((now - began) / 20, NAP))

    def _is_gone(self, other: int) -> bool:
        """Whether nobody has the lock of that process: locks end with it, even while it still has a number."""
        with contextlib.suppress(OSError):
            fcntl.lockf(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, other)
            fcntl.lockf(self.descriptor, fcntl.LOCK_UN, 1, other)
            return True
        return False


def _sum(slots: torch.Tensor, total: torch.Tensor, divisor: int) -> torch.Tensor:
    """The sum of the slots (world, n) into total (n), which may be the first of them."""
    torch.add(slots[0], slots[1], out=total)
    for slot in slots[2:]:
        total.add_(slot)
    return total.div_(divisor) if divisor > 1 else total


def _portions(tensors: Sequence[torch.Tensor], most: int) -> Iterator[list[torch.Tensor]]:
    """Consecutive pieces of flat tensors, so that each list has `most` numbers and the last one what is left."""
    portion: list[torch.Tensor] = []
    room = most
    for tensor in tensors:
        start = 0
        while start < len(tensor):
            portion.append(tensor[start : start + room])
            start, room = start + len(portion[-1]), room - len(portion[-1])
            if not room:
                yield portion
                portion, room = [], most
    if portion:
        yield portion


def _size(world: int) -> int:
    """Bytes of the counters and of the slots."""
    return world * (8 * LINE + 2 * SLOT)
