from __future__ import annotations

from pathlib import Path

import pytest

from dcgan.cli import main
from tests.export import authors


def test_an_imported_run_is_a_run(tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, run = authors.write(tmp_path / "theirs", width=1), tmp_path / "run"
    assert main(["import-authors", str(folder), "--out", str(run)]) == 0
    said = capsys.readouterr().out
    assert "paper-svhn, width 1, 32 pixels" in said
    assert said.count("D on its own samples 0.") == 2
    assert f"dcgan sample {run}" in said
    assert main(["sample", str(run), "--out", str(tmp_path / "drawn.png")]) == 0
    # Its weights are all there is of it: nothing can be gone on with, and so nothing is trained over them.
    before = (run / "generator.safetensors").read_bytes()
    assert main(["train", "--resume", str(run), "--images", "64"]) == 2
    assert "were imported" in capsys.readouterr().err
    assert main(["import-authors", str(folder), "--out", str(run)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert (run / "generator.safetensors").read_bytes() == before


def test_wrong_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import-authors", str(tmp_path / "theirs"), "--out", str(tmp_path / "run")]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
