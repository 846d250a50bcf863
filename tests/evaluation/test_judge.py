"""The nearest-neighbour test and memorisation as `evaluate` gives them: protocol, floors, picture, refusals."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import dcgan
from dcgan.data.pack import Pack, pack
from dcgan.data.sources import find_source
from dcgan.errors import InputError
from dcgan.evaluation import evaluate, job, judge, neighbours
from dcgan.evaluation.job import Job
from dcgan.pretrained import class_labels
from tests.evaluation.conftest import plain_extractor


@pytest.fixture(scope="module")
def conditional(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that draws two classes."""
    out = tmp_path_factory.mktemp("runs") / "classes"
    dcgan.train(small, out=out, images=64, width=4, latent_dim=8, batch_size=16, conditional=True, quiet=True)
    return out


@pytest.fixture
def ready(few_steps: None, no_weights: None) -> None:
    """A quick classifier and no other extractor."""


def scored(model: Path, test: Path | None, **options: Any) -> dict[tuple[str, int], Any]:
    return {(s.metric, s.samples): s for s in evaluate(model, test=test, quiet=True, **options)}


def plain_test(drawn: np.ndarray, labels: np.ndarray, real: Pack) -> tuple[float, float]:
    """Error and mean distance of the nearest drawing, in float64."""
    assert real.labels is not None
    x, y = (a.reshape(len(a), -1).astype(np.float64) / 255 for a in (real.images, drawn))
    squares = ((x[:, None] - y) ** 2).sum(2)
    return float((labels[squares.argmin(1)] != real.labels).mean()), float(np.sqrt(squares.min(1)).mean())


@pytest.mark.parametrize(
    ("metric", "options", "said"),
    [
        ("1nn", {"samples": 0}, "samples: 0 images say nothing; at least 1"),
        ("1nn", {"samples": -5}, "samples: -5 images say nothing; at least 1"),
        ("memorisation", {"samples": 19}, "samples: 19 images say nothing; at least 20"),
        ("kid", {"samples": 0}, "samples: 0 images say nothing; at least 20"),
        ("kid", {"reference_samples": 0}, "reference: 0 images say nothing; at least 20"),
        ("1nn", {"seed": -1}, r"seed: -1 is outside \[0, 2\^63\)"),
        ("memorisation", {"truncation": 0.0}, r"truncation: 0.0 is outside \(0, ∞\)"),
    ],
)
def test_wrong_numbers_are_refused_before_anything_is_read(
    metric: str, options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said):
        evaluate(tmp_path / "no such run", metrics=[metric], **options)


def test_table_3_with_the_classes_asked_for(
    ready: None, conditional: Path, held_out: Path, packed: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "MARKS", (20, 1000))
    scores = scored(conditional, held_out, metrics=["1nn"], samples=1500, seed=4)
    real = pack(find_source(held_out), (16, 16), 3)
    labels = class_labels(2, 1500)
    assert labels is not None
    drawn = dcgan.Generator.from_pretrained(conditional).sample(1500, seed=4)
    real_labels = np.asarray(packed.labels)
    drawn_by_lot = [np.random.default_rng([0, draw]).permutation(60)[:20] for draw in range(neighbours.CONTROL_DRAWS)]
    twenty = np.mean([plain_test(packed.images[some], real_labels[some], real) for some in drawn_by_lot], axis=0)
    everything = plain_test(packed.images, real_labels, real)
    for n, references, control in ((20, 20, twenty), (1000, 60, everything), (1500, 60, everything)):
        error, distance = plain_test(drawn[:n], labels.numpy()[:n], real)
        assert scores["1nn", n].value == pytest.approx(error)
        assert scores["1nn_distance", n].value == pytest.approx(distance, rel=1e-6)
        floors = scores["1nn", n].floor, scores["1nn_distance", n].floor
        assert [floor.value for floor in floors] == pytest.approx(control, rel=1e-6)
        assert [floor.samples for floor in floors] == [references] * 2
    one = scores["1nn", 1500]
    assert (one.labels, one.extractor, one.split, one.reference_samples) == (
        "the class asked for",
        "pixels",
        "test",
        40,
    )
    assert one.interval.low <= one.value <= one.interval.high
    assert one.floor.how == "real training images"


