"""What a training has written so far, a bounded piece at a time; for the page that follows it."""

from __future__ import annotations

import math
import re
import time
from pathlib import Path
from typing import Any

from dcgan.errors import InputError, printable
from dcgan.explorer.told import Event, Log, Value
from dcgan.reading import open_regular, read_bytes
from dcgan.run import LARGEST_LOG, parse_record

PIECE = 256 * 1024
"""Bytes of metrics.jsonl in one look."""
MOST_KEYS, MOST_LINES, MOST_GRIDS = 64, 200, 5_000
LARGEST_GRID = 32 * 2**20
_GRID = re.compile(r"([0-9]{10,15})\.png")


def read_log(run: Path, version: str, offset: int) -> Log:
    """The whole lines after `offset` of metrics.jsonl of this `version`, and all else of the training that is small.

    A training that goes back writes the file anew: then, and at first, the lines are those from the beginning.
    A last line that is not whole is left for the next look.
    """
    records: list[dict[str, float]] = []
    more, age, now = False, None, ""
    try:
        with open_regular(run / "metrics.jsonl", LARGEST_LOG) as file:
            facts = (run / "metrics.jsonl").stat()
            now, age = str(facts.st_ino), max(0.0, time.time() - facts.st_mtime)
            offset = offset if version == now and offset <= facts.st_size else 0
            file.seek(offset)
            piece = file.read(PIECE)
            end = piece.rfind(b"\n") + 1
            more = len(piece) == PIECE
            records = [record for record in map(_numbers, piece[:end].splitlines()) if record]
            offset += end or (PIECE if more else 0)  # a line as long as that is none of ours
    except (OSError, InputError):
        offset = 0
    health = [_event(line) for line in _lines(run / "health.jsonl")]
    values = [value for value in map(_value, _lines(run / "evaluation.jsonl")) if value]
    return Log(
        version=now, offset=offset, more=more, records=records, grids=grids(run), health=health, values=values, age=age
    )


def grids(run: Path) -> list[int]:
    """The images shown at each grid of samples, in order; of very many as many as can be slid through, evenly."""
    try:
        names = [path.name for path in (run / "samples").iterdir()]
    except OSError:
        return []
    found = sorted(int(match[1]) for name in names if (match := _GRID.fullmatch(name)))
    step = -(-len(found) // MOST_GRIDS) or 1
    return found[::-1][::step][::-1]


def read_grid(run: Path, images: int) -> bytes:
    """A grid of samples as it is on disk; InputError if there is none."""
    path = run / "samples" / f"{images:010d}.png"
    try:
        content = read_bytes(path, LARGEST_GRID)
    except InputError as error:
        raise InputError(f"no grid of samples at {images} images") from error
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        raise InputError(f"the file at {images} images is no grid of samples")
    return content


def _lines(path: Path) -> list[dict[str, Any]]:
    """The last records of a small log; what is none is left out."""
    try:
        with open_regular(path, LARGEST_LOG) as file:
            file.seek(max(0, path.stat().st_size - PIECE))
            lines = file.read(PIECE).splitlines()
    except (OSError, InputError):
        return []
    return [found for found in map(parse_record, lines[-MOST_LINES:]) if found]


def _numbers(line: bytes) -> dict[str, float]:
    """The finite numbers of a log line by their names; empty if it has no step."""
    record = parse_record(line) or {}
    found = {printable(name)[:60]: _number(value) for name, value in list(record.items())[:MOST_KEYS]}
    numbers = {name: value for name, value in found.items() if value is not None}
    return numbers if "step" in numbers else {}


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int):
        return value if abs(value) < 2**53 else None
    return value if math.isfinite(value) else None


def _event(line: dict[str, Any]) -> Event:
    words = {name: printable(line.get(name, ""))[:500] for name in ("symptom", "evidence", "advice", "action")}
    return Event(step=int(_number(line.get("step")) or 0), images=int(_number(line.get("images")) or 0), **words)


def _value(line: dict[str, Any]) -> Value | None:
    value, interval, floor = _number(line.get("value")), line.get("interval"), line.get("floor")
    if value is None or not isinstance(line.get("metric"), str):
        return None
    interval, floor = (part if isinstance(part, dict) else {} for part in (interval, floor))
    return Value(
        metric=printable(line["metric"])[:60],
        value=value,
        low=_number(interval.get("low")),
        high=_number(interval.get("high")),
        floor=_number(floor.get("value")),
        samples=int(_number(line.get("samples")) or 0),
        extractor=printable(line.get("extractor", ""))[:60],
    )
