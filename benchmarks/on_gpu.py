"""Many trainings at once on one GPU, taken in turn a step each, and their real FID: the mean and spread of seeds.

    python benchmarks/on_gpu.py train OUT --data FOLDER --minutes 6 [--recipes mnist=3 digits=1 …]
    python benchmarks/on_gpu.py fid OUT --weights FILE [--recipes mnist …] [--samples 50000] [--precision bf16]
    python benchmarks/on_gpu.py rates [--recipes mnist …] [--seconds 5]

FOLDER holds `mnist`, `fashion-mnist` and `cifar10-jpeg/train.zip`; for `digits-moved`, `mnist-moved` as well
(`moved_digits.py` makes it). A network of DCGAN's size leaves most of a large GPU idle: every training has a stream of
its own, on which its recorded steps run beside those of the others. What they learn is what they would learn alone;
only the clock is shared. `train` leaves run directories OUT/RECIPE-SEED, `fid` adds a line to OUT/fid-RECIPE.json for
each of them. `rates` is of each recipe alone, on noise in the GPU's memory, with the recorded step and without, in
turn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import dcgan
from dcgan.data.batches import Batches
from dcgan.data.sources import find_source
from dcgan.device import resolve_precision
from dcgan.errors import TrainingError
from dcgan.evaluation.measure import Measure
from dcgan.evaluation.originals import originals
from dcgan.presets import load_preset
from dcgan.progress import Display
from dcgan.run import Run
from dcgan.training.capture import WARM_UP
from dcgan.training.loop import steps
from dcgan.training.prepare import describe_data, prepare
from dcgan.training.step import TrainingStep

FALLING = {"lr_decay": "cosine", "lr_decay_start": 0.5}
QUIET = {"log_interval": 500, "sample_interval": 10**9, "checkpoint_interval": 20_000}


@dataclass(frozen=True)
class Recipe:
    """Settings over a preset's, and how many steps it takes while one of the dearest takes one."""

    settings: dict[str, Any]
    preset: str = "fast"
    turns: int = 1


# Of 48 latent dimensions G has 4.97 million parameters. Rates are lower because the layers are wider.
CIFAR10: dict[str, Any] = {
    "data": "cifar10-jpeg/train.zip",
    "family": "imagenet32",
    "kernel_size": 3,
    "upsampling": "resize",
    "width": 128,
    "latent_dim": 48,
    "batch_size": 128,
    "lr": 1.4e-3,
    "lr_d": 7e-4,
    "flip": True,
    **FALLING,
}
# The paper's networks and algorithm, drawn with running averages: ten million drawings come in large batches then.
# In bfloat16 it was NaN beside others while all were recorded on one stream; not yet tried since.
DIGITS: dict[str, Any] = {"data": "mnist", "norm_stats": "running", "precision": "fp32"}

RECIPES = {
    "mnist": Recipe({"data": "mnist", "width": 48, "batch_size": 64, **FALLING}, turns=3),
    "fashion-mnist": Recipe({"data": "fashion-mnist", "width": 64, "batch_size": 64, **FALLING}, turns=3),
    "cifar10": Recipe(CIFAR10),
    "digits": Recipe(DIGITS, "paper-mnist", turns=4),
    # Not tried yet: more images in the same time, a D with a second task for Table 1; an average of G, and digits moved
    # by less than a pixel, for Table 3.
    "cifar10-turns": Recipe({**CIFAR10, "batch_size": 256, "rotation": 0.5}),
    "digits-averaged": Recipe({**DIGITS, "ema": 0.999}, "paper-mnist", turns=4),
    "digits-moved": Recipe({**DIGITS, "data": "mnist-moved"}, "paper-mnist", turns=4),
}
TRIED = ["mnist", "fashion-mnist", "cifar10", "digits"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("train")
    command.add_argument("out", type=Path)
    command.add_argument("--data", type=Path, required=True)
    command.add_argument("--minutes", type=float, required=True)
    command.add_argument("--recipes", nargs="+", default=[*map(seeded, TRIED)], type=seeded, metavar="NAME[=SEEDS]")
    command.set_defaults(run=train)
    command = commands.add_parser("fid")
    command.add_argument("out", type=Path)
    command.add_argument("--weights", type=Path, required=True)
    command.add_argument("--recipes", nargs="+", default=TRIED[:-1], choices=RECIPES)
    command.add_argument("--samples", type=int, default=50_000)
    command.add_argument("--precision", default="bf16", choices=("fp32", "bf16"))
    command.set_defaults(run=fid)
    command = commands.add_parser("rates")
    command.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=RECIPES)
    command.add_argument("--seconds", type=float, default=5.0)
    command.set_defaults(run=rates)
    options = parser.parse_args()
    if options.run is not fid and not torch.cuda.is_available():
        parser.error("wants a GPU that torch.cuda can use")
    try:
        options.run(options)
    except dcgan.InputError as error:
        parser.error(str(error))


def seeded(wanted: str) -> list[tuple[str, int]]:
    """The recipe and the seeds of NAME[=SEEDS]."""
    recipe, _, seeds = wanted.partition("=")
    if recipe not in RECIPES or not (seeds or "3").isdecimal():
        raise argparse.ArgumentTypeError(f"{wanted!r} is no NAME[=SEEDS]; there are {', '.join(RECIPES)}")
    return [(recipe, seed) for seed in range(int(seeds or 3))]


