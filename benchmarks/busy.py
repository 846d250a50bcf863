"""Training beside another program, and alone: by one thread, by all, and by all that wait without turning idle circles.

    python benchmarks/busy.py [--rounds 3] [--images 6000] [ -- more options of `dcgan train digits`]

Each training is a process of its own. The other program keeps every core busy, with a process for each.
`asleep` is what the command does by itself where `OMP_WAIT_POLICY` is not set: a thread that waits for the others lets
the core go. Prints the median of the rates that the trainings log after their first ones, and the range over rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

WAYS = {
    "one thread": {"OMP_NUM_THREADS": "1"},
    "all, awake": {"OMP_WAIT_POLICY": "active"},
    "all, asleep": {"OMP_WAIT_POLICY": "passive"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("more", nargs="*")
    options = parser.parse_args()
    for place, surroundings in (("alone", contextlib.nullcontext), ("beside another program", other_program)):
        found: dict[str, list[float]] = {way: [] for way in WAYS}
        with surroundings():
            for _ in range(options.rounds):
                for way, variables in WAYS.items():
                    found[way].append(rate(variables, options.images, options.more))
        for way, rates in found.items():
            middle, low, high = statistics.median(rates), min(rates), max(rates)
            print(f"{place}, {way}: {middle:,.0f} images/s ({low:,.0f} to {high:,.0f})", flush=True)


@contextlib.contextmanager
def other_program() -> Iterator[None]:
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def rate(variables: dict[str, str], images: int, more: list[str]) -> float:
    """Images a second of a training with these variables in its environment."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        length = ["--images", str(images), "--out", str(out)]
        command = [sys.executable, "-m", "dcgan", "train", "digits", *length, *more]
        subprocess.run(command, env=os.environ | variables, check=True, capture_output=True)
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        rates = [line["images_per_second"] for line in lines if "images_per_second" in line]
    return statistics.median(rates[len(rates) // 4 :])


if __name__ == "__main__":
    main()
