"""The tables from the training to what is written, on tiny networks and pictures that are easy to tell apart."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dcgan
from dcgan.data.pack import pack
from dcgan.data.sources import find_source
from dcgan.errors import InputError
from dcgan.features import supervised
from dcgan.pretrained import class_labels
from dcgan.reproduce import table1, table2, table3
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
    assert written["rows"][2]["paper"] == ""  # the paper's are 50,000
    assert written["notes"] == [
        "stand-in: folder both, train: 60 images in 2 classes, in place of the paper's MNIST",
        "shorter than planned: run was shown 64 of 1,400,000 real images",
        f"stand-in: classified is {both}; the paper's figures are of MNIST and do not compare with these",
    ]
    assert written["protocol"]["labels"] == "the class asked for"


def test_the_paper_is_beside_its_own_numbers_of_drawings(
    both: Path, tmp_path: Path, few_steps: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A generator without classes is labelled by a classifier, and the output says so."""
    assert table3.PAPER == {50_000: "2.98 %", 10_000_000: "1.48 %"}
    assert table3.REAL == {50_000: "3.1 %"}
    monkeypatch.setattr(table3, "PAPER", {1000: "2.98 %"})
    monkeypatch.setattr(table3, "REAL", {60: "3.1 %"})
    run = dcgan.train(both / "train", out=tmp_path / "mine", images=16, quiet=True, **TINY)
    written = record(done("table3", tmp_path / "out", data=both, run=run.path, numbers={"samples": 1100}))
    assert [row["paper"] for row in written["rows"]] == ["2.98 %", "", "3.1 %"]
    assert any("a classifier of the real images labelled its drawings" in note for note in written["notes"])


