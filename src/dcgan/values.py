"""Plain values as settings want them: coercion, ranges, sizes, and words for what is wrong."""

from __future__ import annotations

import functools
import heapq
import numbers
import re
import reprlib
import types
import typing
from pathlib import Path
from typing import Any, Literal


def coerce(value: Any, hint: Any) -> Any:
    """`value` as `hint` wants it: YAML reads 2e-4 as a string, and people write 64 where we store "64"."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        missing = value is None or (isinstance(value, str) and value.lower() in ("none", "null"))
        return None if missing else coerce(value, next(a for a in args if a is not type(None)))
    if hint is bool:
        if isinstance(value, bool):
            return value
        raise ValueError(value)
    if hint is str and isinstance(value, (tuple, list)) and len(value) == 2:  # a size
        return "x".join(str(coerce(side, int)) for side in value)
    if isinstance(value, bool) or not isinstance(value, str | numbers.Real | Path):
        raise ValueError("not a plain value")
    if origin is Literal:
        for choice in args:
            if str(value) == str(choice):
                return choice
        raise ValueError(value)
    if hint is int:
        number: Any = value
        if isinstance(value, str):
            number = int(value) if value.strip().isdigit() else float(value)
        if int(number) != number:
            raise ValueError(value)
        return int(number)
    if hint is str and isinstance(value, float):
        raise ValueError(value)
    return hint(value)


def describe(hint: Any) -> str:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return "one of " + ", ".join(str(a) for a in args)
    if origin in (typing.Union, types.UnionType):
        return describe(next(a for a in args if a is not type(None)))
    return {int: "a whole number", float: "a number", bool: "true or false", str: "text"}[hint]


def is_within(value: float, interval: str) -> bool:
    """Whether a number lies in an interval written as in mathematics: "(0, 1]"; NaN never does."""
    # Integers stay integers: a float cannot tell 2^63 - 1 from 2^63.
    low, high = (int(bound) if bound.isdigit() else float(bound) for bound in interval[1:-1].split(", "))
    above = value > low if interval[0] == "(" else value >= low
    below = value < high if interval[-1] == ")" else value <= high
    return above and below


def parse_size(text: str) -> tuple[int, int]:
    """ "64" → (64, 64); "48x64" → (48, 64), height first. Raises ValueError for anything else."""
    match = re.fullmatch(r"(\d{1,5})(?:\s*[x×,]\s*(\d{1,5}))?", text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size")
    return int(match[1]), int(match[2] or match[1])


def nearest_sizes(size: tuple[int, int], valid: range) -> list[str]:
    """The two sizes nearest to (height, width) whose sides are both valid, as they are written."""
    sides = [
        [side] * 2 if side in valid else heapq.nsmallest(2, valid, key=functools.partial(_distance, side))
        for side in size
    ]
    return [f"{height}" if height == width else f"{height}x{width}" for height, width in zip(*sides, strict=True)]


def _distance(one: int, other: int) -> int:
    return abs(one - other)


def brief(value: Any) -> str:
    """`value` as Python writes it, shortened: with its anchors a small YAML file can hold billions of items."""
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxlong, short.maxother = 2, 200, 60, 200
    try:
        return short.repr(value)
    except ValueError:  # an integer too long to be written out
        return "a huge number"


def listing(problems: list[str]) -> str:
    if len(problems) == 1:
        return problems[0]
    return f"{len(problems)} problems with the settings:\n" + "\n".join(f"  - {problem}" for problem in problems)
