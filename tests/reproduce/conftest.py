"""What the tests of reproduce share: small sets of pictures, networks that train in a moment, a quick classifier."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dcgan.data.pack import Pack
from dcgan.device import resolve_device
from dcgan.evaluation import classifier as evaluation_classifier
from dcgan.evaluation.classifier import TrainedClassifier
from dcgan.latent import attributes
from dcgan.progress import Display
from dcgan.reproduce import reproduce
from dcgan.reproduce.experiment import Reproduction
from tests.evaluation.conftest import write_photos

TINY: dict[str, Any] = {"image_size": 16, "width": 4, "latent_dim": 8, "batch_size": 8, "precision": "fp32"}


@pytest.fixture(scope="session")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds `train`, 60 pictures, and `test`, 40 more of the same kind."""
    folder = tmp_path_factory.mktemp("data") / "both"
    write_photos(folder / "train", 30, 0)
    write_photos(folder / "test", 20, 1)
    return folder


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A classifier that is trained in a moment, in a cache of its own."""
    monkeypatch.setattr(evaluation_classifier, "STEPS", 12)
    monkeypatch.setattr(evaluation_classifier, "BATCH", 16)
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def certain(monkeypatch: pytest.MonkeyPatch, few_steps: None) -> None:
    """A picker and a judge that tell bright from dark by the middle of what they see, and are always sure."""

    class Certain(TrainedClassifier):
        def predict(self, images: np.ndarray, progress: object = None) -> tuple[np.ndarray, np.ndarray]:
            mean = images.astype(float).mean((1, 2, 3))
            return (mean < np.median(mean)).astype(np.int64), np.ones(len(images), np.float32)

    def load(part: Pack, *_: object) -> TrainedClassifier:
        network: Any = None
        return Certain(network, part.class_names, (16, 16, 3), part.key, resolve_device("cpu"))

    monkeypatch.setattr(attributes, "load_classifier", load)


def done(name: str, out: Path, **options: Any) -> Reproduction:
    """The experiment with a network that trains in a moment, unless a run is given."""
    settings = {} if "run" in options else {**TINY, "images": 64}
    quiet: dict[str, Any] = {"display": Display(quiet=True), "device": "cpu"}
    return reproduce(name, out=out, **{**quiet, **settings, **options})


def record(found: Reproduction) -> dict[str, Any]:
    """What was written, checked to be whole: JSON as it is in memory, the pictures, and every row in the Markdown."""
    name = found.experiment.name
    written: dict[str, Any] = json.loads((found.out / f"{name}.json").read_text(encoding="utf-8"))
    assert written | {"when": ""} == json.loads(json.dumps(found.to_dict())) | {"when": ""}
    markdown = (found.out / f"{name}.md").read_text(encoding="utf-8")
    assert markdown.startswith(f"# {found.experiment.title}\n")
    for row in written["rows"]:
        assert f"| {row['what']} | {row['paper']} | {row['ours']} |" in markdown
        assert row["ours"] in found.table()
    for caption, file in written["pictures"].items():
        assert f"![{caption}]({file})" in markdown
        with Image.open(found.out / file) as image:
            assert np.array_equal(np.asarray(image), found.outcome.pictures[caption])
    for note in written["notes"]:
        assert f"- {note}" in markdown
    return written
