"""Differentiable augmentation of what D sees, real and drawn alike, so that it cannot learn a small set by heart.

Colour, translation and cutout of Zhao et al. 2020 (DiffAugment), each applied to an image with probability p as in
Karras et al. 2020 (ADA): while p stays below about 0.8 the drawings do not take on the augmentations.
"""

from __future__ import annotations

import torch

from dcgan.distributed import own_share, world

BRIGHTNESS, CONTRAST, SATURATION = 0.5, 0.5, 1.0
"""Brightness moves by up to ± this (black to white is 2), contrast and saturation by factors of 1 ± theirs."""
REACH, HOLE = 1 / 8, 1 / 2
"""Of each side: how far an image is moved at most, and how large a hole is cut."""


def chances(n: int, noise: torch.Generator) -> torch.Tensor:
    """What is random in the augmentation of n images: (n, 10), uniform on [0, 1)."""
    return own_share(torch.rand(10, n * world(), device=noise.device, generator=noise), axis=1).T


def augment(images: torch.Tensor, p: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Images (N, C, H, W) around [-1, 1] → the same, as float32, each augmented in its own way.

    p: the probability of each of the three augmentations, a tensor () on the device of the images. u: their `chances`.
    What comes in from outside and the hole are 0, mid grey. Gradients flow through, second ones too; nothing waits for
    the device.
    """
    coloured, moved, cut = (u.T[:3] < p).float()
    brightness, contrast, saturation, *places = u.T[3:]
    with torch.autocast(images.device.type, enabled=False):
        x = _colour(
            images.float(),
            coloured * BRIGHTNESS * (2 * brightness - 1),
            coloured * CONTRAST * (2 * contrast - 1),
            coloured * SATURATION * (2 * saturation - 1),
        )
        x = _translate(x, moved, *places[:2])
        return torch.where(_hole(x, cut, *places[2:]), 0.0, x)  # unlike masked_fill it keeps the memory layout


def _colour(
    x: torch.Tensor, brightness: torch.Tensor, contrast: torch.Tensor, saturation: torch.Tensor
) -> torch.Tensor:
    """Further from, or nearer to, each pixel's grey and then the image's mean; then lighter or darker. Not alpha."""
    brightness, contrast, saturation = (change.view(-1, 1, 1, 1) for change in (brightness, contrast, saturation))
    alpha = x[:, 3:]
    x = x[:, :3]
    if x.shape[1] == 3:
        x = x + saturation * (x - x.mean(1, keepdim=True))
    x = x + contrast * (x - x.mean((1, 2, 3), keepdim=True)) + brightness
    return torch.cat([x, alpha], 1) if alpha.shape[1] else x


def _translate(x: torch.Tensor, moved: torch.Tensor, down: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Moved by whole pixels, up to REACH of each side; `down` and `right` are uniform on [0, 1)."""
    (height, far_down), (width, far_right) = ((side, round(side * REACH)) for side in x.shape[2:])
    rows = torch.arange(height, device=x.device) + far_down - _offsets(moved, down, far_down)
    columns = torch.arange(width, device=x.device) + far_right - _offsets(moved, right, far_right)
    padded = torch.nn.functional.pad(x, (far_right, far_right, far_down, far_down)).permute(0, 2, 3, 1)
    each = torch.arange(len(x), device=x.device).view(-1, 1, 1)
    return padded[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _offsets(moved: torch.Tensor, u: torch.Tensor, far: int) -> torch.Tensor:
    """A whole number from -far to far for each image, (N, 1); 0 where it is not moved."""
    return (moved * ((2 * far + 1) * u).floor().sub(far)).long()[:, None]


def _hole(x: torch.Tensor, cut: torch.Tensor, top: torch.Tensor, left: torch.Tensor) -> torch.Tensor:
    """Where the hole of each image is, bool (N, 1, H, W): around a place uniform on the image, so partly outside."""
    inside = []
    for side, u in zip(x.shape[2:], (top, left), strict=True):
        size = round(side * HOLE)
        begin = ((side + 1 - size % 2) * u).floor()[:, None] - size // 2
        pixels = torch.arange(side, device=x.device)
        inside.append((pixels >= begin) & (pixels < begin + size))
    rows, columns = inside
    return (rows[:, :, None] & columns[:, None, :])[:, None] & cut.bool().view(-1, 1, 1, 1)
