"""Malformed descriptions of tar shards: dataset.json and dataset.index beside a sound tar."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.hostile.case import Case, files_of
from tests.hostile.pictures import encoded


def _tar(picture: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        member = tarfile.TarInfo("000000000.png")
        member.size = len(picture)
        archive.addfile(member, io.BytesIO(picture))
    return buffer.getvalue()


def shard_cases() -> Iterator[Case]:
    """A sound set of one picture with something wrong in what is said of it."""
    picture = encoded("PNG")
    tar = _tar(picture)
    shard = {"name": "shard-000000.tar", "images": 1, "bytes": len(tar), "sha256": "0" * 64}
    row = [0, 512, len(picture), -1, 0]  # shard, first byte, bytes, class, place
    cases: dict[str, tuple[dict[str, Any], list[list[int]]]] = {
        "shard-twice": ({"shards": [shard, shard]}, [row]),
        "shard-twice-both-used": ({"shards": [shard, shard], "images": 2}, [row, [1, *row[1:]]]),
        "shard-no-name": ({"shards": [shard | {"name": 7}]}, [row]),
        "shard-climbs": ({"shards": [shard | {"name": "../shard-000000.tar"}]}, [row]),
        "shard-huge": ({"shards": [shard | {"bytes": 2**62}]}, [row]),
        "label-none": ({"class_names": ["a", "b"]}, [row]),
        "label-beyond": ({"class_names": ["a", "b"]}, [[*row[:3], 2, 0]]),
        "label-of-no-classes": ({}, [[*row[:3], 0, 0]]),
        "row-before": ({}, [[-1, *row[1:]]]),
        "row-overflow": ({}, [[0, 2**63 - 1, 2**63 - 1, -1, 0]]),
        "index-short": ({"images": 2}, [row]),
        "images-huge": ({"images": 2**31 - 1}, [row]),
        "classes-nested": ({"class_names": [["a"]]}, [row]),
    }
    for name, (wrong, rows) in cases.items():
        facts = {"format": "dcgan-shards-1", "images": 1, "class_names": [], "shards": [shard]} | wrong
        index = np.array(rows, "<i8").tobytes()
        yield Case("shards", name, files_of(_files(tar, json.dumps(facts).encode(), index)))
    for name, text in {
        "json-cut": b'{"format": "dcgan-shards-1", ',
        "json-nan": b'{"format": "dcgan-shards-1", "images": NaN}',
        "json-deep": b'{"format": "dcgan-shards-1", "shards": ' + b"[" * 100_000,
    }.items():
        yield Case("shards", name, files_of(_files(tar, text, b"")))


def _files(tar: bytes, facts: bytes, index: bytes) -> dict[str, Any]:
    return {"shard-000000.tar": tar, "dataset.json": facts, "dataset.index": index}
