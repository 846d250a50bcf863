"""The control of the paper's Table 2: a purely supervised network of D's own architecture, tuned by random search.

Its convolutions are D's, freshly initialised, and a linear layer on the last of them, flattened, gives the classes. It
sees the same labelled images as the SVM and nothing else. Each trial draws Adam's rate (1e-4 to 1e-2, log-uniform),
decoupled weight decay (1e-5 to 1, log-uniform), dropout before the linear layer (0 to 0.8) and, only if asked for,
random shifts of up to side / 14 pixels; the one with the least validation error is taken. Batches of 64, a one-cycle
rate, cross-entropy; 20 passes over the images, but 1,000 steps at least.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from dcgan.config import NetworkConfig
from dcgan.data.batches import open_batches
from dcgan.device import resolve_precision
from dcgan.features.activations import conv_maps
from dcgan.features.statistics import fix_statistics, needs_statistics
from dcgan.images import to_float
from dcgan.networks import build_discriminator

BATCH, PASSES, FEWEST_STEPS = 64, 20, 1000
PREDICTED_AT_ONCE = 512

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Trial:
    """What random search decides on."""

    lr: float
    weight_decay: float
    dropout: float
    shift: int
    """Pixels, at most, that an image is moved by in each direction; 0: not at all."""

    @classmethod
    def drawn(cls, number: int, seed: int, config: NetworkConfig, augment: bool) -> Trial:
        """Trial `number` of a seed, the same whatever their number is."""
        rng = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 3, number]))
        lr, decay, dropout, shift = rng.random(4).tolist()
        furthest = max(1, round(min(config.size) / 14)) if augment else 0
        return cls(10 ** (-4 + 2 * lr), 10 ** (-5 + 5 * decay), 0.8 * dropout, int(shift * (furthest + 1)))


class SupervisedNetwork(nn.Module):
    """uint8 images (N, C, H, W) → logits (N, K)."""

    def __init__(self, config: NetworkConfig, classes: int, dropout: float) -> None:
        super().__init__()
        self.trunk = build_discriminator(config)
        with torch.no_grad():
            last = conv_maps(copy.deepcopy(self.trunk).eval(), torch.zeros(1, config.image_channels, *config.size))[-1]
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(last.numel(), classes)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.head(self.dropout(conv_maps(self.trunk, to_float(pixels))[-1].flatten(1)))

    def wrong(self, images: np.ndarray, labels: np.ndarray) -> float:
        """The share of uint8 images (N, H, W, C) that are put into a wrong class."""
        self.eval()
        device, found = self.head.weight.device, 0
        for start in range(0, len(images), PREDICTED_AT_ONCE):
            pixels = torch.tensor(images[start : start + PREDICTED_AT_ONCE]).permute(0, 3, 1, 2).to(device)
            with torch.inference_mode():
                predicted = self(pixels).argmax(1).cpu().numpy()
            found += int((predicted != labels[start : start + PREDICTED_AT_ONCE]).sum())
        return found / len(images)


def train_supervised(
    config: NetworkConfig,
    images: np.ndarray,
    labels: np.ndarray,
    classes: int,
    trial: Trial,
    seed: int,
    device: torch.device,
    progress: Progress | None = None,
) -> SupervisedNetwork:
    """A network of D's architecture trained on uint8 images (N, H, W, C) and labels (N,); progress counts images shown.

    Process-wide random states are left as they were.
    """
    steps = max(FEWEST_STEPS, PASSES * len(images) // BATCH)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        network = SupervisedNetwork(config, classes, trial.dropout).to(memory_format=torch.channels_last).to(device)
        _train(network, images, labels, trial, steps, seed, device, progress)
    if needs_statistics(network.trunk):
        rng = np.random.Generator(np.random.Philox(key=seed))
        seen = _moved(torch.tensor(images).permute(0, 3, 1, 2), trial.shift, rng)  # as in training
        network.trunk = fix_statistics(network.trunk, seen.permute(0, 2, 3, 1).numpy())
    return network.eval()


def _train(
    network: SupervisedNetwork,
    images: np.ndarray,
    labels: np.ndarray,
    trial: Trial,
    steps: int,
    seed: int,
    device: torch.device,
    progress: Progress | None,
) -> None:
    adam = torch.optim.AdamW(network.parameters(), trial.lr, weight_decay=trial.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, trial.lr, total_steps=steps)
    bf16 = resolve_precision("auto", device) == torch.bfloat16
    batches = open_batches(images, labels, device, batch_size=min(BATCH, len(images)), seed=seed)
    rng = np.random.Generator(np.random.Philox(key=seed))
    network.train()
    for step, (pixels, wanted) in enumerate(itertools.islice(batches, steps), 1):
        assert wanted is not None
        pixels = _moved(pixels.to(device), trial.shift, rng)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            logits = network(pixels)
        adam.zero_grad()
        nn.functional.cross_entropy(logits.float(), wanted.to(device)).backward()
        adam.step()
        schedule.step()
        if progress:
            progress(step * BATCH, steps * BATCH)


def _moved(pixels: torch.Tensor, furthest: int, rng: np.random.Generator) -> torch.Tensor:
    """Each image moved by its own number of pixels, its edge repeated."""
    if not furthest:
        return pixels
    height, width = pixels.shape[2:]
    padded = nn.functional.pad(pixels.float(), [furthest] * 4, mode="replicate").to(pixels.dtype)
    places = rng.integers(0, 2 * furthest + 1, (len(pixels), 2))
    moved = [image[:, y : y + height, x : x + width] for image, (y, x) in zip(padded, places, strict=True)]
    return torch.stack(moved).contiguous(memory_format=torch.channels_last)
