"""The tables from the training to what is written, on tiny networks and pictures that are easy to tell apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import dcgan
from dcgan.data.pack import pack
from dcgan.data.sources import find_source
from dcgan.pretrained import class_labels
from dcgan.reproduce import table3
from tests.reproduce.conftest import TINY, done, record


def wrong(drawn: np.ndarray, labels: np.ndarray, queries: np.ndarray, query_labels: np.ndarray) -> float:
    """Share of the queries whose nearest reference has another label, in float64."""
    x, y = (images.reshape(len(images), -1).astype(np.float64) for images in (queries, drawn))
    nearest = ((x[:, None] - y) ** 2).sum(2).argmin(1)
    return float((labels[nearest] != query_labels).mean())


def test_nearest_neighbours_of_conditional_drawings(both: Path, tmp_path: Path) -> None:
    found = done("table3", tmp_path / "out", data=both, numbers={"samples": 1200}, augment="none", images=64)
    written = record(found)
    run = dcgan.Run.open(tmp_path / "out" / "run")
    assert run.config.network.conditional
    assert run.data["images"] == 60
    train, test = (pack(find_source(both / name), (16, 16), 3) for name in ("train", "test"))
    assert train.labels is not None
    assert test.labels is not None
    drawn = dcgan.Generator.from_pretrained(run.path).sample(1200)
    labels = class_labels(2, 1200)
    assert labels is not None
    values = [wrong(drawn[:n], labels.numpy()[:n], test.images, test.labels) for n in (1000, 1200)]
    assert [row["value"] for row in written["rows"][:2]] == pytest.approx(values)
    assert written["rows"][2]["value"] == pytest.approx(wrong(train.images, train.labels, test.images, test.labels))
    assert written["rows"][0]["what"] == "1-NN test error, 1,000 drawings"
    assert written["rows"][2]["paper"] == "3.1 %"
    assert written["protocol"]["labels"] == "the class asked for"


def test_the_paper_is_beside_its_own_numbers_of_drawings(
    both: Path, tmp_path: Path, few_steps: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A generator without classes is labelled by a classifier, and the output says so."""
    assert table3.PAPER == {50_000: "2.98 %", 10_000_000: "1.48 %"}
    monkeypatch.setattr(table3, "PAPER", {1000: "2.98 %"})
    run = dcgan.train(both / "train", out=tmp_path / "mine", images=16, quiet=True, **TINY)
    written = record(done("table3", tmp_path / "out", data=both, run=run.path, numbers={"samples": 1100}))
    assert [row["paper"] for row in written["rows"]] == ["2.98 %", "", "3.1 %"]
    assert any("a classifier of the real images labelled its drawings" in note for note in written["notes"])
