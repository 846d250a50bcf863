"""Tensors in the files that `torch.save` writes, the zips of today and what came before, without unpickling anything.

The pickle in such a file is taken apart by `dcgan.data.pickles`; the only notes that mean something here are those of
a tensor or parameter over a storage. Storages lie in the file as they are, so that none is larger than the file.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from dcgan.data.archives import UNREADABLE, check_directory
from dcgan.data.pickles import Call, Name, NotInert, Persistent, inert
from dcgan.errors import InputError
from dcgan.reading import is_integer, open_regular, read_bytes

LARGEST = 2**30
"""Bytes of a file: Inception's has 96 MB."""
LARGEST_PICKLE = 2**24
"""Bytes of what says which tensors there are."""
LEGACY_MAGIC, LEGACY_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001

_STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
Storages = Callable[[str, torch.dtype], torch.Tensor]
"""(key, type) → a flat tensor."""


def read_torch_file(path: Path) -> dict[str, torch.Tensor]:
    """The named tensors that a file of `torch.save` holds. Raises InputError if it holds anything else."""
    try:
        with open_regular(path, LARGEST) as file:
            start = file.read(4)
        return _zipped(path) if start == b"PK\3\4" else _legacy(path)
    except InputError:
        raise
    except (NotInert, *UNREADABLE, LookupError, ValueError) as error:
        raise InputError(f"not a file of weights ({str(error) or type(error).__name__})") from error


def _zipped(path: Path) -> dict[str, torch.Tensor]:
    check_directory(path)
    with zipfile.ZipFile(path) as archive:
        entries = {member.filename: member for member in archive.infolist()}
        pickles = [name for name in entries if name.endswith("data.pkl") and name.count("/") <= 1]
        if len(pickles) != 1:
            raise NotInert("no data.pkl in it")
        folder = pickles[0].removesuffix("data.pkl")

        def content(name: str, most: int) -> bytes:
            member = entries[folder + name]
            if member.compress_type != zipfile.ZIP_STORED or member.file_size > most or member.flag_bits & 1:
                raise NotInert(f"{member.filename!r} is compressed or too large")
            return archive.read(member)

        if folder + "byteorder" in entries and content("byteorder", 16) != b"little":
            raise NotInert("of a machine with the other byte order")
        kept: dict[str, torch.Tensor] = {}

        def storage(key: str, dtype: torch.dtype) -> torch.Tensor:
            if key not in kept:
                kept[key] = _flat(content(f"data/{key}", LARGEST), dtype)
            return kept[key]

        return _tensors(inert(io.BytesIO(content("data.pkl", LARGEST_PICKLE))), storage)


def _legacy(path: Path) -> dict[str, torch.Tensor]:
    """Four pickles (magic, protocol, machine, the tensors), one of the storages' keys, and the storages."""
    content = read_bytes(path, LARGEST)
    stream = io.BytesIO(content)
    magic, protocol, machine, found, keys = (inert(stream) for _ in range(5))
    if (magic, protocol) != (LEGACY_MAGIC, LEGACY_PROTOCOL):
        raise NotInert("not of torch.save")
    if not isinstance(machine, dict) or machine.get("little_endian") is not True or not isinstance(keys, list):
        raise NotInert("of a machine with the other byte order")
    types: dict[str, torch.dtype] = {}

    def note(key: str, dtype: torch.dtype) -> torch.Tensor:
        types[key] = dtype
        return torch.empty(0, dtype=dtype)

    _tensors(found, note, look_only=True)
    storages: dict[str, torch.Tensor] = {}
    at = stream.tell()
    for key in keys:
        count, dtype = int.from_bytes(content[at : at + 8], "little"), types[key]
        length = count * dtype.itemsize
        if length > len(content) - at - 8 or key in storages:
            raise NotInert("it ends too early")
        storages[key] = _flat(content[at + 8 : at + 8 + length], dtype)
        at += 8 + length
    return _tensors(found, lambda key, _: storages[key])


def _tensors(values: Any, storage: Storages, look_only: bool = False) -> dict[str, torch.Tensor]:
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise NotInert("holds something else than named tensors")
    found: dict[str, torch.Tensor] = {}
    size = 0
    for name, value in values.items():
        found[name] = _tensor(value, storage, look_only)
        size += found[name].nbytes
        if size > LARGEST:
            raise NotInert("its tensors share what they are made of, and are too large together")
    return found


def _tensor(value: Any, storage: Storages, look_only: bool) -> torch.Tensor:
    """What a note of a tensor, or of a parameter, stands for: a copy of its own."""
    wrong = NotInert("holds something else than named tensors")
    if isinstance(value, Call) and value.function == Name("torch._utils _rebuild_parameter") and value.arguments:
        value = value.arguments[0]
    if not isinstance(value, Call) or value.function != Name("torch._utils _rebuild_tensor_v2"):
        raise wrong
    if len(value.arguments) < 4:
        raise wrong
    where, offset, shape, strides = value.arguments[:4]
    identity = where.identity if isinstance(where, Persistent) else None
    if not isinstance(identity, tuple) or len(identity) < 3 or identity[0] != "storage":
        raise wrong
    dtype, key = _STORAGES.get(getattr(identity[1], "path", "").removeprefix("torch ")), identity[2]
    numbers = (offset, *shape, *strides) if isinstance(shape, tuple) and isinstance(strides, tuple) else (None,)
    if dtype is None or not isinstance(key, str) or not all(is_integer(number, 0, 2**40) for number in numbers):
        raise wrong
    flat = storage(key, dtype)
    if look_only:
        return flat
    if flat.dtype != dtype or len(shape) != len(strides) or len(shape) > 8:
        raise wrong
    last = offset + sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True))
    if math.prod(shape) > len(flat) or (math.prod(shape) and last >= len(flat)):
        raise NotInert("a tensor in it is larger than what it is made of")
    return flat.as_strided(shape, strides, offset).clone(memory_format=torch.contiguous_format)


def _flat(content: bytes, dtype: torch.dtype) -> torch.Tensor:
    if len(content) % dtype.itemsize:
        raise NotInert("a storage in it is no number of elements")
    return torch.frombuffer(bytearray(content), dtype=dtype) if content else torch.empty(0, dtype=dtype)
