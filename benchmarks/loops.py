"""The training loops that `throughput.py` compares, each in a process of its own: `python loops.py NAME …`.

Such a process answers each number of steps on its standard input with the seconds they took. Baselines are
written here as their authors write them: plain modules in PyTorch's default layout, float32, Adam as it comes,
a DataLoader, `.item()` at every batch. Ours is `TrainingStep` with a preset, as `dcgan train` runs it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from post import Enough, run_script
from torch import nn
from torch.utils.data import DataLoader, Dataset

from dcgan.data.batches import open_batches
from dcgan.data.pack import pack
from dcgan.data.sources import find_source
from dcgan.device import prepare
from dcgan.presets import load_preset
from dcgan.training.step import TrainingStep

Loop = Callable[[], None]
NETWORKS: dict[str, dict[str, Any]] = {
    "post": {"preset": "blog", "batch_size": 64, "image_size": 32, "channels": 1},
    "tutorial": {"preset": "fast", "batch_size": 128, "image_size": 64, "channels": 3, "width": 64, "loss": "bce"},
    "paper": {"preset": "paper", "batch_size": 128, "image_size": 64, "channels": 3},
}
"""Settings of ours that give the networks and the batch of each baseline."""


class Images(Dataset[torch.Tensor]):
    """The transforms of the scripts, on Pillow images, at every access."""

    def __init__(self, images: np.ndarray, size: int) -> None:
        from torchvision import transforms

        self.images = images
        steps = [transforms.Resize(size), transforms.ToTensor(), transforms.Normalize([0.5], [0.5])]
        self.transform = transforms.Compose(steps)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.transform(Image.fromarray(self.images[index].squeeze()))


def endless(images: np.ndarray, size: int, batch: int) -> Iterator[torch.Tensor]:
    loader = DataLoader(Images(images, size), batch_size=batch, shuffle=True, drop_last=True)
    while True:
        yield from loader


def post_networks() -> tuple[nn.Module, nn.Module]:
    """The post's generator and discriminator at 32×32×1."""
    layers: list[nn.Module] = [nn.Linear(100, 128 * 64), nn.Unflatten(1, (128, 8, 8)), nn.BatchNorm2d(128)]
    for outputs in (128, 64):
        layers += [nn.Upsample(scale_factor=2), nn.Conv2d(128, outputs, 3, padding=1), nn.BatchNorm2d(outputs, 0.8)]
        layers += [nn.LeakyReLU(0.2, inplace=True)]
    generator = nn.Sequential(*layers, nn.Conv2d(64, 1, 3, padding=1), nn.Tanh())
    layers = []
    for inputs, outputs in ((1, 16), (16, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.LeakyReLU(0.2, inplace=True), nn.Dropout2d(0.25)]
        layers += [nn.BatchNorm2d(outputs, 0.8)] if inputs > 1 else []
    return generator, nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 1), nn.Sigmoid())