def test_what_a_digits_run_classifies_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only MNIST is what the paper classifies, and only of its 60,000 training digits the paper took 50,000."""
    monkeypatch.setenv("DCGAN_DATA", str(tmp_path / "data"))
    for name in ("mnist", "fashion-mnist"):
        write_idx(tmp_path / "data" / name, 0)
    tiny = {**TINY, "image_size": 28, "channels": 3, "conditional": True}
    run = dcgan.train("mnist", out=tmp_path / "run", images=16, quiet=True, **tiny).path
    own, other = (
        record(done("table3", tmp_path / str(data), run=run, data=data, numbers={"samples": 40}))["notes"]
        for data in (None, "fashion-mnist")
    )
    assert own == []
    assert other == [
        "stand-in: classified is fashion-mnist; the paper's figures are of MNIST and do not compare with these"
    ]


def test_a_probe_by_all_labels_and_by_few(both: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = done("table1", tmp_path / "out", data=both, numbers={"a_class": 5, "draws": 3}, width=4, channels="3")
    written = record(found)
    run = dcgan.Run.open(tmp_path / "out" / "run")
    assert (run.config.network.family, run.config.network.kernel_size) == ("imagenet32", 3)
    assert [(row["what"], row["paper"]) for row in written["rows"]] == [
        ("D's features (896), all labels", "82.8 %"),
        ("an untrained D's features (896), all labels", ""),
        ("pixels (768), all labels", ""),
        ("D's features (896), 5 a class", ""),  # the paper's are 400
        ("an untrained D's features (896), 5 a class", ""),
        ("pixels (768), 5 a class", ""),
        ("D's features (896), all labels, averaged with the mirror's and standardised", ""),
        ("an untrained D's features (896), all labels, averaged with the mirror's and standardised", ""),
        ("pixels (768), all labels, averaged with the mirror's and standardised", ""),
        ("1-layer K-means, all labels", "80.6 %"),
        ("3-layer K-means, learned receptive fields", "82.0 %"),
        ("exemplar CNN", "84.3 %"),
    ]
    few = written["measured"]["few"]
    assert (few["protocol"]["labels"], few["protocol"]["draws"], few["protocol"]["test"]) == (10, 3, 40)
    prepared = written["measured"]["prepared"]["protocol"]
    assert (prepared["labels"], prepared["standardise"], prepared["mirror"]) == (60, True, True)
    probes = [written["measured"][which] for which in ("all", "few", "prepared")]
    accuracies = [1 - np.mean(row["errors"]) for probe in probes for row in probe["rows"]]
    assert [row["value"] for row in written["rows"][:9]] == pytest.approx(accuracies)
    assert written["rows"][2]["value"] > 0.95  # bright and dark are told apart by pixels
    assert "single draws ±" in written["rows"][3]["ours"]
    assert "single draws ±" not in written["rows"][0]["ours"]
    assert "in place of the paper's ImageNet-1k" in written["notes"][0]
    assert written["notes"][2].startswith(f"stand-in: classified is {both}; the paper's figures are of CIFAR-10")
    assert "40 images in 2 classes" in written["protocol"]["classified"]
    monkeypatch.setattr(table1, "FEW", 5)
    again = record(
        done("table1", tmp_path / "out", data=both, numbers={"a_class": 5, "draws": 3}, channels="3", width=4)
    )
    assert [row["paper"] for row in again["rows"][:6]] == ["82.8 %", "", "", "73.8 ± 0.4 %", "", ""]
    svms = [written["protocol"][which] for which in ("svm", "prepared")]
    assert svms == [probe["protocol"]["svm"] for probe in (probes[0], probes[2])]
    assert [svm.partition("; ")[2] for svm in svms] == [
        "features as they are",
        "features averaged with those of the mirror image, standardised",
    ]


@pytest.mark.parametrize(
    ("name", "numbers", "message"),
    [
        ("table1", {"a_class": 25}, "labels: 50 labels want 25 images of each class, and of bright there are 24"),
        ("table2", {"labels": 11}, "labels: 11 cannot be balanced over 2 classes"),
    ],
)
def test_too_few_images_are_said_before_the_training(
    name: str, numbers: dict[str, int], message: str, both: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        done(name, tmp_path / "out", data=both, numbers=numbers, channels="3")
    assert not (tmp_path / "out").exists()


def test_few_labels_beside_a_supervised_network(both: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised, "FEWEST_STEPS", 5)
    numbers = {"labels": 10, "draws": 2, "trials": 2}
    found = done("table2", tmp_path / "out", data=both, numbers=numbers)
    written = record(found)
    rows = {row["what"]: row for row in written["rows"]}
    assert len(rows) == 7
    assert rows["both: supervised, 10 labels"]["paper"] == ""  # the paper's are 1,000
    assert rows["both: pixels (768), 10 labels"]["value"] < 0.1
    told = written["measured"]["both"]["rows"]
    assert [row["features"] for row in told] == ["D", "random D", "pixels", "supervised"]
    assert [row["value"] for row in written["rows"][:4]] == pytest.approx([np.mean(row["errors"]) for row in told])
    assert written["notes"][2].endswith("the paper's figures are of SVHN and do not compare with these")
    assert written["protocol"]["random search"] == "2 trials"


def test_without_svhn_two_sets_of_digits_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are trained in folders of their own, and both are used again the next time."""
    monkeypatch.setattr(supervised, "FEWEST_STEPS", 5)
    monkeypatch.setattr(table2, "LABELS", 20)
    monkeypatch.setenv("DCGAN_DATA", str(tmp_path / "data"))
    for name in ("mnist", "fashion-mnist"):
        write_idx(tmp_path / "data" / name, 0)
    options: dict[str, Any] = {"numbers": {"labels": 20, "draws": 2, "trials": 1}, "image_size": 28}
    written = record(done("table2", tmp_path / "out", **options))
    assert [note.split()[1] for note in written["notes"][:2]] == ["mnist", "fashion-mnist"]
    assert "classified is mnist, fashion-mnist; the paper's figures are of SVHN" in written["notes"][-1]
    assert written["rows"][4]["what"].startswith("fashion-mnist: D's features (")
    papers = ["SVHN: 22.48 %; 22.18 ± 1.13 % in the authors' script", "", "", "SVHN: 28.87 % (validation)"]
    assert [row["paper"] for row in written["rows"][:8]] == papers * 2
    weights = tmp_path / "out" / "run-fashion-mnist" / "generator.safetensors"
    before = weights.stat().st_mtime_ns
    again = record(done("table2", tmp_path / "out", **options))
    assert again["rows"] == written["rows"]
    assert weights.stat().st_mtime_ns == before


def write_idx(folder: Path, seed: int) -> None:
    """60 training and 30 test images of 28×28 in ten classes, as IDX files."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for split, n in (("train", 60), ("t10k", 30)):
        labels = (np.arange(n) % 10).astype(np.uint8)
        images = (rng.integers(0, 100, (n, 28, 28)) + labels[:, None, None] * 15).astype(np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
            with gzip.open(folder / f"{split}-{kind}-ubyte.gz", "wb") as file:
                file.write(header + array.tobytes())
