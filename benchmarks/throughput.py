"""Training speed of the blog post's loop against ours: same networks, same algorithm, pairs in turn.

    python benchmarks/throughput.py [--pairs 5] [--steps 30] [--data DATA] [--json FILE]

The post's loop is re-stated below with the operations of its script: a DataLoader that resizes, converts and
normalises every image at every epoch, BCE on probabilities, plain Adam, and `.item()` at every batch.
Ours is `TrainingStep` under `--preset blog` on the packed images, as `dcgan train` runs it. Each pair times
both, one after the other and in alternating order, after a warm-up; the ratio is taken pair by pair, and
medians are printed, because a single time on a shared machine means little.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from dcgan.data.batches import Batches
from dcgan.data.pack import pack
from dcgan.data.sources import find_source
from dcgan.presets import load_preset
from dcgan.training.step import TrainingStep

BATCH, LATENT, SIZE = 64, 100, 32


def post_networks() -> tuple[nn.Module, nn.Module]:
    """The post's generator and discriminator at 32×32×1, initialised as it does."""
    first = nn.Sequential(nn.Linear(LATENT, 128 * 8 * 8), nn.Unflatten(1, (128, 8, 8)), nn.BatchNorm2d(128))
    doubled = [nn.Upsample(scale_factor=2), nn.Conv2d(128, 128, 3, padding=1), nn.BatchNorm2d(128, 0.8)]
    again = [nn.Upsample(scale_factor=2), nn.Conv2d(128, 64, 3, padding=1), nn.BatchNorm2d(64, 0.8)]
    last = [nn.Conv2d(64, 1, 3, padding=1), nn.Tanh()]
    generator = nn.Sequential(first, *doubled, nn.LeakyReLU(0.2, True), *again, nn.LeakyReLU(0.2, True), *last)
    layers: list[nn.Module] = []
    for inputs, outputs in ((1, 16), (16, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.LeakyReLU(0.2, True), nn.Dropout2d(0.25)]
        layers += [nn.BatchNorm2d(outputs, 0.8)] if inputs > 1 else []
    discriminator = nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 2 * 2, 1), nn.Sigmoid())
    for module in (*generator.modules(), *discriminator.modules()):
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
            nn.init.zeros_(module.bias)
    return generator, discriminator


class PostData(Dataset[torch.Tensor]):
    """The post's transforms, on Pillow images, at every access."""

    def __init__(self, images: np.ndarray) -> None:
        from torchvision import transforms

        self.images = images
        self.transform = transforms.Compose(
            [transforms.Resize(SIZE), transforms.ToTensor(), transforms.Normalize([0.5], [0.5])]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        from PIL import Image

        return self.transform(Image.fromarray(self.images[index]))


def post_loop(images: np.ndarray, device: torch.device) -> Callable[[], None]:
    """One step of the post's script."""
    generator, discriminator = (network.to(device) for network in post_networks())
    loss = nn.BCELoss()
    adams = [torch.optim.Adam(n.parameters(), lr=2e-4, betas=(0.5, 0.999)) for n in (generator, discriminator)]
    loader = DataLoader(PostData(images), batch_size=BATCH, shuffle=True, drop_last=True)
    batches = endless(loader)

    def step() -> None:
        real = next(batches).to(device)
        valid, fake = torch.ones(len(real), 1, device=device), torch.zeros(len(real), 1, device=device)
        adams[0].zero_grad()
        z = torch.tensor(np.random.normal(0, 1, (len(real), LATENT)), dtype=torch.float32, device=device)
        drawn = generator(z)
        g_loss = loss(discriminator(drawn), valid)
        g_loss.backward()
        adams[0].step()
        adams[1].zero_grad()
        d_loss = (loss(discriminator(real), valid) + loss(discriminator(drawn.detach()), fake)) / 2
        d_loss.backward()
        adams[1].step()
        f"[D loss: {d_loss.item():f}] [G loss: {g_loss.item():f}]"

    return step


def endless(loader: DataLoader[torch.Tensor]) -> Iterator[torch.Tensor]:
    while True:
        yield from loader


def our_loop(data: str | None, device: torch.device, dtype: torch.dtype) -> Callable[[], None]:
    """One step of `dcgan train --preset blog`."""
    config = load_preset("blog").replace(channels=1)
    packed = pack(find_source(data), config.network.size, 1, resample=config.data.resample)
    step = TrainingStep(config, device, dtype)
    batches = Batches(packed.images, packed.labels, BATCH, seed=0)
    return lambda: _ignore(step(batches))


def _ignore(_: int) -> None:
    pass


def rate(step: Callable[[], None], steps: int, device: torch.device) -> float:
    """Images a second over some steps."""
    began = time.perf_counter()
    for _ in range(steps):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return steps * BATCH / (time.perf_counter() - began)


def compare(
    loops: dict[str, Callable[[], None]], pairs: int, steps: int, device: torch.device
) -> dict[str, list[float]]:
    """Rates of every loop, `pairs` times in turn, each time in the opposite order."""
    for step in loops.values():
        rate(step, 5, device)
    rates: dict[str, list[float]] = {name: [] for name in loops}
    for pair in range(pairs):
        for name in list(loops)[:: 1 if pair % 2 == 0 else -1]:
            rates[name].append(rate(loops[name], steps, device))
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=30, help="of each loop, in each pair")
    parser.add_argument("--data", default="digits", help="grey images of 28x28: digits or mnist")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    device = torch.device(options.device)
    source: Any = find_source(options.data)
    loops = {
        "post's loop, float32": post_loop(source.images, device),
        "ours, float32": our_loop(options.data, device, torch.float32),
        "ours, bfloat16": our_loop(options.data, device, torch.bfloat16),
    }
    rates = compare(loops, options.pairs, options.steps, device)
    baseline = next(iter(rates.values()))
    rows = [
        {
            "loop": name,
            "images_per_second": round(statistics.median(values), 1),
            "ratio": round(statistics.median(v / b for v, b in zip(values, baseline, strict=True)), 2),
            "ratios": [round(v / b, 2) for v, b in zip(values, baseline, strict=True)],
        }
        for name, values in rates.items()
    ]
    print(f"{device.type}, {torch.get_num_threads()} threads, torch {torch.__version__}; batch {BATCH}; ", end="")
    print(f"medians of {options.pairs} pairs of {options.steps} steps")
    for row in rows:
        print(f"{row['loop']:<24} {row['images_per_second']:>9,.0f} images/s   {row['ratio']:>5.2f}×   {row['ratios']}")
    if options.json:
        facts = {"device": device.type, "machine": platform.machine(), "torch": torch.__version__, "rows": rows}
        options.json.write_text(json.dumps(facts, indent=2))


if __name__ == "__main__":
    main()
