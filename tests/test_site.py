"""The documentation as a site: it builds without a warning, all that it links to is there, no other host is asked."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from runpy import run_path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[1]
API = sorted((ROOT / "docs").glob("api*.md"))
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
"""Tags whose address a browser fetches when it shows the page."""
FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(FENCED.pattern + r"|`[^`\n]+`", re.MULTILINE | re.DOTALL)
"""What no link is looked for in."""


class Page(HTMLParser):
    """The addresses and the anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors.update(values[name] for name in ("id", "name") if name in values)
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif FETCHED.get(tag) in values:
            self.fetched.append(values[FETCHED[tag]])


def anchors(text: str) -> set[str]:
    """Of a Markdown page, as GitHub makes them of its headings, and those that it sets itself."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.MULTILINE)
    words = (re.sub(r"\]\([^)]*\)", "", heading).strip().lower() for heading in headings)
    made = {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in words}
    return made | set(re.findall(r'<a id="([^"]+)"', text))


def test_links_between_the_repositorys_own_pages_lead_somewhere() -> None:
    """As they are read there, without the site and the pages that only it has."""
    pages = [*ROOT.glob("*.md"), ROOT / "benchmarks/RESULTS.md", *(ROOT / "docs").glob("*.md")]
    links = [
        (page, link)
        for page in pages
        for link in re.findall(r"\]\(([^)\s]+)\)", CODE.sub("", page.read_text(encoding="utf-8")))
        if not urlsplit(link).scheme
    ]
    assert len(links) > 200  # else nothing was looked at
    missing = []
    for page, link in links:
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        on_a_page = bool(anchor) and target.suffix == ".md"
        if not target.exists() or (on_a_page and anchor not in anchors(target.read_text(encoding="utf-8"))):
            missing.append(f"{page.name}: {link}")
    assert not missing


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("material", reason="needs mkdocs-material (the extra `dev`)")
    pytest.importorskip("mkdocstrings_handlers.python", reason="needs mkdocstrings (the extra `dev`)")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html") if path.name != "404.html"}


@pytest.mark.slow
def test_all_pages_are_there(site: Path, pages: dict[Path, Page]) -> None:
    written = {path.stem for path in (ROOT / "docs").glob("*.md")} | {
        "commands",
        "settings",
        "architecture",
        "benchmarks",
    }
    assert {path.stem for path in pages if path.parent == site} == written
    assert not list(site.glob("*.py"))


@pytest.mark.slow
def test_what_pages_link_to_and_show_is_there(pages: dict[Path, Page]) -> None:
    missing = []
    for path, page in pages.items():
        for link in [*page.links, *page.fetched]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            anchor = unquote(parts.fragment)
            if not target.is_file() or (anchor and target in pages and anchor not in pages[target].anchors):
                missing.append(f"{path.name}: {link}")
    assert not missing
    assert sum(len(page.fetched) for page in pages.values()) > 100  # else nothing was looked at


@pytest.mark.slow
def test_nothing_is_fetched_from_other_hosts(site: Path, pages: dict[Path, Page]) -> None:
    assert not [url for page in pages.values() for url in page.fetched if urlsplit(url).netloc]
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert styles
    assert not [text for text in styles if "url(http" in text or "url(//" in text or "@import" in text]


@pytest.mark.slow
def test_reference_is_that_of_the_code(site: Path) -> None:
    from dcgan.cli import COMMANDS
    from dcgan.cli.words import all_words
    from dcgan.config import FIELDS
    from tests.test_imports import LEVELS

    commands, settings = ((site / name).read_text(encoding="utf-8") for name in ("commands.html", "settings.html"))
    assert not [name for name in COMMANDS if f"dcgan {name}<" not in commands]
    options = {name for words in all_words().values() for word in words for name in word.names}
    on_by_default_alone = {
        name for name in options if name.startswith("--no-")
    }  # words offer more of them than parsers
    assert not [name for name in options - on_by_default_alone if f"<code>{name}</code>" not in commands]
    assert not [name for name in FIELDS if f"<code>{name}</code>" not in settings]
    architecture = (site / "architecture.html").read_text(encoding="utf-8")
    assert not [name for names in LEVELS for name in names if f"<code>{name}</code>" not in architecture]


def directives() -> list[str]:
    """What the pages on Python describe, from their `:::` lines."""
    return [name for path in API for name in re.findall(r"^::: (\S+)$", path.read_text(encoding="utf-8"), re.MULTILINE)]


def imported(text: str) -> set[str]:
    """The names of dcgan that Python code imports, or takes from `dcgan`, in full."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "dcgan":
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "dcgan":
            found.add(ast.unparse(node))
    return found


def test_python_pages_have_all_that_is_public_and_all_that_the_docs_import() -> None:
    import dcgan
    from tests.test_documented_commands import PYTHON

    described = directives()
    assert len(described) == len(set(described)) > 70
    public = {f"dcgan.{name}" for name in dcgan.__all__} - {"dcgan.__version__"}
    shown = {name for block in PYTHON for name in imported(block.text)}
    assert {"dcgan.train", "dcgan.latent.walk.walk"} & shown  # else nothing was read
    missing = (public | shown) - set(described)
    assert not missing


@pytest.mark.slow
def test_what_python_pages_describe_is_there_with_its_words(pages: dict[Path, Page]) -> None:
    anchors = {anchor for path, page in pages.items() if path.stem.startswith("api") for anchor in page.anchors}
    assert not set(directives()) - anchors
    text = next(path for path in pages if path.stem == "api").read_text(encoding="utf-8")
    assert "<strong>metrics</strong>: of fid, kid, prc" in text  # docs/docstrings.py was at work


def test_docstrings_are_set_out() -> None:
    pytest.importorskip("griffe", reason="needs mkdocstrings (the extra `dev`)")
    set_out = run_path(str(ROOT / "docs/docstrings.py"))["set_out"]
    text = (
        "Do x in [0, 1].\n\na: one,\nof <many>. b, c: two; d: `[a: <b>]`. Raises InputError for e.\n\n    a: code <b>"
    )
    assert set_out(text, ["a", "b", "c", "d"]) == (
        "Do x in \\[0, 1].\n\n- **a**: one,\nof &lt;many>.\n- **b, c**: two.\n- **d**: `[a: <b>]`.\n\n"
        "Raises [InputError][dcgan.errors.InputError] for e.\n\n    a: code <b>"
    )
    assert set_out("No a here: b.", ["a"]) == "No a here: b."
