"""De-duplication: precision and recall on planted near-duplicates, and time against the number of images.

    python benchmarks/dedup.py DATA [--planted 2000] [--side 64] [--sizes 25000 50000 100000 200000] [--json FILE]

Into the images of DATA, at 64×64 or another side, near-duplicates of some of them are planted, a quarter of each kind:
crops (2 to 8 % cut off the side, anywhere, the rest enlarged), JPEG at quality 30 to 80, brightness 3 to 10 % up or
down, shifts of 1 or 2 pixels. Recall is the share of them that is in one group with its original. Precision is of what
is left out: the share whose kept image is another version of the same one. Duplicates that DATA has itself, which a
first pass finds and a person has to look at (`dcgan data dedup`), count as neither.

Times are of processors, in seconds, so that others on the machine matter less; the images are smooth noise of 32×32.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from dcgan.curation.autoencoder import train_hasher
from dcgan.curation.dedup import Duplicates, connected, find_duplicates
from dcgan.curation.hashing import equal_codes, hamming, near_codes
from dcgan.data.pack import inspect, pack
from dcgan.data.sources import find_source

KINDS = ("crop", "jpeg", "brightness", "shift")


def planted(image: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """A near-duplicate of an image, uint8 (H, H, C)."""
    side = len(image)
    grey = image.shape[2] == 1
    picture = Image.fromarray(image[..., 0] if grey else image)
    if kind == "crop":
        kept = side * (1 - rng.uniform(0.02, 0.08))
        left, top = rng.uniform(0, side - kept, 2)
        picture = picture.resize((side, side), Image.Resampling.LANCZOS, (left, top, left + kept, top + kept))
    elif kind == "jpeg":
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=int(rng.integers(30, 81)))
        picture = Image.open(buffer)
    elif kind == "brightness":
        factor = 1 + rng.choice([-1, 1]) * rng.uniform(0.03, 0.1)
        return np.clip(np.rint(image * factor), 0, 255).astype(np.uint8)
    else:
        down, right = 0, 0
        while not (down or right):
            down, right = rng.integers(-2, 3, 2)
        wider = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="edge")
        return wider[2 + down : 2 + down + side, 2 + right : 2 + right + side]
    return np.asarray(picture).reshape(image.shape)


class Planting:
    """The images with what is planted in them, and what is known of it."""

    def __init__(self, images: np.ndarray, number: int) -> None:
        rng = np.random.Generator(np.random.Philox(key=0))
        origins = rng.choice(len(images), number, replace=False)
        copies = [planted(images[origin], KINDS[i % len(KINDS)], rng) for i, origin in enumerate(origins)]
        self.own = find_duplicates(images)
        self.images = np.concatenate([images, np.stack(copies)])
        self.origin = np.concatenate([np.arange(len(images)), origins])
        self.number = number
        # the first image of the duplicates that the set has itself
        self.same = connected(len(images), pairs_of(self.own))[self.origin]

    def score(self, pairs: np.ndarray) -> dict[str, float]:
        """Of pairs (kept, left out): recall by kind, and precision."""
        kept = connected(len(self.images), pairs)
        copies = np.arange(len(self.images) - self.number, len(self.images))
        found = kept[copies] == kept[self.origin[copies]]
        recall = {kind: float(found[i :: len(KINDS)].mean()) for i, kind in enumerate(KINDS)}
        one, other = pairs.T
        right = self.origin[one] == self.origin[other]
        neither = ~right & (self.same[one] == self.same[other])
        wrong = ~right & ~neither
        counts = {"right": int(right.sum()), "wrong": int(wrong.sum()), "neither": int(neither.sum())}
        precision = counts["right"] / max(1, counts["right"] + counts["wrong"])
        return {**recall, "all": float(found.mean()), "precision": precision, **counts}


def pairs_of(found: Duplicates) -> np.ndarray:
    """(kept, left out) of each group: int64 (P, 2)."""
    pairs = [(group.members[0], row) for group in found.groups for row in group.members[1:]]
    return np.array(pairs, np.int64).reshape(-1, 2)


def quality(data: str, number: int, side: int) -> dict[str, object]:
    source = find_source(data)
    planting = Planting(pack(source, (side, side), inspect(source).channels).images, number)
    result: dict[str, object] = {"images": len(planting.images), "groups of its own": len(planting.own.groups)}
    print(f"{len(planting.images):,} images, {number:,} planted; the set itself has {len(planting.own.groups)} groups")
    for name, invariant in (("paper: equal codes", False), ("equal codes, our noise", True)):
        codes = train_hasher(planting.images, invariant=invariant).codes(planting.images)
        result[name] = tell(name, planting.score(equal_codes(codes)))
    near = near_codes(codes)
    for bits in (4, 12, 20):
        some = near[hamming(codes[near[:, 0]], codes[near[:, 1]]) <= bits]
        result[f"near codes, {bits} bits"] = tell(f"near codes, {bits} bits", planting.score(some))
    began = time.process_time()
    found = find_duplicates(planting.images)
    print(f"ours took {time.process_time() - began:.1f} s")
    result["ours"] = tell("near codes, compared", planting.score(pairs_of(found)))
    return result


def tell(name: str, score: dict[str, float]) -> dict[str, float]:
    recall = " ".join(f"{kind} {score[kind]:6.1%}" for kind in (*KINDS, "all"))
    counts = " ".join(f"{key} {score[key]:,}" for key in ("right", "wrong", "neither"))
    print(f"{name:<24} recall {recall}   precision {score['precision']:7.2%}  ({counts})", flush=True)
    return score


def noise(number: int) -> np.ndarray:
    """Smooth grey images, uint8 (N, 32, 32, 1), a twentieth of them copies with a little noise on them."""
    generator = torch.Generator().manual_seed(0)
    images = np.empty((number, 32, 32, 1), np.uint8)
    for start in range(0, number, 5000):
        coarse = torch.rand(min(5000, number - start), 1, 8, 8, generator=generator) * 255
        smooth = torch.nn.functional.interpolate(coarse, (32, 32), mode="bilinear")
        images[start : start + len(smooth)] = smooth.permute(0, 2, 3, 1).numpy()
    copies = number // 20
    images[-copies:] = np.clip(images[:copies] + np.random.default_rng(0).normal(0, 3, (copies, 32, 32, 1)), 0, 255)
    return images


def times(sizes: list[int]) -> list[dict[str, float]]:
    rows = []
    for size in sizes:
        images, parts = noise(size), list[tuple[str, float]]()
        began = time.process_time()

        def counter(doing: str, parts: list[tuple[str, float]] = parts):
            parts.append((doing, time.process_time()))
            return lambda *_: None

        found = find_duplicates(images, counter=counter)
        ended = time.process_time()
        ends = [at for _, at in parts[1:]] + [ended]
        took = {doing.strip(":"): end - at for (doing, at), end in zip(parts, ends, strict=True)}
        row = {"images": size, **took, "whole": ended - began, "duplicates": len(found.left_out)}
        rows.append(row)
        print("  ".join(f"{key} {value:,.1f}" for key, value in row.items()), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?")
    parser.add_argument("--planted", type=int, default=2000)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--sizes", type=int, nargs="*", default=[])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result: dict[str, object] = {}
    if options.data:
        result["quality"] = quality(options.data, options.planted, options.side)
    if options.sizes:
        result["times"] = times(options.sizes)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
