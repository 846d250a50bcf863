"""The nearest training images of samples, by pixels, where the images that the run was trained on are packed."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import numpy as np

from dcgan.data.cache import default_cache
from dcgan.data.pack import Pack, open_pack
from dcgan.errors import InputError, printable
from dcgan.evaluation.nearest import Nearest
from dcgan.explorer.pictures import sprite
from dcgan.explorer.told import Neighbour, Neighbours
from dcgan.run import Run

MOST_BYTES = 4 * 2**30
"""Of training images that are looked through for one answer."""
PIECE = 4096
BASELINE = 64
"""Training images whose nearest other one says what is usual."""


def training_images(run: Path, shape: tuple[int, ...]) -> Pack:
    """The pack that a run was trained on, at its shape (H, W, C), from the cache; nothing is packed anew.

    Raises InputError that says why it is not there.
    """
    if not run.is_dir():
        raise InputError("a weights file does not say what it was trained on")
    key, digest = (Run(run).data.get(name) for name in ("key", "digest"))
    if not isinstance(key, str) or not re.fullmatch("[0-9a-f]{32}", key):
        raise InputError("this run does not say which images it was trained on")
    packs = default_cache() / "packs"
    pack = open_pack(packs / key, fresh=False) or _copy(packs, digest)
    if pack is None:
        raise InputError("the images it was trained on are not packed on this machine; dcgan evaluate packs them again")
    if pack.images.shape[1:] != shape:
        raise InputError("the packed images have another shape than the generator's")
    return pack


def _copy(packs: Path, digest: object) -> Pack | None:
    """A pack of the same images from another place; None if there is none."""
    if not digest or not packs.is_dir():
        return None
    found = (open_pack(folder, fresh=False) for folder in sorted(packs.iterdir()))
    return next((pack for pack in found if pack and pack.holds(None, digest)), None)


def neighbours(pack: Pack, drawn: np.ndarray, k: int, usual: float) -> Neighbours:
    """The k nearest of each sample, uint8 (N, H, W, C), nearest first."""
    count = looked_at(pack)
    k = min(k, count)
    search = _searched(pack, drawn, k)
    columns = [drawn, *(np.stack([pack.images[i] for i in column]) for column in search.tags.T)]
    rows = np.stack(columns, axis=1).reshape(-1, *drawn.shape[1:])
    found = [
        [_neighbour(pack, int(number), float(distance) / 255) for number, distance in zip(*row, strict=True)]
        for row in zip(search.tags, search.distances, strict=True)
    ]
    picture = base64.b64encode(sprite(rows, 1 + k)).decode()
    return Neighbours(
        found=True, reason="", images=count, of=len(pack.images), usual=usual, neighbours=found, picture=picture
    )


def usual_distance(pack: Pack) -> float:
    """The median distance of some training images, chosen at random, to the nearest other one; pixels in [0, 1]."""
    count = looked_at(pack)
    if count < 2:
        return 0.0
    rng = np.random.Generator(np.random.Philox(key=0))
    chosen = np.sort(rng.choice(count, min(BASELINE, count), replace=False))
    search = _searched(pack, np.stack([pack.images[i] for i in chosen]), 2)
    own = search.tags[:, 0] == chosen  # of exact copies another one may come first, at the same distance
    return float(np.median(np.where(own, search.distances[:, 1], search.distances[:, 0])) / 255)


def looked_at(pack: Pack) -> int:
    """How many of the images are compared with: all, unless that takes too long for a page."""
    return min(len(pack.images), max(1, MOST_BYTES // int(np.prod(pack.images.shape[1:]))))


def nothing(reason: str) -> Neighbours:
    """The answer without data."""
    return Neighbours(found=False, reason=printable(reason), images=0, of=0, usual=0.0, neighbours=[], picture="")


def _searched(pack: Pack, queries: np.ndarray, k: int) -> Nearest:
    search, count = Nearest(queries, k), looked_at(pack)
    for start in range(0, count, PIECE):
        search.add(np.asarray(pack.images[start : min(start + PIECE, count)]))
    return search


def _neighbour(pack: Pack, number: int, distance: float) -> Neighbour:
    label = None if pack.labels is None else printable(pack.class_names[int(pack.labels[number])])
    return Neighbour(number=number, distance=distance, label=label)
