"""The commands of README and docs are run, page by page and in their order, on small data and for short.

`SHORTER` says how each command is shortened, `NOT_RUN` which lines are left out and why; a line of a command that is in
neither fails. What a line names and no line before it on its page has made, pictures or a run, is put there first.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import dcgan
from dcgan.cli import main
from dcgan.curation import autoencoder
from dcgan.data.pack import Pack
from dcgan.data.sources import find_source
from dcgan.evaluation import classifier
from dcgan.evaluation.classifier import TrainedClassifier
from dcgan.features import forget_run, supervised
from dcgan.features.boxes import Box, Boxes
from dcgan.latent import attributes
from tests.export import authors
from tests.test_documented_commands import BLOCKS, SHELL, commands

SHORTER = {
    "train": "--images 32 --width 4 --latent-dim 8 --image-size 16 --extractor classifier --metric-samples 40",
    "sample": "-n 20",
    "evaluate": "--samples 100 --extractor classifier",
    "latent walk": "",
    "latent arithmetic": "--samples-per-concept 3",
    "latent turn": "--samples-per-group 3",
    "latent project": "--restarts 2 --steps 4",
    "features inspect": "",
    "features forget": "--samples? 100 --measure? 100",
    "features extract": "",
    "features probe": "--labels 20 --draws 2 --trials? 1 --c 1e-3",
    "data pack": "",
    "data dedup": "",
    "export": "",
    "import-authors": "",
    "push": "",
    "report": "",
    "reproduce figure2": "--minutes 0.01",
    "reproduce figure3": "--minutes 0.01",
    "reproduce figure4": "--minutes 0.01",
    "reproduce figure5": "--minutes 0.01",
    # With a place given: whether a G of half a second draws a single loop is a matter of luck.
    "reproduce figure6": "--minutes 0.01 --numbers samples=100,measure=100 --region 8,8,12,12",
    "reproduce figure7": "--minutes 0.01 --numbers samples=2,more=3,trials=4",
    "reproduce figure8": "--minutes 0.01 --numbers samples=2,turned=10",
    "reproduce table2": "--minutes 0.01 --numbers labels=20,draws=2,trials=1",
    "reproduce table3": "--minutes 0.01 --numbers samples=1000",
    "info": "",
}
"""By the words that a line begins with: the options that it gets; with `?` only if it has a value of its own for it."""
IF_ABSENT = {"--image-size"}
"""Options of these for which a line keeps a value of its own."""
LENGTHS = {"--minutes", "--n-epochs"}
"""Of a training: left out, because `--images` is in their place."""

NOT_RUN = {
    r"dcgan explore": "serves until Ctrl-C: tests/explorer, tests/cli/test_explore_command.py",
    r"dcgan data faces": "wants photographs of faces: tests/curation/test_faces.py, with $DCGAN_DATA",
    r"dcgan export .*--web": "wants onnxruntime-web from npm: tests/export/test_web.py and test_page.py",
    r"dcgan push (?!.*--folder)": "uploads: tests/hub, to a stand-in for the hub",
    r"dcgan sample user/": "downloads: tests/hub, from a stand-in for the hub",
    r"dcgan train https:": "downloads: tests/data/shards, from a server of the test",
    r"dcgan .*--data cifar10\b": "CIFAR-10 is not here: tests/reproduce/test_tables.py, tests/features",
    r"dcgan train .*--device cuda": "wants a GPU: tests/training/test_train.py, marked gpu",
}
"""Lines, by how they begin, that are parsed only, and why. So are those of torchrun: tests/test_distributed.py."""
PARSED_ONLY = {
    "CONTRIBUTING.md": "its commands are those of .ci/run",
    "RESULTS.md": "how its figures were measured: minutes to hours each",
}


def why_not(line: str) -> str:
    """Why a line is not run; empty if it is."""
    plain = line.replace("'", "")
    return next((why for begin, why in NOT_RUN.items() if re.match(begin, plain)), "")


SHOWN = [block for block in BLOCKS if block.language in SHELL and not block.marked and block.page not in PARSED_ONLY]
BY_TORCHRUN = {(block.page, line) for block in SHOWN for line in commands(block.text, "torchrun")}
LINES = {
    page: [
        line
        for block in SHOWN
        if block.page == page
        for line in commands(block.text)
        if (page, line) not in BY_TORCHRUN and not why_not(line)
    ]
    for page in dict.fromkeys(block.page for block in SHOWN)
}


def short(line: str) -> list[str]:
    """The words of a line after `dcgan`, shortened; AssertionError if it is not said how."""
    words = shlex.split(line)[1:]
    found = [begin for begin in SHORTER if words[: len(begin.split())] == begin.split()]
    assert found, f"{line}: say in SHORTER how it is run in a second or two, or in NOT_RUN why not"
    if words[0] == "train" and "--resume" in words:
        instead = {"--images": "64"}
    else:
        given = shlex.split(SHORTER[found[0]])
        instead = dict(zip(given[::2], given[1::2], strict=True))
    instead = {
        option.rstrip("?"): value
        for option, value in instead.items()
        if (option[-1] != "?" or option[:-1] in words) and (option not in IF_ABSENT or option not in words)
    }
    dropped = {*instead, *(LENGTHS if words[0] == "train" else ())}
    kept = [w for i, w in enumerate(words) if w not in dropped and words[i - 1] not in dropped]
    return [*kept, *(word for pair in instead.items() for word in pair)]


def test_lines_are_shortened_or_left_out_for_a_reason() -> None:
    assert sum(map(len, LINES.values())) > 70
    assert all(short(line) for lines in LINES.values() for line in lines)
    everything = [line.replace("'", "") for block in SHOWN for line in commands(block.text)]
    assert not [begin for begin in NOT_RUN if not any(re.match(begin, line) for line in everything)]
    with pytest.raises(AssertionError, match="say in SHORTER"):
        short("dcgan dream runs/x")
    shortened = short("dcgan train x --minutes 3 --image-size 64 --width 9 --flip")
    assert shortened[:5] == "train x --image-size 64 --flip".split()
    assert shortened[5:9] == "--images 32 --width 4".split()
    assert short("dcgan train --resume r --minutes 9") == "train --resume r --images 64".split()


def pictures(folder: Path, names: tuple[str, ...] = ("dark", "bright"), side: int = 16, n: int = 30) -> None:
    """n noisy pictures a class, the second class brighter; in a folder, or in a zip of it if that is asked for."""
    rng = np.random.default_rng([*folder.name.encode()])
    place = folder.with_name("zipped") if folder.suffix else folder
    for level, name in zip((0, 100), names, strict=True):
        (place / name).mkdir(parents=True)
        for i in range(n):
            pixels = rng.integers(level, level + 156, (side, side, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(place / name / f"{i:02d}.png")
    if folder.suffix:
        shutil.make_archive(str(folder.with_suffix("")), "zip", place)
        shutil.rmtree(place)


def picture(path: Path) -> None:
    Image.fromarray(np.random.default_rng(len(path.name)).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)


def trained(data: str, side: int = 16, **settings: Any) -> Callable[[Path], None]:
    """A run of a few steps on this data, by a generator that draws various things."""

    def make(out: Path) -> None:
        put(data, out.parents[1])
        tiny: dict[str, Any] = {"image_size": side, "width": 8, "latent_dim": 8, "batch_size": 8, "images": 32}
        dcgan.train(data, out=out, quiet=True, **(tiny | settings))

    return make


def weights(path: Path) -> None:
    put("runs/photos-fast", path.parent)
    shutil.copy(path.parent / "runs/photos-fast/generator.safetensors", path)


FACES = ("neutral", "smiling")
STOCK: dict[str, Callable[[Path], None]] = {
    "photos": pictures,
    "photos.zip": pictures,
    "more": pictures,
    "others": pictures,
    "imagenet": pictures,
    "train.zip": pictures,
    "test.zip": pictures,
    "faces": lambda path: pictures(path, FACES, 64, 20),
    "faces.zip": lambda path: pictures(path, FACES, 64, 20),
    "me1.jpg": picture,
    "me2.jpg": picture,
    "me3.jpg": picture,
    "svhn-authors-weights": lambda path: void(authors.write(path)),
    "windows.json": lambda path: Boxes(0, tuple(Box(i, 2, 2, 6, 6) for i in range(20))).save(path),
    "generator.safetensors": weights,
    "runs/photos-fast": trained("photos"),
    "runs/faces-fast": trained("faces", 64),
    "runs/faces": trained("faces", 64),
    "runs/mnist-fast": trained("mnist", 28),
    "runs/digits-fast": trained("digits", 28),
    "runs/mnist-paper-mnist": trained("mnist", 28, preset="paper-mnist"),
    "runs/cifar-paper": trained("train.zip", preset="paper-imagenet32"),
    "runs/bedrooms": trained("photos"),
    "runs/svhn-authors": trained("photos", preset="paper-svhn"),
}
"""What lines name, and how it comes to be there."""


def void(_: object) -> None:
    """For what returns something that nobody wants."""


def put(name: str, folder: Path) -> None:
    """Make what a line names in a folder, unless it is there or nobody knows how."""
    if name in STOCK and not (folder / name).exists():
        (folder / name).parent.mkdir(exist_ok=True)
        STOCK[name](folder / name)


def write_mnist(folder: Path) -> None:
    """MNIST in small: 200 of the bundled digits to train on and 100 to test."""
    digits: Any = find_source("digits")
    folder.mkdir(parents=True)
    for prefix, rows in (("train", slice(0, 200)), ("t10k", slice(200, 300))):
        for kind, array in (("images-idx3", digits.images[rows].squeeze()), ("labels-idx1", digits.labels[rows])):
            header = bytes([0, 0, 8, array.ndim]) + b"".join(side.to_bytes(4, "big") for side in array.shape)
            (folder / f"{prefix}-{kind}-ubyte").write_bytes(header + array.astype(np.uint8).tobytes())


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder to work in, MNIST in small, and everything that learns beside the networks learns for a moment."""

    class Certain(TrainedClassifier):
        """Tells bright from dark by the middle of what it sees, and is sure."""

        def predict(self, images: np.ndarray, progress: object = None) -> tuple[np.ndarray, np.ndarray]:
            mean = images.astype(float).mean((1, 2, 3))
            return (mean > np.median(mean)).astype(np.int64), np.ones(len(images), np.float32)

    def load(part: Pack, device: torch.device, *_: object) -> TrainedClassifier:
        found = classifier.load_classifier(part, device)
        return Certain(**{field.name: getattr(found, field.name) for field in dataclasses.fields(found)})

    for module in (attributes, forget_run):
        monkeypatch.setattr(module, "load_classifier", load)
    for module, name, few in (
        (classifier, "STEPS", 12),
        (classifier, "BATCH", 16),
        (autoencoder, "STEPS", 20),
        (supervised, "FEWEST_STEPS", 5),
        (supervised, "PASSES", 1),
    ):
        monkeypatch.setattr(module, name, few)
    for name in ("mnist", "fashion-mnist"):
        write_mnist(tmp_path / "data" / name)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("DCGAN_DATA", str(tmp_path / "data"))


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("page", LINES)
def test_lines_of_a_page_run_in_their_order(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    here = Path.cwd()
    for line in LINES[page]:
        words = short(line)
        made = [words[i + 1] for i, word in enumerate(words) if word in ("--out", "--json", "--save-run", "--shards")]
        for word in words:
            if word not in made:
                put(word.rstrip("/"), here)
        assert main(words) == 0, f"{line}\n{shlex.join(['dcgan', *words])}\n{capsys.readouterr().err}"
        assert all((here / path).exists() for path in made), line
