from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch

import dcgan
from dcgan.errors import TrainingError
from dcgan.report import session
from dcgan.report.session import command_line, git_state, recorded
from dcgan.run import Run
from tests.training.conftest import TINY

CPU = torch.device("cpu")


@pytest.fixture
def run(photos: Path, tmp_path: Path) -> Run:
    return dcgan.train(photos, out=tmp_path / "run", images=16, **TINY)


def test_a_resume_is_a_session_too(run: Run) -> None:
    dcgan.train(resume=run.path, images=32, quiet=True)
    first, second = run.sessions()
    assert (first["step"], second["step"]) == (0, 2)
    assert "Gone on from step 2" in (run.path / "report.html").read_text()


def test_a_failed_training_leaves_its_report(run: Run) -> None:
    (run.path / "report.html").unlink()
    with pytest.raises(TrainingError, match="lost"), recorded(run, 0, CPU, torch.float32, pytest.fail):
        raise TrainingError("lost")
    assert (run.path / "report.html").exists()


def test_no_report_fails_a_training(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(run: Run) -> None:
        raise ZeroDivisionError("mistake")

    monkeypatch.setattr(session, "write_report", broken)
    run = dcgan.train(photos, out=tmp_path / "run", images=16, **TINY | {"quiet": False})
    assert (run.path / "generator.safetensors").exists()
    assert "report.html cannot be written (ZeroDivisionError: mistake)" in capsys.readouterr().out


def test_what_cannot_be_recorded_is_a_warning(run: Run) -> None:
    (run.path / "sessions.jsonl").unlink()
    (run.path / "sessions.jsonl").mkdir()
    said: list[str] = []
    with recorded(run, 0, CPU, torch.float32, said.append):
        pass
    assert "sessions.jsonl cannot be written" in said[0]
    assert "report.html cannot be written" in said[1]


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        (["/usr/bin/dcgan", "train", "x"], ["train", "x"]),
        ([str(Path(dcgan.__file__).with_name("__main__.py")), "train"], ["train"]),
        (["/usr/bin/pytest", "--token", "secret"], None),
        (["-c"], None),
        ([""], None),
    ],
)
def test_only_our_own_command_line_is_kept(
    argv: list[str], found: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session.sys, "argv", argv)
    assert command_line() == found


def test_the_commit_of_a_checkout(tmp_path: Path) -> None:
    assert git_state(tmp_path) is None
    who = ["-c", "user.name=n", "-c", "user.email=e@x"]
    for words in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "m"]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    commit = git_state(tmp_path)
    assert commit is not None
    assert len(commit) == 12
    (tmp_path / "a").touch()
    subprocess.run(["git", "-C", str(tmp_path), "add", "a"], check=True)
    assert git_state(tmp_path) == f"{commit}-dirty"
