"""Where the arithmetic happens: device and precision, resolved once and reported."""

from __future__ import annotations

import ctypes
import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from dcgan.errors import InputError

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def resolve_device(name: str) -> torch.device:
    """ "auto" → cuda, else mps, else cpu; a device that is asked for and not there is an InputError."""
    import torch

    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next(device for device in ("cuda", "mps", "cpu") if there[device])
    if not there[name]:
        available = ", ".join(device for device, yes in there.items() if yes)
        raise InputError(f"device {name!r} is not available here (there is: {available})")
    return torch.device(name)


def has_fast_bf16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 natively, so that it is worth using."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """ "auto" → bfloat16 where it is fast, else float32. The weights are float32 in either case."""
    import torch

    if name == "auto":
        name = "bf16" if has_fast_bf16(device) else "fp32"
    return torch.bfloat16 if name == "bf16" else torch.float32


def side_by_side(function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result, None, None]:
    """function(item) of each, in order, by as many threads as torch has for one operation; each then uses itself alone.

    Threads that share every small operation wait for the slowest of them each time: on two cores with other work on
    them, a network drew 250 images a second so, and 6,200 with each thread at batches of its own. Nor does the
    rounding depend on the number of cores. At most two results a thread are held.
    """
    import torch

    threads = torch.get_num_threads()
    if threads == 1:
        yield from map(function, items)
        return
    pending: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads, "dcgan-compute", torch.set_num_threads, (1,))
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= 2 * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(threads)  # theirs is also what threads to come would begin with


def prepare(device: torch.device) -> None:
    """Settings of the whole process that make training faster, once the device is known."""
    import torch

    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
    elif device.type == "cpu" and sys.platform == "linux":
        _keep_freed_memory()


@contextmanager
def full_float32() -> Iterator[None]:
    """Inside, products of float32 on a GPU have all its digits, also after a training has chosen TF32 in `prepare`."""
    import torch

    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def has_room(device: torch.device, size: int) -> bool:
    """Whether a CUDA GPU has so many bytes free, and as many again to work with."""
    import torch

    return device.type == "cuda" and 2 * size <= torch.cuda.mem_get_info(device)[0]


def is_out_of_memory(error: Exception) -> bool:
    """Whether this is torch's, or Python's, way to say that the GPU or the host has no more memory."""
    import torch

    # The last is all that oneDNN, the convolutions of a CPU, says when it gets no room for its own.
    words = ("can't allocate memory", "not enough memory", "out of memory", "could not create a primitive")
    told = isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
    return told or isinstance(error, MemoryError | torch.cuda.OutOfMemoryError)


@contextmanager
def repeatable(asked: bool, device: torch.device) -> Iterator[None]:
    """Inside, if `asked`: the same numbers every time, or a RuntimeError where torch has no such way.

    On a CPU sums are split among the threads, so that their number shows in the rounding: there is one thread.
    cuBLAS reads its variable when it begins, so before the first product on a GPU of this process.
    """
    import torch

    if not asked:
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark, threads = torch.backends.cudnn.benchmark, torch.get_num_threads()
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False  # which kernel is fastest differs from time to time
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.benchmark = benchmark
        torch.set_num_threads(threads)


def _keep_freed_memory() -> None:
    """Have glibc keep freed buffers for the next step instead of handing them back to the kernel.

    Every step frees what the next one takes again; handed back, each page of it comes anew by a fault, and
    zeroed: 10 to 15 % of a step of the blog post's networks. Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD: nothing below 1 GiB is a mapping of its own
        mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: the heap does not shrink
