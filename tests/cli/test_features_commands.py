from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import dcgan
from dcgan.cli import main
from dcgan.cli.features_probe import table
from dcgan.features import probe as probing
from dcgan.features.protocol import Probe, Row


def write(folder: Path, each: int, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    for name, level in (("bright", 150), ("dark", 100)):
        (folder / name).mkdir(parents=True)
        for i in range(each):
            pixels = rng.normal(level, 60, (16, 16)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features")
    data = write(folder / "data", 20, 0)
    write(folder / "test", 10, 1)
    dcgan.train(data, out=folder / "run", images=32, width=4, latent_dim=8, batch_size=8, quiet=True)
    return folder / "run"


def test_probe_prints_and_writes(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "probe.json"
    options = f"--test {run.parent / 'test'} --labels 10 --draws 2 --c 1e-3,1e-2 --json {file}"
    assert main(["features", "probe", str(run), *options.split()]) == 0
    printed = capsys.readouterr().out
    written = json.loads(file.read_text())
    assert [row["features"] for row in written["rows"]] == ["D", "random D", "pixels"]
    assert written["complete"] is True
    assert (
        f"\nD                   192 {written['rows'][0]['chosen'][0]:>9.2g} {written['rows'][0]['error']:>8.2%}"
        in printed
    )
    assert "10 labels, 2 draws; C by 8 validation images; seed 0" in printed


def test_an_interrupted_probe_leaves_the_rows_that_are_done(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "probe.json"
    real, met = probing.judged, list[str]()

    def judged(job: Any, name: str, *rest: Any) -> Row:
        met.append(name)
        if name == "pixels":
            raise KeyboardInterrupt
        return real(job, name, *rest)

    monkeypatch.setattr(probing, "judged", judged)
    options = f"--test {run.parent / 'test'} --labels 10 --draws 2 --c 1e-3 --json {file}"
    assert main(["features", "probe", str(run), *options.split()]) == 130
    written = json.loads(file.read_text())
    assert met == ["D", "random D", "pixels"]
    assert [row["features"] for row in written["rows"]] == met[:2]
    assert written["complete"] is False
    assert written["protocol"]["draws"] == 2


def test_extract_writes(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["features", "extract", str(run), "--out", str(tmp_path / "f.npz"), "--dtype", "float16"]) == 0
    assert "192 features of 40 images" in capsys.readouterr().out
    with np.load(tmp_path / "f.npz") as arrays:
        assert arrays["features"].dtype == np.float16
        assert np.bincount(arrays["labels"]).tolist() == [20, 20]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("probe RUN --labels some", "labels: 'some' is neither all nor a whole number"),
        pytest.param(f"probe RUN --labels {'9' * 5000}", "of at most 20 digits", id="probe 5,000 digits"),
        ("probe RUN --c 1e-3,x", "not a list of numbers"),
        ("probe RUN --json OLD", "exists already"),
        ("probe RUN --json nowhere/f.json", "there is no folder"),
        ("probe RUN", "brings no test images"),
        ("probe RUN --test TEST --labels 11", "cannot be balanced over 2 classes"),
        ("probe nowhere", "no such run directory"),
        ("probe RUN --choose luck", "luck"),
        ("extract RUN --out OLD", "exists already"),
        ("extract RUN --out f.csv", "f.csv is neither a .npz, a .safetensors nor a folder to make"),
        ("extract RUN --out f.npz --dtype float64", "float64"),
        ("extract RUN --out OLD/f.npz", "cannot be written"),
        ("extract RUN", "--out"),
    ],
)
def test_wrong_options(run: Path, tmp_path: Path, command: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    old = tmp_path / "old"
    old.write_text("mine")
    words = [{"RUN": str(run), "OLD": str(old), "TEST": str(run.parent / "test")}.get(w, w) for w in command.split()]
    words = [word.replace("OLD/", f"{old}/") for word in words]
    assert main(["features", *words]) == 2
    printed = capsys.readouterr()
    assert said in printed.err + printed.out
    assert old.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [old]


def test_the_table() -> None:
    def row(features: str, chosen: tuple, dimensions: int | None) -> Row:
        return Row(features, dimensions, 0.0367, 0.03, 0.0434, "of draws", 0.01, (0.03, 0.04), chosen, (), "so", 1.0)

    facts: dict[str, Any] = {"trained_on": 1000, "draws": 2, "validation": 0, "folds": 5, "seed": 3}
    facts |= {"train_images": "mnist\x1b", "test_images": "test", "svm": "L2-SVM; features as they are"}
    rows = (row("D", (0.0012,), 2688), row("pixels", (0.1, 0.2), 784), row("supervised", ({"lr": 1.0},), None))
    assert table(Probe(rows, facts)).splitlines() == [
        "features     dimensions         C    error  accuracy   95 % interval of the error",
        "D                 2,688    0.0012    3.67%    96.33%   3.00% to 4.34%",
        "pixels              784   various    3.67%    96.33%   3.00% to 4.34%",
        "supervised                           3.67%    96.33%   3.00% to 4.34%",
        "1,000 labels, 2 draws; C by 5-fold cv; seed 3; intervals of draws",
        "L2-SVM; features as they are",
        "train: mnist\\x1b",
        "test: test",
        "D: so",
        "pixels: so",
        "supervised: so",
    ]
