"""Functions run by several processes at once, joined as torchrun joins them (gloo, on the CPU)."""

from __future__ import annotations

import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable
from typing import Any

PRELOADED = ["torch", "torch.distributed", "torch._dynamo", "dcgan.training.loop", "dcgan.evaluation", "tests.together"]
LIMIT = 120.0


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(rank: int, world: int, port: int, launch: str = "test") -> dict[str, str]:
    """What torchrun tells a process."""
    return {
        "TORCHELASTIC_RUN_ID": launch,
        "TORCHELASTIC_MAX_RESTARTS": "0",
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(world),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }


def together(function: Callable[..., Any], world: int, *arguments: Any) -> list[Any]:
    """function(*arguments) in each of `world` processes; what each returned, in order. Plain values and arrays only.

    An exception in any of them is one here, with its traceback in words.
    """
    context = multiprocessing.get_context("forkserver")  # imports are made once, and no thread is forked
    context.set_forkserver_preload(PRELOADED)
    port, pipes, processes = free_port(), [], []
    for rank in range(world):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(
            target=_child, args=(sender, environment(rank, world, port), function, arguments), daemon=True
        )
        process.start()
        sender.close()
        pipes.append(receiver)
        processes.append(process)
    results = []
    try:
        for rank, pipe in enumerate(pipes):
            assert pipe.poll(LIMIT), f"process {rank} says nothing"
            good, value = pipe.recv()
            assert good, f"process {rank}:\n{value}"
            results.append(value)
    finally:
        for process in processes:
            process.join(0 if len(results) < world else 30)
            process.kill()
    return results


def _child(sender: Any, variables: dict[str, str], function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    os.environ.update(variables)
    import torch

    from dcgan.distributed import joined

    torch.set_num_threads(1)
    try:
        with joined("cpu"):
            sender.send((True, function(*arguments)))
    except BaseException:
        sender.send((False, traceback.format_exc()))
