"""Malformed safetensors, as weights, checkpoints and directions; the authors' .npy; files of torch.save."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from tests.hostile.archives import Trap, zipped
from tests.hostile.case import Case, bytes_of, files_of


def safetensors(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """A file with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def _entry(dtype: Any = "F32", shape: Any = (1,), offsets: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


HEADERS: dict[str, bytes] = {
    "empty": b"",
    "ten-bytes": b"0123456789",
    "length-2-to-the-63": struct.pack("<Q", 2**63) + b"{}",
    "length-most": b"\xff" * 8 + b"{}",
    "length-100-mb": safetensors(b"{}" + b" " * 9_000_000),
    "no-dict": safetensors([1, 2]),
    "deep": safetensors(b"[" * 100_000),
    "nan": safetensors(b'{"a": NaN}'),
    "not-utf8": safetensors(b'{"\xff": 1}'),
    "2-to-the-60-elements": safetensors({"a": _entry(shape=[2**60], offsets=[0, 2**62])}, b"x" * 10),
    "2-to-the-60-in-four-bytes": safetensors({"a": _entry(shape=[2**60])}, bytes(4)),
    "shape-overflow": safetensors({"a": _entry(shape=[2**32, 2**32])}, bytes(4)),
    "shape-of-nothing": safetensors({"a": _entry(shape=[0, 2**60], offsets=[0, 0])}),
    "shape-negative": safetensors({"a": _entry(shape=[-1, -1])}, bytes(4)),
    "shape-float": safetensors({"a": _entry(shape=[1.0])}, bytes(4)),
    "shape-true": safetensors({"a": _entry(shape=[True])}, bytes(4)),
    "shape-text": safetensors({"a": _entry(shape="1")}, bytes(4)),
    "shape-long": safetensors({"a": _entry(shape=[1] * 100)}, bytes(4)),
    "dtype-unknown": safetensors({"a": _entry("F128")}, bytes(4)),
    "dtype-object": safetensors({"a": _entry("O")}, bytes(4)),
    "dtype-list": safetensors({"a": _entry(["F32"])}, bytes(4)),
    "dtype-complex": safetensors({"a": _entry("C64", offsets=[0, 8])}, bytes(8)),
    "offsets-swapped": safetensors({"a": _entry(offsets=[4, 0])}, bytes(4)),
    "offsets-beyond": safetensors({"a": _entry(offsets=[4, 8])}, bytes(4)),
    "offsets-negative": safetensors({"a": _entry(offsets=[-4, 0])}, bytes(4)),
    "offsets-one": safetensors({"a": _entry(offsets=[4])}, bytes(4)),
    "overlap": safetensors({"a": _entry(), "b": _entry()}, bytes(4)),
    "gap": safetensors({"a": _entry(), "b": _entry(offsets=[8, 12])}, bytes(12)),
    "more-than-told": safetensors({"a": _entry()}, bytes(8)),
    "missing-fields": safetensors({"a": {}}, b""),
    "entry-number": safetensors({"a": 1}, b""),
    "metadata-number": safetensors({"__metadata__": {"dcgan": 1}}),
    "metadata-list": safetensors({"__metadata__": ["dcgan"]}),
    "many-tensors": safetensors({f"t{i}": _entry(shape=[0], offsets=[0, 0]) for i in range(10_001)}),
    "pickle": b"\x80\x04cos\nsystem\n(S'touch trapped'\ntR.",
    "zip": zipped({"data.pkl": b"cos\nsystem\n(S'touch trapped'\ntR."}),
    "gguf": b"GGUF" + bytes(100),
}


def _model(**changes: Any) -> dict[str, Any]:
    network = {"family": "strided", "image_size": "16", "channels": "1", "width": 4, "latent_dim": 6}
    return {"format": "dcgan-model-1", "network": network | changes, "class_names": [], "trained": {}}


MODELS: dict[str, Any] = {
    "no-description": None,
    "other-format": _model() | {"format": "other"},
    "width-most": _model(width=1024, image_size="256"),
    "width-beyond": _model(width=2**40),
    "latent-most": _model(latent_dim=4096, width=1024, image_size="256x16"),
    "classes-most": _model(conditional=True, classes=100_000, condition="concat", image_size="256"),
    "classes-beyond": _model(conditional=True, classes=2**40),
    "classes-without-names": _model(conditional=True, classes=3) | {"class_names": ["a"]},
    "size-beyond": _model(image_size="99999x99999"),
    "size-auto": _model(image_size="auto"),
    "channels-auto": _model(channels="auto"),
    "family-unknown": _model(family="os.system"),
    "eps-nan": _model(norm_eps="nan"),
    "names-numbers": _model() | {"class_names": [1, 2]},
    "names-text": _model() | {"class_names": "abc"},
    "trained-list": _model() | {"trained": [1]},
    "network-list": _model() | {"network": []},
    "fits-nothing": _model(),
    "deep": "[" * 100_000,
    "huge-integer": '{"format": ' + "9" * 5000 + "}",
    "infinite": '{"format": 1e999}',
}


def tensor_cases() -> Iterator[Case]:
    for name, content in HEADERS.items():
        for reader in ("generator", "checkpoint", "direction"):
            yield Case(reader, f"header-{name}", bytes_of(content))
    for name, model in MODELS.items():
        text = model if isinstance(model, str) else json.dumps(model)
        content = safetensors({"__metadata__": {"dcgan": text}, "a": _entry()}, bytes(4))
        for reader in ("generator", "discriminator"):
            yield Case(reader, f"model-{name}", bytes_of(content))
    for name, plain in _CHECKPOINTS.items():
        text = plain if isinstance(plain, str) else json.dumps(plain)
        yield Case("checkpoint", name, bytes_of(safetensors({"__metadata__": {"checkpoint": text}})))
    for name, facts in {"facts-none": None, "facts-list": [1], "facts-format": {"format": 1}}.items():
        header = {"__metadata__": {"dcgan": json.dumps(facts)}, "direction": _entry(shape=[6], offsets=[0, 24])}
        yield Case("direction", name, bytes_of(safetensors(header, bytes(24))))
    yield Case(
        "direction",
        "large",
        bytes_of(safetensors({"direction": _entry(shape=[2**19], offsets=[0, 2**21])}, bytes(2**21))),
    )
    yield from _npy_cases()
    yield from _torch_cases()


_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_PLAIN: dict[str, Any] = {
    "format": "dcgan-checkpoint-1",
    "sha256": _NOTHING,
    "position": {"step": 1, "images": 16, "seconds": 1.0},
    "place": {"epoch": 0, "offset": 0},
    "counters": {},
    "settings": {},
}
_CHECKPOINTS: dict[str, Any] = {
    "format": _PLAIN | {"format": [1]},
    "checksum": _PLAIN | {"sha256": "0"},
    "position-more": _PLAIN | {"position": _PLAIN["position"] | {"run": 1}},
    "position-text": _PLAIN | {"position": _PLAIN["position"] | {"step": "1"}},
    "position-negative": _PLAIN | {"position": _PLAIN["position"] | {"images": -1}},
    "position-huge": _PLAIN | {"position": _PLAIN["position"] | {"step": 2**63}},
    "position-true": _PLAIN | {"position": _PLAIN["position"] | {"step": True}},
    "seconds-nan": _PLAIN | {"position": _PLAIN["position"] | {"seconds": float("nan")}},
    "seconds-text": _PLAIN | {"position": _PLAIN["position"] | {"seconds": "1"}},
    "place-text": _PLAIN | {"place": {"epoch": "0"}},
    "place-negative": _PLAIN | {"place": {"epoch": -1, "offset": 0}},
    "place-list": _PLAIN | {"place": [0, 0]},
    "counters-list": _PLAIN | {"counters": [1]},
    "settings-number": _PLAIN | {"settings": 1},
    "nothing": {},
    "text": "no json",
    "deep": "[" * 100_000,
}


def _npy(header: str, data: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    text = header.encode().ljust(117) + b"\n"
    size = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + size + text + data


def _npy_cases() -> Iterator[Case]:
    def facts(descr: str = "'<f4'", shape: str = "(4, 3, 5, 5)") -> str:
        return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"

    array = io.BytesIO()
    np.save(array, np.array([Trap()], dtype=object), allow_pickle=True)
    matrix = _npy(facts(shape="(100, 16384)"), bytes(100 * 16384 * 4))
    kernel = _npy(facts(shape="(128, 3, 5, 5)"), bytes(128 * 75 * 4))
    for name, content in {
        "npy-object": array.getvalue(),
        "npy-empty": b"",
        "npy-magic": b"\x93NUMPY",
        "npy-version": _npy(facts(), version=(9, 9)),
        "npy-header-cut": _npy(facts())[:50],
        "npy-header-long": b"\x93NUMPY\x02\0\xff\xff\xff\x7f{",
        "npy-header-code": _npy("__import__('os').mkdir('trapped')"),
        "npy-header-deep": _npy("(" * 5000),
        "npy-shape-huge": _npy(facts(shape="(2**60,)")),
        "npy-shape-most": _npy(facts(shape=f"({2**62}, 3, 5, 5)")),
        "npy-shape-negative": _npy(facts(shape="(-4, 3, 5, 5)"), bytes(1200)),
        "npy-shape-text": _npy(facts(shape="('a',)")),
        "npy-no-data": _npy(facts()),
        "npy-more-data": _npy(facts(), bytes(9999)),
        "npy-integers": _npy(facts("'<i4'"), bytes(1200)),
        "npy-texts": _npy(facts("'<U99999999'")),
        "npy-records": _npy(facts("[('a', '<f4')]"), bytes(1200)),
        "npy-no-floats": _npy(facts("'<f99'")),
    }.items():
        files = {"gen_01.npy": matrix, "discrim_01.npy": content}
        yield Case("authors", name, files_of(files))
    for name, files in {
        "authors-nothing": {"a.txt": b""},
        "authors-one": {"gen_01.npy": matrix},
        "authors-twice": {"gen_01.npy": matrix, "1_gen_01.npy": matrix, "discrim_01.npy": kernel},
        "authors-not-all": {"gen_01.npy": matrix, "discrim_01.npy": kernel},
        "authors-other-name": {"gen_01.npy": matrix, "discrim_01.npy": kernel, "../x.npy".replace("/", "_"): kernel},
        "authors-nan": {"gen_01.npy": _npy(facts(shape="(2,)"), b"\xff" * 8), "discrim_01.npy": kernel},
    }.items():
        yield Case("authors", name, files_of(files))


def _torch_cases() -> Iterator[Case]:
    def saved(value: Any, **options: Any) -> bytes:
        buffer = io.BytesIO()
        torch.save(value, buffer, **options)
        return buffer.getvalue()

    good = saved({"w": torch.arange(64.0)})
    old = {"_use_new_zipfile_serialization": False}
    legacy = saved({"w": torch.arange(64.0)}, **old)
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        parts = {member.filename: archive.read(member) for member in archive.infolist()}
    pickle_name, data_name = (next(n for n in parts if n.endswith(end)) for end in ("data.pkl", "data/0"))
    for name, content in {
        "torch-program": saved({"w": Trap()}),
        "torch-program-old": saved({"w": Trap()}, **old),
        "torch-module": saved(torch.nn.Linear(2, 2)),
        "torch-list": saved([torch.zeros(2)]),
        "torch-number": saved({"w": 1}),
        "torch-nested": saved({"w": {"v": torch.zeros(2)}}),
        "torch-expanded": saved({"w": torch.zeros(1).expand(2**40)}),
        "torch-expanded-old": saved({"w": torch.zeros(1).expand(2**40)}, **old),
        "torch-shared": saved({str(i): torch.zeros(1).expand(2**28) for i in range(4)}),
        "torch-sparse": saved({"w": torch.eye(3).to_sparse()}),
        "torch-complex": saved({"w": torch.zeros(2, dtype=torch.complex64)}),
        "torch-cut": good[: len(good) // 2],
        "torch-cut-old": legacy[:-100],
        "torch-short-data": zipped(parts | {data_name: bytes(8)}),
        "torch-odd-data": zipped(parts | {data_name: bytes(255)}),
        "torch-compressed": zipped(parts | {data_name: bytes(100_000_000)}, zipfile.ZIP_DEFLATED),
        "torch-no-pickle": zipped({name: content for name, content in parts.items() if name != pickle_name}),
        "torch-no-data": zipped({name: content for name, content in parts.items() if name != data_name}),
        "torch-two-pickles": zipped(parts | {"data.pkl": b"N."}),
        "torch-big-endian": zipped({n: b"big" if n.endswith("byteorder") else c for n, c in parts.items()}),
        "torch-bytearray": zipped(
            parts | {pickle_name: b"cbuiltins\nbytearray\n\x8a\x08" + b"\xff" * 7 + b"\x7f\x85R."}
        ),
        "torch-empty": b"",
        "torch-text": b"hello",
        "torch-old-magic": legacy[:10],
        "torch-old-numbers": b"\x80\x02K\x01.\x80\x02K\x02.\x80\x02}.\x80\x02}.\x80\x02].",
    }.items():
        yield Case("weights", name, bytes_of(content))
