"""Checkerboards of untrained generators, of data and of runs: the energy that repeats every 2 and every 4 pixels.

    python benchmarks/checkerboard.py [--data data/mnist …] [--runs RUN …]

Untrained generators are `fast` at 32×32×3 with each kernel, and with resizing; pixels before the tanh. Data are
shown at their own size, runs by 1,000 drawings. `dcgan.evaluation.checkerboard` says what is measured.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

import dcgan
from dcgan.evaluation.checkerboard import checkerboard
from dcgan.networks import build_generator
from dcgan.presets import load_preset
from dcgan.progress import Display
from dcgan.training.prepare import prepare

NUMBER = 1_000


@torch.no_grad()
def untrained(settings: dict[str, str]) -> np.ndarray:
    """What a generator draws at its start, (N, H, W, C)."""
    torch.manual_seed(0)
    generator = build_generator(load_preset("fast").replace(image_size=32, channels=3, **settings).network)
    return generator(torch.randn(NUMBER, 100)).atanh().permute(0, 2, 3, 1).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="*", default=[], help="data sets, as for `dcgan train`")
    parser.add_argument("--runs", nargs="*", default=[])
    options = parser.parse_args()
    print("| images | period 2 | period 4 |\n|---|---:|---:|")

    def report(name: str, images: np.ndarray) -> None:
        shares = checkerboard(images)
        print(f"| {name} | {shares[2]:.2%} | {shares[4]:.2%} |", flush=True)

    for kernel in ("3", "4", "5"):
        report(f"untrained, transposed, kernel {kernel}", untrained({"kernel_size": kernel}))
    report("untrained, resized", untrained({"upsampling": "resize"}))
    for data in options.data:
        packed = prepare(load_preset("fast").replace(data=data), Display(quiet=True)).pack
        report(data, packed.images[np.linspace(0, len(packed.images) - 1, NUMBER).astype(int)])
    for run in options.runs:
        report(run, dcgan.Generator.from_pretrained(run).sample(NUMBER))


if __name__ == "__main__":
    main()
