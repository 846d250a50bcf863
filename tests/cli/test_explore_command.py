"""`dcgan explore`: what is wrong is said before anything is served. The tests of the page start and end the command."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from dcgan.cli import main
from tests.test_pretrained import Generator, trained

pytest.importorskip("fastapi", reason="needs the extra explore")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    trained(Generator).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "name a run directory to explore"),
        (["nowhere", "--port", "0"], "nowhere: no such run directory"),
        (["RUN", "nowhere", "--port", "0"], "nowhere: no such run directory"),
        (["x" * 300, "--port", "0"], "x: no such run directory"),
        (["RUN", "--port", "70000"], "70000 is outside [0, 65535]"),
        (["RUN"] * 33, "33 runs are too many"),
    ],
)
def test_wrong_input_is_said(run: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str) -> None:
    assert main(["explore", "--no-browser", *(str(run) if word == "RUN" else word for word in arguments)]) == 2
    assert says in capsys.readouterr().err


def test_a_taken_port_is_said(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["explore", str(run), "--port", str(port), "--no-browser"]) == 2
    assert f"port {port} of 127.0.0.1 cannot be had" in capsys.readouterr().err


def test_a_missing_extra_is_named(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dcgan.cli.explore.find_spec", lambda _: None)
    assert main(["explore", str(run)]) == 2
    assert "pip install 'dcgan[explore]'" in capsys.readouterr().err


def test_the_browser_is_opened_once_there_are_answers(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("dcgan.explorer.server.serve", lambda runs, listening, started: started("http://x/"))
    assert main(["explore", str(run), "--port", "0"]) == 0
    assert main(["explore", str(run), "--port", "0", "--no-browser"]) == 0
    assert opened == ["http://x/"]
    assert f"exploring {run.name} at http://x/ (Ctrl-C ends)" in capsys.readouterr().out
