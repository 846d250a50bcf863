from __future__ import annotations

from pathlib import Path

import pytest

import dcgan
from dcgan.cli import main
from tests.training.conftest import TINY


@pytest.fixture(scope="module")
def run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dcgan.train(photos, out=tmp_path_factory.mktemp("runs") / "run", images=16, **TINY).path


def test_it_is_written_anew_into_the_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "report.html").write_text("old")
    assert main(["report", str(run)]) == 0
    assert (run / "report.html").read_text().startswith("<!doctype html>")
    assert f"{run}/report.html: open it" in capsys.readouterr().out


def test_another_file_is_never_written_over(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "page.html"
    assert main(["report", str(run), "--out", str(out)]) == 0
    before = out.read_text()
    assert main(["report", str(run), "--out", str(out)]) == 2
    assert "exists already; name another --out" in capsys.readouterr().err
    assert out.read_text() == before


@pytest.mark.parametrize(("where", "said"), [("nowhere", "no such run directory"), (".", "not a run directory")])
def test_what_is_no_run(where: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path / where)]) == 2
    assert said in capsys.readouterr().err


def test_where_nothing_can_be_written(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["report", str(run), "--out", str(tmp_path / "file" / "page.html")]) == 2
    assert "cannot be written" in capsys.readouterr().err
