"""Images a second that a generator draws: `Generator.stream` as `dcgan sample` uses it, on its presets.

    python benchmarks/sampling.py [--seconds 3] [--rounds 5] [--json FILE]

Weights are random: drawing takes the same time with any. Rounds go through all presets in turn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import torch

from dcgan.config import Config
from dcgan.device import prepare, resolve_device
from dcgan.networks import build_generator
from dcgan.presets import load_preset
from dcgan.pretrained import Generator, ModelInfo

SIZES = {
    "fast 28x28x1": ("fast", 28, 1),
    "fast 32x32x1": ("fast", 32, 1),
    "fast 32x32x3": ("fast", 32, 3),
    "fast 64x64x3": ("fast", 64, 3),
    "blog 32x32x1": ("blog", 32, 1),
    "paper 64x64x3": ("paper", 64, 3),
}


def generator(preset: str, size: int, channels: int, device: torch.device) -> Generator:
    config: Config = load_preset(preset).replace(image_size=size, channels=channels)
    network = build_generator(config.network).to(device).to(memory_format=torch.channels_last)
    return Generator(network, ModelInfo(config.network)).eval()


def rate(drawer: Generator, seconds: float) -> float:
    """Images a second, latents, drawing and conversion to uint8 included."""
    drawn, began = 0, time.perf_counter()
    for images in drawer.stream(10**9):
        drawn += len(images)
        if time.perf_counter() - began > seconds:
            break
    return drawn / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    device = resolve_device(options.device)
    prepare(device)
    drawers = {name: generator(*arguments, device) for name, arguments in SIZES.items()}
    rates: dict[str, list[float]] = {name: [] for name in drawers}
    for drawer in drawers.values():
        rate(drawer, 0.5)
    for _ in range(options.rounds):
        for name, drawer in drawers.items():
            rates[name].append(rate(drawer, options.seconds))
    print(f"{device.type}, {torch.get_num_threads()} threads, torch {torch.__version__}; ", end="")
    print(f"medians of {options.rounds} rounds of {options.seconds:g} s")
    for name, values in rates.items():
        print(f"{name:<16} {statistics.median(values):>10,.0f} images/s   ({min(values):,.0f} to {max(values):,.0f})")
    if options.json:
        options.json.write_text(json.dumps({"device": device.type, "torch": torch.__version__, "rates": rates}))


if __name__ == "__main__":
    main()