def strided_networks(kernel: int, width: int) -> tuple[nn.Module, nn.Module]:
    """The tutorial's networks (kernel 4, width 64) and the paper's (kernel 5, width 128), 64×64×3."""
    pad, more, widths = (kernel - 1) // 2, kernel % 2, [8 * width, 4 * width, 2 * width, width]
    layers: list[nn.Module] = [nn.ConvTranspose2d(100, widths[0], 4, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()]
    for inputs, outputs in zip(widths, [*widths[1:], 3], strict=True):
        layers += [nn.ConvTranspose2d(inputs, outputs, kernel, 2, pad, more, bias=False)]
        layers += [nn.BatchNorm2d(outputs), nn.ReLU()] if outputs > 3 else [nn.Tanh()]
    generator = nn.Sequential(nn.Unflatten(1, (100, 1, 1)), *layers)
    layers = []
    for inputs, outputs in zip([3, *widths[:0:-1]], widths[::-1], strict=True):
        layers += [nn.Conv2d(inputs, outputs, kernel, 2, pad, bias=False)]
        layers += [nn.BatchNorm2d(outputs)] if inputs > 3 else []
        layers += [nn.LeakyReLU(0.2)]
    return generator, nn.Sequential(*layers, nn.Conv2d(widths[0], 1, 4, bias=False), nn.Flatten(), nn.Sigmoid())


def baseline(name: str, images: np.ndarray, device: torch.device) -> Loop:
    """One step of the post's loop, the tutorial's, or a plain one of the paper that trains G and D in turn."""
    networks = post_networks() if name == "post" else strided_networks(*{"tutorial": (4, 64), "paper": (5, 128)}[name])
    generator, discriminator = (network.to(device) for network in networks)
    for module in (*generator.modules(), *discriminator.modules()):
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
    loss = nn.BCELoss()
    adam_g, adam_d = (torch.optim.Adam(n.parameters(), lr=2e-4, betas=(0.5, 0.999)) for n in (generator, discriminator))
    batch = NETWORKS[name]["batch_size"]
    batches = endless(images, NETWORKS[name]["image_size"], batch)
    valid, fake = torch.ones(batch, 1, device=device), torch.zeros(batch, 1, device=device)
    shown: list[float] = []

    def latent() -> torch.Tensor:
        return torch.tensor(np.random.normal(0, 1, (batch, 100)), dtype=torch.float32, device=device)

    def train_g(drawn: torch.Tensor) -> torch.Tensor:
        adam_g.zero_grad()
        g_loss = loss(discriminator(drawn), valid)
        g_loss.backward()
        adam_g.step()
        return g_loss

    def train_d(real: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        adam_d.zero_grad()
        d_loss = loss(discriminator(real), valid) + loss(discriminator(drawn.detach()), fake)
        d_loss.backward()
        adam_d.step()
        return d_loss

    def step() -> None:
        real = next(batches).to(device)
        if name == "paper":
            turn = train_d(real, generator(latent())) if len(shown) % 2 else train_g(generator(latent()))
            shown.append(turn.item())
            return
        drawn = generator(latent())
        losses = [train_g(drawn), train_d(real, drawn)] if name == "post" else [train_d(real, drawn), train_g(drawn)]
        shown.extend(one.item() for one in losses)

    return step


def ours(name: str, data: str | None, images: np.ndarray, device: torch.device, dtype: torch.dtype) -> Loop:
    """One step of `dcgan train`."""
    prepare(device)
    settings = dict(NETWORKS[name])
    config = load_preset(settings.pop("preset")).replace(**settings)
    labels = None
    if data:
        packed = pack(find_source(data), config.network.size, config.network.image_channels)
        images, labels = packed.images, packed.labels
    step = TrainingStep(config, device, dtype)
    batches = open_batches(images, labels, device, batch_size=config.training.batch_size, seed=0)

    def one() -> None:
        step(batches)

    return one


def serve(step: Loop, device: torch.device) -> None:
    """Answer each line of the standard input, a number of steps, with the seconds they took."""
    for line in sys.stdin:
        began = time.perf_counter()
        for _ in range(int(line)):
            step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        print(time.perf_counter() - began, flush=True)


def serve_script(path: Path, mnist: Path) -> None:
    """As `serve`, for the post's script itself, from inside the `print` that ends each of its batches."""
    began, left = 0.0, 0

    def after_batch(_: dict[str, Any]) -> None:
        nonlocal began, left
        left -= 1
        if left > 0:
            return
        if left == 0:  # not so after the very first batch, which nobody asked for
            print(time.perf_counter() - began, flush=True)
        line = sys.stdin.readline()
        if not line:
            raise Enough
        began, left = time.perf_counter(), int(line)

    run_script(path, mnist, after_batch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("loop", choices=["script", "baseline", "ours"])
    parser.add_argument("--networks", choices=NETWORKS, default="post")
    parser.add_argument("--data", help="images for both; without: noise")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--script", type=Path)
    parser.add_argument("--mnist", type=Path)
    options = parser.parse_args()
    device = torch.device(options.device)
    if options.loop == "script":
        serve_script(options.script, options.mnist)
        return
    side, channels = NETWORKS[options.networks]["image_size"], NETWORKS[options.networks]["channels"]
    images = np.random.default_rng(0).integers(0, 256, (4096, side, side, channels), dtype=np.uint8)
    if options.loop == "baseline":
        if options.data:
            source: Any = find_source(options.data)
            images = source.images
        serve(baseline(options.networks, images, device), device)
    else:
        serve(ours(options.networks, options.data, images, device, getattr(torch, options.dtype)), device)


if __name__ == "__main__":
    main()
