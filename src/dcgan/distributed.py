"""Many processes as one: `torchrun … -m dcgan train …`. In a single process everything here does nothing, at no cost.

torchrun starts the processes, says who is who in the environment and starts all of them again when one is lost.
`joined` makes a group of them; the rest are the few things that they say to each other. What the host decides goes over
the CPU (gloo), gradients and batch norm's sums over the device's own backend (gloo, or NCCL on CUDA). If all processes
are on the CPU of one host, their sums are made in memory that they share.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from dcgan.errors import InputError, TrainingError

if TYPE_CHECKING:
    import numpy as np
    import torch

    from dcgan.shared_memory import SharedMemory

T = TypeVar("T")
STEP_TIMEOUT = timedelta(minutes=10)
"""A process that keeps the others waiting so long within a step is hung: what is dead is noticed at once."""
HOST_TIMEOUT = timedelta(hours=24)
"""So long the others wait for one that packs images, measures or writes."""
_host_group: Any = None
_memory: SharedMemory | None = None


def launched() -> bool:
    """Whether torchrun has started this process as one of several."""
    return "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def launch() -> str | None:
    """What all processes of one torchrun have in common, and those that it starts again: the id of its rendezvous.

    Without an id of its own (--standalone and --rdzv-id give one) it is the host and the launcher's process.
    None without torchrun.
    """
    run_id = os.environ.get("TORCHELASTIC_RUN_ID")
    return f"{socket.gethostname()}:{os.getppid()}" if run_id == "none" else run_id


def may_restart() -> bool:
    """Whether torchrun starts all processes again when one is lost."""
    return launch() is not None and int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")) > 0


def world() -> int:
    """How many processes there are; 1 outside `joined`."""
    return _dist().get_world_size() if _host_group else 1


def rank() -> int:
    """The number of this process, from 0; before it has joined, what torchrun says of it."""
    if _host_group:
        return _dist().get_rank()
    return int(os.environ["RANK"]) if launched() else 0


def is_main() -> bool:
    """Whether this process is the one that writes and prints."""
    return rank() == 0


@contextmanager
def joined(device: str = "auto") -> Iterator[None]:
    """Inside, the processes that torchrun has started are a group; without torchrun nothing happens.

    device: auto, cpu, cuda or mps, as in the settings. On CUDA each process takes the GPU of its number on its host.
    Raises InputError if there is no such GPU, or if the others cannot be reached.
    """
    global _host_group, _memory
    if not launched() or _host_group:
        yield
        return
    import torch

    dist = _dist()
    if not dist.is_available():
        raise InputError("torchrun: this PyTorch was built without torch.distributed")
    local = int(os.environ["LOCAL_RANK"])
    on_gpu = device in ("auto", "cuda") and torch.cuda.is_available()
    if device == "mps":
        raise InputError("device: mps has no way for processes to add up their gradients; take --device cpu")
    if on_gpu:
        if local >= torch.cuda.device_count():
            raise InputError(
                f"torchrun: process {local} of this host finds {torch.cuda.device_count()} GPUs; start at most as many "
                "processes (--nproc-per-node gpu), or take --device cpu"
            )
        torch.cuda.set_device(local)
    try:
        store, number, count = next(iter(dist.rendezvous("env://", timeout=STEP_TIMEOUT)))
        store = dist.PrefixStore(_token(store, number, count), store)
        backend = "cpu:gloo,cuda:nccl" if on_gpu else "gloo"
        dist.init_process_group(backend, store=store, rank=number, world_size=count, timeout=STEP_TIMEOUT)
        _host_group = dist.new_group(backend="gloo", timeout=HOST_TIMEOUT)
        _memory = None if on_gpu else _shared()
    except (RuntimeError, ValueError) as error:
        where = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        raise InputError(
            f"torchrun: process {rank()} of {os.environ['WORLD_SIZE']} cannot join the others at {where} ({error}); "
            "see that the hosts reach each other there (GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME name the interface)"
        ) from error
    try:
        yield
    finally:
        if _memory:
            _memory.close()
        _host_group = _memory = None
        dist.destroy_process_group()


def _token(store: Any, number: int, count: int) -> str:
    """A word that all processes of this start have in common, and no earlier start had.

    torchrun keeps its store when it starts all again, with the addresses of the dead in it (PyTorch 2.14), and its
    count of restarts stays when a host comes or goes. So process 0 makes a word and tells it to who says hello now.
    """
    word, deadline = uuid.uuid4().hex, time.monotonic() + STEP_TIMEOUT.total_seconds()
    if number:
        store.set(f"dcgan/hello/{number}", word)
        store.wait([f"dcgan/reply/{word}"], STEP_TIMEOUT)
        told = store.get(f"dcgan/reply/{word}").decode()
        store.set(f"dcgan/heard/{told}/{number}", "")
        return told
    missing = set(range(1, count))
    while missing:
        for other in list(missing):
            if store.check([f"dcgan/hello/{other}"]):  # by now, or in an earlier start: then it says it again
                store.set(f"dcgan/reply/{store.get(f'dcgan/hello/{other}').decode()}", word)
            if store.check([f"dcgan/heard/{word}/{other}"]):
                missing.remove(other)
        if time.monotonic() > deadline:
            raise RuntimeError(f"nothing heard from processes {', '.join(map(str, sorted(missing)))}")
        time.sleep(0.01)
    return word


def _shared() -> SharedMemory | None:
    """The memory that all processes share; None, in all of them, unless each finds what process 0 has made."""
    where, memory = "", None
    with contextlib.suppress(OSError, ImportError):  # Windows has no such locks
        if is_main():
            from dcgan.shared_memory import SharedMemory

            memory, where = SharedMemory.create(world())
    where = from_main(lambda: where)
    with contextlib.suppress(OSError, ImportError):
        if where and not is_main():
            from dcgan.shared_memory import SharedMemory

            memory = SharedMemory.find(where, rank(), world())
    if not agree(0.0, stop=memory is None)[1]:
        return memory
    if memory:
        memory.close()
    return None


# What goes over the device's backend ---------------------------------------------------------------------------


def average_(tensors: Sequence[torch.Tensor]) -> None:
    """Replace float32 tensors of one device by their means over the processes: in one go, or as one flat buffer.

    Bits are the same in all processes. Tensors must be dense, in whatever memory layout (alike everywhere).
    """
    if world() == 1:
        return
    import torch

    views = [_flat(tensor) for tensor in tensors]
    if _memory:
        with _lost_is_said():
            _memory.add_up(views, STEP_TIMEOUT.total_seconds(), mean=True)
        return
    flat = torch.cat(views)
    sum_(flat)
    torch._foreach_copy_(views, flat.div_(world()).split([len(view) for view in views]))


def sum_(tensor: torch.Tensor) -> None:
    """Replace a dense tensor by its sum over the processes; bits are the same in all of them."""
    with _lost_is_said():
        if _memory:
            _memory.add_up([_flat(tensor)], STEP_TIMEOUT.total_seconds())
        else:
            _dist().all_reduce(tensor)


def collect(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """What each process has in a few small dense tensors of one type, the same for all: (world, numbers in all)."""
    import torch

    views = [_flat(tensor) for tensor in tensors]
    with _lost_is_said():
        if _memory:
            return _memory.collect(views, STEP_TIMEOUT.total_seconds())
        own = torch.cat(views)
        found = own.new_empty(world(), len(own))
        _dist().all_gather(list(found), own)
    return found


def _flat(tensor: torch.Tensor) -> torch.Tensor:
    """A dense tensor as one row, in the order of memory: a copy in the logical order of a channels-last one is slow."""
    return tensor.detach().as_strided((tensor.numel(),), (1,))


def own_share(tensor: torch.Tensor, axis: int = 0) -> torch.Tensor:
    """This process's part of what is drawn alike in all of them, along an axis that all of them divide."""
    return tensor.chunk(world(), axis)[rank()] if world() > 1 else tensor


