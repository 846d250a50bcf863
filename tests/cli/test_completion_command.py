from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dcgan.cli import COMMANDS, main
from dcgan.cli.completion import fish, zsh
from dcgan.cli.words import Word, all_words, words_of
from dcgan.presets import PRESETS


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three scripts, and of `a file.png` and `folder`, to be completed in."""
    folder = tmp_path_factory.mktemp("scripts")
    words = all_words()
    from dcgan.cli.completion import bash

    for make in (bash, zsh, fish):
        (folder / f"dcgan.{make.__name__}").write_text(make(words))
    (folder / "a file.png").touch()
    (folder / "folder").mkdir()
    return folder


def bash_offers(scripts: Path, *typed: str) -> list[str]:
    """What bash offers for the last of the words, in the folder of the scripts."""
    program = (
        'source ./dcgan.bash; COMP_WORDS=(dcgan "$@"); COMP_CWORD=$#; _dcgan 2>&1; '
        '((${#COMPREPLY[@]})) && printf "%s\\n" "${COMPREPLY[@]}"; true'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", program, "bash", *typed], cwd=scripts, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


CASES = [
    (("tr",), ["train"]),
    (("la",), ["latent"]),
    (("latent", "w"), ["walk"]),
    (("data", ""), ["dedup", "faces", "pack"]),
    (("latent", "walk", "--int"), ["--interpolation"]),
    (("latent", "walk", "--interpolation", "l"), ["linear"]),
    (("evaluate", "run", "--extractor", "d"), ["dinov2"]),
    (("train", "--preset", "paper"), [name for name in PRESETS if name.startswith("paper")]),
    (("train", "mni"), ["mnist"]),
    (("train", "--no-part"), ["--no-partial-batches"]),
    (("train", "--img"), ["--img-size"]),
    (("train", "--lr", ""), []),
    (("sample", "fol"), ["folder"]),
    (("sample", "run", "--out", "a"), ["a file.png"]),
    (("completion", ""), ["bash", "zsh", "fish"]),
    (("reproduce", "table"), ["table1", "table2", "table3"]),
    (("explore", "fol"), ["folder"]),
    (("features", "forget", "run", "--save-run", "fol"), ["folder"]),
    (("nonsense", "--x"), []),
]


@pytest.mark.parametrize(("typed", "offered"), CASES, ids=lambda value: " ".join(value) or "-")
def test_bash(scripts: Path, typed: tuple[str, ...], offered: list[str]) -> None:
    assert sorted(bash_offers(scripts, *typed)) == sorted(offered)


def test_bash_offers_names_and_paths_for_data(scripts: Path) -> None:
    assert {"mnist", "digits", "folder", "a file.png"} <= set(bash_offers(scripts, "train", ""))


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
@pytest.mark.parametrize(("typed", "offered"), CASES, ids=lambda value: " ".join(value) or "-")
def test_fish(scripts: Path, typed: tuple[str, ...], offered: list[str]) -> None:
    program = f"source dcgan.fish; complete -C 'dcgan {' '.join(typed)}'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", program], cwd=scripts, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert {line.split("\t")[0].rstrip("/") for line in done.stdout.splitlines()} == set(offered)


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_can_read_it(scripts: Path) -> None:
    subprocess.run(["zsh", "-n", "dcgan.zsh"], cwd=scripts, check=True)


def test_zsh_has_one_rest_at_most(scripts: Path) -> None:
    """Two of them, as `*:RUN` and `*:IMAGE`, are an error of its own at every completion."""
    lines = re.findall(r"(?m)^ +'?([a-z -]+)'?\) _arguments (.*) ;;$", (scripts / "dcgan.zsh").read_text())
    assert {command for command, _ in lines} == set(COMMANDS)
    found = {command: [s for s in shlex.split(said) if re.match(r"\*|[0-9]", s)] for command, said in lines}
    assert found["latent project"] == ["1:RUN:_files", "*:IMAGE:_files"]
    assert found["push"] == ["1:RUN:_files", "2:REPO: "]
    assert found["explore"] == ["*:RUN:_files"]
    assert found["reproduce"][0].startswith("1:NAME:(table1 table2 ")
    for specs in found.values():
        assert [s.split(":")[0] for s in specs] in (["1"], ["1", "2"], ["1", "*"], ["*"], [])


def test_every_shell_has_every_word(scripts: Path) -> None:
    for command, words in all_words().items():
        for shell in ("bash", "zsh", "fish"):
            text = (scripts / f"dcgan.{shell}").read_text()
            assert command.split()[-1] in text
            for name in (name for word in words for name in word.names):
                assert (f"-l {name[2:]} " if shell == "fish" and name.startswith("--") else name) in text, (shell, name)


@pytest.mark.parametrize("command", list(COMMANDS))
def test_words_are_those_of_the_help(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is offered is understood, and whatever is understood is offered, but for the other half of flags."""
    monkeypatch.setenv("COLUMNS", "250")
    assert main([*command.split(), "--help"]) == 0
    text = capsys.readouterr().out.split("\nexamples:")[0]
    told = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", text))
    words = words_of(command)
    offered = {name for word in words for name in word.names}
    assert offered <= told
    first = set(re.findall(r"(?m)^[│| ]*(--?[a-z][\w-]*)", text))  # of each line: the others are also mentions
    assert first - offered == {"-h"}
    for word in words:
        assert word.flag or not word.choices or all(choice in text for choice in word.choices) or word.place


def test_hostile_help_stays_text() -> None:
    """Not that there is any; but a quote in a help text must not end a script."""
    word = Word(("-x", "--x"), "N:]", 'it\'s [a] `$(touch hurt)`: "b" \\', ("a",), flag=False)
    for text in (zsh({"train": [word]}), fish({"train": [word]})):
        assert "it's [a]" not in text
        assert "$(touch hurt)" in text
    for shell, text in (("fish", fish({"train": [word]})), ("zsh", zsh({"train": [word]}))):
        if shutil.which(shell):
            subprocess.run([shell, "-n", "/dev/stdin"], input=text, text=True, check=True)


def test_it_starts_no_torch() -> None:
    program = "import sys; from dcgan.cli import main; main(['completion', 'bash']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("# Completion of dcgan for bash")
    assert done.stdout.endswith("False\n")


def test_another_shell_is_wrong_usage() -> None:
    assert main(["completion", "csh"]) == 2
