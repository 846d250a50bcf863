"""Wrong input, folders that hold something else, interruptions, and the command."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import dcgan
from dcgan.cli import main
from dcgan.config import FIELDS
from dcgan.errors import InputError
from dcgan.files import read_tensors
from dcgan.presets import PRESETS, load_preset
from dcgan.reproduce import NAMES, figure4, find_experiment
from dcgan.reproduce.experiment import Plan
from dcgan.training import loop
from tests.evaluation.conftest import write_photos
from tests.reproduce.conftest import TINY, done


@pytest.fixture(scope="module")
def run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    return dcgan.train(photos, out=out, images=16, quiet=True, **TINY).path


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_is_planned_at_both_scales(name: str) -> None:
    experiment = find_experiment(name)
    assert experiment.name == name
    assert experiment.plans.keys() == {"small", "full"}
    for plan in experiment.plans.values():
        assert plan.settings.keys() <= FIELDS.keys()
        load_preset(plan.preset).replace(**plan.settings).check()
    assert experiment.plans["small"].numbers.keys() == experiment.plans["full"].numbers.keys()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("figur4", {}, r"no experiment 'figur4'; did you mean 'figure4'\?"),
        ("figure4", {"scale": "large"}, "scale: there is no 'large'"),
        ("figure4", {"seed": -1}, "seed: -1 is outside"),
        ("figure4", {"options": {"classes": ("a", "b")}}, "classes: figure4 has no use for it"),
        ("figure4", {"numbers": {"trials": 3}}, r"no number 'trials' .*points, steps"),
        ("figure4", {"numbers": {"points": 0}}, r"points: 0 is outside"),
        ("figure4", {"numbers": {"points": 1}}, "a walk wants two samples or more"),
        ("figure4", {"numbers": {"points": 10**11}}, "frames are too many for one walk"),
        ("figure4", {"numbers": {"points": 10**20}}, "points: 100,000,000,000,000,000,000 is outside"),
        ("figure5", {"numbers": {"top": 41}}, "top: the 41 strongest of 40 images cannot be shown"),
        ("figure5", {"numbers": {"features": 17}}, "features: convolution 2 has 8 maps"),
        ("figure8", {"numbers": {"steps": 1}}, "64 samples, 1 steps"),
        ("figure8", {"numbers": {"steps": 10**7}}, "640,000,000 images are too many for one turn"),
        ("figure4", {"widht": 4}, r"unknown setting 'widht'; did you mean 'width'"),
        ("figure4", {"data": "nowhere"}, "no data at 'nowhere'"),
        ("figure4", {"run": "nowhere"}, "nowhere: no such run directory"),
        ("figure7", {}, "data: the paper's 350,000 faces from the web cannot be had; name images"),
        ("table3", {}, r"table3 wants a test split as well"),
    ],
)
def test_wrong_input_is_said_and_nothing_written(
    name: str, options: dict[str, Any], message: str, photos: Path, tmp_path: Path
) -> None:
    options = ({"data": photos} if name != "figure7" and "run" not in options else {}) | options
    with pytest.raises(InputError, match=message):
        done(name, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_run_takes_no_settings(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="minutes: the run that was given is trained already"):
        done("figure4", tmp_path / "out", run=run, minutes=1)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("bright", "dark"), r"classes: 2 are named; wants A,B,C .*bright, dark"),
        (("bright", "dark", "drak"), r"no class 'drak'; did you mean 'dark'"),
    ],
)
def test_classes_are_checked_before_the_training(
    classes: tuple[str, ...], message: str, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        done("figure7", tmp_path / "out", data=photos, options={"classes": classes})
    with pytest.raises(InputError, match="wants labelled images of two classes or more"):
        done("figure8", tmp_path / "out", data=photos / "bright")
    write_photos(tmp_path / "three", 2, 0)
    (tmp_path / "three" / "bright").rename(tmp_path / "three" / "light")
    write_photos(tmp_path / "four", 2, 1)
    (tmp_path / "four" / "bright").rename(tmp_path / "three" / "bright")
    with pytest.raises(InputError, match=r"classes: name B,A .*bright, dark, light"):
        done("figure8", tmp_path / "out", data=tmp_path / "three")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_else(run: Path, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds something else than figure4; name another --out"):
        done("figure4", photos, run=run)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="is not a folder"):
        done("figure4", tmp_path / "file", run=run)
    numbers = {"points": 2, "steps": 2}
    done("figure4", tmp_path / "out", run=run, numbers=numbers)
    before = (tmp_path / "out" / "figure4.png").read_bytes()
    for changed, message in (
        ({"seed": 1}, r"seed: 0 there, 1 asked for"),
        ({"scale": "full"}, r"(?s)scale: small there, full asked for.*preset: fast there, paper asked for"),
        ({"data": photos}, r"data: None there, .*photos.* asked for"),
    ):
        with pytest.raises(InputError, match=message):
            done("figure4", tmp_path / "out", run=run, numbers=numbers, **changed)
    mark = json.loads((tmp_path / "out" / "experiment.json").read_text())
    boxes = {"boxes": tmp_path / "boxes.json"}
    (tmp_path / "figure6").mkdir()  # as one that was begun before options were written down
    (tmp_path / "figure6" / "experiment.json").write_text(json.dumps(mark | {"experiment": "figure6"}))
    with pytest.raises(InputError, match=r"boxes: None there, .*boxes\.json asked for"):
        done("figure6", tmp_path / "figure6", run=run, options=boxes)
    with pytest.raises(InputError, match="experiment: figure4 there, figure5 asked for"):
        done("figure5", tmp_path / "out", run=run)
    assert (tmp_path / "out" / "figure4.png").read_bytes() == before
    done("figure4", tmp_path / "out", run=run, numbers={"points": 3, "steps": 2})  # measured anew
    assert (tmp_path / "out" / "figure4.png").read_bytes() != before


def test_goes_on_after_an_interruption(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time ends with the very weights of a training that was not interrupted; the third trains no more."""
    options: dict[str, Any] = {"data": photos, "images": 80, "numbers": {"points": 2, "steps": 2}}
    whole = done("figure4", tmp_path / "whole", **options)
    steps = loop.TrainingStep.__call__
    count = 0

    def interrupted(self: Any, batches: Any) -> int:
        nonlocal count
        count += 1
        if count == 5:
            signal.raise_signal(signal.SIGINT)
        return steps(self, batches)

    monkeypatch.setattr(loop.TrainingStep, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt) as stopped:
        done("figure4", tmp_path / "out", **options)
    assert stopped.value.run.path == tmp_path / "out" / "run"  # type: ignore[attr-defined]
    assert not (tmp_path / "out" / "figure4.json").exists()
    done("figure4", tmp_path / "out", **options)
    assert count == 10
    resumed, straight = (
        read_tensors(out / "run" / "generator.safetensors")[0] for out in (tmp_path / "out", whole.out)
    )
    assert all(torch.equal(straight[name], tensor) for name, tensor in resumed.items())
    assert (tmp_path / "out" / "figure4.png").read_bytes() == (whole.out / "figure4.png").read_bytes()
    done("figure4", tmp_path / "out", **options)
    assert count == 10
    done("figure4", tmp_path / "out", **options | {"images": 96})  # a longer one goes on as well
    assert count == 12


