"""Time and memory of the linear SVM on as many features as the paper's: a made-up problem of that size.

    python benchmarks/svm.py [--images 50000] [--dimensions 28672] [--classes 10] [--c 1 10] [--json FILE]
    python benchmarks/svm.py --products [--dimensions 28672]

Features are like D's: not negative for the most part, with a common mean, in float16, of a hundred directions that say
something about the class and noise beside. C are in units of 1 / their mean squared length. For each C it prints
Newton's passes over the images, the time (on a shared machine the CPU's says more), and the norm of the gradient, which
is what says that it has converged; then the error on a tenth as many new images, and the peak of the process's memory,
the features included.

--products times what a pass is made of, the two products of a block of rows with as many columns as there are classes:
why `dcgan.features.columns` puts zeros beside them.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from dcgan.features.svm import by_products, fit_path


def made_up(images: int, dimensions: int, classes: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Features float16 (N, F) and labels (N,); the classes are the same for every seed."""
    directions = torch.randn(100, dimensions, generator=torch.Generator().manual_seed(0))
    centres = torch.randn(classes, 100, generator=torch.Generator().manual_seed(1))
    noise = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (images,), generator=noise)
    features = torch.empty(images, dimensions, dtype=torch.float16)
    for start in range(0, images, 512):
        some = labels[start : start + 512]
        codes = 0.35 * centres[some] + torch.randn(len(some), 100, generator=noise)
        values = 0.1 * codes @ directions + 0.7 * torch.randn(len(some), dimensions, generator=noise) + 0.7
        features[start : start + 512] = torch.nn.functional.leaky_relu(values, 0.2)
    return features, labels


COLUMNS = (1, 2, 4, 8, 10, 12, 16, 20, 24, 32)


def time_products(dimensions: int, rows: int = 146, rounds: int = 9) -> None:
    """Milliseconds of a block's products with K columns, and its transpose's: medians of rounds over all K in turn."""
    noise = torch.Generator().manual_seed(0)
    block = torch.randn(rows, dimensions, generator=noise)
    times: dict[int, list[tuple[float, float]]] = {k: [] for k in COLUMNS}
    for _ in range(rounds):
        for k, found in times.items():
            w, s = torch.randn(dimensions, k, generator=noise), torch.randn(rows, k, generator=noise)
            scores, gradient = torch.empty(rows, k), torch.zeros(dimensions, k)
            there = milliseconds(partial(torch.matmul, block, w, out=scores))
            found.append((there, milliseconds(partial(gradient.addmm_, block.T, s))))
    print(f"{rows} × {dimensions:,}, float32, {torch.get_num_threads()} threads, torch {torch.__version__}, ms")
    print("columns   block · w   blockᵀ · s")
    for k, found in times.items():
        there, back = (statistics.median(one) for one in zip(*found, strict=True))
        print(f"{k:>7} {there:>11.2f} {back:>12.2f}")


def milliseconds(work: Callable[[], object], times: int = 10) -> float:
    """Of one of some, after one that is not counted."""
    work()
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times * 1e3


def peak_gigabytes() -> float:
    """Of this process so far; macOS counts bytes, Linux kilobytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e9 if sys.platform == "darwin" else 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--dimensions", type=int, default=28_672)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--c", type=float, nargs="+", default=[1.0, 10.0])
    parser.add_argument("--tolerance", type=float, default=1e-3)
    parser.add_argument("--products", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.products:
        time_products(options.dimensions)
        return
    features, labels = made_up(options.images, options.dimensions, options.classes, 2)
    test, test_labels = made_up(options.images // 10, options.dimensions, options.classes, 3)
    squared = features[:1000].float().square().sum(1).mean().item()
    way = "products of the images" if by_products(*features.shape) else "features"
    print(f"{options.images:,} images × {options.dimensions:,}, {options.classes} classes, by {way}, ", end="")
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, data {features.nbytes / 1e9:.2f} GB")
    print("C (relative)    passes   seconds   of the CPU   gradient    error   peak memory")
    rows: list[dict[str, Any]] = []
    began, busy = time.perf_counter(), time.process_time()
    cs = [ratio / squared for ratio in options.c]
    path = fit_path(features, labels, options.classes, cs, tolerance=options.tolerance)
    for ratio, found in zip(options.c, path, strict=True):
        seconds, cpu = time.perf_counter() - began, time.process_time() - busy
        error = (found.predict(test) != test_labels).double().mean().item()
        rows.append(
            {
                "images": options.images,
                "dimensions": options.dimensions,
                "c": found.c,
                "ratio": ratio,
                "passes": found.passes,
                "seconds": seconds,
                "cpu_seconds": cpu,
                "gradient": found.gradient,
                "error": error,
                "peak_gigabytes": peak_gigabytes(),
            }
        )
        print(
            f"{ratio:>12g} {found.passes:>9.1f} {seconds:>9.1f} {cpu:>12.1f} {found.gradient:>10.1e} {error:>8.1%}",
            end=" ",
        )
        print(f"{rows[-1]['peak_gigabytes']:>10.2f} GB", flush=True)
        began, busy = time.perf_counter(), time.process_time()
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
