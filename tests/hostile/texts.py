"""Malformed JSON and YAML, for everything that reads some."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from tests.hostile.case import Case, bytes_of, files_of

NOT_JSON: dict[str, bytes] = {
    "empty": b"",
    "open": b'{"format": ',
    "nan": b'{"format": NaN}',
    "infinity": b'[Infinity, {"format": 1}]',
    "overflow": b'{"format": 1e999}',
    "huge-integer": b'{"format": ' + b"9" * 5000 + b"}",
    "long-integer": b'{"format": ' + b"9" * 21 + b"}",
    "deep-lists": b"[" * 100_000 + b"]" * 100_000,
    "deep-dicts": b'{"a":' * 50_000,
    "deep-enough": b"[" * 40 + b"]" * 40,
    "not-utf8": b'{"format": "\xff\xfe"}',
    "utf16": json.dumps({"format": "x"}).encode("utf-16"),
    "nul": b"\0" * 100,
    "text": b"just words",
    "two-values": b"{} {}",
    "single-quotes": b"{'format': 1}",
    "control": b'{"a": "\x1b[2J"}',
    "trailing-comma": b'{"format": 1,}',
    "pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00}\x94.",
}
NOT_OURS: dict[str, Any] = {
    "null": None,
    "number": 3,
    "list": [1, 2],
    "text-value": "format",
    "empty-dict": {},
    "lists-in-a-list": [[]] * 1000,
    "other-format": {"format": "dcgan-other-99"},
    "format-list": {"format": [["x"] * 9] * 9},
}
LIMITS = {"data_json": 32 * 2**20, "boxes": 2**21, "projection": 16 * 2**20, "pack": 64 * 2**20, "mark": 16 * 2**20}


def json_cases() -> Iterator[Case]:
    """Everything that is no JSON, or no JSON of ours, for each reader of it."""
    contents = NOT_JSON | {name: json.dumps(value).encode() for name, value in NOT_OURS.items()}
    for reader in ("data_json", "boxes", "projection", "pack", "duplicates", "mark"):
        for name, content in contents.items():
            if reader == "data_json" and name in ("empty-dict", "other-format", "format-list"):
                continue  # of a run's facts each may be missing
            yield Case(reader, name, bytes_of(content))
        if reader in LIMITS:
            yield Case(reader, "larger-than-allowed", bytes_of(b"[" + b"1," * (LIMITS[reader] // 2 + 1) + b"1]"))
    for name, value in _BOXES.items():
        yield Case("boxes", name, bytes_of(json.dumps({"format": "dcgan-boxes-1", "seed": 0} | value).encode()))
    for name, value in _PROJECTIONS.items():
        whole = {"format": "dcgan-projection-1", "generator": "x", "images": []} | value
        yield Case("projection", name, bytes_of(json.dumps(whole).encode()))
    for name, value in _DATA.items():
        yield Case("data_json", name, bytes_of(json.dumps(value).encode()))
    for name, line in _LINES.items():
        yield Case("metrics", name, bytes_of(line))


_BOX = {"sample": 0, "top": 0, "left": 0, "height": 2, "width": 2}
_BOXES: dict[str, dict[str, Any]] = {
    "box-no-list": {"boxes": {"0": _BOX}},
    "box-outside": {"boxes": [_BOX | {"top": 10**6}]},
    "box-negative": {"boxes": [_BOX | {"left": -1}]},
    "box-float": {"boxes": [_BOX | {"height": 1.5}]},
    "box-true": {"boxes": [_BOX | {"width": True}]},
    "box-far-sample": {"boxes": [_BOX | {"sample": 2**62}]},
    "boxes-many": {"boxes": [_BOX] * 10_001},
    "box-more-keys": {"boxes": [_BOX | {"run": "os.system"}]},
    "seed-negative": {"seed": -1, "boxes": [_BOX]},
    "seed-large": {"seed": 2**63, "boxes": [_BOX]},
    "truncation-zero": {"truncation": 0, "boxes": [_BOX]},
    "class-list": {"class": [1], "boxes": [_BOX]},
}
_PROJECTIONS: dict[str, dict[str, Any]] = {
    "no-images": {"images": []},
    "images-number": {"images": 3},
    "z-short": {"images": [{"z": [0.0], "label": None}]},
    "z-text": {"images": [{"z": "0" * 6, "label": None}]},
    "z-nested": {"images": [{"z": [[0.0]] * 6, "label": None}]},
    "z-true": {"images": [{"z": [True] * 6, "label": None}]},
    "z-missing": {"images": [{"label": None}]},
}
_DATA: dict[str, Any] = {
    "rows-text": {"left_out": ["1"]},
    "rows-negative": {"left_out": [-1]},
    "rows-nested": {"left_out": [[1]]},
    "rows-dict": {"left_out": {"1": 1}},
    "rows-far": {"left_out": [2**60]},
    "rows-true": {"left_out": [True]},
}
_GOOD_LINE = b'{"step": 1, "loss_d": 0.5}\n'
_LINES: dict[str, bytes] = {
    "line-cut": _GOOD_LINE + b'{"step": 2, "lo',
    "line-list": _GOOD_LINE + b"[1, 2]\n",
    "line-nan": _GOOD_LINE + b'{"step": NaN}\n',
    "line-infinite": _GOOD_LINE + b'{"step": 2, "loss_d": 1e999}\n',
    "line-without-step": _GOOD_LINE + b'{"loss_d": 1.0}\n',
    "line-step-text": _GOOD_LINE + b'{"step": "2"}\n',
    "line-step-huge": _GOOD_LINE + b'{"step": ' + b"9" * 5000 + b"}\n",
    "line-long": _GOOD_LINE + b'{"step": 2, "x": "' + b"x" * 100_000 + b'"}\n',
    "line-deep": _GOOD_LINE + b'{"step": 2, "x": ' + b"[" * 30_000 + b"\n",
    "line-binary": _GOOD_LINE + bytes(range(256)) * 10,
    "line-endless": _GOOD_LINE + b"x" * 10_000_000,
}


def yaml_cases() -> Iterator[Case]:
    """Files of settings, as --config and as a run's config.yaml."""
    for name, content in _YAML.items():
        yield Case("config", name, bytes_of(content))
        yield Case("run_config", name, files_of({"config.yaml": content}))
    for name, text in _SETTINGS.items():
        yield Case("config", name, bytes_of(text.encode()))


