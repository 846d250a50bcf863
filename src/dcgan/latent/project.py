"""A picture's z: the latent whose drawing is nearest to it, found by descending from the best of many samples.

No encoder: each of several starts is a z that Adam moves along the gradient of the squared error, all of them in one
batch. z stays likely at every step: uniform ones in [-1, 1], normal ones at a length that 95 % of all have.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dcgan.config import NetworkConfig
from dcgan.data.decode import BadImage, decode, open_image
from dcgan.errors import InputError, printable
from dcgan.images import to_float
from dcgan.latent.likely import keep_likely
from dcgan.latents import BLOCK, check_seed, latents
from dcgan.networks.discriminators import features_of
from dcgan.networks.folding import ready_to_draw
from dcgan.networks.statistics import batch_statistics, with_statistics
from dcgan.pretrained import Discriminator, Generator, class_labels
from dcgan.progress import Counter

RESTARTS, STEPS, RATE = 8, 400, 0.2
CANDIDATES = 1000
Loss = Callable[[torch.Tensor], torch.Tensor]
"""Drawn images (R, C, H, W) in [-1, 1] → how far each is from the picture, (R,)."""


@dataclass(frozen=True, eq=False)
class Projection:
    """What was found for one picture, the best restart first; errors are mean squares of pixels in [0, 1]."""

    target: np.ndarray
    """uint8 (H, W, C)."""
    z: torch.Tensor
    """(restarts, latent_dim)."""
    labels: torch.Tensor | None
    images: np.ndarray
    """uint8 (restarts, H, W, C): what each z draws."""
    errors: np.ndarray
    """(restarts,), of those drawings; increasing."""
    baseline: float
    """The least error of 1,000 random samples; the restarts begin at the nearest of them."""

    def record(self, name: str) -> dict[str, Any]:
        """For JSON; `z` and `label` are the best ones."""
        labels = [None] * len(self.z) if self.labels is None else self.labels.tolist()
        return {
            "file": name,
            "z": self.z[0].tolist(),
            "label": labels[0],
            "error": float(self.errors[0]),
            "nearest_of_1000_samples": self.baseline,
            "restarts": [
                {"z": z, "label": label, "error": float(error)}
                for z, label, error in zip(self.z.tolist(), labels, self.errors, strict=True)
            ],
        }


def read_picture(path: Path, network: NetworkConfig, resample: str = "lanczos") -> np.ndarray:
    """A picture file prepared as training images are, uint8 (H, W, C). InputError if it is none."""
    try:
        with open_image(path) as image:
            return decode(image, network.size, network.image_channels, resample)
    except OSError as error:
        raise InputError(f"{printable(path)}: cannot be read ({error.strerror})") from error
    except BadImage as error:
        raise InputError(f"{printable(path)}: {printable(error)}") from error


def project(
    generator: Generator,
    picture: np.ndarray,
    *,
    label: int | None = None,
    discriminator: Discriminator | None = None,
    features: float = 0.0,
    restarts: int = RESTARTS,
    steps: int = STEPS,
    rate: float = RATE,
    seed: int = 0,
    progress: Counter | None = None,
) -> Projection:
    """Find the z of a picture uint8 (H, W, C) of the generator's size.

    label: number of the class to draw it as, for conditional generators; None takes those of the nearest samples.
    features: weight of the discriminator's features in the loss, beside the pixels' 1. Networks that normalise by the
    batch do it with the statistics of the first block of seed 0, as `Generator.draw` does, so that no restart changes
    another. The same seed finds the same z. Raises InputError for wrong values.
    """
    if restarts < 1 or restarts > CANDIDATES or steps < 0 or not 0 < rate < math.inf or not 0 <= features < math.inf:
        raise InputError(
            f"{restarts} restarts of {steps} steps at rate {rate:g}, features {features:g}: wants 1 to {CANDIDATES:,}, "
            "0 or more, above 0, and 0 or more, all of them finite"
        )
    check_seed(seed)
    config = generator.info.network
    if picture.shape != (*config.size, config.image_channels):
        raise InputError(f"the picture has shape {picture.shape}; wants {(*config.size, config.image_channels)}")
    if label is not None and not 0 <= label < config.classes:
        raise InputError(f"label: no class {label}; this generator has {config.classes}, numbered from 0")
    if features and discriminator is None:
        raise InputError("features: wants the run's discriminator")
    z, labels, baseline = _starts(generator, picture, restarts, seed, label)
    device = next(generator.parameters()).device
    target = to_float(torch.tensor(picture).permute(2, 0, 1)[None].to(device))
    on_device = None if labels is None else labels.to(device)
    loss = in_pixels = _pixels(target)
    if features and discriminator is not None:
        of_features = _features(generator, discriminator, target, on_device, restarts)

        def loss(images: torch.Tensor) -> torch.Tensor:
            return in_pixels(images) + features * of_features(images)

    z = _descend(generator, z.to(device), on_device, loss, steps, rate, progress).cpu()
    images = generator.draw(z, labels)
    errors = mean_squares(images, picture)
    order = np.argsort(errors, kind="stable")
    return Projection(
        picture, z[order], None if labels is None else labels[order], images[order], errors[order], baseline
    )


def mean_squares(images: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Mean squared difference of each of the images uint8 (N, H, W, C) from the picture, pixels in [0, 1]."""
    return np.square((images.astype(np.float32) - picture) / 255).mean((1, 2, 3))


