"""MkDocs hook: the pages that are made of the code and of the measurements, so that nothing is said twice.

`commands.md` is read from the parsers, `settings.md` from the dataclasses of `dcgan.config`, `architecture.md`
from the import rule of the tests and the modules' first lines; `benchmarks.md` is benchmarks/RESULTS.md.
Pages link to files of the repository outside docs/ (`../src/dcgan/presets.py`) as they must be
for those who read them there; on the site such a link leads to a copy of the file, and to one of Python as a page.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import re
import sys
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
RESULTS = "benchmarks/RESULTS.md"
OUTSIDE = re.compile(r"\]\(\.\./([^)#]+)(#[^)]*)?\)")
"""A link from a page of docs/ to a file outside, with an anchor or not."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and the files of the repository that pages link to."""
    sys.path.insert(0, str(ROOT / "src"))  # the code beside these pages, not one that is installed
    for make in (commands, settings, architecture, benchmarks):
        files.append(File.generated(config, f"{make.__name__}.md", content=make()))
    linked = {m[1] for page in files.documentation_pages() for m in OUTSIDE.finditer(page.content_string)}
    for path in sorted(linked - {RESULTS}):
        if path.endswith(".py"):
            files.append(File.generated(config, _on_site(path), content=source(path)))
        else:
            files.append(File.generated(config, _on_site(path), abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Lead links to files outside docs/ to what stands for them on the site."""
    return OUTSIDE.sub(lambda m: f"]({_on_site(m[1])}{m[2] or ''})", markdown)


def _on_site(path: str) -> str:
    if path == RESULTS:
        return "benchmarks.md"
    return f"repository/{path.removesuffix('.py')}.md" if path.endswith(".py") else f"repository/{path}"


def source(path: str) -> str:
    """A file of Python as a page; a search finds what is said of the code, not the code."""
    code = (ROOT / path).read_text(encoding="utf-8")
    return f'---\nsearch: {{exclude: true}}\nhide: [toc]\n---\n# {path}\n\n````python linenums="1"\n{code}````\n'


def benchmarks() -> str:
    """RESULTS.md with its links as seen from docs/."""
    return (ROOT / RESULTS).read_text(encoding="utf-8").replace("](../docs/", "](")


def commands() -> str:
    """Every command with its options, defaults and examples."""
    from dcgan.cli import COMMANDS

    parts = [f"## dcgan {name}\n{_command(name, what)}" for name, what in COMMANDS.items()]
    return "# Commands\n\nWritten from the parsers when these pages were built.\n\n" + "\n\n".join(parts) + "\n"


def _command(name: str, what: str) -> str:
    from dcgan.cli.examples import EXAMPLES

    parser = parser_of(name)
    about = _plain(parser.description or "")
    examples = "\n".join(f"{line:<70} # {told}" for line, told in EXAMPLES[name])
    rows = [_row(action) for action in parser._actions if "--help" not in action.option_strings]
    table = "\n".join(["| argument | what | default |", "|---|---|---|", *rows])
    if name == "train":  # the settings have a page
        table = "DATA is described in [Data](data.md), the settings in [Settings](settings.md).\n\n" + table
    return f"{what[0].upper()}{what[1:]}.\n\n{about}\n\n```\n{examples}\n```\n\n{table}"


def parser_of(command: str) -> argparse.ArgumentParser:
    """The parser that a command makes when it runs; the command itself is not run."""
    import tyro

    from dcgan.cli import module_of

    class Parsed(Exception):
        pass

    found: list[Any] = []

    def parse(options: Any, *, prog: str, description: str | None = None, **_: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # tyro has no other way to a parser
            found.append(tyro.extras.get_parser(options, prog=prog, description=description))
        raise Parsed

    with mock.patch.object(tyro, "cli", parse):
        try:
            import_module(f"dcgan.cli.{module_of(command)}").run([])
        except Parsed:
            return found[0]
    raise AssertionError(f"{command} parses nothing")


def _row(action: argparse.Action) -> str:
    names = " ".join(f"`{name}`" for name in action.option_strings)
    metavar = action.metavar if isinstance(action.metavar, str) else ""
    value = metavar if not action.choices else " \\| ".join(map(str, action.choices))
    told, _, default = (action.help or "").rpartition(" (")
    default = default.removesuffix(")").removeprefix("default: ")
    return f"| {names} {value} | {_cell(told)} | {_cell(_value(default))} |"


def settings() -> str:
    """Every setting of a run, section by section, with type, range, default and docstring."""
    from dcgan.config import FIELDS, Config, documentation
    from dcgan.values import describe

    config, told = Config(), documentation()
    lines = [
        "# Settings",
        "",
        "Every setting of a run: `--name` of `dcgan train`, a keyword of `dcgan.train()`, and a line under its section",
        "in `config.yaml`. The defaults are those of the preset `fast`; [Presets](presets.md) says what others change.",
        "Written from the code when these pages were built.",
    ]
    for section in ("network", "data", "training"):
        lines += ["", f"## {section}", "", "| setting | value | default | what |", "|---|---|---|---|"]
        for item in dataclasses.fields(getattr(config, section)):
            kind = describe(FIELDS[item.name][1])
            interval = item.metadata.get("interval")
            default = _value(getattr(getattr(config, section), item.name))
            about = f"{kind} in {interval}" if interval else kind
            lines.append(f"| `{item.name}` | {_cell(about)} | {_cell(default)} | {_cell(told[item.name])} |")
    return "\n".join(lines) + "\n"


def architecture() -> str:
    """The levels of the import rule, from the top down, each module with the first line of its docstring."""
    lines = [
        "# Architecture",
        "",
        "The package is built in levels. A module imports from its own folder and from levels below, never sideways or",
        "upwards; `tests/test_imports.py` walks the source and holds it to that. From the top down, written from that",
        "test and from the modules when these pages were built:",
        "",
        "| level | module | what it is |",
        "|---:|---|---|",
    ]
    for number, names in reversed([*enumerate(levels(), 1)]):
        lines += [f"| {number} | `{name}` | {_cell(_first_line(name))} |" for name in sorted(names)]
    return "\n".join(lines) + "\n"


def levels() -> list[set[str]]:
    """LEVELS of tests/test_imports.py, read without importing it."""
    for node in ast.parse((ROOT / "tests/test_imports.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "LEVELS" and node.value:
            return ast.literal_eval(node.value)
    raise AssertionError("tests/test_imports.py has no LEVELS")


def _first_line(name: str) -> str:
    place = ROOT / "src/dcgan" / name
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]


def _value(value: Any) -> str:
    """A default as it reads in a table."""
    return {"None": "", "''": "", "True": "on", "False": "off"}.get(str(value), str(value))


def _cell(text: str) -> str:
    """Text as it may stand in a table's cell."""
    return _plain(" ".join(text.split())).replace("|", "\\|")


def _plain(text: str) -> str:
    """Text of a help message in Markdown: its angle brackets and stars are meant as they are."""
    return text.replace("<", "&lt;").replace("*", "\\*")