def train(options: argparse.Namespace) -> None:
    """Every recipe with every seed, all at once; one that fails leaves the others alone."""
    wanted = [one for recipe in options.recipes for one in recipe]
    for recipe in {recipe for recipe, _ in wanted}:
        find_source(options.data / RECIPES[recipe].settings["data"])  # all of them, before a run is begun
    trainings: dict[str, tuple[Iterator[None], torch.cuda.Stream]] = {}
    for recipe, seed in wanted:
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            trainings[f"{recipe}-{seed}"] = begun(options, recipe, seed), stream
    turns = {name: RECIPES[name.rpartition("-")[0]].turns for name in trainings}
    began, taken, told = time.monotonic(), dict.fromkeys(trainings, 0), 0
    while trainings:
        for name, (training, stream) in [*trainings.items()]:
            with torch.cuda.stream(stream):
                going = advanced(name, training, turns[name])
            taken[name] += turns[name]
            if not going:
                del trainings[name]
        if (now := int(time.monotonic() - began) // 15) > told:
            told = now
            print(f"{time.monotonic() - began:5.0f} s, steps: {taken}", flush=True)


def begun(options: argparse.Namespace, recipe: str, seed: int) -> Iterator[None]:
    """A training of the recipe that takes a step each time it is asked; in minutes of all of them together."""
    settings = dict(RECIPES[recipe].settings)
    data = options.data / settings.pop("data")
    settings |= {"data": str(data), "seed": seed, "minutes": options.minutes, **QUIET}
    display = Display(quiet=True)
    config, pack, _ = prepare(load_preset(RECIPES[recipe].preset).replace(**settings), display)
    run = Run.create(options.out / f"{recipe}-{seed}", config, describe_data(pack))
    return steps(config, run, pack, display)


def advanced(name: str, training: Iterator[None], turns: int) -> bool:
    """Whether a training goes on after its turns."""
    try:
        for _ in range(turns):
            next(training)
    except StopIteration:
        return False
    except TrainingError as error:
        print(f"{name}: {error}", flush=True)
        return False
    return True


def fid(options: argparse.Namespace) -> None:
    """Each run's FID against all of its training images."""
    for recipe in options.recipes:
        runs = sorted(options.out.glob(f"{recipe}-[0-9]*"))
        if not runs:
            continue
        generators = [dcgan.Generator.from_pretrained(path, "auto") for path in runs]
        real = originals(runs[0], None).packed(generators[0].info.network, Display(quiet=True))
        measure = Measure.of(
            real,
            ("fid",),
            extractor="inception",
            weights=options.weights,
            samples=options.samples,
            precision=options.precision,
        )
        found = []
        for path, generator in zip(runs, generators, strict=True):
            found.append(measure(generator)["fid"])
            facts = {"run": path.name, "fid": found[-1], "samples": options.samples, "precision": options.precision}
            facts |= {"reference": len(real.images), "trained": generator.info.trained}
            facts["parameters"] = sum(p.numel() for p in generator.parameters())
            print(json.dumps(facts), flush=True)
            with (options.out / f"fid-{recipe}.json").open("a") as file:
                file.write(json.dumps(facts) + "\n")
        spread = statistics.stdev(found) if len(found) > 1 else 0.0
        print(f"{recipe}: FID {statistics.mean(found):.2f} ± {spread:.2f} (n = {len(found)})", flush=True)


def rates(options: argparse.Namespace) -> None:
    """Images a second of each recipe, recorded and not."""
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    for name in options.recipes:
        recipe = RECIPES[name]
        colour = name.startswith("cifar10")
        shape = {"image_size": "32" if colour else "28", "channels": "3" if colour else "1"}
        config = load_preset(recipe.preset).replace(**recipe.settings, **shape)
        config = config.replace(classes=10 if config.network.conditional else 0)
        contenders = {how: Contender(config, how == "recorded") for how in ("recorded", "not recorded")}
        found: dict[str, list[float]] = {how: [] for how in contenders}
        for _ in range(3):
            for how, contender in contenders.items():
                found[how].append(contender.rate(options.seconds / 3))
        ratios = [a / b for a, b in zip(*found.values(), strict=True)]
        medians = ", ".join(f"{how} {statistics.median(values):,.0f}" for how, values in found.items())
        print(
            f"{name:<14} batch {config.training.batch_size:<4} images/s: {medians}; "
            f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            flush=True,
        )


class Contender:
    """A training on noise that is resident in the GPU's memory."""

    def __init__(self, config: dcgan.Config, recorded: bool) -> None:
        rng, device = np.random.default_rng(0), torch.device("cuda")
        shape = (10_000, *config.network.size, config.network.image_channels)
        labels = rng.integers(0, 10, shape[0]) if config.network.conditional else None
        self.batches = Batches(
            rng.integers(0, 256, shape, np.uint8), labels, config.training.batch_size, seed=0, device=device
        )
        self.step = TrainingStep(config, device, resolve_precision(config.training.precision, device))
        if not recorded:
            self.step._play = self.step.play
        for _ in range((WARM_UP + 2) * config.training.r1_interval):
            self.step(self.batches)

    def rate(self, seconds: float) -> float:
        torch.cuda.synchronize()
        began, shown = time.monotonic(), 0
        while time.monotonic() - began < seconds:
            for _ in range(20):
                shown += self.step(self.batches)
            torch.cuda.synchronize()
        return shown / (time.monotonic() - began)


if __name__ == "__main__":
    main()