def _starts(
    generator: Generator, picture: np.ndarray, restarts: int, seed: int, label: int | None
) -> tuple[torch.Tensor, torch.Tensor | None, float]:
    """Of 1,000 samples the nearest: z, labels, and the error of the first."""
    config = generator.info.network
    z = latents(CANDIDATES, config.latent_dim, seed, distribution=config.latent)
    labels = class_labels(config.classes, CANDIDATES, label=label)
    errors = mean_squares(generator.draw(z, labels), picture)
    best = np.argsort(errors, kind="stable")[:restarts]
    return z[best], None if labels is None else labels[best], float(errors[best[0]])


def _descend(
    generator: Generator,
    z: torch.Tensor,
    labels: torch.Tensor | None,
    loss: Loss,
    steps: int,
    rate: float,
    progress: Counter | None,
) -> torch.Tensor:
    """Each z (R, latent_dim) at the least loss on its way; the rate falls along a cosine."""
    network = ready_to_draw(generator.alone(), torch.float32).requires_grad_(False)
    distribution = generator.info.network.latent
    z = z.clone().requires_grad_()
    adam = torch.optim.Adam([z], rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, max(1, steps))
    best, least = z.detach().clone(), torch.full((len(z),), math.inf, device=z.device)
    for step in range(steps + 1):
        losses = loss(network(z, labels))
        now = losses.detach()
        better = now < least
        best[better], least[better] = z.detach()[better], now[better]
        if progress:
            progress(step, steps, f"loss {float(least.min()):.5f}")
        if step < steps:
            (z.grad,) = torch.autograd.grad(losses.sum(), z)  # the losses are independent, and so their gradients
            adam.step()
            schedule.step()
            with torch.no_grad():
                z.copy_(keep_likely(z, distribution))
    return best


def _pixels(target: torch.Tensor) -> Loss:
    """Half the distance in [-1, 1] is the distance in [0, 1]."""
    return lambda images: ((images - target) / 2).square().mean((1, 2, 3))


def _features(
    generator: Generator, discriminator: Discriminator, target: torch.Tensor, labels: torch.Tensor | None, n: int
) -> Loss:
    """The squared distance of D's features, relative to the picture's own.

    The features are what D's last, linear layer gets. Norms that use the batch keep the statistics of 64 drawn images.
    """
    config, device = generator.info.network, target.device
    z = latents(BLOCK, config.latent_dim, 0, distribution=config.latent).to(device)
    company = class_labels(config.classes, BLOCK)
    company = None if company is None else company.to(device)
    with torch.no_grad():
        drawn = generator.alone()(z, company)
        network = with_statistics(discriminator.network, batch_statistics(discriminator.network, drawn, company))
        wanted = features_of(network, target.expand(n, -1, -1, -1), labels)
    scale = wanted.square().mean(1)
    return lambda images: (features_of(network, images, labels) - wanted).square().mean(1) / scale
