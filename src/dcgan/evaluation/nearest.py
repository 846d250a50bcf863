"""Exact nearest neighbours by Euclidean distance, streaming: any number of references in flat memory.

Pixels go through int8 matrix products with int32 sums where the processor has them: |q - r|² = |q|² + |r|² - 2 q·r,
and a distance is the same after 128 is taken from every pixel. 10,000 queries against 10 million references of
784 pixels are 7.8e13 products, 2.6 minutes on one core with AMX; `docs/evaluation-neighbours.md` has the figures.
Without such products, lower bounds of the distances spare nearly all of the work.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from dcgan.device import side_by_side
from dcgan.evaluation.bounds import FEWEST_PIXELS, FEWEST_QUERIES, Bounds

# A tile of int32 distances of this shape is half a megabyte, and stays in a core's second cache while it is reduced.
TILE_QUERIES, TILE_REFERENCES = 256, 512
# Integers up to 2^24 are exact in float32: sums of 2^10 products of two pixels in [-128, 127] are.
FLOAT_PIXELS = 2**10
# So many products fit an int32, and so do the squared distances made of them.
INT_PIXELS = 2**15
FAR = np.iinfo(np.int64).max
BOUNDED_QUERIES = 4 * TILE_QUERIES
# More pairs of a tile than these are sooner multiplied all at once: one by one each takes a hundred times as long.
FEW = BOUNDED_QUERIES * TILE_REFERENCES // 128

Tile = tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]
"""References, their tags, and their outlines if bounds are used."""


class Nearest:
    """The k nearest of all references seen so far, for each query.

    Of references at the same distance the one seen first is the nearer. uint8 queries are compared exactly,
    in integers. Floating-point ones (features) are compared in float64: squared distances are right to
    about 1e-15 of |q|² + |r|², so that of a copy may come out as 1e-15 of it instead of 0.
    """

    def __init__(self, queries: np.ndarray, k: int = 1, device: str | torch.device = "cpu") -> None:
        """queries: uint8 or finite floating-point (Q, ...), Q ≥ 1. Raises ValueError for anything else."""
        if k < 1:
            raise ValueError(f"k: {k} neighbours; at least 1")
        self._like, self._device = queries, torch.device(device)
        self._queries = self._matrix(queries)
        self._norms = _norms(self._queries, torch.int64)
        self._int8 = self._device.type == "cpu" and _int8_pays()
        many = len(self._queries) >= FEWEST_QUERIES and self._queries.shape[1] >= FEWEST_PIXELS
        multiplied = self._device.type != "cpu" or (self._int8 and queries.dtype == np.uint8)
        self._bounds = Bounds(self._queries) if many and not multiplied else None
        self._far: Any = FAR if queries.dtype == np.uint8 else np.inf
        self._squared = torch.full((len(queries), k), self._far, dtype=self._norms.dtype, device=self._device)
        self._tags = torch.full((len(queries), k), -1, dtype=torch.int64, device=self._device)
        self.seen = 0
        """References so far."""

    def add(self, references: np.ndarray, tags: np.ndarray | None = None) -> None:
        """Compare with more references, (R, ...) of the type and shape of the queries.

        tags: int64 (R,), what to remember of each, such as its label; None for its number, counted from the first
        ever added. Some 500 references or more at once are fastest. Raises ValueError for other types and shapes.
        """
        matrix = self._matrix(references)
        tags = np.arange(self.seen, self.seen + len(references)) if tags is None else tags
        if tags.shape != (len(references),):
            raise ValueError(f"tags have shape {tags.shape}; {len(references)} references want one each")
        numbers = torch.from_numpy(tags.astype(np.int64)).to(self._device)
        split = matrix.split(TILE_REFERENCES)
        outlines = [self._bounds.outlines(references) if self._bounds else None for references in split]
        tiles = list(zip(split, numbers.split(TILE_REFERENCES), outlines, strict=True))
        threads = torch.get_num_threads() if self._device.type == "cpu" else 1
        count = len(self._queries)
        share = -(-count // threads // TILE_QUERIES) * TILE_QUERIES
        parts = [slice(start, min(start + share, count)) for start in range(0, count, share)]
        for _ in side_by_side(lambda part: self._compare(part, tiles), parts):
            pass
        self.seen += len(references)

    @property
    def distances(self) -> np.ndarray:
        """float64 (Q, k): Euclidean distances of the neighbours in units of the queries, nearest first."""
        return np.sqrt(self.squared.astype(np.float64))

    @property
    def squared(self) -> np.ndarray:
        """Squared distances (Q, k): int64 and exact for uint8 queries, else float64."""
        self._require_neighbours()
        return self._squared.cpu().numpy().copy()

    @property
    def tags(self) -> np.ndarray:
        """int64 (Q, k): the tags of the neighbours, nearest first."""
        self._require_neighbours()
        return self._tags.cpu().numpy().copy()

    def _require_neighbours(self) -> None:
        k = self._tags.shape[1]
        if self.seen < k:
            raise ValueError(f"{self.seen} references have been added; {k} neighbours want at least as many")

    def _matrix(self, items: np.ndarray) -> torch.Tensor:
        """int8 (N, pixels), 128 less than the pixels, or float64 (N, dimensions), on the device."""
        shape, pixels = self._like.shape[1:], self._like.dtype == np.uint8
        if items.shape[1:] != shape or (items.dtype == np.uint8) != pixels or items.ndim < 2 or items.size == 0:
            wanted = f"{'uint8' if pixels else 'floating-point'} ({', '.join(map(str, ('N', *shape)))}), N ≥ 1"
            raise ValueError(f"{items.dtype} of shape {items.shape} cannot be compared; wants {wanted}")
        flat = items.reshape(len(items), -1)
        if not pixels:
            if items.dtype.kind != "f" or not np.isfinite(flat).all():
                raise ValueError("features are uint8 or finite floating-point numbers")
            return torch.from_numpy(flat.astype(np.float64)).to(self._device)
        # Four pixels at least: `_int_mm` of oneDNN gives noise for products of a single pair.
        padding = np.full((len(flat), max(0, 4 - flat.shape[1])), 128, np.uint8)
        levels = np.bitwise_xor(np.concatenate([flat, padding], axis=1) if padding.size else flat, 128)
        return torch.from_numpy(levels.view(np.int8)).to(self._device)

    def _compare(self, part: slice, tiles: list[Tile]) -> None:
        """Bring a part of the queries up to date with references and their tags."""
        at_once = TILE_QUERIES if self._bounds is None else BOUNDED_QUERIES
        # Written over by each tile: the kernel zeroes every page of a new one, which costs half as much as the product.
        room = torch.empty(at_once * TILE_REFERENCES, dtype=torch.int32)
        for references, numbers, outlines in tiles:
            if self._bounds is None or outlines is None:
                self._compare_all(part, references, numbers, room)
                continue
            for start in range(part.start, part.stop, at_once):
                here = slice(start, min(start + at_once, part.stop))
                rows, columns = self._bounds.near(here, outlines, self._squared[here, -1], room)
                if len(rows) > FEW:
                    self._compare_all(here, references, numbers, room)
                elif len(rows):
                    self._compare_pairs(rows + start, columns, references, numbers)

    def _compare_all(self, part: slice, references: torch.Tensor, numbers: torch.Tensor, room: torch.Tensor) -> None:
        """Bring queries up to date with all references of a tile."""
        norms = _norms(references, _sum_type(references.shape[1]))
        for start in range(part.start, part.stop, TILE_QUERIES):
            here = slice(start, min(start + TILE_QUERIES, part.stop))
            # |r|² - 2 q·r: what all distances of a query have in common comes in where they are kept.
            tile = self._products(self._queries[here], references, room)
            torch.sub(norms, tile, alpha=2, out=tile)
            # Almost every tile brings nothing new once thousands have been seen; the minimum alone tells.
            nearer = tile.amin(1) + self._norms[here] < self._squared[here, -1]
            rows = nearer.nonzero()[:, 0]
            if len(rows):
                fresh = tile[rows] + self._norms[rows + start, None]
                self._keep(rows + start, fresh.clamp_min_(0), numbers)  # floating-point copies may round to less

    def _compare_pairs(
        self, rows: torch.Tensor, columns: torch.Tensor, references: torch.Tensor, numbers: torch.Tensor
    ) -> None:
        """Bring queries up to date with some of the references: pairs of a row and a column."""
        kind = torch.int32 if references.dtype == torch.int8 else torch.float64
        gaps = self._queries[rows].to(kind) - references[columns].to(kind)
        squared = (gaps * gaps).sum(1)  # int64 of int32; `square` of integers takes ten times as long
        nearer = squared < self._squared[rows, -1]
        if not nearer.any():
            return
        rows, places = rows[nearer].unique(return_inverse=True)
        fresh = torch.full((len(rows), len(references)), self._far, dtype=self._squared.dtype)
        fresh[places, columns[nearer]] = squared[nearer]
        self._keep(rows, fresh, numbers)

    def _keep(self, rows: torch.Tensor, fresh: torch.Tensor, numbers: torch.Tensor) -> None:
        """Merge squared distances of some queries with those they had; the sort is stable: the earlier come first."""
        k = self._tags.shape[1]
        squared, order = torch.cat([self._squared[rows], fresh], 1).sort(stable=True, dim=1)
        tags = torch.cat([self._tags[rows], numbers.expand(len(rows), -1)], 1)
        self._squared[rows] = squared[:, :k]
        self._tags[rows] = tags.gather(1, order[:, :k])

    def _products(self, queries: torch.Tensor, references: torch.Tensor, room: torch.Tensor) -> torch.Tensor:
        """All q·r (Q, R): float64 of float64; of int8 int32, or int64 where that is too small, and exact."""
        if queries.dtype == torch.float64:
            return queries @ references.t()
        pixels, shape = queries.shape[1], (len(queries), len(references))
        if self._int8 and pixels <= INT_PIXELS:
            return torch._int_mm(queries, references.t(), out=room[: math.prod(shape)].view(shape))
        total = torch.zeros(shape, dtype=_sum_type(pixels), device=queries.device)
        for start in range(0, pixels, FLOAT_PIXELS):
            total += _float_product(
                queries[:, start : start + FLOAT_PIXELS], references[:, start : start + FLOAT_PIXELS]
            )
        return total


def _sum_type(pixels: int) -> torch.dtype:
    return torch.int32 if pixels <= INT_PIXELS else torch.int64


def _norms(matrix: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """|x|² of each row: of int8 in the given type, of float64 in float64."""
    if matrix.dtype == torch.float64:
        return matrix.square().sum(1)
    return matrix.float().square_().sum(1, dtype=torch.float64).to(dtype)


def _float_product(queries: torch.Tensor, references: torch.Tensor) -> torch.Tensor:
    """Exact up to FLOAT_PIXELS: every partial sum is an integer that float32 has, and TF32 has the factors."""
    return (queries.float() @ references.float().t()).to(torch.int32)


@functools.cache
def _int8_pays() -> bool:
    """Whether this processor multiplies int8 exactly and faster than float32: measured once, on a tile.

    Some without VNNI saturate the sum of two products, and some builds of torch have no int8 products for them.
    """
    ends = torch.tensor([-128, 127], dtype=torch.int8)  # the largest sums there are
    queries = ends.repeat(TILE_QUERIES // 2)[:, None].repeat(1, FLOAT_PIXELS)
    references = ends.repeat_interleave(TILE_REFERENCES // 2)[:, None].repeat(1, FLOAT_PIXELS)
    try:
        if not torch.equal(torch._int_mm(queries, references.t()), _float_product(queries, references)):
            return False
    except (AttributeError, RuntimeError):
        return False
    products = [lambda: torch._int_mm(queries, references.t()), lambda: _float_product(queries, references)]
    int8_seconds, float_seconds = side_by_side(_least_seconds, products)  # by one thread, as the tiles are
    return int8_seconds < float_seconds


def _least_seconds(call: Callable[[], object]) -> float:
    """Of five laps: whatever else the machine does can only add to one."""
    laps = []
    for _ in range(5):
        began = time.perf_counter()
        call()
        laps.append(time.perf_counter() - began)
    return min(laps)
