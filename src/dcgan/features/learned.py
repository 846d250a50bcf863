"""What D learned: the strongest responses of its features and what causes them, beside an untrained D [Figure 5]."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from dcgan.data.pack import Pack
from dcgan.errors import InputError, printable
from dcgan.evaluation.originals import originals
from dcgan.features.guided import (
    Field,
    Strongest,
    batch,
    checked_layer,
    guided,
    labels_for,
    receptive_field,
    settled,
    strongest,
    untrained,
)
from dcgan.images import grid, to_array
from dcgan.pretrained import Discriminator, class_index
from dcgan.progress import Display

FORMAT = "dcgan-inspect-1"
FEATURES = (0, 1, 2, 3, 4, 5)
"""The paper shows the first six."""
TILE = 48
"""Pixels; smaller tiles are enlarged by a whole factor to at least this."""
View = Literal["auto", "image", "field"]


@dataclass(frozen=True, eq=False)
class Panel:
    """One discriminator's side of the figure: its strongest images, and the guided gradients of their responses."""

    strongest: Strongest
    gradients: np.ndarray
    """float32 (F, k, H, W, C)."""


@dataclass(frozen=True, eq=False)
class Learned:
    """A figure and all that it is of."""

    model: str
    pack: Pack
    looked_at: int
    layer: int
    field: Field
    labels: str
    """Which labels a conditional discriminator was given, in words; empty for others."""
    trained: Panel
    untrained: Panel
    seed: int
    """Of the untrained discriminator."""

    def picture(self, view: View = "auto") -> np.ndarray:
        """uint8 (H', W', C): the untrained D on the left, the trained one on the right, as in the paper.

        Each feature has two rows, the strongest first: the images, and below each its guided gradient, divided by its
        largest absolute value, on grey. view: the whole image, or the receptive field of the maximum; auto: the latter
        where it is at most half the image high and wide.
        """
        left, right = (self._side(panel, self.crops(view)) for panel in (self.untrained, self.trained))
        gap = np.full((left.shape[0], TILE // 2, left.shape[2]), 255, np.uint8)
        return np.concatenate([left, gap, right], 1)

    def crops(self, view: View) -> bool:
        """Whether a view shows receptive fields only."""
        return view == "field" or (
            view == "auto"
            and all(2 * f <= s for f, s in zip(self.field.size, self.pack.images.shape[1:3], strict=True))
        )

    def _side(self, panel: Panel, crops: bool) -> np.ndarray:
        found, rows = panel.strongest, list[np.ndarray]()
        k = found.images.shape[1]
        for f in range(len(found.features)):
            pairs = []
            for i in range(k):
                image, gradient = self.pack.images[found.images[f, i]], panel.gradients[f, i]
                if crops:
                    corner = self.field.at(*found.places[f, i])
                    image, gradient = window(image, corner, self.field.size), window(gradient, corner, self.field.size)
                pairs.append((image[..., :3], shown(gradient[..., :3])))  # opacity is not shown
            rows += [tile for row in zip(*pairs, strict=True) for tile in row]
        tiles = np.stack(rows)
        factor = math.ceil(TILE / min(tiles.shape[1:3]))
        return grid(tiles.repeat(factor, 1).repeat(factor, 2), k)

    def to_dict(self) -> dict[str, Any]:
        """Numbers of the images, places, pixels and responses, and what they are of; plain values."""
        return {
            "format": FORMAT,
            "model": self.model,
            "data": self.pack.source,
            "images": self.looked_at,
            "labels": self.labels,
            "layer": self.layer,
            "receptive_field": list(self.field.size),
            "untrained_seed": self.seed,
            **{name: self._listed(panel.strongest) for name, panel in self._panels().items()},
        }

    def _panels(self) -> dict[str, Panel]:
        return {"trained": self.trained, "untrained": self.untrained}

    def _listed(self, found: Strongest) -> list[dict[str, Any]]:
        return [
            {
                "feature": feature,
                "strongest": [
                    {
                        "image": int(found.images[f, i]),
                        "row": int(found.places[f, i, 0]),
                        "column": int(found.places[f, i, 1]),
                        "top_left": list(map(int, self.field.at(*found.places[f, i]))),
                        "response": float(found.responses[f, i]),
                    }
                    for i in range(found.images.shape[1])
                ],
            }
            for f, feature in enumerate(found.features)
        ]


def learned(
    model: str | Path,
    data: str | None = None,
    *,
    layer: int | None = None,
    features: tuple[int, ...] = FEATURES,
    top: int = 6,
    images: int | None = None,
    label: int | str | None = None,
    seed: int = 0,
    device: str = "auto",
    quiet: bool = False,
) -> Learned:
    """The `top` strongest responses of some features of a run's discriminator, and of an untrained one, over its data.

    model: a run directory or a discriminator.safetensors. data: the images, by default those of the training; the first
    `images` of them, by default all. layer: which convolution, 1 is next to the image; by default the last. label: the
    class that a conditional discriminator is told, by default each image's own. seed: of the untrained one. Norms
    without statistics of their own get those of up to 512 images; so do all of the untrained one.
    Raises InputError for wrong input.
    """
    path, display = Path(model), Display(quiet=quiet)
    discriminator = Discriminator.from_pretrained(path, device)
    number = checked_layer(discriminator.network, layer)
    config = discriminator.info.network
    chosen = class_index(discriminator.info, label)
    with display:
        pack = originals(path, data).packed(config, display)
        count = len(pack.images) if images is None else images
        if not 1 <= count <= len(pack.images):
            raise InputError(f"images: {count:,} is outside [1, {len(pack.images):,}], the images there are")
        labels = labels_for(discriminator, pack.labels, chosen, len(pack.images))
        place = next(discriminator.parameters()).device
        some = np.sort(np.random.Generator(np.random.Philox(key=0)).permutation(count)[:512])
        sample = batch(pack.images, labels, some, place)
        networks = {
            "trained": settled(discriminator.network, *sample),
            "untrained": settled(untrained(config, seed, place), *sample, anew=True),
        }
        panels = {
            name: _panel(network, pack.images[:count], labels, number, features, top, display, name)
            for name, network in networks.items()
        }
    return Learned(
        model=printable(path),
        pack=pack,
        looked_at=count,
        layer=number,
        field=receptive_field(discriminator.network, number),
        labels="" if labels is None else "each image's own" if chosen is None else f"class {label} for all",
        seed=seed,
        **panels,
    )


def _panel(
    network: nn.Module,
    images: np.ndarray,
    labels: np.ndarray | None,
    layer: int,
    features: tuple[int, ...],
    top: int,
    display: Display,
    name: str,
) -> Panel:
    found = strongest(network, images, layer, features, top, labels, display.counter(f"{name} D looking at"))
    device = next(network.parameters()).device
    gradients = []
    for f, feature in enumerate(features):
        pixels, codes = batch(images, labels, found.images[f], device)
        gradient = guided(network, pixels, layer, feature, found.places[f], codes)
        gradients.append(gradient.permute(0, 2, 3, 1).cpu().numpy())
    return Panel(found, np.stack(gradients))


def shown(gradient: np.ndarray) -> np.ndarray:
    """A gradient (H, W, C) as uint8, divided by its largest absolute value; 0 is grey."""
    scaled = torch.from_numpy(gradient / (np.abs(gradient).max() or 1.0))
    return to_array(scaled.permute(2, 0, 1)[None])[0]


def window(image: np.ndarray, corner: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """The part of (H, W, C) that begins at (top, left); 0 beyond the edges."""
    out = np.zeros((*size, image.shape[2]), image.dtype)
    (top, left), (height, width) = corner, size
    y, x = max(top, 0), max(left, 0)
    part = image[y : max(top + height, 0), x : max(left + width, 0)]
    out[y - top : y - top + part.shape[0], x - left : x - left + part.shape[1]] = part
    return out


def parse_features(text: str) -> tuple[int, ...]:
    """ "0-5" or "1,4,7-9" as numbers, in that order. Raises InputError for anything else, and for a number twice."""
    numbers = list[int]()
    for part in text.split(","):
        ends = part.strip().split("-")
        if len(ends) > 2 or not all(end.isascii() and end.isdigit() and len(end) < 7 for end in ends):
            raise InputError(f"features: {text!r} is no list of numbers such as 0-5 or 1,4,7")
        numbers += range(int(ends[0]), int(ends[-1]) + 1)
    if not numbers or len(set(numbers)) != len(numbers):
        raise InputError(f"features: {text!r} names {'one twice' if numbers else 'none'}")
    return tuple(numbers)
