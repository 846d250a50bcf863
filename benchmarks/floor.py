"""How near training comes to what this machine can do: counted arithmetic against its measured rates.

    python benchmarks/floor.py [--presets blog fast paper …] [--precision bf16] [--json FILE]

For each preset the multiply-adds of a step are counted as PyTorch executes them (matrix products and
convolutions, forward and backward), and the bytes that its operations read and write. Two floors follow: the
time that the arithmetic takes at the rate of a large matrix product in the same type, and the time that the bytes take
at the rate of a large copy; both rates are measured in turn with the steps. `share` is the first floor over
the measured time. Bytes are an upper count: what stays in a cache is never written out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from dcgan.data.batches import open_batches
from dcgan.device import prepare, resolve_device, resolve_precision
from dcgan.presets import PRESETS, load_preset
from dcgan.training.step import TrainingStep


class ByteCounter(TorchDispatchMode):
    """Bytes of all tensors that go into operations and come out of them; views cost nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            flat = torch.utils._pytree.tree_leaves((args, kwargs, out))
            self.bytes += sum(t.numel() * t.element_size() for t in flat if isinstance(t, torch.Tensor))
        return out


def training(preset: str, device: torch.device, dtype: torch.dtype) -> tuple[Callable[[], None], int]:
    """A function that trains until every network had its turn, and the images it takes."""
    config = load_preset(preset)
    channels = 1 if preset in ("blog", "paper-mnist") else 3
    size = {"fast": 32, "paper-mnist": 28}.get(preset, config.network.image_size)
    classes = 10 if config.network.conditional else 0
    config = config.replace(image_size=size, channels=channels, classes=classes)
    height, width = config.network.size
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2048, height, width, channels), dtype=np.uint8)
    labels = rng.integers(0, 10, 2048) if classes else None
    step = TrainingStep(config, device, dtype)
    batches: Any = open_batches(images, labels, device, batch_size=config.training.batch_size, seed=0)
    turns = config.training.d_steps + 1 if config.training.updates == "alternate" else 1

    def once() -> None:
        for _ in range(turns):
            step(batches)
        if device.type == "cuda":
            torch.cuda.synchronize()

    return once, turns * config.training.batch_size


def seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=sorted(PRESETS), choices=sorted(PRESETS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto", choices=["auto", "fp32", "bf16"])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    device = resolve_device(options.device)
    dtype = resolve_precision(options.precision, device)
    prepare(device)

    a, b = (torch.randn(2048, 2048, device=device).to(dtype) for _ in range(2))
    source = torch.zeros(1 << 27, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)

    def wait(_: Any) -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    rows = []
    print(f"{device.type}, {torch.get_num_threads()} threads, {dtype}, torch {torch.__version__}; ", end="")
    print(f"medians of {options.rounds} rounds; rates a step of each preset are measured beside")
    print("preset              images/s   GMAC/image  product rate  floors: products  bytes   measured    share")
    for preset in options.presets:
        once, images = training(preset, device, dtype)
        for _ in range(4):
            once()
        with FlopCounterMode(display=False) as flops:
            once()
        with ByteCounter() as traffic:
            once()
        times, products, copies = [], [], []
        for _ in range(options.rounds):
            products.append(2 * 2048**3 / seconds(lambda: wait(a @ b)))
            copies.append(2 * source.numel() / seconds(lambda: wait(target.copy_(source))))
            times.append(seconds(once))
        took, product_rate, copy_rate = (statistics.median(values) for values in (times, products, copies))
        arithmetic, memory = flops.get_total_flops() / product_rate, traffic.bytes / copy_rate
        rows.append(
            {
                "preset": preset,
                "images_per_second": images / took,
                "gmac_per_image": flops.get_total_flops() / 2e9 / images,
                "product_gflops": product_rate / 1e9,
                "copy_gbytes": copy_rate / 1e9,
                "floor_products_ms": 1e3 * arithmetic,
                "floor_bytes_ms": 1e3 * memory,
                "measured_ms": 1e3 * took,
                "share": arithmetic / took,
            }
        )
        row = rows[-1]
        print(f"{preset:<18} {images / took:>9,.0f} {row['gmac_per_image']:>12.3f}", end=" ")
        print(f"{product_rate / 1e9:>8.0f} GFLOP/s {1e3 * arithmetic:>10.1f} ms {1e3 * memory:>7.1f} ms", end=" ")
        print(f"{1e3 * took:>8.1f} ms {arithmetic / took:>7.0%}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
