from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import dcgan
from dcgan.errors import InputError
from dcgan.evaluation.originals import originals
from dcgan.files import to_yaml
from dcgan.progress import Display
from dcgan.training import checkpoint as checkpoints
from dcgan.training.checkpoint import Checkpoint
from dcgan.training.step import TrainingStep

RECIPES: list[dict[str, Any]] = [
    {},
    {"preset": "blog", "image_size": 16},  # dropout: the global random state matters
    {"preset": "paper-mnist", "width": 4},
    {"loss": "wasserstein", "flip": True, "d_steps": 2, "discriminator_norm": "none"},
    {"partial_batches": True, "lr_decay": "linear", "precision": "bf16"},
]


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_n_steps_equal_k_then_resume_then_the_rest(
    photos: Path, tmp_path: Path, tiny: dict[str, Any], recipe: dict[str, Any]
) -> None:
    if "preset" in recipe:
        del tiny["image_size"], tiny["width"]
    settings = {"images": 136, "log_interval": 3, "sample_interval": 4, "checkpoint_interval": 6} | tiny | recipe
    whole = dcgan.train(photos, out=tmp_path / "whole", keep_checkpoints=100, **settings)
    parts = tmp_path / "parts"
    shutil.copytree(whole.path, parts)
    for path in checkpoints.saved(parts / "checkpoints")[1:]:  # as if it had been killed soon after the first
        path.unlink()
    shutil.rmtree(parts / "samples")
    (parts / "samples").mkdir()
    resumed = dcgan.train(resume=parts, quiet=True)

    first, second = (checkpoints.newest(run.checkpoints)[0] for run in (whole, resumed))
    assert first is not None
    assert second is not None
    assert_equal(first, second)
    assert (first.position.step, first.place, first.counters) == (second.position.step, second.place, second.counters)
    assert learnt(whole) == learnt(resumed)
    assert samples(whole)[2:] == samples(resumed)[1:]


