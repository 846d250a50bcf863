"""docs/paper.md names code that is there, every experiment, and figures that the pages it leads to have."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcgan.reproduce import NAMES

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/paper.md").read_text(encoding="utf-8")
CODE = re.compile(r"\[`([\w/]+\.py)`\]\(\.\./src/dcgan/([\w/]+\.py)\)((?: `\w+`,?)+)")
"""A file, where its link leads, and the names in it that are meant."""
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def named() -> list[tuple[str, str]]:
    """(file below src/dcgan, name in it)."""
    return [(path, name) for _, path, names in CODE.findall(PAGE) for name in re.findall(r"`(\w+)`", names)]


def defined(path: Path) -> set[str]:
    """What a module itself defines at its top."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    return found


def figures(page: str) -> Iterator[tuple[str, set[str], Path]]:
    """Of each row of a table that says "ours" and "where": its first cell, our numbers, the page they are from."""
    columns: list[str] = []
    for line in page.split("\n"):
        if not line.startswith("|"):
            columns = []
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        columns = columns or cells
        if columns[-1] != "where" or cells == columns or set(line) <= set("|-: "):
            continue
        ours = {n for title, cell in zip(columns, cells, strict=True) if "our" in title for n in NUMBER.findall(cell)}
        link = re.search(r"\]\(([^)#]+)", cells[-1])
        assert link or not ours, f"no page is named for {line}"
        if link:
            yield cells[0], ours, (ROOT / "docs" / link[1]).resolve()


def test_the_code_that_it_names_is_there() -> None:
    pairs = named()
    assert len(pairs) > 50
    assert all(shown == path for shown, path, _ in CODE.findall(PAGE))
    assert PAGE.count("(../src/dcgan/") == len(CODE.findall(PAGE))  # no link to code without a name in it
    assert not [(path, name) for path, name in pairs if name not in defined(ROOT / "src/dcgan" / path)]


def test_every_experiment_and_every_section_is_there() -> None:
    assert not [name for name in NAMES if not re.search(rf"^dcgan reproduce {name}\b", PAGE, re.MULTILINE)]
    sections = re.findall(r"^##+ ([\d.]+)(?: and 2)?:", PAGE, re.MULTILINE)
    assert sections == "1 3 4 4.1 4.1.1 4.2 4.3 5 5.1 5.2 6 6.1 6.2 6.3.1 6.3.2 7 8".split()


@pytest.mark.parametrize(("what", "ours", "page"), list(figures(PAGE)))
def test_its_figures_are_those_of_the_pages_it_leads_to(what: str, ours: set[str], page: Path) -> None:
    there = set(NUMBER.findall(page.read_text(encoding="utf-8")))
    assert ours
    assert not ours - there


def test_how_figures_are_read() -> None:
    page = (
        "| a | ours | where |\n|---|---|---|\n| b 7 | 1.5 % (2,000) | [x](latent.md#y) |\n| c | – | |\n\n| d 3 | 4 |\n"
    )
    assert list(figures(page)) == [("b 7", {"1.5", "2,000"}, ROOT / "docs/latent.md")]
    with pytest.raises(AssertionError):
        list(figures("| a | ours | where |\n|---|---|---|\n| b | 1 | |\n"))
