"""What was measured of a run, as HTML: the curves of its log, its scores, its health."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dcgan.errors import without_folders
from dcgan.report.curves import Curve, chart
from dcgan.report.html import finite, shown, table, text

MOST_ROWS, MOST_METRICS = 200, 14

CHARTS: tuple[tuple[str, bool, dict[str, str]], ...] = (
    ("Losses", False, {"loss_d": "D", "loss_g": "G"}),
    ("What D takes for real", False, {"d_real": "D(x)", "d_fake": "D(G(z))"}),
    ("Share of D's decisions that are right", False, {"d_right": "right", "d_turn": "of turns"}),
    ("Gradients (norm)", True, {"grad_d": "D", "grad_g": "G"}),
    ("Rate", False, {"images_per_second": "images/s"}),
    ("Diversity of the samples (the data's is 1)", False, {"diversity": "diversity"}),
    ("Maps that ignore the latent but change", False, {"oscillation": "oscillation"}),
    ("Maps that never change", False, {"dead_d": "D", "dead_g": "G"}),
    ("Change of G's weights between looks", True, {"moved_g": "G"}),
    ("Augmentation", False, {"augment_p": "p"}),
)
"""Title, whether in powers of ten, and the names of metrics.jsonl with what they are called; others get one each."""


def curves(lines: Sequence[dict[str, Any]], events: Sequence[dict[str, Any]]) -> str:
    """A figure for each of CHARTS that has been measured, and for each other number of the log: its metrics."""
    series: dict[str, list[tuple[float, float]]] = {}
    for line in lines:
        at = finite(line.get("images"))
        for name, value in line.items():
            number = finite(value)
            if at is not None and number is not None:
                series.setdefault(name, []).append((at, number))
    marks = [
        (float(at), str(event.get("symptom", "")))
        for event in events
        if (at := finite(event.get("images"))) is not None
    ]
    known = {"step", "images", "seconds"}.union(*(names for _, _, names in CHARTS))
    measured = tuple((name, False, {name: name}) for name in series if name not in known)
    figures = [
        chart(title, [Curve(short, series[name]) for name, short in names.items() if name in series], marks, log)
        for title, log, names in (*measured[:MOST_METRICS], *CHARTS)
    ]
    drawn = "".join(figures) or "<p class=dim>There is nothing to draw yet.</p>"
    note = "; dashed: what the health section lists" if marks else ""
    return (
        f"<h2>Curves</h2><p class=dim>Over the real images shown, last values beside the names{note}.</p>"
        f"<div class=charts>{drawn}</div>"
    )


def scores(records: Sequence[dict[str, Any]]) -> str:
    """The lines of evaluation.jsonl as a table."""
    if not records:
        how = "<code>dcgan evaluate RUN</code>, then <code>dcgan report RUN</code>"
        return f"<h2>Metrics</h2><p class=dim>Not evaluated yet: {how}.</p>"
    rows = [_score(record) for record in records[: -MOST_ROWS - 1 : -1]]
    more = f"<p class=dim>The newest {MOST_ROWS} of {len(records):,}.</p>" if len(records) > MOST_ROWS else ""
    heads = ("metric", "value", "95 % interval", "floor: real images", "drawn", "real", "of what, and how", "when")
    return (
        "<h2>Metrics</h2><p class=dim>The floor is the same score of real images that are not the reference: "
        f"what a perfect generator would get. Newest first.</p>{more}{table(heads, rows, frozenset({1, 3, 4, 5}))}"
    )


def _score(record: dict[str, Any]) -> tuple[str, ...]:
    """A line of evaluation.jsonl as a row."""
    interval, floor = record.get("interval"), record.get("floor")
    between = f"{shown(interval.get('low'))} to {shown(interval.get('high'))}" if isinstance(interval, dict) else ""
    lowest = shown(floor.get("value")) if isinstance(floor, dict) else ""
    extractor = (record.get("extractor", ""), str(record.get("digest", ""))[:8], record.get("precision", ""))
    facts = [without_folders(record.get("reference", "")), " ".join(map(str, extractor)), str(record.get("images", ""))]
    facts += [f"{name} {record[name]}" for name in ("seed", "truncation") if record.get(name) is not None]
    if isinstance(record.get("images_shown"), int):
        facts.append(f"of a G that was shown {record['images_shown']:,} images")
    if isinstance(floor, dict):
        facts.append(f"floor: {without_folders(floor.get('how', ''))}")
    numbers = [shown(record.get(name)) for name in ("samples", "reference_samples")]
    name, when = text(record.get("metric", "")), text(record.get("when", ""))
    return name, shown(record.get("value")), between, lowest, *numbers, text("; ".join(facts)), when


def health(events: Sequence[dict[str, Any]]) -> str:
    """The lines of health.jsonl as a table."""
    if not events:
        return "<h2>Health</h2><p>Nothing was wrong.</p>"
    keys = ("symptom", "evidence", "action", "advice")
    rows = [(shown(event.get("images")), *(text(event.get(key, "")) for key in keys)) for event in events[:MOST_ROWS]]
    heads = ("images", "symptom", "evidence", "done about it", "advice")
    return f"<h2>Health</h2>{table(heads, rows, frozenset({0}))}"
