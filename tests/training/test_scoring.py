"""Metrics on the way, and the best networks by them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import dcgan
from dcgan.data.pack import pack
from dcgan.data.sources import find_source
from dcgan.errors import InputError
from dcgan.evaluation import Measure, classifier

WITH_FID: dict[str, Any] = {"metrics": "fid, dc", "metric_samples": 30, "extractor": "classifier"}
EVERY_FOUR: dict[str, Any] = {"images": 80, "metric_interval": 4, "log_interval": 2, "checkpoint_interval": 4}


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(classifier, "STEPS", 8)
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))


def measured(run: dcgan.Run) -> dict[int, float]:
    return {line["step"]: line["fid"] for line in run.metrics() if "fid" in line}


def test_the_log_has_what_was_measured_and_best_is_the_best(photos: Path, tiny: dict[str, Any], tmp_path: Path) -> None:
    run = dcgan.train(photos, out=tmp_path / "run", **tiny, **WITH_FID, **EVERY_FOUR)
    values = measured(run)
    assert list(values) == [4, 8, 10]  # and once more at the end
    assert all({"density", "coverage"} <= line.keys() for line in run.metrics() if "fid" in line)

    best = min(values, key=values.__getitem__)
    kept = dcgan.Generator.from_pretrained(run.path / "best")
    assert kept.info.trained["images"] == 8 * best
    packed = pack(find_source(photos), (16, 16), 3)
    measure = Measure.of(packed, ["fid"], extractor="classifier", samples=30)
    assert measure(kept)["fid"] == pytest.approx(values[best], rel=1e-4)
    assert [path.stem for path in (run.path / "best" / "checkpoints").iterdir()] == [f"{best:09d}"]


def test_measuring_changes_nothing_of_what_is_learnt(photos: Path, tiny: dict[str, Any], tmp_path: Path) -> None:
    lengths = EVERY_FOUR | {"images": 64}
    plain = dcgan.train(photos, out=tmp_path / "plain", **tiny, **lengths)
    watched = dcgan.train(photos, out=tmp_path / "watched", **tiny, **WITH_FID, **lengths)
    for one, other in zip(
        *(dcgan.Generator.from_pretrained(r.path).parameters() for r in (plain, watched)), strict=True
    ):
        assert torch.equal(one, other)


def test_the_best_can_be_resumed(photos: Path, tiny: dict[str, Any], tmp_path: Path) -> None:
    run = dcgan.train(photos, out=tmp_path / "run", **tiny, **WITH_FID, **EVERY_FOUR)
    best = dcgan.Run.open(run.path / "best")
    dcgan.train(resume=best.path, images=160, quiet=True)
    straight = dcgan.train(photos, out=tmp_path / "straight", **tiny, **(EVERY_FOUR | {"images": 160}))
    one, other = (dcgan.Generator.from_pretrained(r.path).sample(4) for r in (best, straight))
    assert np.array_equal(one, other)


def test_a_resume_knows_the_best_before(photos: Path, tiny: dict[str, Any], tmp_path: Path) -> None:
    options = {**tiny, **WITH_FID, **EVERY_FOUR}
    run = dcgan.train(photos, out=tmp_path / "run", **(options | {"images": 64}))
    dcgan.train(resume=run.path, images=160, quiet=True)
    values = measured(run)
    assert list(values) == [4, 8, 12, 16, 20]
    best = min(values, key=values.__getitem__)
    assert dcgan.Generator.from_pretrained(run.path / "best").info.trained["images"] == 8 * best


def test_the_best_is_the_best_of_what_is_measured(
    photos: Path, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = [1.0]
    monkeypatch.setattr(Measure, "__call__", lambda self, _: dict.fromkeys(("fid", "kid")[:1], value[0]))
    options = {**tiny, **WITH_FID, **EVERY_FOUR}

    def best(images: int, value_now: float, **settings: Any) -> int:
        """Images of the best after training until so many, all that is measured being this."""
        value[0] = value_now
        if images == 64:
            dcgan.train(photos, out=tmp_path / "run", **(options | {"images": images}))
        else:
            dcgan.train(resume=tmp_path / "run", images=images, quiet=True, **settings)
        return dcgan.Generator.from_pretrained(tmp_path / "run" / "best").info.trained["images"]

    assert best(64, 1.0) == 32
    assert best(96, 2.0) == 32
    assert best(128, 0.5, metrics="") == 32
    assert best(160, 0.9) == 32  # metrics are off, as a run remembers
    assert best(192, 0.9, metrics="fid") == 192  # with the best of fid, 1.0, carried on
    assert best(224, 5.0, metrics="fid", metric_samples=40) == 224  # another measure
    assert best(256, 6.0) == 224


def test_what_was_measured_is_logged_whenever_it_was(photos: Path, tiny: dict[str, Any], tmp_path: Path) -> None:
    run = dcgan.train(photos, out=tmp_path / "run", images=80, metric_interval=4, **tiny, **WITH_FID)
    assert list(measured(run)) == [4, 8, 10]
    exact = dcgan.train(photos, out=tmp_path / "exact", images=64, metric_interval=8, **tiny, **WITH_FID)
    assert list(measured(exact)) == [8]


@pytest.mark.parametrize(
    ("metrics", "said"), [("fdi", "did you mean 'fid'"), ("1nn", "there is no '1nn'"), (",", "none")]
)
def test_wrong_metrics_are_refused_before_anything_is_written(
    photos: Path, tiny: dict[str, Any], tmp_path: Path, metrics: str, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        dcgan.train(photos, out=tmp_path / "run", **tiny, images=80, metrics=metrics)
    assert not (tmp_path / "run").exists()
