"""The paper's semantic hash: a de-noising autoencoder, trained on the set itself, whose active units are bits.

Radford et al. 2015, section 4 (LSUN, de-duplication): "a 3072-128-3072 de-noising dropout regularized RELU
autoencoder on 32x32 downsampled center-crops of training examples", its code "binarized via thresholding the ReLU
activation". Grey images have 1024-128-1024. The paper does not say which noise, nor how long it is trained; here it is
normal noise, half the code dropped, and 1,500 batches of 128 with Adam, its rate falling from 1e-3 to 0.

Two things are ours. Pictures are standardised, so that a brighter copy has the same code. And part of the noise is what
copies go through: the net sees a picture moved and zoomed a little and is asked for the unmoved one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from dcgan.curation.registration import SIDE, standardised
from dcgan.data.pack import Progress

BITS = 128
STEPS, BATCH, RATE = 1500, 128, 1e-3
NOISE, DROPOUT = 0.5, 0.5
"""The noise's deviation, where the pictures' is 1; and the share of the code that is dropped."""
ZOOM, SHIFT = 0.08, 0.06
"""How much is cut off the sides, at most, and how far the rest is moved, in half sides."""
MEAN_OF = 4096
"""Pictures, evenly spread, that the mean is taken of."""
AT_ONCE = 1024


def thumbnails(images: np.ndarray) -> torch.Tensor:
    """uint8 (N, H, W, C) → float (N, C, 32, 32) in levels: the largest square at the centre, down-sampled by area."""
    height, width = images.shape[1:3]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = torch.tensor(images[:, top : top + side, left : left + side]).permute(0, 3, 1, 2).float()
    if side == SIDE:
        return square.contiguous()
    return nn.functional.interpolate(square, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)


class Autoencoder(nn.Module):
    """(N, C·1024) → the same, through a code of 128 ReLU units."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(inputs, BITS), nn.Linear(BITS, inputs)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.dropout(self.encoder(pictures).relu()))


@dataclass(frozen=True, eq=False)
class Hasher:
    """A trained autoencoder, and the mean of what it was trained on."""

    network: Autoencoder
    mean: torch.Tensor
    invariant: bool

    def codes(self, images: np.ndarray, progress: Progress | None = None) -> np.ndarray:
        """The codes of uint8 images (N, H, W, C): uint64 (N, 2), a bit for each unit that is active."""
        codes = np.empty((len(images), BITS // 64), np.uint64)
        for start in range(0, len(images), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            with torch.inference_mode():
                inputs = _pictures(images[some], self.invariant) - self.mean
                active = self.network.encoder(inputs.flatten(1)) > 0
            codes[some] = np.packbits(active.numpy(), axis=1).view(np.uint64)
            if progress:
                progress(min(start + AT_ONCE, len(images)), len(images))
        return codes


def train_hasher(
    images: np.ndarray, *, seed: int = 0, invariant: bool = True, progress: Progress | None = None
) -> Hasher:
    """An autoencoder trained on uint8 images (N, H, W, C), on the CPU; the same for the same images and seed.

    invariant: the two additions described above; without, it sees pixels in [-1, 1] under normal noise alone.
    Process-wide random states are left as they were. `progress` counts the images shown.
    """
    rng = np.random.Generator(np.random.Philox(key=seed))
    mean = _pictures(images[:: max(1, len(images) // MEAN_OF)], invariant).mean(0)
    noise = NOISE if invariant else NOISE * 2 / 10  # pixels in [-1, 1] have a smaller deviation
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Autoencoder(mean.numel())
        adam = torch.optim.Adam(network.parameters(), RATE)
        schedule = torch.optim.lr_scheduler.LinearLR(adam, 1.0, 0.0, STEPS)
        for step in range(1, STEPS + 1):
            rows = np.sort(rng.integers(len(images), size=BATCH))  # sorted rows read a memory map front to back
            clean = _pictures(images[rows], invariant)
            shown = (_disturbed(clean) if invariant else clean) - mean
            drawn = network((shown + noise * torch.randn_like(shown)).flatten(1))
            adam.zero_grad()
            nn.functional.mse_loss(drawn, (clean - mean).flatten(1)).backward()
            adam.step()
            schedule.step()
            if progress:
                progress(step * BATCH, STEPS * BATCH)
    return Hasher(network.eval().requires_grad_(False), mean, invariant)


def _pictures(images: np.ndarray, invariant: bool) -> torch.Tensor:
    """What the net is given: (N, C, 32, 32), standardised or in [-1, 1]."""
    small = thumbnails(images)
    return standardised(small) if invariant else small / 127.5 - 1


def _disturbed(pictures: torch.Tensor) -> torch.Tensor:
    """Each picture cropped by up to `ZOOM` and moved by up to `SHIFT`, at random."""
    n = len(pictures)
    matrix = torch.zeros(n, 2, 3)
    matrix[:, 0, 0] = matrix[:, 1, 1] = 1 - ZOOM * torch.rand(n)
    matrix[:, :, 2] = SHIFT * (2 * torch.rand(n, 2) - 1)
    where = nn.functional.affine_grid(matrix, list(pictures.shape), align_corners=False)
    return nn.functional.grid_sample(pictures, where, padding_mode="border", align_corners=False)
