"""Files from anybody, bounded and checked before anything is made of them: bytes, JSON, headers of safetensors.

Nothing here believes a file: not its name, not that it is a file at all, no length that it states. What is wrong with
it ends as an `InputError`; docs/security.md has the bounds in one table.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dcgan.errors import InputError, printable

LARGEST_JSON = 16 * 2**20
"""Bytes. In memory the worst of JSON, empty lists in a list, is some 25 times as large."""
DEEPEST_JSON = 32
LONGEST_INTEGER = 20
"""Digits and sign: seeds go up to 2^63."""
LARGEST_HEADER = 8 * 2**20
"""Bytes of the header of a safetensors file, the texts in it included."""
MOST_TENSORS = 10_000
LARGEST_TENSORS = 16 * 2**30
"""Bytes of a file of tensors: beyond what two of the largest networks take, with their averages and Adam's moments."""
DTYPES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I16": 2, "U8": 1, "I8": 1, "BOOL": 1}
"""Bytes of an element of each type that is read."""


def at_home(path: str | Path) -> Path:
    """The path with a leading ~ or ~user spelled out; a ~ that is nobody's stays, as part of a name."""
    return Path(os.path.expanduser(path))


def open_regular(path: Path, most: int) -> IO[bytes]:
    """Open a regular file of at most `most` bytes. A pipe would block for ever, and a device never end."""
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode) and status.st_size <= most:
            return path.open("rb")
    except (OSError, ValueError) as error:
        raise InputError(f"{printable(path)}: cannot be read ({_strerror(error)})") from error
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{printable(path)}: cannot be read (not a regular file)")
    raise InputError(f"{printable(path)}: larger than {size_text(most)}")


def read_bytes(path: Path, most: int) -> bytes:
    """The content of a regular file of at most `most` bytes."""
    with open_regular(path, most) as file:
        try:
            size = os.fstat(file.fileno()).st_size
            content = file.read(size + 1)  # a reader allocates what it is asked for
        except OSError as error:
            raise InputError(f"{printable(path)}: cannot be read ({_strerror(error)})") from error
    if len(content) > size:  # as those of /proc are
        raise InputError(f"{printable(path)}: cannot be read (larger than it says)")
    return content


def read_text(path: Path, most: int) -> str:
    """The same as text in UTF-8."""
    try:
        return read_bytes(path, most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{printable(path)}: is not text in UTF-8 ({error.reason})") from error


def read_json(path: Path, most: int = LARGEST_JSON) -> Any:
    """The value in a JSON file of at most `most` bytes; see `parse_json`."""
    text = read_text(path, most)
    try:
        return parse_json(text)
    except ValueError as error:
        raise InputError(f"{printable(path)}: not valid JSON ({printable(error)})") from error


def parse_json(text: str, nan: bool = False) -> Any:
    """The value that a JSON text stands for. Raises ValueError for all that is not strictly JSON.

    Also for integers of more than 20 digits, nesting beyond 32, and, unless `nan`, numbers that are not finite (1e999).
    """
    try:
        kinds: dict[str, Any] = {} if nan else {"parse_constant": _constant, "parse_float": _float}
        value = json.loads(text, parse_int=_integer, **kinds)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    level = [value]
    for _ in range(DEEPEST_JSON + 1):
        level = [inner for outer in level for inner in _inside(outer) if isinstance(inner, dict | list)]
        if not level:
            return value
    raise ValueError("nested too deeply")


@dataclass(frozen=True)
class Header:
    """What a safetensors file says that it holds."""

    tensors: dict[str, tuple[str, tuple[int, ...]]]
    """Name → type, one of `DTYPES`, and shape."""
    metadata: dict[str, str]


def read_header(path: Path, most: int = LARGEST_TENSORS) -> Header:
    """The header of a safetensors file, whose tensors fill the file exactly: nothing is allocated on its word.

    Raises InputError if it is damaged, a pickle, larger than `most` bytes, or no safetensors file at all.
    """
    with open_regular(path, most) as file:
        try:
            start = file.read(16)
            if start[:2] == b"PK" or (start[:1] == b"\x80" and start[8:9] != b"{"):
                raise InputError(
                    f"{printable(path)}: this is a pickle, as torch.save writes; loading one can run any program, "
                    "so dcgan never does"
                )
            size = path.stat().st_size
            length = int.from_bytes(start[:8], "little")
            if len(start) < 8 or length > min(LARGEST_HEADER, size - 8):
                raise ValueError("its header does not fit into it")
            file.seek(8)
            return _header(parse_json(file.read(length).decode("utf-8")), size - 8 - length)
        except InputError:
            raise
        except (OSError, ValueError, KeyError, TypeError) as error:
            what = error.strerror if isinstance(error, OSError) else error
            raise InputError(f"{printable(path)}: damaged or not a safetensors file ({printable(what)})") from error


def is_integer(value: Any, low: int = 0, high: int = 2**63 - 1) -> bool:
    """Whether a value from a file is an integer, and in [low, high]."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def is_number(value: Any) -> bool:
    """Whether a value from a file is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def size_text(count: int) -> str:
    """16777216 → "16 MiB"."""
    units = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
    unit, name = next(((n, name) for n, name in units if count >= n), (1, "bytes"))
    return f"{count / unit:.3g} {name}"


def _header(values: Any, available: int) -> Header:
    """Check what the header says against the bytes that follow it; ValueError says what is wrong."""
    if not isinstance(values, dict) or len(values) > MOST_TENSORS:
        raise ValueError(f"its header is no list of up to {MOST_TENSORS:,} tensors")
    metadata = values.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise ValueError("its metadata are no texts")
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {}
    pieces: list[tuple[int, int]] = []
    for name, facts in values.items():
        dtype, shape, (begin, end) = facts["dtype"], facts["shape"], facts["data_offsets"]
        if dtype not in DTYPES:
            raise ValueError(f"{name!r} is of type {str(dtype)[:20]!r}, which is not read here")
        if not _all_whole((*shape, begin, end)) or len(shape) > 8:
            raise ValueError(f"{name!r} has no shape or no place")
        if DTYPES[dtype] * math.prod(shape) != end - begin or max(shape, default=0) > available:
            raise ValueError(f"{name!r} is not as large as its shape says")
        tensors[name] = dtype, tuple(shape)
        pieces.append((begin, end))
    at = 0
    for begin, end in sorted(pieces):
        if begin != at:
            raise ValueError("its tensors overlap or leave gaps")
        at = end
    if at != available:
        raise ValueError(f"its tensors take {at:,} bytes, and there are {available:,}")
    return Header(tensors, metadata)


def _all_whole(values: Collection[Any]) -> bool:
    return all(is_integer(value, 0, 2**62) for value in values)


def _inside(value: Any) -> Collection[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is no finite number")
    return value


def _integer(text: str) -> int:
    if len(text) > LONGEST_INTEGER:
        raise ValueError(f"an integer of {len(text):,} digits")
    return int(text)


def _strerror(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
