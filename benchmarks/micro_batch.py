"""What a step takes of memory and time when its batch is played in pieces (Linux, CPU).

    python benchmarks/micro_batch.py [--size 128] [--batch 64] [--width 32] [--steps 3]

Each size of the pieces is measured in a process of its own, with one thread, in float32, under the `fast` preset.
Memory is the peak of the resident memory over that after a step of two images, which has loaded the libraries and
made Adam's moments. Seconds are of the processor, the median of the steps, none of which has R1.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from dcgan.device import prepare
from dcgan.presets import load_preset
from dcgan.training.step import TrainingStep


def megabytes(name: str) -> float:
    """VmRSS, or VmHWM, its peak, of this process."""
    match = re.search(name + r":\s+(\d+)", Path("/proc/self/status").read_text())
    assert match
    return int(match[1]) / 1024


def one(size: int, batch: int, width: int, steps: int, most: int) -> str:
    """A line of the table."""
    torch.set_num_threads(1)
    device = torch.device("cpu")
    prepare(device)
    settings = {"image_size": size, "channels": 3, "width": width, "batch_size": batch, "micro_batch": most}
    step = TrainingStep(load_preset("fast").replace(**settings), device)

    def images(n: int) -> Iterator[tuple[torch.Tensor, None]]:
        while True:
            yield torch.randint(256, (n, 3, size, size), dtype=torch.uint8), None

    step(images(2))
    before, data, seconds = megabytes("VmRSS"), images(batch), []
    for _ in range(steps):
        began = time.process_time()
        step(data)
        seconds.append(time.process_time() - began)
    return f"{most or batch:>6} {megabytes('VmHWM') - before:>8,.0f} {statistics.median(seconds):>9.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("size", 128), ("batch", 64), ("width", 32), ("steps", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(one(options.size, options.batch, options.width, options.steps, options.one))
        return
    print(f"{'pieces':>6} {'MB':>8} {'s a step':>9}")
    most = options.batch
    while most >= 4:
        command = [sys.executable, *sys.argv, "--one", str(0 if most == options.batch else most)]
        print(subprocess.run(command, check=True, capture_output=True, text=True).stdout, end="", flush=True)
        most //= 2


if __name__ == "__main__":
    main()