# What the hosts say to each other ------------------------------------------------------------------------------


def agree(seconds: float, stop: bool) -> tuple[float, bool]:
    """The main process's clock, and whether any process has been asked to stop."""
    if world() == 1:
        return seconds, stop
    import torch

    said = torch.tensor([seconds if is_main() else 0.0, float(stop)], dtype=torch.float64)
    with _lost_is_said():
        if _memory:
            _memory.add_up([said], HOST_TIMEOUT.total_seconds())
        else:
            _dist().all_reduce(said, group=_host_group)
    return said[0].item(), bool(said[1])


def from_main(produce: Callable[[], T]) -> T:
    """What `produce` gives in the main process, in all of them: values that JSON has. So it is with its InputError.

    An OSError stays one in the main process, and is an InputError in the others: none waits for what never comes.
    """
    if world() == 1:
        return produce()
    said: dict[str, Any] = {}
    failure: InputError | OSError | None = None
    if is_main():
        try:
            said = {"value": produce()}
        except (InputError, OSError) as error:
            failure, said = error, {"error": str(error)}
    said = json.loads(bytes_from_main(json.dumps(said).encode()))
    if "error" in said:
        raise failure or InputError(said["error"])
    return said["value"]


def bytes_from_main(content: bytes) -> bytes:
    """The main process's bytes, in all of them."""
    if world() == 1:
        return content
    import torch

    length = torch.tensor([len(content)])
    with _lost_is_said():
        _dist().broadcast(length, 0, group=_host_group)
        buffer = torch.frombuffer(bytearray(content), dtype=torch.uint8) if is_main() and content else None
        if buffer is None:
            buffer = torch.empty(int(length), dtype=torch.uint8)
        if len(buffer):
            _dist().broadcast(buffer, 0, group=_host_group)
    return buffer.numpy().tobytes()


