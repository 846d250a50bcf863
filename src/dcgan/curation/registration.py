"""Are two pictures one and the same? Lay one over the other, moved and zoomed to fit, and compare their edges.

Codes say which pictures may be duplicates, and cannot say more: aligned faces of different people have codes as near
as a picture and a crop of itself. Once laid over each other, two versions of one picture agree in every edge, and
two pictures do not. Brightness and contrast are taken out before. This step is not in the paper.
"""

from __future__ import annotations

import functools

import torch
from torch import nn

SIDE = 32
"""Of the pictures compared: the paper's 32×32 down-sampled centre crops."""
FLAT = 2.0
"""Levels of 255 that are added to a picture's deviation, so that noise in a flat one is not blown up."""
LARGEST_ZOOM, LARGEST_SHIFT = 0.12, 0.2
"""How far one picture is zoomed and moved to fit the other; the shift in half sides."""
COARSE_STEPS, FINE_STEPS = 5, 3
PROMISING = 0.8
"""Agreement at 16×16 from which a pair is looked at in 32×32; real duplicates had 0.9 and more."""
_STIFFNESS = 1e-2


def standardised(pictures: torch.Tensor) -> torch.Tensor:
    """float (N, C, H, W) in levels → each channel with mean 0, each picture with deviation 1 (0 if it is flat)."""
    centred = pictures - pictures.mean((2, 3), keepdim=True)
    return centred / (centred.square().mean((1, 2, 3), keepdim=True).sqrt() + FLAT)


def agreement(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """How well pictures agree, pair by pair: (N, C, 32, 32) in levels, twice → (N,) in [0, 1], 1 for the same picture.

    It is the correlation of the horizontal and vertical differences of the second picture, moved and zoomed to fit
    the first, with the first's, where both are seen. Pairs of little promise get the coarse value, below `PROMISING`.
    """
    a, b = standardised(first), standardised(second)
    small_a, small_b = nn.functional.avg_pool2d(a, 2), nn.functional.avg_pool2d(b, 2)
    place = registered(small_a, small_b, torch.zeros(len(a), 3), COARSE_STEPS)
    result = _correlation(small_a, small_b, place).clamp(0.0, PROMISING)
    promising = (result >= PROMISING).nonzero().flatten()
    if len(promising):
        a, b = a[promising], b[promising]
        place = registered(a, b, place[promising], FINE_STEPS)
        result[promising] = _correlation(a, b, place).clamp(0.0, 1.0)
    result[(first == second).all(3).all(2).all(1)] = 1.0  # flat ones too
    return result


def registered(a: torch.Tensor, b: torch.Tensor, place: torch.Tensor, steps: int) -> torch.Tensor:
    """(zoom - 1, right, down) of each pair, (N, 3), at which b fits a: Lucas and Kanade's method from `place` on.

    The inverse compositional form (Baker and Matthews 2004): the derivatives are those of `a`, once for all steps.
    """
    a, b = a.mean(1, keepdim=True), b.mean(1, keepdim=True)
    x, y = _coordinates(a.shape[-1])
    right, down = _slopes(a)
    slopes = torch.stack([right * x + down * y, right, down], -1).flatten(1, 3)  # (N, H·W, 3)
    slopes = slopes - slopes.mean(1, keepdim=True)  # means are taken out of what is compared
    curvature = slopes.transpose(1, 2) @ slopes / slopes.shape[1] + _STIFFNESS * torch.eye(3)
    inverse = torch.linalg.inv(curvature)
    for _ in range(steps):
        moved, seen = _moved(b, place)
        difference = _normal(moved, seen) - _normal(a, seen)
        slope = slopes.transpose(1, 2) @ difference.flatten(1)[..., None] / slopes.shape[1]
        zoom, shift = (step := (inverse @ slope)[..., 0])[:, :1], step[:, 1:]
        scale = (1 + place[:, :1]) / (1 + zoom.clamp(-0.5, 0.5))  # b's place after undoing the step in a
        place = torch.cat(
            [
                (scale - 1).clamp(-LARGEST_ZOOM, LARGEST_ZOOM),
                (place[:, 1:] - scale * shift).clamp(-LARGEST_SHIFT, LARGEST_SHIFT),
            ],
            1,
        )
    return place


def _correlation(a: torch.Tensor, b: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """Of the edges of a and of b at its place, where both are seen: (N,) in [-1, 1]."""
    moved, seen = _moved(b, place)
    weight = -nn.functional.max_pool2d(-seen, 3, 1, 1)  # a difference wants both its neighbours seen
    ours, theirs = (torch.cat(_slopes(x), 1).mul(weight).flatten(1) for x in (a, moved))
    lengths = ours.square().sum(1) * theirs.square().sum(1)
    return (ours * theirs).sum(1) / lengths.sqrt().clamp_min(1e-6)


def _moved(b: torch.Tensor, place: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """b at its place (N, C, H, W), and 1 where that shows b, 0 where it is beyond the border (N, 1, H, W)."""
    side = b.shape[-1]
    matrix = torch.zeros(len(b), 2, 3)
    matrix[:, 0, 0] = matrix[:, 1, 1] = 1 + place[:, 0]
    matrix[:, :, 2] = place[:, 1:]
    where = nn.functional.affine_grid(matrix, list(b.shape), align_corners=False)
    seen = (where.abs() <= 1 - 0.5 / side).all(-1)[:, None].float()
    return nn.functional.grid_sample(b, where, padding_mode="border", align_corners=False), seen


def _normal(x: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """Mean 0 and deviation 1 where seen, and 0 elsewhere."""
    area = seen.sum((1, 2, 3), keepdim=True).clamp_min(1)
    centred = (x - (x * seen).sum((1, 2, 3), keepdim=True) / area) * seen
    return centred / (centred.square().sum((1, 2, 3), keepdim=True) / area).sqrt().clamp_min(1e-3)


def _slopes(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Central differences to the right and down for each half side; 0 at the border."""
    scale = x.shape[-1] / 4
    right, down = torch.zeros_like(x), torch.zeros_like(x)
    right[..., 1:-1] = (x[..., 2:] - x[..., :-2]) * scale
    down[..., 1:-1, :] = (x[..., 2:, :] - x[..., :-2, :]) * scale
    return right, down


@functools.cache
def _coordinates(side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the pixels' centres, from -1 to 1: (1, side) and (side, 1)."""
    centres = (torch.arange(side) * 2 + 1) / side - 1
    return centres[None], centres[:, None]
