"""Duplicates in a set of images: the paper's semantic hash proposes, a look at the pictures decides.

Radford et al. 2015, section 4, call images duplicates whose codes are equal. That finds re-compressed copies, and
neither crops nor shifts. Here images with near codes are laid over each other and compared (`registration`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dcgan.curation.autoencoder import thumbnails, train_hasher
from dcgan.curation.hashing import equal_codes, hamming, near_codes
from dcgan.curation.registration import agreement
from dcgan.data.cache import default_cache
from dcgan.data.pack import Pack, Progress
from dcgan.files import write_atomically
from dcgan.reading import is_integer, is_number, parse_json, read_text

RECIPE = 1
AGREES = 0.94
"""Agreement from which two images are duplicates; docs/curation.md has what real and planted ones have."""
ROUNDS = 4
"""How often what is left of a group is asked for duplicates of its first image, before it is left alone."""
PAIRS_AT_ONCE = 2048
LARGEST_FOUND = 32 * 2**20
"""Bytes of what is kept of it."""
Counter = Callable[[str], Progress]


@dataclass(frozen=True)
class Group:
    """Images that are one: the first of them, and those that agree with it."""

    members: tuple[int, ...]
    """Rows, ascending."""
    agreement: tuple[float, ...]
    """With the first, in [0, 1]; 1 for the first itself."""
    bits: tuple[int, ...]
    """Of the 128 of the code, by which each differs from the first."""


@dataclass(frozen=True)
class Duplicates:
    """The groups of a set of images, by their first rows; each image is in one at most."""

    images: int
    groups: tuple[Group, ...]

    @property
    def left_out(self) -> tuple[int, ...]:
        """The rows of all but the first image of each group, ascending."""
        return tuple(sorted(row for group in self.groups for row in group.members[1:]))

    def to_json(self) -> str:
        """The groups as one line, for `from_json`."""
        groups = [[group.members, group.agreement, group.bits] for group in self.groups]
        return json.dumps({"images": self.images, "groups": groups})

    @classmethod
    def from_json(cls, text: str) -> Duplicates:
        """What `to_json` wrote. Raises ValueError, KeyError or TypeError for something else."""
        values = parse_json(text)
        groups = tuple(Group(*map(tuple, group)) for group in values["groups"])
        rows = [row for group in groups for row in group.members]
        if not is_integer(values["images"]) or not all(is_integer(row, 0, values["images"] - 1) for row in rows):
            raise ValueError("rows of no image")
        for group in groups:
            if not len(group.members) == len(group.agreement) == len(group.bits) or len(group.members) < 2:
                raise ValueError("a group of different lengths")
            if not all(map(is_number, (*group.agreement, *group.bits))):
                raise ValueError("an agreement that is no number")
        return cls(values["images"], groups)


def duplicates(
    pack: Pack, *, agrees: float = AGREES, counter: Counter | None = None, cache: Path | None = None
) -> Duplicates:
    """The duplicates in a pack, from the cache or found now. `counter("hashing")` gives a progress for each part."""
    key = hashlib.sha256(repr((pack.key, RECIPE, agrees)).encode()).hexdigest()[:32]
    path = (cache or default_cache()) / "duplicates" / f"{key}.json"
    try:
        found = Duplicates.from_json(read_text(path, LARGEST_FOUND))
        if found.images == len(pack.images):
            return found
    except (ValueError, KeyError, TypeError):  # not there, or damaged: found anew
        pass
    found = find_duplicates(pack.images, agrees=agrees, counter=counter)
    with contextlib.suppress(OSError):  # it saves time the next time, no more
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, found.to_json().encode())
    return found


def find_duplicates(
    images: np.ndarray, *, agrees: float = AGREES, seed: int = 0, counter: Counter | None = None
) -> Duplicates:
    """The duplicates among uint8 images (N, H, W, C), in time that is linear in N; the same for the same seed.

    agrees: the agreement in (0.8, 1] from which two images are duplicates.
    """
    if len(images) < 2:
        return Duplicates(len(images), ())

    def progress(doing: str) -> Progress | None:
        return counter(doing) if counter else None

    hasher = train_hasher(images, seed=seed, progress=progress("learning to hash:"))
    codes = hasher.codes(images, progress("hashing"))
    pairs = np.concatenate([equal_codes(codes), near_codes(codes, seed, progress("looking up"))])
    pairs = np.unique(pairs, axis=0)
    agreeing = pairs[agreements(images, pairs, progress("comparing")) >= agrees]
    return Duplicates(len(images), tuple(_groups(images, codes, agreeing, agrees)))


def agreements(images: np.ndarray, pairs: np.ndarray, progress: Progress | None = None) -> np.ndarray:
    """The agreement of each pair (P, 2) of rows of uint8 images (N, H, W, C): float32 (P,)."""
    result = np.zeros(len(pairs), np.float32)
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        some = pairs[start : start + PAIRS_AT_ONCE]
        rows, places = np.unique(some, return_inverse=True)
        small = thumbnails(images[rows])
        first, second = torch.from_numpy(places.reshape(some.shape)).unbind(1)
        with torch.inference_mode():
            result[start : start + len(some)] = agreement(small[first], small[second]).numpy()
        if progress:
            progress(min(start + PAIRS_AT_ONCE, len(pairs)), len(pairs))
    return result


def _groups(images: np.ndarray, codes: np.ndarray, agreeing: np.ndarray, agrees: float) -> list[Group]:
    """Stars: every member agrees with the first of its group itself, so that long chains do not become one image.

    What hangs together through pairs is compared with its first image; what does not agree makes another group,
    `ROUNDS` times at most, so that the time stays linear.
    """
    rows = np.unique(agreeing)
    parts = connected(len(images), agreeing)[rows]  # ascending rows, and the first row of what each hangs together with
    groups: list[Group] = []
    for _ in range(ROUNDS):
        _, start, part = np.unique(parts, return_index=True, return_inverse=True)
        firsts = rows[start[part]]
        found = agreements(images, np.stack([firsts, rows], 1))
        agree = (found >= agrees) | (rows == firsts)
        distance = hamming(codes[firsts], codes[rows])
        order = np.flatnonzero(agree)[np.argsort(firsts[agree], kind="stable")]
        for members in np.split(order, np.flatnonzero(np.diff(firsts[order])) + 1):
            if len(members) > 1:
                scores = (round(float(score), 4) for score in found[members])
                groups.append(Group(tuple(rows[members].tolist()), tuple(scores), tuple(distance[members].tolist())))
        rows, parts = rows[~agree], parts[~agree]
        if not len(rows):
            break
    return sorted(groups, key=lambda group: group.members)


def connected(n: int, pairs: np.ndarray) -> np.ndarray:
    """For each of n images the first one that it hangs together with through pairs (P, 2): int64 (n,)."""
    parent = list(range(n))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    for one, other in pairs.tolist():
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return np.array([root(i) for i in range(n)], np.int64)
