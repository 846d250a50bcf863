"""What each setting is worth: `fast` against itself with something changed, the same length and seeds for all.

    python benchmarks/ablation.py data/mnist --images 500000 [--variants fast resize …] [--set NAME=VALUE …]

Trains every variant of VARIANTS that is asked for, with each seed, on a folder of MNIST's or Fashion-MNIST's four
.gz files, and measures the distance of `quality.py` of 10,000 drawings. A length in images compares what is learnt from
as many; one in seconds counts the time too, and wants a machine that does nothing else. All variants get the first
seed before any gets the second, so that a machine that changes its speed changes it for all. Each result is a line of
results.jsonl in the folder and is not made again, so a run that was interrupted goes on. Known by its settings, a
variant that is changed here is made anew.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
from pathlib import Path
from typing import Any

from quality import Judge

import dcgan
from dcgan.errors import TrainingError

DRAWN = 10_000
VARIANTS: dict[str, dict[str, Any]] = {
    "fast": {},
    "ema 0.99": {"ema": 0.99},
    "rates falling": {"lr_decay": "cosine", "lr_decay_start": 0.5},
    "one rate": {"lr_d": 2e-3},
    "no r1": {"r1": 0.0},
    "r1 0.1": {"r1": 0.1},
    "r1 0.3": {"r1": 0.3},
    "r1 3": {"r1": 3.0},
    "r1 10": {"r1": 10.0},
    "r1 each 8th step": {"r1_interval": 8},
    "never augmented": {"augment": "none"},
    "always augmented": {"augment": "fixed"},
    "width 32": {"width": 32},
    "resize": {"upsampling": "resize"},
    "rotation": {"rotation": 0.5},
    "bce": {"loss": "bce", "label_smoothing": 0.0},
    "hinge": {"loss": "hinge"},
    "no norm": {"discriminator_norm": "none"},
    "spectral": {"discriminator_norm": "spectral"},
    "spectral, hinge": {"discriminator_norm": "spectral", "loss": "hinge"},
    "relativistic, r2, no norm": {"loss": "relativistic", "r2": 1.0, "r1_interval": 8, "discriminator_norm": "none"},
    "classes, projection": {"conditional": True},
    "classes, concat": {"conditional": True, "condition": "concat"},
}


def train(path: Path, data: Path, settings: dict[str, Any]) -> dcgan.Run | None:
    """A training from its start; None if it diverged."""
    if path.exists():
        shutil.rmtree(path)  # of a benchmark that was interrupted
    try:
        return dcgan.train(data, out=path, quiet=True, **settings)
    except TrainingError as error:
        print(f"{path.name}: {error}", flush=True)
        return None


def measured(run: dcgan.Run | None, judge: Judge) -> dict[str, Any]:
    """What is kept of a training; a distance of None if it diverged."""
    if run is None:
        return {"distance": None}
    generator = dcgan.Generator.from_pretrained(run.path)
    images, seconds = (generator.info.trained[name] for name in ("images", "seconds"))
    distance = judge.distance(generator.sample(DRAWN, seed=1))
    return {"distance": distance, "images": images, "rate": images / seconds}


def table(names: list[str], results: list[dict[str, Any]]) -> str:
    """The results as Markdown, a row a variant: median, each seed, images a second."""
    lines = ["| variant | settings | distance | each seed | images/s |", "|---|---|---:|---|---:|"]
    for name in names:
        own = [result for result in results if result["variant"] == name]
        distances = [d for r in own if (d := r["distance"]) is not None]
        settings = " ".join(f"{k}={v}" for k, v in VARIANTS[name].items()) or "–"
        median = f"{statistics.median(distances):.1f}" if distances else "–"
        each = ", ".join("diverged" if r["distance"] is None else f"{r['distance']:.1f}" for r in own)
        rate = f"{statistics.median(r['rate'] for r in own if 'rate' in r):,.0f}" if distances else "–"
        lines.append(f"| {name} | {settings} | {median} | {each} | {rate} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of the four .gz files")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--images", type=int)
    length.add_argument("--seconds", type=float)
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), choices=VARIANTS, metavar="NAME")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of all of them")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("runs/ablation"))
    options = parser.parse_args()
    data, folder = options.data.resolve(), options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    common: dict[str, Any] = dict(pair.split("=", 1) for pair in options.set)
    common |= {"images": options.images} if options.images else {"minutes": options.seconds / 60}

    file = folder / "results.jsonl"
    kept = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    judge = Judge(data, folder / f"{data.name}-classifier.safetensors")
    print(f"classifier: {judge.accuracy:.2%} of the test images right", flush=True)
    results = []
    for seed in range(options.seeds):
        for name in options.variants:
            settings = common | VARIANTS[name] | {"seed": seed}
            what = {"data": data.name, "settings": settings}
            result = next((r for r in kept if {key: r[key] for key in what} == what), None)
            if result is None:
                run = train(folder / f"{data.name}-{name.replace(' ', '-')}-{seed}", data, settings)
                result = what | measured(run, judge)
                with file.open("a") as lines:
                    lines.write(json.dumps(result) + "\n")
            results.append(result | {"variant": name})
            print(f"{name}, seed {seed}: {result['distance']}", flush=True)
    print(table(options.variants, results))


if __name__ == "__main__":
    main()
