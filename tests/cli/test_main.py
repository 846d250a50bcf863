from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dcgan
from dcgan import cli
from dcgan.cli import main
from dcgan.errors import InputError, TrainingError
from tests.test_pretrained import Generator, trained


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(command in text for command in cli.COMMANDS)
    assert main(["help"]) == 0
    assert capsys.readouterr().out == text


def test_alone_it_greets_with_three_commands_to_try(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    text = capsys.readouterr().out
    assert text == cli.GREETING + "\n"
    assert sum(line.startswith("  dcgan ") for line in text.splitlines()) == 3


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"dcgan {dcgan.__version__}\n"


def test_an_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2
    assert "no command 'trian'; did you mean 'train'?" in capsys.readouterr().err


@pytest.mark.parametrize("command", list(cli.COMMANDS))
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "--help"]) == 0
    assert f"usage: dcgan {command}" in capsys.readouterr().out


def test_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "dcgan", "nonsense"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("dcgan: error: no command 'nonsense'")


@pytest.mark.parametrize("arguments", [["--help"], ["sample", "--help"], ["completion", "bash"], ["--version"]])
def test_a_reader_who_leaves_ends_a_command_without_a_word(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "dcgan", *arguments]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (130, b"")


def test_a_pipe_of_our_own_that_breaks_is_a_mistake(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks(*_: object) -> int:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("dcgan.cli.info.run", breaks)
    assert main(["info"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("bad\x1b[31m name"), 2, "dcgan: error: bad\\x1b[31m name"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (RuntimeError("broke"), 1, "Traceback"),
        (TrainingError("loss_g is nan"), 1, "dcgan: error: loss_g is nan"),
        (SystemExit(2), 2, ""),
        (SystemExit("words"), 2, ""),
    ],
)
def test_exit_codes(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Command:
        @staticmethod
        def run(arguments: list[str]) -> int:
            raise error

    monkeypatch.setattr(cli, "import_module", lambda name: Command)
    assert main(["train"]) == code
    assert said in capsys.readouterr().err


def test_info_as_text_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["dcgan"] == dcgan.__version__
    assert facts["device"] in ("cpu", "cuda", "mps")
    assert facts["precision"] in ("float32", "bfloat16")
    assert {"threads", "data_root", "cache", "packages", "python", "platform"} <= set(facts)
    assert main(["info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(facts)
    assert any(line.startswith("packages") and "torch " in line for line in lines)


def test_info_says_where_is_really_looked(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def told() -> tuple[str, str]:
        assert main(["info", "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        return facts["data_root"], facts["weights"]

    for variable in ("DCGAN_DATA", "DCGAN_WEIGHTS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DCGAN_CACHE", "kept")
    monkeypatch.setenv("TORCH_HOME", "theirs")
    assert told() == (str(Path("kept/data")), str(Path("theirs/hub/checkpoints")))
    monkeypatch.setenv("DCGAN_DATA", "~/sets")
    monkeypatch.setenv("DCGAN_WEIGHTS", "w.pth")
    assert told() == (str(Path.home() / "sets"), "w.pth")


def test_help_names_every_variable_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in Path(dcgan.__file__).parent.rglob("*.py"))
    assert main(["--help"]) == 0
    names = set(re.findall(r"\"(DCGAN_\w+)\"", code))
    assert names
    assert names == set(re.findall(r"^  (DCGAN_\w+) ", capsys.readouterr().out, re.MULTILINE))


@pytest.mark.parametrize(("before", "after"), [(None, "passive"), ("active", "active")])
def test_threads_that_wait_let_go_of_their_core_unless_told_otherwise(before: str | None, after: str) -> None:
    """Of a process of its own: what OpenMP is told has to be there before torch is."""
    code = "import sys; from dcgan.cli import main; assert 'torch' not in sys.modules; main(['info'])"
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {"OMP_DISPLAY_ENV": "true"} | ({"OMP_WAIT_POLICY": before} if before else {})
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    if "OMP_WAIT_POLICY" not in said.stderr:
        pytest.skip("this build of torch has an OpenMP that does not say what it was told")
    assert f"OMP_WAIT_POLICY = '{after.upper()}'" in said.stderr


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_name_that_the_output_has_no_letters_for_is_said_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, encoding: str
) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    trained(Generator).save_pretrained(tmp_path / "żółw")
    assert main(["sample", str(tmp_path / "żółw"), "-n", "2", "--out", str(tmp_path / "画像.png")]) == 0
    out.flush()
    assert b"\\u753b" in out.buffer.getvalue()
    assert (tmp_path / "画像.png").exists()