def _laughs(line: Callable[[int], str], levels: int = 30) -> bytes:
    return "\n".join([line(i) for i in range(levels)]).encode()


_YAML: dict[str, bytes] = {
    "laughs": b"a0: &a0 [x, x]\n" + _laughs(lambda i: f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 9)}]"),
    "merges": b"a0: &a0 {x: 1}\n" + _laughs(lambda i: f"a{i + 1}: &a{i + 1} {{<<: [{', '.join([f'*a{i}'] * 9)}]}}"),
    "itself": b"a: &a [*a]\n",
    "python-object": b"network: !!python/object/apply:os.system ['touch trapped']\n",
    "python-name": b"a: !!python/name:os.system\n",
    "local-tag": b"a: !thing {}\n",
    "int-of-nothing": b'training: {seed: !!int ""}\n',
    "bool-of-text": b"data: {flip: !!bool perhaps}\n",
    "date-of-text": b"training: {seed: !!timestamp never}\n",
    "float-of-text": b"training: {lr: !!float x}\n",
    "binary": b"training: {seed: !!binary '####'}\n",
    "deep-lists": b"[" * 50_000,
    "deep-dicts": b"{a: " * 20_000,
    "deep-block": b"".join(b" " * i + b"a:\n" for i in range(300)),
    "no-date": b"training: {seed: 2001-99-99}\n",
    "huge-integer": b"training: {seed: " + b"9" * 6000 + b"}\n",
    "sexagesimal": b"training: {seed: 1" + b":59" * 20_000 + b"}\n",
    "list-as-key": b"? [a, b]\n: 1\n",
    "equals": b"=: 1\nnetwork: =\n",
    "two-documents": b"a: 1\n---\nb: 2\n",
    "directive": b"%YAML 9.9\n---\na: 1\n",
    "not-utf8": b"\xff\xfe\xfd",
    "control": b"a: \x07\n",
    "tabs": b"\ta: 1\n",
    "a-list": b"- network\n",
    "too-large": b"# " + b"x" * 100_001,
    "open-string": b'network: "' + b"x" * 1000,
}
_SETTINGS: dict[str, str] = {
    "size-huge": "network: {image_size: 99999x99999}",
    "size-text": "network: {image_size: '64x64x64'}",
    "width-huge": "network: {width: 1000000000}",
    "width-overflow": "network: {width: 1e999}",
    "latent-huge": "network: {latent_dim: 99999999999999999999}",
    "classes-huge": "network: {conditional: true, classes: 4611686018427387904}",
    "rate-nan": "training: {lr: .nan}",
    "rate-infinite": "training: {lr: .inf}",
    "seed-negative": "training: {seed: -1}",
    "unknown": "training: {run: 'os.system'}",
    "escape": 'network: {"\\e[2J\\u202e": 1}',
    "no-section": "training: 3",
    "no-preset": "preset: [fast]",
    "preset-of-elsewhere": "preset: ../../etc/passwd",
}
