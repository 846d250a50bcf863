"""The corpus: malformed inputs by reader, made by code, and those that fuzzers found, from `found/`."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

from tests.hostile.archives import archive_cases, published_cases
from tests.hostile.case import Case, bytes_of
from tests.hostile.pictures import picture_cases
from tests.hostile.runs import run_cases
from tests.hostile.shards import shard_cases
from tests.hostile.tensors import tensor_cases
from tests.hostile.texts import json_cases, yaml_cases

FOUND = Path(__file__).parent / "found"
"""Files READER/NAME: inputs that were no clear error when a fuzzer met them, and are now."""


@functools.cache
def cases() -> tuple[Case, ...]:
    """All of them, in the same order each time."""
    return (
        *json_cases(),
        *yaml_cases(),
        *tensor_cases(),
        *picture_cases(),
        *archive_cases(),
        *published_cases(),
        *shard_cases(),
        *run_cases(),
        *_found_cases(),
    )


def _found_cases() -> Iterator[Case]:
    for path in sorted(FOUND.glob("*/*")):
        yield Case(path.parent.name, f"found-{path.name}", bytes_of(path.read_bytes()))
