"""The report of a run as one HTML file: nothing in it asks for anything, and all text from outside is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import dcgan
from dcgan.config import documentation
from dcgan.errors import last_name, without_folders
from dcgan.files import write_atomically
from dcgan.presets import changes
from dcgan.report.curves import number_of
from dcgan.report.html import figure, finite, records, table, text
from dcgan.report.measured import curves, health, scores
from dcgan.report.pictures import embedded, spread
from dcgan.report.reproduction import reproduction
from dcgan.report.style import STYLE
from dcgan.run import Run

GRIDS, GRID_BYTES, LAST_BYTES, NEIGHBOUR_BYTES = 8, 130_000, 500_000, 500_000
"""Grids over time, and what each, the last one and the picture of neighbours may take: the page stays under 3 MB."""


def write_report(run: Run, out: Path | None = None) -> Path:
    """Write the report of a run, to report.html in its directory if no other file is named; returns where.

    Raises InputError if the run's files cannot be read, and OSError if the page cannot be written.
    """
    target = out or run.path / "report.html"
    write_atomically(target, page(run).encode())
    return target


def page(run: Run) -> str:
    """The whole page. Paths in it are without their folders: it is made to be sent to others."""
    name = last_name(run.path.resolve())
    lines, events = records(run.metrics()), records(run.health())
    grids = sorted((run.path / "samples").glob("*.png"))
    sections = [
        _head(run, name, lines),
        _settings(run),
        curves(lines, events),
        _grids(grids),
        scores(records(run.evaluations())),
        health(events),
        _neighbours(run),
        reproduction(run),
    ]
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="generator" content="dcgan {escape(dcgan.__version__)}"><title>{escape(name)}</title>
<style>{STYLE}</style></head><body><main>
{"".join(sections)}
</main></body></html>
"""


def _head(run: Run, name: str, lines: Sequence[dict[str, Any]]) -> str:
    data, last = run.data, lines[-1] if lines else {}
    shown, seconds = finite(last.get("images")), finite(last.get("seconds"))
    so_far = [
        f"{number_of(shown)} images shown" if shown is not None else "no log line yet",
        *([f"{number_of(round(seconds / 60, 2))} minutes of training"] if seconds is not None else []),
    ]
    skipped, left_out = (len(data.get(key, ())) for key in ("skipped", "left_out"))
    remarks = [f"{n:,} {what}" for n, what in ((skipped, "unreadable"), (left_out, "duplicates left out")) if n]
    classes = data.get("class_names", [])
    source = text(without_folders(data.get("source", "unknown")))
    kinds = (
        f"; classes: {text(', '.join(map(str, classes[:20])))}{', …' if len(classes) > 20 else ''}" if classes else ""
    )
    return f"""<h1>{escape(name)}</h1>
<p>A DCGAN, preset <code>{text(run.config.preset)}</code>. {" · ".join(so_far)}.</p>
<p class=dim>Data: {source}{text("; " + ", ".join(remarks)) if remarks else ""}{kinds}.</p>
"""


def _settings(run: Run) -> str:
    config, told = run.config, documentation()
    changed = changes(config)

    def said(name: str, value: object) -> str:
        shown = last_name(value) if name in ("data", "data_root") else value
        return f"<code>{text(shown)}</code>" if shown not in ("", None) else '<span class="dim">none</span>'

    rows = [
        (f"<code>{name}</code>", said(name, value), said(name, usual), escape(told.get(name, "")))
        for name, (value, usual) in changed.items()
    ]
    others = [
        (f"<code>{name}</code>", said(name, value), escape(told.get(name, "")))
        for name, value in config.flat().items()
        if name not in changed
    ]
    rest = table(("setting", "value", "what it is"), others)
    return (
        f"<h2>Settings</h2><p>What is not as in the preset <code>{text(config.preset)}</code>:</p>"
        f"{table(('setting', 'here', 'preset', 'what it is'), rows)}"
        f"<details><summary>The other {len(others)}</summary>{rest}</details>"
    )


def _grids(paths: Sequence[Path]) -> str:
    """The last grid as it is, and before it the way there: always the same latents."""
    if not paths:
        return ""
    figures = []
    chosen = spread(paths, GRIDS)
    for path in (chosen[-1], *chosen[:-1]):
        picture = embedded(path, LAST_BYTES if path == chosen[-1] else GRID_BYTES)
        if picture:
            after = f"{int(path.stem):,} images" if path.stem.isascii() and path.stem.isdecimal() else text(path.stem)
            figures.append(figure(picture, f"after {after}", f"a grid of drawn images after {after}"))
    if not figures:
        return ""
    last, *before = figures
    way = f"<h2>How they came about</h2><div class=grids>{''.join(before)}</div>" if before else ""
    return f"<h2>Samples</h2>{last}{way}"


def _neighbours(run: Run) -> str:
    picture = embedded(run.path / "memorisation.png", NEIGHBOUR_BYTES)
    if not picture:
        return ""
    caption = (
        "Samples, each with the training images nearest to it (of <code>dcgan evaluate --metrics memorisation</code>)."
    )
    return f"<h2>Nearest training images</h2>{figure(picture, caption, 'samples beside their nearest training images')}"