@pytest.mark.slow
def test_a_kill_in_the_middle_changes_nothing(photos: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dcgan", "train"]
    options = "--image-size 16 --width 4 --latent-dim 8 --batch-size 8 --device cpu --precision fp32"
    length = "--images 1600 --checkpoint-interval 20"
    environment = os.environ | {"PYTHONPATH": str(Path(dcgan.__file__).parents[1])}

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*command, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    uninterrupted = start(str(photos), *options.split(), *length.split(), "--out", str(tmp_path / "whole"))
    assert uninterrupted.communicate()[0]
    assert uninterrupted.returncode == 0

    victim = start(str(photos), *options.split(), *length.split(), "--out", str(tmp_path / "killed"))
    deadline = time.monotonic() + 60
    while not checkpoints.saved(tmp_path / "killed" / "checkpoints") and time.monotonic() < deadline:
        time.sleep(0.005)
    victim.kill()
    victim.communicate()
    assert victim.returncode == -signal.SIGKILL
    saved = checkpoints.saved(tmp_path / "killed" / "checkpoints")
    assert int(saved[-1].stem) < 200  # it was killed in the middle

    resumed = start("--resume", str(tmp_path / "killed"))
    output = resumed.communicate()[0].decode()
    assert resumed.returncode == 0, output
    assert "resuming" in output
    for name in ("generator.safetensors", "discriminator.safetensors"):
        whole, killed = (load_file(tmp_path / run / name) for run in ("whole", "killed"))
        assert whole.keys() == killed.keys()
        assert all(torch.equal(whole[key], killed[key]) for key in whole)


def test_a_run_killed_before_its_first_checkpoint_begins_again(
    finished: dcgan.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    early = tmp_path / "early"
    shutil.copytree(finished.path, early, ignore=shutil.ignore_patterns("checkpoints", "*.safetensors", "metrics*"))
    run = dcgan.train(resume=early)
    assert "the beginning" in capsys.readouterr().out
    assert learnt(run) == learnt(finished)


def test_a_finished_run_goes_on_only_with_a_greater_length(
    finished: dcgan.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished.path, copy)
    before = snapshot(copy)
    dcgan.train(resume=copy)
    assert "has reached its length already" in capsys.readouterr().out
    assert snapshot(copy) == before
    longer = dcgan.train(resume=copy, images=200, quiet=True)
    assert [record["step"] for record in longer.metrics()] == [5, 10, 15, 20, 25]


def test_the_length_of_a_resume_is_remembered_and_what_is_of_the_machine_is_not(
    finished: dcgan.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished.path, copy)
    stop_after(5, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        dcgan.train(resume=copy, images=400, checkpoint_interval=7, device="auto", workers=3, quiet=True)
    monkeypatch.undo()
    run = dcgan.train(resume=copy, quiet=True)  # what the interrupted one has said to do
    assert run.metrics()[-1]["images"] == 400
    settings = run.config.flat()
    assert {name: settings[name] for name in ("images", "checkpoint_interval", "device", "workers")} == {
        "images": 400,
        "checkpoint_interval": 7,
        "device": "cpu",
        "workers": 0,
    }


def test_settings_changed_in_the_file_are_refused(finished: dcgan.Run, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished.path, copy)
    changed = finished.config.replace(loss="hinge", lr=0.5, log_interval=7).to_dict()
    (copy / "config.yaml").write_text(to_yaml(changed))
    with pytest.raises(InputError, match=r"its config\.yaml is not what it was trained with") as refusal:
        dcgan.train(resume=copy, images=400, quiet=True)
    assert "loss: least-squares in the run, hinge asked for" in str(refusal.value)
    assert "lr: 0.002 in the run, 0.5 asked for" in str(refusal.value)


def test_rates_that_jump_with_the_length_are_said(
    photos: Path, tmp_path: Path, tiny: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run = dcgan.train(photos, out=tmp_path / "run", images=80, lr_decay="linear", lr_decay_start=0.5, **tiny)
    dcgan.train(resume=run.path, images=100)
    assert "the learning rates go on at 0.4 of --lr; they were at 0" in capsys.readouterr().out


def test_grids_of_a_time_that_is_done_again_are_gone(
    finished: dcgan.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished.path, copy)
    checkpoints.saved(copy / "checkpoints")[-1].unlink()  # the one of the end
    (copy / "samples" / "mine.png").write_bytes(b"")
    stop_after(1, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        dcgan.train(resume=copy, quiet=True)
    assert sorted(path.stem for path in (copy / "samples").glob("*.png")) == [
        *("0000000064", "0000000128", "0000000152", "mine")
    ]


def test_a_resume_writes_into_its_own_folder_only(finished: dcgan.Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"goes on in .* itself; leave --out out"):
        dcgan.train(resume=finished.path, out=tmp_path / "elsewhere", images=1000, quiet=True)
    assert dcgan.train(resume=finished.path, out=finished.path, quiet=True).path == finished.path


def stop_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the training interrupted, as by Ctrl-C, after so many steps of its session."""
    call, left = TrainingStep.__call__, [steps]

    def step(self: TrainingStep, batches: Any) -> int:
        left[0] -= 1
        if not left[0]:
            signal.raise_signal(signal.SIGINT)
        return call(self, batches)

    monkeypatch.setattr(TrainingStep, "__call__", step)


def test_other_settings_are_refused_and_listed(finished: dcgan.Run, tmp_path: Path) -> None:
    before = snapshot(finished.path)
    with pytest.raises(InputError) as refusal:
        dcgan.train(resume=finished.path, preset="blog", lr=0.1, seed=7, image_size=32, images=500, workers=2)
    message = str(refusal.value)
    assert "preset: fast in the run, blog asked for" in message
    assert "lr: 0.002 in the run, 0.1 asked for" in message
    assert "seed: 0 in the run, 7 asked for" in message
    assert "image_size: 16 in the run, 32 asked for" in message
    assert "images:" not in message
    assert "workers:" not in message
    assert snapshot(finished.path) == before


def test_other_images_are_refused(finished: dcgan.Run, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished.path, copy)
    data = json.loads((copy / "data.json").read_text()) | {"key": "another", "digest": "another"}
    (copy / "data.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match="are not those it was trained on"):
        dcgan.train(resume=copy, images=1000, quiet=True)


def test_a_copy_of_the_images_with_other_times_and_modes_is_taken(
    photos: Path, tmp_path: Path, tiny: dict[str, Any]
) -> None:
    shutil.copytree(photos, tmp_path / "photos")
    run = dcgan.train(tmp_path / "photos", out=tmp_path / "run", images=80, **tiny)
    for path in (tmp_path / "photos").rglob("*.png"):
        os.utime(path, (1, 1))
        path.chmod(0o600)
    assert dcgan.train(resume=run.path, images=96, quiet=True).metrics()[-1]["images"] == 96
    assert len(originals(run.path, None).packed(run.config.network, Display(quiet=True)).images) == 40

    facts = json.loads((run.path / "data.json").read_text())
    (run.path / "data.json").write_text(json.dumps(facts | {"digest": None}))  # as of earlier versions
    with pytest.raises(InputError, match=r"start a new run \(told by names, sizes and times alone"):
        dcgan.train(resume=run.path, images=112, quiet=True)
    (run.path / "data.json").write_text(json.dumps(facts))
    shutil.copy(tmp_path / "photos/dark/00.png", tmp_path / "photos/dark/01.png")
    with pytest.raises(InputError, match=r"are not those it was trained on; start a new run$"):
        dcgan.train(resume=run.path, images=112, quiet=True)


def test_a_damaged_checkpoint_falls_back_and_says_so(
    finished: dcgan.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished.path, copy)
    newest = checkpoints.saved(copy / "checkpoints")[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    run = dcgan.train(resume=copy)
    output = capsys.readouterr().out
    assert "going back to the checkpoint before" in output
    assert "step 18" in output
    assert learnt(run) == learnt(finished)


def test_no_such_run() -> None:
    with pytest.raises(InputError, match="no such run directory"):
        dcgan.train(resume="runs/nothing-here")


def assert_equal(one: Checkpoint, other: Checkpoint) -> None:
    assert one.tensors.keys() == other.tensors.keys()
    unequal = [name for name in one.tensors if not torch.equal(one.tensors[name], other.tensors[name])]
    assert unequal == []


def learnt(run: dcgan.Run) -> list[dict[str, Any]]:
    """The metrics without what depends on the clock."""
    return [{k: v for k, v in r.items() if k not in ("seconds", "images_per_second")} for r in run.metrics()]


def samples(run: dcgan.Run) -> list[tuple[str, bytes]]:
    return [(path.name, path.read_bytes()) for path in sorted((run.path / "samples").glob("*.png"))]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
