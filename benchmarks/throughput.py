"""Training speed of other loops against ours on the same networks, in pairs taken in turn.

    python benchmarks/throughput.py [--networks post|tutorial|paper] [--pairs 5] [--steps 30] [--data digits]
    python benchmarks/throughput.py --script blog-post.md --mnist data/mnist --data mnist

The first compares with loops re-stated in `loops.py`: the blog post's, that of PyTorch's DCGAN tutorial, and a plain
one of the paper's networks. The second takes the post's script itself as the baseline. Each loop lives in a process of
its own, since memory settings are a process's, and waits while the others run. The ratios are taken pair by
pair and their medians printed, because a single time on a shared machine means little.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
from pathlib import Path

import torch
from loops import NETWORKS


class Contestant:
    """A loop in its own process."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, str(Path(__file__).with_name("loops.py")), *arguments]
        self.command = " ".join(command)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def seconds(self, steps: int) -> float:
        """How long so many steps take now."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self.command} ended with {self.process.wait()}")
        return float(answer)

    def end(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def contestants(options: argparse.Namespace) -> dict[str, Contestant]:
    """The baseline first."""
    common = ["--networks", options.networks, "--device", options.device]
    data = ["--data", options.data] if options.data else []
    if options.script:
        loops = {
            "the post's script, float32": Contestant(
                "script", "--script", str(options.script.resolve()), "--mnist", str(options.mnist.resolve())
            )
        }
    else:
        loops = {f"{options.networks} re-stated, float32": Contestant("baseline", *common, *data)}
    for dtype in ("float32", "bfloat16"):
        loops[f"ours, {dtype}"] = Contestant("ours", *common, *data, "--dtype", dtype)
    return loops


def compare(loops: dict[str, Contestant], batch: int, pairs: int, steps: int) -> dict[str, list[float]]:
    """Images a second of every loop, `pairs` times in turn, each time in the opposite order."""
    for loop in loops.values():
        loop.seconds(max(3, steps // 4))  # warm
    rates: dict[str, list[float]] = {name: [] for name in loops}
    for pair in range(pairs):
        for name in list(loops)[:: 1 if pair % 2 == 0 else -1]:
            rates[name].append(steps * batch / loops[name].seconds(steps))
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", choices=NETWORKS, default="post")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=30, help="of each loop, in each pair")
    parser.add_argument("--data", help="grey images of 28x28 for the post's networks: digits or mnist; without: noise")
    parser.add_argument("--script", type=Path, help="the post (Markdown) or its script: the baseline itself")
    parser.add_argument("--mnist", type=Path, help="the folder of MNIST's four .gz files, for the script")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    batch = NETWORKS[options.networks]["batch_size"]
    loops = contestants(options)
    rates = compare(loops, batch, options.pairs, options.steps)
    for loop in loops.values():
        loop.end()
    first = next(iter(rates.values()))
    rows = [
        {
            "loop": name,
            "images_per_second": round(statistics.median(values), 1),
            "ratio": round(statistics.median(v / b for v, b in zip(values, first, strict=True)), 2),
            "ratios": [round(v / b, 2) for v, b in zip(values, first, strict=True)],
        }
        for name, values in rates.items()
    ]
    facts = f"{options.device}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    print(f"{facts}; {options.networks}, batch {batch}; medians of {options.pairs} pairs of {options.steps} steps")
    for row in rows:
        print(f"{row['loop']:<28} {row['images_per_second']:>9,.1f} images/s   {row['ratio']:>5.2f}x   {row['ratios']}")
    if options.json:
        record = {"device": options.device, "machine": platform.machine(), "torch": torch.__version__, "rows": rows}
        options.json.write_text(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
