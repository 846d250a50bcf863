"""Everything of dcgan that reads a file, by name: each takes the path of one that is malformed.

A reader raises InputError, or returns SKIPPED if what it was given was left out and counted. Anything else is a fault.
"""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from dcgan.cli import main
from dcgan.cli.train import _starting_point
from dcgan.config import Config
from dcgan.curation.dedup import Duplicates
from dcgan.data.pack import open_pack, pack
from dcgan.data.sources import find_source
from dcgan.errors import printable
from dcgan.evaluation.weights import load_weights
from dcgan.export.authors import import_authors
from dcgan.features.boxes import read_boxes
from dcgan.latent.saved import read_direction, read_projection
from dcgan.networks import build_generator
from dcgan.pretrained import Discriminator, Generator, ModelInfo
from dcgan.reading import read_text
from dcgan.run import Run
from dcgan.training.checkpoint import Checkpoint
from tests.hostile.pictures import encoded

SKIPPED = "skipped"


def _generator() -> Generator:
    settings = Config().replace(image_size=16, channels=1, width=4, latent_dim=6).network
    return Generator(build_generator(settings), ModelInfo(settings)).eval()


def config(path: Path) -> None:
    _starting_point(None, str(path)).check()


def run_config(path: Path) -> None:
    Run.open(path).config.check()


def data_json(path: Path) -> None:
    path.rename(path.with_name("data.json"))
    _ = Run(path.parent).data


def metrics(path: Path) -> str:
    run = Run(path.parent)
    path.rename(path.with_name("metrics.jsonl"))
    if [record["step"] for record in run.metrics()] != [1]:
        return "read"
    run.rewind(5, 10**9)
    kept = (path.parent / "metrics.jsonl").read_bytes()
    return SKIPPED if kept == b'{"step": 1, "loss_d": 0.5}\n' else f"kept {kept[:50]!r}"


def mark(path: Path) -> None:
    from dcgan.progress import Display
    from dcgan.reproduce.experiment import Plan
    from dcgan.reproduce.job import Job

    path.rename(path.with_name("experiment.json"))
    experiment: Any = SimpleNamespace(name="figure2", options=())
    job = Job(experiment, "small", Plan("fast"), None, None, path.parent, 0, "cpu", Display(quiet=True), {})
    job.require_own_folder()


def folder_pack(path: Path) -> str | None:
    folder = path.with_name("pack")
    folder.mkdir()
    (folder / "images.bin").write_bytes(bytes(1000))
    path.rename(folder / "pack.json")
    return SKIPPED if open_pack(folder, fresh=False) is None else None


def duplicates(path: Path) -> str | None:
    try:
        Duplicates.from_json(read_text(path, 2**25))
    except (ValueError, KeyError, TypeError):  # as `duplicates` catches them: found anew
        return SKIPPED
    return None


def terminal(path: Path) -> str:
    """A command that names the file has to say so without a character that a terminal would obey."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["train", str(path), "--images", "1", "--out", str(path.parent / "out")])
        code += main(["train", str(path / "none\x1b[2J"), "--out", str(path.parent / "out")])
    said = out.getvalue() + err.getvalue()
    clean = all(printable(line) == line for line in said.split("\n")) and "50%" in said
    return SKIPPED if code == 4 and clean and not (path.parent / "out").exists() else f"{code}: {said!r}"


def picture(path: Path) -> str:
    """Beside a good picture, in a folder and in a zip."""
    folder = path.with_name("pictures")
    folder.mkdir()
    path.rename(folder / "bad.png")
    (folder / "good.png").write_bytes(encoded("PNG"))
    shutil.make_archive(str(folder), "zip", folder)
    for source in (folder, folder.with_suffix(".zip")):
        packed = pack(find_source(source), (8, 8), 3, max_skipped=1.0, cache=path.parent / "cache")
        if [name for name, _ in packed.skipped] != ["bad.png"] or len(packed.images) != 1:
            return f"read {len(packed.images)}"
    return SKIPPED


def _packed(suffix: str) -> Callable[[Path], object]:
    def read(path: Path) -> object:
        named = path.rename(path.with_name("data" + suffix))
        return pack(find_source(named), (8, 8), 3, max_skipped=1.0, cache=path.parent / "cache")

    return read


def _named(name: str) -> Callable[[Path], object]:
    def read(path: Path) -> object:
        source = find_source(name, path, download=False)
        return pack(source, (8, 8), 3, max_skipped=1.0, cache=path.parent / "cache")

    return read


def resume(path: Path) -> None:
    import dcgan

    dcgan.train(resume=path, images=32, quiet=True)


def evaluate(path: Path) -> None:
    from dcgan.evaluation import evaluate

    evaluate(path, samples=20, metrics=("memorisation",), quiet=True)


def shards(path: Path) -> object:
    return pack(find_source(path), (8, 8), 3, max_skipped=1.0, cache=path.parent / "cache")


READERS: dict[str, Callable[[Path], object]] = {
    "config": config,
    "run_config": run_config,
    "data_json": data_json,
    "metrics": metrics,
    "mark": mark,
    "boxes": lambda path: read_boxes(path, (16, 16)),
    "projection": lambda path: read_projection(path, _generator()),
    "direction": lambda path: read_direction(path, _generator()),
    "pack": folder_pack,
    "duplicates": duplicates,
    "generator": lambda path: Generator.from_pretrained(path, "cpu"),
    "generator_folder": lambda path: Generator.from_pretrained(path, "cpu"),
    "discriminator": lambda path: Discriminator.from_pretrained(path, "cpu"),
    "checkpoint": Checkpoint.load,
    "weights": load_weights,
    "authors": lambda path: import_authors(path, path.parent / "out"),
    "picture": picture,
    "archive_zip": _packed(".zip"),
    "archive_tar": _packed(".tar"),
    "shards": shards,
    "idx": _packed("-images-idx3-ubyte"),
    "cifar10": _named("cifar10"),
    "svhn": _named("svhn"),
    "celeba": _named("celeba"),
    "lsun": _named("lsun-bedroom"),
    "resume": resume,
    "evaluate": evaluate,
    "terminal": terminal,
}
FOLDERS = {
    "run_config",
    "authors",
    "cifar10",
    "shards",
    "svhn",
    "celeba",
    "lsun",
    "resume",
    "evaluate",
    "terminal",
    "generator_folder",
}
"""Readers that take a folder, which is made for the case to write in."""

torch.set_num_threads(1)
