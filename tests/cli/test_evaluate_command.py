from __future__ import annotations

import json
from pathlib import Path

import pytest

import dcgan
from dcgan.cli import main
from dcgan.cli.evaluate import table
from dcgan.evaluation import classifier
from dcgan.evaluation.scores import Floor, Interval, Score


@pytest.fixture(scope="module")
def run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    dcgan.train(photos, out=out, images=32, image_size=16, width=4, latent_dim=8, batch_size=8, quiet=True)
    return out


def test_scores_are_printed_and_kept(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(classifier, "STEPS", 3)
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "scores.jsonl"
    options = f"--extractor classifier --samples 30 --reference 40 --seed 2 --metrics fid,prc --json {file}"
    assert main(["evaluate", str(run), *options.split()]) == 0
    printed = capsys.readouterr().out
    scores = [json.loads(line) for line in file.read_text().splitlines()]
    assert [score["metric"] for score in scores] == ["fid", "precision", "recall"]
    assert [score["reference_samples"] for score in scores] == [40, 30, 30]
    assert (run / "evaluation.jsonl").read_text() == file.read_text()
    lines = printed.splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("metric"))
    for line, score in zip(lines[head + 1 : head + 4], scores, strict=True):
        assert line.split()[:2] == [score["metric"], "30"]
        assert float(line.split()[2]) == pytest.approx(score["value"], rel=1e-3, abs=1e-5)
    assert "40 images in 2 classes, of which 40; 16x16x3, lanczos" in printed


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--metrics fid,kdi", "did you mean 'kid'"),
        ("--metrics ,", "none given"),
        ("--samples 5", "at least 20"),
        ("--weights nothing.pth --extractor inception", "there is no file"),
        ("--extractor resnet", "resnet"),
        ("--data nowhere", "no data at"),
    ],
)
def test_wrong_options(run: Path, options: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(path.name for path in run.iterdir())
    assert main(["evaluate", str(run), *options.split()]) == 2
    printed = capsys.readouterr()
    assert said in printed.err + printed.out
    assert sorted(path.name for path in run.iterdir()) == before


def test_the_table() -> None:
    score = Score(
        metric="kid",
        value=0.0123456,
        interval=Interval(-0.001, 12.3456, "100 subsets of 1,000"),
        floor=Floor(0.5, 10_000, "test images (x)"),
        samples=10_000,
        labels=None,
        reference_samples=60_000,
        reference="mnist\x1b: 60,000 images",
        split="train",
        images="28x28x1, lanczos",
        extractor="inception",
        digest="0123456789",
        resize="299x299",
        precision="bf16",
        generator="run",
        images_shown=None,
        seed=4,
        truncation=0.7,
        when="now",
        dcgan="0",
    )
    assert table([score]).splitlines() == [
        "metric                        images     value   95 % interval            floor",
        "kid                           10,000   0.01235   -0.00100 to 12.35          0.5",
        "inception 01234567 bf16: seed 4, truncation 0.7; mnist\\x1b: 60,000 images, of which 60,000; "
        "28x28x1, lanczos; floor: 10,000 test images (x)",
    ]
