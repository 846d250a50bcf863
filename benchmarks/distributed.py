"""Two processes of one thread against one process of two threads, and DDP against one flat all-reduce, on the CPU.

    python benchmarks/distributed.py [--rounds 7] [--steps 20] [--preset fast] [--batch-sizes 16 64]

Each contender is a process, or a pair of them joined as torchrun does it, that answers a number of steps with the
seconds they took. They are asked in turn; the medians of the paired ratios are what counts. Batch sizes are, unless
they are given, the preset's own and 64. Wants two idle cores: with
other work on one of them, threads that share every operation wait for the slower one each time, and 2 threads are
slower than 1, which says nothing of processes. That is why 1 process with 1 thread is there too.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

CONTENDERS = {
    "1 process, 1 thread": ("ours", 1, 1),
    "1 process, 2 threads": ("ours", 1, 2),
    "2 processes, synchronised": ("ours", 2, 1),
    "2 processes, each its own norm": ("apart", 2, 1),
    "2 processes, flat": ("flat", 2, 1),
    "2 processes, DDP": ("ddp", 2, 1),
}
"""Name → loop, processes, threads of each. `ours` is TrainingStep with the preset; the last two are a plain loop."""
PAIRS = [
    ("2 processes, synchronised", "1 process, 1 thread"),
    ("2 processes, synchronised", "1 process, 2 threads"),
    ("2 processes, each its own norm", "1 process, 2 threads"),
    ("2 processes, flat", "2 processes, DDP"),
]


def ours(batch: int, preset: str, sync: bool) -> Callable[[], None]:
    """A step as `dcgan train` makes it, on random images."""
    import torch

    from dcgan import distributed
    from dcgan.device import prepare, resolve_precision
    from dcgan.presets import load_preset
    from dcgan.training.step import TrainingStep

    device = torch.device("cpu")
    prepare(device)
    config = load_preset(preset).replace(image_size=32, channels=1, batch_size=batch, sync_batchnorm=sync)
    config = config.replace(conditional=False) if preset != "paper-mnist" else config.replace(classes=10)
    step = TrainingStep(config, device, resolve_precision("auto", device))
    share = batch // distributed.world()
    images = torch.randint(256, (share, 1, 32, 32), dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(10, (share,))

    def batches():
        while True:
            yield images, labels

    source, clock = batches(), [0.0]

    def run() -> None:
        step(source)
        clock[0], _ = distributed.agree(clock[0], False)

    return run


def plain(batch: int, preset: str, ddp: bool) -> Callable[[], None]:
    """G and D by turns, D's two passes before one backward; gradients by DDP's hooks, or averaged at once."""
    import warnings

    import torch
    from torch.nn.functional import softplus
    from torch.nn.parallel import DistributedDataParallel

    from dcgan import distributed
    from dcgan.networks import build_discriminator, build_generator
    from dcgan.presets import load_preset

    net = load_preset(preset).replace(image_size=32, channels=1).network
    torch.manual_seed(0)
    g, d = (build(net).to(memory_format=torch.channels_last) for build in (build_generator, build_discriminator))
    optimizers = [torch.optim.Adam(network.parameters(), 1e-4, fused=True) for network in (g, d)]
    if ddp:
        warnings.filterwarnings("ignore", "`broadcast_buffers`", FutureWarning)  # its successor is newer than torch 2.4
        g, d = (DistributedDataParallel(network, broadcast_buffers=False) for network in (g, d))
    share = batch // distributed.world()
    real = torch.rand(share, 1, 32, 32).contiguous(memory_format=torch.channels_last)

    def update(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        if not ddp:
            distributed.average_([p.grad for p in optimizer.param_groups[0]["params"]])
        optimizer.step()

    def run() -> None:
        drawn = g(torch.randn(share, net.latent_dim))
        d.requires_grad_(False)
        update(optimizers[0], softplus(-d(drawn)).mean())
        d.requires_grad_(True)
        update(optimizers[1], softplus(-d(real)).mean() + softplus(d(drawn.detach())).mean())

    return run


def work(loop: str, batch: int, preset: str) -> None:
    """Answer numbers of steps on the standard input with seconds, until it ends."""
    import torch

    from dcgan import distributed

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    with distributed.joined("cpu"):
        if loop in ("ours", "apart"):
            run = ours(batch, preset, sync=loop == "ours")
        else:
            run = plain(batch, preset, ddp=loop == "ddp")
        for line in sys.stdin:
            distributed.barrier()
            began = time.perf_counter()
            for _ in range(int(line)):
                run()
            distributed.barrier()
            print(time.perf_counter() - began, flush=True)


class Team:
    """The processes of a contender."""

    def __init__(self, loop: str, processes: int, threads: int, batch: int, preset: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        common = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        common |= {"TORCHELASTIC_RUN_ID": "benchmark", "OMP_NUM_THREADS": str(threads)}
        command = [sys.executable, __file__, "--work", loop, "--batch-sizes", str(batch), "--preset", preset]
        self.members = [
            subprocess.Popen(
                command,
                env=os.environ | common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for rank in range(processes)
        ]

    def seconds(self, steps: int) -> float:
        """The time that so many steps take."""
        for member in self.members:
            assert member.stdin
            print(steps, file=member.stdin, flush=True)
        return max(float(member.stdout.readline()) for member in self.members if member.stdout)

    def dismiss(self) -> None:
        for member in self.members:
            assert member.stdin
            member.stdin.close()
        for member in self.members:
            member.wait()


def _own_batch(preset: str) -> int:
    from dcgan.presets import load_preset

    return load_preset(preset).training.batch_size


def compare(preset: str, batch: int, steps: int, rounds: int) -> None:
    """Ask all contenders in turn, and print what they made of it."""
    teams = {name: Team(*how, batch, preset) for name, how in CONTENDERS.items()}
    times: dict[str, list[float]] = {name: [] for name in teams}
    try:
        for round_ in range(rounds + 1):
            for name, team in teams.items():
                seconds = team.seconds(steps if round_ else 5)  # the first round warms up
                times[name] += [seconds] if round_ else []
    finally:
        for team in teams.values():
            team.dismiss()
    images = steps * batch
    print(f"{preset}, 32x32x1, batch {batch}, {steps} steps, {rounds} rounds")
    for name, found in times.items():
        print(f"{name:<32} {images / statistics.median(found):8,.0f} images/s")
    for one, other in PAIRS:
        ratios = sorted(b / a for a, b in zip(times[one], times[other], strict=True))
        print(f"{one} / {other}: {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch-sizes", type=int, nargs="+")
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.batch_sizes[0], options.preset)
        return
    for batch in options.batch_sizes or sorted({_own_batch(options.preset), 64}):
        compare(options.preset, batch, options.steps, options.rounds)


if __name__ == "__main__":
    main()
