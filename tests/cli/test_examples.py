from __future__ import annotations

import dataclasses
import shlex
from importlib import import_module
from typing import Any

import pytest
import tyro

from dcgan.cli import COMMANDS, GREETING, GROUPS, main, module_of
from dcgan.cli.examples import EXAMPLES, epilog

LINES = [(command, line) for command, lines in EXAMPLES.items() for line, _ in lines]


def parsed(line: str) -> tuple[str, Any]:
    """The command of a line, and its options as the command itself parses them; nothing is run."""
    program, *words = shlex.split(line)
    assert program == "dcgan"
    command = " ".join(words[: 2 if words[0] in GROUPS else 1])
    module = import_module(f"dcgan.cli.{module_of(command)}")
    found: list[Any] = []

    class Parsed(Exception):
        pass

    def parse(*args: Any, **kwargs: Any) -> Any:
        found.append(cli(*args, **kwargs))
        raise Parsed

    cli = tyro.cli
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.tyro, "cli", parse)
        if command == "train":
            patch.setattr(module.Run, "open", lambda path: type("Begun", (), {"config": module.load_preset("fast")}))
        with pytest.raises(Parsed):
            module.run(words[len(command.split()) :])
    return command, found[0]


def test_every_command_has_examples() -> None:
    assert set(EXAMPLES) == set(COMMANDS)


@pytest.mark.parametrize(("command", "line"), LINES, ids=[line for _, line in LINES])
def test_examples_are_understood(command: str, line: str) -> None:
    named, options = parsed(line)
    assert named == command
    assert dataclasses.is_dataclass(options)


@pytest.mark.parametrize("line", [part.strip().split("   ")[0] for part in GREETING.splitlines() if "  dcgan " in part])
def test_the_greeting_is_understood(line: str) -> None:
    assert parsed(line)[0] in COMMANDS


def test_help_ends_with_the_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["latent", "walk", "--help"]) == 0
    text = capsys.readouterr().out
    assert text.endswith(epilog("latent walk") + "\n")
    assert main(["help", "latent", "walk"]) == 0
    assert capsys.readouterr().out == text


def test_wrong_usage_shows_no_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "--no-such-option"]) == 2
    printed = capsys.readouterr()
    assert "examples:" not in printed.out + printed.err