def test_rows_of_table_3_are_kept_as_soon_as_they_are_there(
    ready: None, conditional: Path, held_out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(generator: dcgan.Generator, *_: Any, **__: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for n in (30, 30):
            yield generator.sample(n), np.arange(n) % 2
        raise KeyboardInterrupt

    monkeypatch.setattr(neighbours, "MARKS", (20, 60))
    monkeypatch.setattr(job, "labelled_blocks", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(conditional, test=held_out, metrics=["1nn"], samples=1000)
    lines = [json.loads(line) for line in (conditional / "evaluation.jsonl").read_text().splitlines()[-4:]]
    names = ("1nn", "1nn_distance")
    assert [(line["metric"], line["samples"]) for line in lines] == [(name, n) for n in (20, 60) for name in names]
    assert all(line["floor"] for line in lines)
    said = capsys.readouterr().out
    assert "comparing with 20 real" in said
    assert "done before that: 1nn " in said


def test_without_classes_the_classifier_says_them(ready: None, run: Path, held_out: Path) -> None:
    scores = scored(run, held_out, metrics=["1nn"], samples=50)
    assert scores["1nn", 50].labels.startswith("classifier ")


def test_table_3_wants_held_out_images_and_labels(ready: None, run: Path, held_out: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"1nn: wants held-out images.*--test"):
        scored(run, None, metrics=["1nn"], samples=50)
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in (held_out / "bright").iterdir():
        Image.open(path).save(flat / path.name)
    with pytest.raises(InputError, match="1nn: wants labels of the same classes"):
        scored(run, flat, metrics=["1nn"], samples=50)


def test_table_3_wants_the_classes_of_the_generator(
    ready: None, conditional: Path, small: Path, held_out: Path, tmp_path: Path
) -> None:
    for name in ("bright", "dark", "odd"):
        shutil.copytree(small / "dark", tmp_path / "train" / name)
        shutil.copytree(held_out / "dark", tmp_path / "test" / name)
    with pytest.raises(InputError, match=r"1nn: wants images of 2 classes, and those of .* have 3"):
        scored(conditional, tmp_path / "test", data=tmp_path / "train", metrics=["1nn"], samples=50)


@pytest.mark.parametrize(
    ("metrics", "kept", "said"),
    [(["memorisation", "fid"], 12, "test: 12 images say nothing"), (["fid", "1nn"], 0, "1nn")],
)
def test_what_a_metric_lacks_is_said_before_another_is_measured(
    metrics: list[str], kept: int, said: str, run: Path, held_out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Job, "measure", None)
    few = tmp_path / "few"
    few.mkdir()
    for path in sorted((held_out / "dark").iterdir())[:kept]:
        shutil.copy(path, few)
    with pytest.raises(InputError, match=said):
        scored(run, few if kept else None, metrics=metrics, samples=50)


def test_scores_are_kept_as_soon_as_they_are_there(
    ready: None, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(judge, "memorisation_scores", interrupted)
    file = tmp_path / "scores.jsonl"
    with pytest.raises(KeyboardInterrupt):
        evaluate(run, metrics=["fid", "memorisation"], samples=50, extractor="classifier", json=file)
    (line,) = file.read_text().splitlines()
    assert (run / "evaluation.jsonl").read_text().splitlines()[-1] == line
    assert f"done before that: fid {json.loads(line)['value']:.4g}" in capsys.readouterr().out


def test_memorisation_in_both_spaces_with_a_picture(ready: None, run: Path, held_out: Path) -> None:
    options: dict[str, Any] = {"metrics": ["memorisation"], "samples": 40, "extractor": "classifier"}
    scores = scored(run, held_out, **options)
    names = ["nearest_training", "copied", "near_copied", "nearest_training_features", "near_copied_features"]
    assert [name for name, _ in scores] == names  # the classifier knows the training images: no copied_features
    assert scores["nearest_training", 40].floor.how == "held-out images"
    assert scores["copied", 40].interval.low < 0.5
    assert (scores["copied", 40].extractor, scores["near_copied_features", 40].extractor) == ("pixels", "classifier")
    with Image.open(run / "memorisation.png") as picture:
        columns = (picture.width - 2) / 18
        rows = (picture.height - 2) / 18
    assert columns == 12  # the sample and 5 neighbours, twice
    assert 8 <= rows <= 16
    kept = [json.loads(line) for line in (run / "evaluation.jsonl").read_text().splitlines()[-5:]]
    assert [line["metric"] for line in kept] == names


def test_features_of_others_tell_of_copies_among_all(
    run: Path, held_out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Job, "choose", lambda _: plain_extractor())
    scores = scored(run, held_out, metrics=["memorisation"], samples=40)
    assert scores["copied_features", 40].extractor == "plain"


def test_a_training_image_among_the_held_out_ones_hides_no_copies(
    run: Path, small: Path, held_out: Path, packed: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though an extractor, in another batch, has other last digits for it."""
    shutil.copytree(held_out, tmp_path / "test")
    shutil.copy(small / "dark" / "00.png", tmp_path / "test" / "dark" / "both.png")
    batches = iter(range(1, 100))

    def network(pixels: torch.Tensor) -> tuple[torch.Tensor, None]:
        return pixels.flatten(1).double() * (1 + 1e-7 * next(batches)), None

    extractor = dataclasses.replace(plain_extractor(), network=network)
    monkeypatch.setattr(Job, "choose", lambda _: extractor)
    monkeypatch.setattr(dcgan.Generator, "sample", lambda *_, **__: np.maximum(packed.images[:40], 1))
    scores = scored(run, tmp_path / "test", metrics=["memorisation"], samples=40)
    assert scores["near_copied", 40].value > 0.9
    assert scores["near_copied_features", 40].value > 0.9


def test_memorisation_without_an_extractor_is_of_pixels_alone(
    run: Path, held_out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(_: Job) -> None:
        raise InputError("extractor: its weights cannot be had")

    monkeypatch.setattr(Job, "choose", refused)
    scores = evaluate(run, test=held_out, metrics=["memorisation"], samples=40)
    assert [score.metric for score in scores] == ["nearest_training", "copied", "near_copied"]
    said = capsys.readouterr().out
    assert "memorisation is looked for in pixels alone: extractor: its weights cannot be had" in said
    with Image.open(run / "memorisation.png") as picture:
        assert (picture.width - 2) / 18 == 6
    with pytest.raises(InputError, match="cannot be had"):  # it was asked for
        scored(run, held_out, metrics=["memorisation"], samples=40, extractor="inception")


def test_memorisation_without_held_out_images_gives_distances_alone(ready: None, run: Path) -> None:
    scores = scored(run, None, metrics=["memorisation"], samples=40, extractor="classifier")
    assert [name for name, _ in scores] == ["nearest_training", "nearest_training_features"]
    assert all(score.floor is None for score in scores.values())
