"""How good drawn digits are: the Fréchet distance of a digit classifier's features to those of held-out digits.

The classifier sees MNIST as the blog post's script does, at 32×32, and is trained once on the training images
(99.4 % of the test images right); the distance is between its 128 features of 10,000 drawn images and of the
10,000 test images. Smaller is better; as many training images against the test images are the floor. Not to be
compared with distances of other classifiers or of Inception.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from dcgan.data.batches import Batches
from dcgan.data.idx import read_idx
from dcgan.device import has_fast_bf16
from dcgan.files import read_tensors, write_tensors

SIDE, EPOCHS, BATCH = 32, 6, 128


def mnist(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (N, 32, 32, 1) and labels (N,) of `train` or `t10k`, resized as the post's script does."""
    images = read_idx(folder / f"{part}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{part}-labels-idx1-ubyte.gz").astype(np.int64)
    return resized(images[..., None]), labels


def resized(images: np.ndarray) -> np.ndarray:
    """(N, H, W, 1) → (N, 32, 32, 1), bilinear, as torchvision's Resize does with Pillow images."""
    if images.shape[1] == SIDE:
        return images
    size = (SIDE, SIDE)
    pictures = (Image.fromarray(image[..., 0]).resize(size, Image.Resampling.BILINEAR) for image in images)
    return np.stack([np.asarray(picture) for picture in pictures])[..., None]


class Classifier(nn.Module):
    """Images in [-1, 1] → 128 features, and from them 10 logits."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs, stride in ((1, 32, 1), (32, 32, 2), (32, 64, 1), (64, 64, 2), (64, 128, 2)):
            layers += [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        self.features = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(128 * 16, 128), nn.ReLU())
        self.head = nn.Linear(128, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(images))


class Judge:
    """The classifier, trained or read from `weights`, and the test images' statistics."""

    def __init__(self, folder: Path, weights: Path) -> None:
        self.network = Classifier().to(memory_format=torch.channels_last)
        if weights.exists():
            self.network.load_state_dict(read_tensors(weights)[0])
        else:
            train(self.network, *mnist(folder, "train"))
            write_tensors(weights, self.network.state_dict(), {})
        self.network.eval()
        test, labels = mnist(folder, "t10k")
        features = self.features(test)
        with torch.inference_mode():
            right = (self.network.head(torch.from_numpy(features).float()).argmax(1).numpy() == labels).mean()
        self.accuracy = float(right)
        self.real = statistics(features)

    def features(self, images: np.ndarray) -> np.ndarray:
        """Features (N, 128) of uint8 images (N, H, W, 1)."""
        with torch.inference_mode():
            batches = torch.from_numpy(resized(images)).permute(0, 3, 1, 2).split(500)
            found = [self.network.features(batch.float() / 127.5 - 1) for batch in batches]
        return torch.cat(found).double().numpy()

    def distance(self, images: np.ndarray) -> float:
        """The Fréchet distance of drawn images to the test images."""
        return frechet(statistics(self.features(images)), self.real)


def train(network: nn.Module, images: np.ndarray, labels: np.ndarray) -> None:
    """Six epochs of Adam under a one-cycle rate, images shifted by up to 2 pixels."""
    torch.manual_seed(0)
    steps = EPOCHS * len(images) // BATCH
    adam = torch.optim.Adam(network.parameters(), fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, 3e-3, total_steps=steps)
    fast = has_fast_bf16(torch.device("cpu"))
    for batch, targets in itertools.islice(Batches(images, labels, BATCH, seed=0), steps):
        shift = torch.randint(-2, 3, (2,)).tolist()
        moved = torch.roll(batch, shift, (2, 3)).float() / 127.5 - 1
        assert targets is not None
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            logits = network(moved.contiguous(memory_format=torch.channels_last))
        adam.zero_grad()
        nn.functional.cross_entropy(logits.float(), targets).backward()
        adam.step()
        schedule.step()


Statistics = tuple[np.ndarray, np.ndarray]


def statistics(features: np.ndarray) -> Statistics:
    """Mean and covariance."""
    return features.mean(0), np.cov(features, rowvar=False)


def frechet(a: Statistics, b: Statistics) -> float:
    """|μa - μb|² + tr(Σa + Σb - 2 (Σa Σb)^½)."""
    values, vectors = np.linalg.eigh(a[1])
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ b[1] @ root).clip(0)).sum()
    return float(((a[0] - b[0]) ** 2).sum() + np.trace(a[1]) + np.trace(b[1]) - 2 * cross)