def barrier() -> None:
    """Wait until all processes are here."""
    if world() > 1:
        agree(0.0, False)


@contextmanager
def in_turn() -> Iterator[None]:
    """For what fills a cache: the main process first, then the first of each host, then all others at once."""
    if world() == 1:
        yield
        return
    turn = 0 if is_main() else 1 if os.environ["LOCAL_RANK"] == "0" else 2
    for _ in range(turn):
        barrier()
    yield
    for _ in range(turn, 2):
        barrier()


def in_order(own: Iterable[Sequence[np.ndarray | None]], count: int) -> Iterator[tuple[np.ndarray | None, ...]]:
    """Gather in the main process what all have made: item i comes from process i mod world, `count` in all.

    own: this process's items, in order; each some arrays. Yields all of them in the main process, and none in others,
    which are an item ahead at most. In one process it yields what `own` has.
    """
    items = iter(own)
    if is_main():
        for i in range(count):
            yield tuple(next(items)) if i % world() == 0 else _receive(i % world())
        return
    pending: list[Any] = []
    for item in items:
        for work in pending:
            _wait(work)
        pending = _send(item)
    for work in pending:
        _wait(work)


def _send(item: Sequence[np.ndarray | None]) -> list[Any]:
    """Begin to send arrays to the main process: the length of a description, the description, the arrays."""
    import numpy as np
    import torch

    arrays = [np.ascontiguousarray(array) for array in item if array is not None]
    about = json.dumps([None if array is None else [array.dtype.str, list(array.shape)] for array in item]).encode()
    parts = [torch.tensor([len(about)]), torch.frombuffer(bytearray(about), dtype=torch.uint8)]
    parts += [torch.from_numpy(array.reshape(-1).view(np.uint8)) for array in arrays if array.size]
    with _lost_is_said():
        return [(_dist().isend(part, 0, group=_host_group), part) for part in parts]


def _receive(source: int) -> tuple[np.ndarray | None, ...]:
    import numpy as np
    import torch

    def take(n: int) -> torch.Tensor:
        part = torch.empty(n, dtype=torch.uint8)
        _dist().recv(part, source, group=_host_group)
        return part

    with _lost_is_said():
        length = torch.zeros(1, dtype=torch.int64)
        _dist().recv(length, source, group=_host_group)
        result: list[np.ndarray | None] = []
        for about in json.loads(take(int(length)).numpy().tobytes()):
            if about is None:
                result.append(None)
                continue
            array = np.empty(about[1], np.dtype(about[0]))
            if array.size:
                array = take(array.nbytes).numpy().view(array.dtype).reshape(array.shape)
            result.append(array)
    return tuple(result)


def _wait(sent: tuple[Any, torch.Tensor]) -> None:
    with _lost_is_said():
        sent[0].wait()


@contextmanager
def _lost_is_said() -> Iterator[None]:
    """Words for what PyTorch says when another process is gone or hung."""
    try:
        yield
    except RuntimeError as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TrainingError(
            f"process {rank()} of {world()}: the others are gone or hung ({first}). With torchrun --max-restarts N all "
            "begin again at the last checkpoint; else: dcgan train --resume RUN"
        ) from error


def _dist() -> Any:
    import torch.distributed

    return torch.distributed
