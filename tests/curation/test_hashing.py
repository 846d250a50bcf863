"""Equal and near codes, against looking at every pair."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dcgan.curation import hashing
from dcgan.curation.hashing import KEEP, WINDOW, equal_codes, hamming, near_codes


def random_codes(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, (n, 2), dtype=np.uint64)


def with_bits_turned(codes: np.ndarray, number: int) -> np.ndarray:
    """Copies that differ in `number` bits each."""
    bits = np.unpackbits(codes.view(np.uint8), axis=1)
    rng = np.random.default_rng(1)
    for row in bits:
        row[rng.choice(128, number, replace=False)] ^= 1
    return np.packbits(bits, axis=1).view(np.uint64)


def plain_hamming(one: np.ndarray, other: np.ndarray) -> int:
    return sum((int(a) ^ int(b)).bit_count() for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("numpy_2", [True, False])
def test_hamming_counts_the_bits_that_differ(numpy_2: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not numpy_2:
        monkeypatch.delattr(np, "bitwise_count", raising=False)
    one, other = random_codes(50), random_codes(50, 1)
    assert hamming(one, other).tolist() == [plain_hamming(a, b) for a, b in zip(one, other, strict=True)]


def test_equal_codes_are_paired_with_the_first() -> None:
    codes = random_codes(4)[[0, 1, 0, 2, 1, 0, 3]]
    assert equal_codes(codes).tolist() == [[0, 2], [1, 4], [0, 5]]
    assert equal_codes(random_codes(5)).shape == (0, 2)


def test_few_codes_are_all_compared() -> None:
    """With no more images than a window holds, the pairs are those that looking at all would keep."""
    codes = with_bits_turned(np.repeat(random_codes(1), WINDOW, axis=0), 12)
    distance = np.array([[plain_hamming(a, b) for a in codes] for b in codes])
    kept = set()
    for i in range(WINDOW):
        others = sorted((distance[i, j], j) for j in range(WINDOW) if j != i)[:KEEP]
        kept |= {(min(i, j), max(i, j)) for _, j in others}
    assert {tuple(pair) for pair in near_codes(codes).tolist()} == kept


def test_far_codes_are_no_pair() -> None:
    codes = with_bits_turned(np.repeat(random_codes(1), 2, axis=0), 0)
    codes[1] = ~codes[1]
    assert near_codes(codes).shape == (0, 2)


@pytest.mark.parametrize(("bits", "share"), [(0, 1.0), (8, 1.0), (20, 0.97)])
def test_near_codes_are_found_among_many(bits: int, share: float) -> None:
    codes = random_codes(5000)
    codes = np.concatenate([codes, with_bits_turned(codes[:500], bits)])
    found = {tuple(pair) for pair in near_codes(codes).tolist()}
    assert sum((i, 5000 + i) in found for i in range(500)) >= share * 500


def test_the_number_of_pairs_is_bounded_when_all_codes_are_equal() -> None:
    codes = np.repeat(random_codes(1), 1000, axis=0)
    pairs = near_codes(codes)
    assert len(pairs) <= KEEP * 1000
    linked = {0}
    for i, j in itertools.chain(pairs.tolist(), equal_codes(codes).tolist()):
        linked |= {i, j}
    assert len(linked) == 1000


def test_the_same_codes_and_seed_give_the_same_pairs() -> None:
    codes = with_bits_turned(np.repeat(random_codes(100), 5, axis=0), 10)
    assert np.array_equal(near_codes(codes, seed=3), near_codes(codes, seed=3))
    assert (np.diff(near_codes(codes), axis=1) > 0).all()


def test_sorting_by_bits_is_sorting_by_the_number() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (500, 32), dtype=np.uint8)
    numbers = bits @ (2 ** np.arange(31, -1, -1, dtype=np.int64))
    assert np.array_equal(hashing._sorted_by(bits), np.argsort(numbers, kind="stable"))
