"""Near codes found in linear time: equal ones through a hash table, nearly equal ones through many sorted tables.

Multi-index hashing (Norouzi et al. 2012) puts codes into tables by some of their bits: nearly equal codes share a
bucket in one of them or another. With bands of a fixed length the buckets grow with the set, and the pairs in them
with its square. Here a bucket is a window: each table sorts the images by 32 of the bits, taken at random, and compares
each image with the `WINDOW` images after it. So a bucket is as wide as it has to be to hold so many, and the
time is that of tables × window comparisons an image, however many images there are.
"""

from __future__ import annotations

import numpy as np

from dcgan.data.pack import Progress

TABLES, WINDOW, KEEP = 64, 8, 4
"""Tables; images that each is compared with on either side in each; and nearest of all these that are kept."""
FURTHEST = 48
"""Bits of 128 by which kept codes may differ: crops and shifts had 20 at the 90th percentile and 47 at most."""
_NOBODY = np.uint64(2**64 - 1)
_LOW = np.uint64(2**32 - 1)


def equal_codes(codes: np.ndarray) -> np.ndarray:
    """Pairs (first image of a code, another one with it) as int64 (P, 2): the paper's scheme, complete."""
    first: dict[bytes, int] = {}
    keys = np.ascontiguousarray(codes).view(f"V{codes.shape[1] * 8}").ravel().tolist()
    pairs = [(first.setdefault(bytes(key), i), i) for i, key in enumerate(keys)]
    return np.array([pair for pair in pairs if pair[0] != pair[1]], np.int64).reshape(-1, 2)


def near_codes(codes: np.ndarray, seed: int = 0, progress: Progress | None = None) -> np.ndarray:
    """Pairs (i < j) of images whose codes, uint64 (N, words), are near: int64 (P, 2), each once, P ≤ KEEP · N.

    A pair is found if it is within `WINDOW` places of each other in one of the `TABLES`, and kept if it is among the
    `KEEP` nearest found of one of the two. In a bucket of more equal codes than that, each is compared with its
    neighbours in the window only; `equal_codes` ties them together.
    """
    rng = np.random.Generator(np.random.Philox(key=seed))
    nearest = np.full((len(codes), KEEP), _NOBODY)  # distance · 2^32 + the other's number
    bits = np.unpackbits(codes.view(np.uint8), axis=1)
    for table in range(TABLES):
        order = _sorted_by(bits[:, rng.choice(bits.shape[1], 32, replace=False)])
        found = np.full((len(codes), KEEP + 2 * WINDOW), _NOBODY)
        found[:, :KEEP] = nearest[order]
        for gap in range(1, min(WINDOW, len(codes) - 1) + 1):
            one, other = order[:-gap], order[gap:]
            distance = hamming(codes[one], codes[other]).astype(np.uint64)
            near, distance = distance <= FURTHEST, distance << np.uint64(32)
            found[:-gap, KEEP + gap - 1] = np.where(near, distance | other.astype(np.uint64), _NOBODY)
            found[gap:, KEEP + WINDOW + gap - 1] = np.where(near, distance | one.astype(np.uint64), _NOBODY)
        found.sort(axis=1)
        found[:, 1:][found[:, 1:] == found[:, :-1]] = _NOBODY  # those of earlier tables, found again
        found.sort(axis=1)
        nearest[order] = found[:, :KEEP]
        if progress:
            progress((table + 1) * len(codes), TABLES * len(codes))
    one, place = np.nonzero(nearest != _NOBODY)
    other = (nearest[one, place] & _LOW).astype(np.int64)
    return np.unique(np.stack([np.minimum(one, other), np.maximum(one, other)], 1), axis=0)


def hamming(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """In how many bits codes differ: uint64 (N, words), twice → int64 (N,)."""
    x = one ^ other
    if hasattr(np, "bitwise_count"):  # NumPy 2
        return np.bitwise_count(x).sum(1, dtype=np.int64)
    return np.unpackbits(x.view(np.uint8), axis=1).sum(1, dtype=np.int64)


def _sorted_by(bits: np.ndarray) -> np.ndarray:
    """The order of rows of 32 bits (N, 32) as numbers, in linear time: a radix sort of two halves."""
    key = np.ascontiguousarray(np.packbits(bits, axis=1)).view(">u4").ravel()
    order = np.argsort((key & 0xFFFF).astype(np.uint16), kind="stable")
    return order[np.argsort((key[order] >> 16).astype(np.uint16), kind="stable")]
