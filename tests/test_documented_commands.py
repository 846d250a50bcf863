"""Every `dcgan` line of README and docs is one that the command understands; nothing is run.

A block that cannot be checked says why, on the line before it: `<!-- not checked: why -->`.
"""

from __future__ import annotations

import ast
import dataclasses
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest

from dcgan.cli import COMMANDS, GROUPS
from dcgan.cli.train import _merge
from dcgan.cli.words import words_of
from dcgan.errors import InputError
from dcgan.presets import load_preset
from tests.cli.test_examples import parsed

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks/RESULTS.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
SHELL = {"", "sh", "bash", "console", "shell"}
STARTS = re.compile(r"^(?:\$ )?(?:.*? -m )?dcgan(?= |$)")
"""How a line begins that is one of ours, behind `python -m`, `torchrun … -m` or `srun torchrun … -m` too."""
INLINE = re.compile(r"`(dcgan [a-z][^`]*)`")
MARKER = re.compile(r"<!-- not checked: \S.*-->")


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    text: str
    marked: bool


def blocks(path: Path) -> Iterator[Block]:
    """The fenced blocks of a page."""
    lines = path.read_text(encoding="utf-8").split("\n")
    start: int | None = None
    for number, line in enumerate(lines):
        if not line.lstrip().startswith("```"):
            continue
        if start is None:
            start = number
            continue
        language = lines[start].strip().strip("`").split(" ")[0]
        marked = start > 0 and bool(MARKER.match(lines[start - 1].strip()))
        yield Block(path.name, start + 1, language, "\n".join(lines[start + 1 : number]), marked)
        start = None
    assert start is None, f"{path}: a block is not closed"


def commands(text: str, begun: str = "") -> Iterator[str]:
    """The `dcgan` lines of a shell block: without comments, pipes and redirections, continued lines joined.

    begun: only those that something else begins, in which this occurs, such as torchrun.
    """
    for line in text.replace("\\\n", " ").split("\n"):
        for part in re.split(r" && | \| ", line.strip()):
            if (start := STARTS.match(part)) and begun in start[0]:
                words = shlex.split(STARTS.sub("dcgan", part), comments=True)
                yield shlex.join(words[: next((i for i, word in enumerate(words) if word[:1] in "><&"), None)])


BLOCKS = [block for page in PAGES for block in blocks(page)]
LINES = [
    pytest.param(line, id=f"{block.page}:{block.line}-{line}")
    for block in BLOCKS
    if block.language in SHELL and not block.marked
    for line in commands(block.text)
]


@pytest.mark.parametrize("line", LINES)
def test_lines_of_blocks_are_understood(line: str) -> None:
    words = line.split()
    if words[1:] in ([], ["--help"]) or words[-1] == "--help":
        return
    command, options = parsed(line)
    if command == "train":
        _merge(load_preset(options.preset), options).check()
    assert dataclasses.is_dataclass(options)


def test_what_is_looked_at() -> None:
    """The docs have this many lines, and this is how they are read."""
    assert len(LINES) > 70
    for wrong in ("dcgan sample runs/x --outt y.png", "dcgan train x --lr abc", "dcgan train x --preset nonsense"):
        with pytest.raises((SystemExit, InputError, AssertionError)):
            test_lines_of_blocks_are_understood(wrong)
    text = "$ dcgan info --json > a.json  # why\ncd x && torchrun -m dcgan sample R \\\n --out 'a b' | less\ndcgans"
    assert list(commands(text)) == ["dcgan info --json", "dcgan sample R --out 'a b'"]


def test_a_marked_block_is_left_out(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- not checked: an older version -->\n```\ndcgan a\n```\n\n```sh\ndcgan b\n```\n", encoding="utf-8"
    )
    assert [(block.text, block.language, block.marked) for block in blocks(page)] == [
        ("dcgan a", "", True),
        ("dcgan b", "sh", False),
    ]


@pytest.mark.parametrize("path", PAGES, ids=[path.name for path in PAGES])
def test_commands_in_the_text_have_the_options_they_are_shown_with(path: Path) -> None:
    wrong = []
    for line in INLINE.findall(path.read_text(encoding="utf-8")):
        words = line.split()[1:]
        command = " ".join(words[: 2 if words[0] in GROUPS else 1])
        if command in GROUPS or command in ("help", "torchrun"):
            continue
        if command not in COMMANDS:
            wrong.append(line)
            continue
        known = {name for word in words_of(command) for name in word.names} | {"-h", "--help"}
        given = re.findall(r"(?<!\S)--?[a-z][a-z0-9_-]*", line)
        wrong += [f"{line}: {name}" for name in given if name.replace("_", "-") not in known]
    assert not wrong


def test_the_table_of_extras_has_each_and_the_first_install_has_what_evaluate_and_explore_want() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    table = (ROOT / "docs/command-line.md").read_text(encoding="utf-8").split("## Extras")[1].split("\n## ")[0]
    assert set(re.findall(r"\| `(\w+)` \|$", table, re.MULTILINE)) == set(project["optional-dependencies"]) - {
        "all",
        "dev",
    }
    for page in ("README.md", "docs/index.md"):
        first = re.search(r"^python -m pip install (\S+)", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
        assert first
        assert first[1] == '".[evaluation,explore]"', page


PYTHON = [block for block in BLOCKS if block.language == "python" and not block.marked]


@pytest.mark.parametrize("block", PYTHON, ids=[f"{block.page}:{block.line}" for block in PYTHON])
def test_python_blocks_are_python_and_what_they_import_is_there(block: Block) -> None:
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "dcgan":
            module = import_module(node.module or "")
            assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)
        elif isinstance(node, ast.Attribute) and ast.unparse(node).startswith("dcgan."):
            names = ast.unparse(node).split(".")
            if all(name.isidentifier() for name in names[:2]):
                assert hasattr(import_module("dcgan"), names[1]), ast.unparse(node)
