"""The extractor for labelled sets that needs no network: a small classifier, trained once on the set itself.

Recipe 1, complete: images as floats in [-1, 1], average-pooled by the smallest whole factor that brings both sides
to 64 or less; convolutions without bias, each with batch norm and ReLU: 32 maps of 5×5 at stride 2, 64 of 3×3 at 2,
64 of 3×3 at 1, 128 of 3×3 at 2; average-pooled to 4×4; dropout 0.3; linear to 128 with ReLU: the features; linear to
the classes. 2,812 steps of 128 images (six epochs of MNIST) by Adam, epsilon 1e-8, no weight decay, in one cycle along
half cosines (PyTorch's `OneCycleLR`): in the first 30 % of the steps the rate goes from 1.2e-4 up to 3e-3 and beta 1
from 0.95 down to 0.85, in the others the rate down to 1.2e-8 and beta 1 back to 0.95; beta 2 stays 0.999.
Cross-entropy, in bfloat16 where that is fast; each batch is shifted by up to side / 28 pixels in either direction,
around the edges. PyTorch's initialisation; seed 0 for everything.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from dcgan.data.batches import open_batches
from dcgan.data.cache import default_cache
from dcgan.data.pack import Pack, Progress
from dcgan.device import resolve_precision
from dcgan.errors import InputError, printable
from dcgan.evaluation.extractors import Extractor
from dcgan.evaluation.weights import digest
from dcgan.files import read_tensors, write_tensors
from dcgan.images import to_float

RECIPE = 1
STEPS, BATCH, RATE = 2812, 128, 3e-3
LARGEST_SIDE, FEATURES = 64, 128
PREDICTED_AT_ONCE = 512


class Classifier(nn.Module):
    """uint8 images (N, C, H, W) → features (N, 128) and logits (N, classes)."""

    def __init__(self, size: tuple[int, int], channels: int, classes: int) -> None:
        super().__init__()
        self.reduction = math.ceil(max(size) / LARGEST_SIDE)
        layers: list[nn.Module] = []
        for inputs, outputs, kernel, stride in ((channels, 32, 5, 2), (32, 64, 3, 2), (64, 64, 3, 1), (64, 128, 3, 2)):
            convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
            layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]
        layers += [nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Dropout(0.3), nn.Linear(128 * 16, FEATURES), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(FEATURES, classes)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        images = to_float(pixels)
        if self.reduction > 1:
            images = nn.functional.avg_pool2d(images, self.reduction, ceil_mode=True, count_include_pad=False)
        features = self.features(images.contiguous(memory_format=torch.channels_last))
        return features, self.head(features)

    @property
    def resize(self) -> str:
        """What happens to the images first, in words."""
        return "none" if self.reduction == 1 else f"average-pooled by {self.reduction}"


@dataclass(frozen=True, eq=False)
class TrainedClassifier:
    """A classifier that knows the classes of one set, at its size and channels."""

    network: Classifier
    class_names: tuple[str, ...]
    shape: tuple[int, int, int]
    """(H, W, C) of the images it knows."""
    key: str
    """Of the pack it was trained on."""
    device: torch.device

    def predict(self, images: np.ndarray, progress: Progress | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Class numbers int64 (N,) of uint8 images (N, H, W, C), and the probabilities given to them, float32."""
        self._require_shape(images.shape)
        labels, confidence = [], []
        for start in range(0, len(images), PREDICTED_AT_ONCE):
            pixels = torch.tensor(images[start : start + PREDICTED_AT_ONCE])
            with torch.inference_mode():
                logits = self.network(pixels.permute(0, 3, 1, 2).to(self.device))[1]
            best = logits.softmax(1).max(1)
            labels.append(best.indices.cpu().numpy())
            confidence.append(best.values.cpu().numpy())
            if progress:
                progress(min(start + PREDICTED_AT_ONCE, len(images)), len(images))
        return np.concatenate(labels), np.concatenate(confidence)

    def extractor(self) -> Extractor:
        """Its 128 features and its logits, in float32."""

        def run(pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            self._require_shape((len(pixels), *pixels.shape[2:], pixels.shape[1]))
            return self.network(pixels)

        recipe = f"classifier {RECIPE}, {self.network.resize}"
        found = digest(self.network.state_dict(), recipe)
        return Extractor(
            "classifier", found, self.network.resize, FEATURES, True, "fp32", self.device, run, PREDICTED_AT_ONCE, True
        )

    def _require_shape(self, shape: tuple[int, ...]) -> None:
        if shape[1:] != self.shape:
            raise InputError(f"the classifier knows images of {self.shape} (H, W, C); these are {shape[1:]}")


def load_classifier(
    pack: Pack, device: torch.device, progress: Progress | None = None, cache: Path | None = None
) -> TrainedClassifier:
    """The classifier of a labelled pack, from the cache, or trained now (`progress` counts the images shown).

    Deterministic on one machine; process-wide random states are left as they were. Raises InputError for a set
    without two classes or more.
    """
    classes = len(pack.class_names)
    if pack.labels is None or classes < 2:
        raise InputError(
            f"{printable(pack.source)}: the classifier wants labelled images of two classes or more "
            "(one folder a class); --extractor inception needs no labels"
        )
    height, width, channels = pack.images.shape[1:]
    key = hashlib.sha256(repr((pack.key, RECIPE)).encode()).hexdigest()[:32]
    path = (cache or default_cache()) / "classifiers" / f"{key}.safetensors"
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        network = Classifier((height, width), channels, classes).to(memory_format=torch.channels_last)
        kept = _kept(path, network)
        if kept is not None:
            network.load_state_dict(kept)
            network.to(device)
        else:
            network.to(device)
            _train(network, pack, device, progress)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_tensors(path, network.state_dict(), {"source": pack.source})
    network.eval().requires_grad_(False)
    return TrainedClassifier(network, pack.class_names, (height, width, channels), pack.key, device)


def _kept(path: Path, network: Classifier) -> dict[str, torch.Tensor] | None:
    """Its weights in the cache; None if they are not there, or damaged: it is trained anew then."""
    try:
        return read_tensors(path, like=network.state_dict())[0] if path.exists() else None
    except InputError:
        return None


def _train(network: Classifier, pack: Pack, device: torch.device, progress: Progress | None) -> None:
    """The recipe's training, in bfloat16 where that is fast."""
    adam = torch.optim.Adam(network.parameters(), fused=device.type != "mps")
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, RATE, total_steps=STEPS)
    bf16 = resolve_precision("auto", device) == torch.bfloat16
    shifts = np.random.Generator(np.random.Philox(key=0))
    furthest = [round(side / 28) for side in pack.images.shape[1:3]]
    batches = open_batches(pack.images, pack.labels, device, batch_size=BATCH, seed=0)
    for step, (pixels, labels) in enumerate(itertools.islice(batches, STEPS), 1):
        assert labels is not None
        moved = torch.roll(pixels.to(device), [int(shifts.integers(-far, far + 1)) for far in furthest], (2, 3))
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            logits = network(moved)[1]
        adam.zero_grad()
        nn.functional.cross_entropy(logits.float(), labels.to(device)).backward()
        adam.step()
        schedule.step()
        if progress:
            progress(step * BATCH, STEPS * BATCH)