def test_what_minutes_cut_short_goes_on_to_the_preset_s_own_length(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRESETS, "paper", PRESETS["paper"] | {"n_epochs": 2})
    plans = {"small": Plan("paper", {}, {"points": 2, "steps": 2})}
    monkeypatch.setattr(figure4, "EXPERIMENT", replace(figure4.EXPERIMENT, plans=plans))
    options: dict[str, Any] = {"data": photos, "images": None}
    short = done("figure4", tmp_path / "out", **options, minutes=1e-6)
    assert short.outcome.notes[1] == "shorter than planned: run was shown 8 of 80 real images"
    whole = done("figure4", tmp_path / "out", **options)
    assert (whole.outcome.protocol["images shown"], len(whole.outcome.notes)) == (80, 1)


def test_the_command(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "figure4", "--run", str(run), "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "Figure 4: walks through the latent space (small)" in printed
    assert "samples walked through" in printed
    assert "- the run given was trained on folder" in printed
    assert "figure4.md, figure4.json, figure4.png" in printed
    assert json.loads((tmp_path / "out" / "figure4.json").read_text())["format"] == "dcgan-reproduction-1"
    assert main(["reproduce", "figure44"]) == 2
    assert "no experiment 'figure44'; did you mean 'figure4'?" in capsys.readouterr().err
    assert (
        main(["reproduce", "figure7", "--run", str(run), "--classes", "dark, bright", "--out", str(tmp_path / "x")])
        == 2
    )
    assert "classes: 2 are named" in capsys.readouterr().err
    assert main(["reproduce", "figure4", "--run", str(run), "--numbers", "points=x", "--out", str(tmp_path / "x")]) == 2
    assert "numbers: 'points' has no whole number" in capsys.readouterr().err
    shorter = ["--numbers", "points=3, steps=2", "--out", str(tmp_path / "y")]
    assert main(["reproduce", "figure4", "--run", str(run), *shorter]) == 0
    assert "samples walked through" in capsys.readouterr().out
    assert json.loads((tmp_path / "y" / "figure4.json").read_text())["rows"][0]["ours"] == "3"


def test_the_command_says_how_to_go_on(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(self: Any, batches: Any) -> int:
        signal.raise_signal(signal.SIGINT)
        return 16

    monkeypatch.setattr(loop.TrainingStep, "__call__", stop)
    arguments = ["reproduce", "figure4", "--data", str(photos), "--out", str(tmp_path / "out"), "--minutes", "1"]
    assert main([*arguments, "--device", "cpu"]) == 130
    assert "the same command goes on" in capsys.readouterr().out
