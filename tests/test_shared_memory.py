"""Sums in shared memory against those of gloo and of plain additions; who dies, hangs or adds up something else."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

from dcgan import distributed
from dcgan.errors import TrainingError
from dcgan.shared_memory import SLOT, SMALL, SharedMemory
from tests.together import together

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.uname().machine != "x86_64", reason="memory is shared on Linux on x86-64 alone"
)
TYPES = {"float32": 1e-6, "float64": 1e-14, "bfloat16": 1e-2, "int64": 0.0}
"""With the relative difference that rounding in another order may make."""


def lengths(dtype: torch.dtype) -> list[int]:
    """One number, fewer than processes, odd, about the small and the large, just a slot, and several of them."""
    small, slot = SMALL // dtype.itemsize, SLOT // dtype.itemsize
    return [1, 3, 4, 17, small - 1, small, small + 1, slot - 1, slot, slot + 1, 2 * slot + 7]


def own(n: int, dtype: torch.dtype, rank: int, seed: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(100 * seed + rank)
    return (torch.rand(n, generator=random) * 100 - 30).to(dtype)


def summed() -> list[bytes]:
    """The sums of all lengths and types, which are those of gloo but for rounding, and those of rank order exactly."""
    assert distributed._memory
    rank, world, bits = distributed.rank(), distributed.world(), []
    for name, tolerance in TYPES.items():
        dtype = getattr(torch, name)
        for seed, n in enumerate(lengths(dtype)):
            tensor = own(n, dtype, rank, seed)
            gloo = tensor.clone()
            torch.distributed.all_reduce(gloo)
            expected = own(n, dtype, 0, seed)
            for other in range(1, world):
                expected += own(n, dtype, other, seed)
            distributed.sum_(tensor)
            assert torch.equal(tensor, expected), f"{name}, {n}"
            torch.testing.assert_close(tensor, gloo, rtol=tolerance, atol=100 * tolerance)
            bits.append(tensor.view(torch.uint8).numpy().tobytes()[:1000])
    return bits


def collected() -> list[list[float]]:
    """What all have, through the memory and then over gloo."""
    rank = distributed.rank()
    tensors = [torch.arange(4.0).view(2, 2) + rank, torch.tensor(10.0 * rank)]
    shared = distributed.collect(tensors)
    distributed.barrier()  # slots are written anew
    distributed.sum_(torch.zeros(100))
    assert distributed._memory
    distributed._memory.close()
    distributed._memory = None
    assert torch.equal(distributed.collect(tensors), shared)
    return shared.tolist()


def test_all_have_what_each_has() -> None:
    assert together(collected, 3) == [[[r, r + 1, r + 2, r + 3, 10 * r] for r in range(3)]] * 3


@pytest.mark.parametrize("world", [2, 3, 4])
def test_sums_are_those_of_the_processes_in_order(world: int) -> None:
    first, *others = together(summed, world)
    assert all(other == first for other in others)


def averaged() -> list[np.ndarray]:
    """Means of many tensors at once, of which portions end within some; in several memory layouts."""
    rank = distributed.rank()
    sizes = [1, 3 * SLOT // 16, SLOT // 4, 5, SLOT // 8]
    tensors = [own(n, torch.float32, rank, seed) for seed, n in enumerate(sizes)]
    tensors.append(own(2 * 3 * 4 * 5, torch.float32, rank, 9).view(2, 3, 4, 5).to(memory_format=torch.channels_last))
    tensors.append(torch.tensor(float(rank)))
    distributed.average_(tensors)
    return [tensor.numpy() for tensor in tensors]


@pytest.mark.parametrize("world", [2, 3])
def test_means_of_many_tensors_at_once(world: int) -> None:
    expected = []
    for seed, n in enumerate([1, 3 * SLOT // 16, SLOT // 4, 5, SLOT // 8]):
        expected.append(torch.stack([own(n, torch.float32, rank, seed) for rank in range(world)]).double().mean(0))
    expected.append(
        torch.stack([own(120, torch.float32, r, 9) for r in range(world)]).double().mean(0).view(2, 3, 4, 5)
    )
    expected.append(torch.tensor((world - 1) / 2))
    for found in together(averaged, world):
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-6, atol=1e-4)


def many_small() -> float:
    """3,000 sums, each of what the one before gave: a slot that is overwritten too soon would show."""
    assert distributed._memory
    value = torch.ones(5, dtype=torch.float64) + distributed.rank()
    for i in range(3000):
        if i % 500 == distributed.rank():
            time.sleep(0.01)
        distributed.sum_(value)
        value /= distributed.world()
        value += i % 3 * distributed.rank()
    distributed.sum_(value)
    return value.sum().item()


def test_sums_upon_sums() -> None:
    world = 3
    ranks = np.arange(world, dtype=np.float64)
    value = 1 + ranks
    for i in range(3000):
        value = value.sum() / world + i % 3 * ranks
    assert together(many_small, world) == [pytest.approx(5 * value.sum(), rel=1e-9)] * world


# Where there is none --------------------------------------------------------------------------------------------------


UNWILLING: dict[str, tuple[int, str, Any]] = {
    "not found": (1, "os.readlink", mock.Mock(return_value="/dev/null")),
    "not made": (0, "platform.machine", mock.Mock(return_value="riscv64")),
    "no room": (0, "os.posix_fallocate", mock.Mock(side_effect=OSError(28, "No space left on device"))),
}
"""In which process what does what instead."""


def apart(how: str) -> tuple[bool, float, int]:
    """Where one process has no memory: whether it is used, what a sum is then, and how many files of it are open."""
    assert distributed._memory
    distributed._memory.close()
    distributed._memory = None
    rank, name, instead = UNWILLING[how]
    with mock.patch(name, instead) if distributed.rank() == rank else contextlib.nullcontext():
        distributed._memory = distributed._shared()
    value = torch.tensor([1.0 + distributed.rank()])
    distributed.sum_(value)
    return distributed._memory is not None, value.item(), len(open_memories())


def open_memories() -> list[str]:
    links = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # that of the listing itself
            links.append(os.readlink(f"/proc/self/fd/{number}"))
    return [link for link in links if "memfd:dcgan" in link]


@pytest.mark.parametrize("how", UNWILLING)
def test_without_it_gloo_adds_up(how: str) -> None:
    assert together(apart, 2, how) == [(False, 3.0, 0)] * 2


def test_what_is_not_the_memory_is_not_opened(tmp_path: Path) -> None:
    memory, where = SharedMemory.create(2)
    name, process, _ = where.split()
    with (tmp_path / "other").open("w") as file, pytest.raises(OSError, match="something else"):
        SharedMemory.find(f"{name} {process} {file.fileno()}", 1, 2)
    memory.close()
    with pytest.raises(OSError):  # noqa: PT011 - nothing there any more, or something else
        SharedMemory.find(where, 1, 2)


# Who does not come -------------------------------------------------------------------------------------------------


def deserted(how: str, out: str = "") -> tuple[str, float]:
    """What process 0 says of process 1, and after how many seconds; to a file also, because the other cannot answer."""
    rank = distributed.rank()
    if how == "killed" and rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "hung":
        distributed.STEP_TIMEOUT = distributed.timedelta(seconds=1)
        if rank == 1:
            time.sleep(6)
            return "", 0.0
    began = time.monotonic()
    with pytest.raises(TrainingError, match="dcgan train --resume RUN") as said:
        distributed.sum_(torch.ones(4 + rank if how == "unlike" else 4))
    if out:
        Path(out).write_text(str(said.value))
    return str(said.value), time.monotonic() - began


@pytest.mark.parametrize(
    ("how", "words"),
    [("hung", "process 1 has not been heard of for 1 s"), ("unlike", "process 1 adds up something else")],
)
def test_who_hangs_or_differs_is_named(how: str, words: str) -> None:
    (said, seconds), _ = together(deserted, 2, how)
    assert words in said
    assert seconds < 5


def test_who_is_killed_is_named_within_seconds(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(EOFError):
        together(deserted, 2, "killed", str(tmp_path / "said"))
    assert "process 1 has ended" in (tmp_path / "said").read_text()
    assert time.monotonic() - began < 60  # with the start of both; STEP_TIMEOUT is ten minutes


def test_it_has_no_name_and_leaves_nothing_open() -> None:
    before = set(os.listdir("/dev/shm"))
    memory, _ = SharedMemory.create(3)
    assert set(os.listdir("/dev/shm")) == before
    assert open_memories()
    memory.close()
    assert not open_memories()
