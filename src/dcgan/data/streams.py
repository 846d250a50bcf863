"""Compressed files read a piece at a time, with no more memory than a piece, and members of a tar from such a stream.

Both are read here and not by `gzip`, `lzma` and `tarfile` because those believe their files: names in gzip headers are
read byte by byte in Python, an xz header of 30 bytes may ask for 4 GiB, a tar's long names and attributes for 8, and
old releases of tarfile look for attributes with expressions whose time is the square of their length.
"""

from __future__ import annotations

import bz2
import functools
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dcgan.errors import InputError
from dcgan.reading import size_text

MOST_RATIO, RATIO_FROM = 200, 64 * 2**20
"""How many times a stream, from so many bytes on, may be larger than what was read of its file: pictures hardly are."""
LZMA_MEMORY = 128 * 2**20
"""Bytes. `xz -9` wants 65 MiB."""
MOST_EMPTY = 1000
"""Parts of a compressed file in a row that hold nothing."""
LARGEST_EXTENSION = 2**16
"""Bytes of a long name, or of the attributes of one member, in a tar."""
MOST_FILES = 1_300_000
"""Files in an archive: ImageNet has 1.28 million. The list of so many in a zip takes 0.9 GB and 11 s."""
BLOCK = 512
_PIECE = 2**16

_DECODERS: dict[bytes, Callable[[], Any]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(31),
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\0": lambda: lzma.LZMADecompressor(memlimit=LZMA_MEMORY),
}


class DamagedTar(Exception):
    """What is no tar, or no whole one."""


def open_stream(path: Path, most_ratio: int = MOST_RATIO) -> IO[bytes]:
    """The content of a file, decompressed if it is gzip, bzip2 or xz, to be read from the front.

    Reading raises EOFError if it ends too early, and what the decoders raise; InputError if it is a bomb.
    """
    file = path.open("rb")
    start = file.read(6)
    file.seek(0)
    magic = next((magic for magic in _DECODERS if start.startswith(magic)), None)
    return file if magic is None else io.BufferedReader(_Decompressed(file, magic, most_ratio), _PIECE)


class _Decompressed(io.RawIOBase):
    """One or more compressed parts, one after the other, as their content."""

    def __init__(self, file: IO[bytes], magic: bytes, most_ratio: int) -> None:
        self._file, self._magic, self._most_ratio = file, magic, most_ratio
        self._decoder = _DECODERS[magic]()
        self._input, self._read, self._given, self._empty = b"", 0, 0, 0

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        """Fill a part of the buffer; 0 at the end."""
        piece = b""
        while not piece:
            if self._decoder.eof and not self._next_part():
                return 0
            piece = self._decode(len(buffer))
        self._given, self._empty = self._given + len(piece), 0
        if self._given > max(RATIO_FROM, self._most_ratio * self._read):
            raise InputError(f"a bomb: {size_text(self._read)} of it become more than {size_text(self._given)}")
        buffer[: len(piece)] = piece
        return len(piece)

    def _decode(self, most: int) -> bytes:
        hungry = getattr(self._decoder, "needs_input", True)  # zlib's gives back what it did not take
        if hungry and not self._input and not self._more():
            raise EOFError("it ends too early")
        piece = self._decoder.decompress(self._input if hungry else b"", most)
        self._input = getattr(self._decoder, "unconsumed_tail", b"")
        return piece

    def _next_part(self) -> bool:
        """Begin with the next part, if there is one; what else follows the last is ignored, as everybody does."""
        self._input = self._decoder.unused_data.lstrip(b"\0")
        while len(self._input) < len(self._magic):
            if not self._more():
                return False
            self._input = self._input.lstrip(b"\0")
        self._empty += 1
        if self._empty > MOST_EMPTY or not self._input.startswith(self._magic):
            return False
        self._decoder = _DECODERS[self._magic]()
        return True

    def _more(self) -> bool:
        piece = self._file.read(_PIECE)
        self._input, self._read = self._input + piece, self._read + len(piece)
        return bool(piece)


@dataclass(frozen=True)
class Member:
    """A regular file in a tar. `read` gives its content, or `crc` its CRC-32, while the iteration has not gone on."""

    name: str
    size: int
    mtime: float
    read: Callable[[], bytes]
    crc: Callable[[], int]


def is_tar(path: Path) -> bool:
    """Whether a file, compressed or not, begins like a tar."""
    try:
        with open_stream(path) as stream:
            return _is_header(stream.read(BLOCK))
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError):
        return False


def members(stream: IO[bytes]) -> Iterator[Member]:
    """The regular files of a tar in order: old, POSIX and GNU; links, devices and sparse files are left out.

    Raises DamagedTar, also where it ends in the middle, InputError for more than `MOST_FILES`, and what reading raises.
    """
    names: dict[str, str] = {}  # what headers before a member say of it
    for _ in range(MOST_FILES * 4):
        block = stream.read(BLOCK)
        if not block.strip(b"\0"):
            return
        if not _is_header(block):
            raise DamagedTar("it is damaged, or no tar")
        size, kind = _number(block[124:136]), block[156:157]
        if kind in (b"L", b"K", b"x", b"g", b"X"):
            if size > LARGEST_EXTENSION:
                raise DamagedTar("a name or attributes in it are too long")
            content = _content(stream, size)
            if kind == b"L":
                names["path"] = _text(content)
            elif kind in (b"x", b"X"):
                names |= _attributes(content)
            continue
        name = names.get("path") or _name(block)
        size = _decimal(names.get("size")) or size
        regular = kind in (b"0", b"\0", b"7") and not name.endswith("/")
        if regular and not any(key.startswith("GNU.sparse") for key in names):
            done = [False]

            def read(size: int = size, done: list[bool] = done) -> bytes:
                done[0] = True
                return _content(stream, size)

            def crc(size: int = size, done: list[bool] = done) -> int:
                done[0] = True
                return functools.reduce(lambda crc, piece: zlib.crc32(piece, crc), _pieces(stream, size), 0)

            yield Member(name, size, float(_number(block[136:148])), read, crc)
            if not done[0]:
                _skip(stream, size)
        elif kind not in b"123456":  # links, devices and folders have no content
            _skip(stream, size)
        names = {}
    raise InputError(f"holds more than {MOST_FILES:,} files")


def _is_header(block: bytes) -> bool:
    if len(block) < BLOCK:
        return False
    try:
        stated = _number(block[148:156])
    except DamagedTar:
        return False
    return stated == sum(block) - sum(block[148:156]) + 8 * 32


def _number(field: bytes) -> int:
    """Octal digits, or, after a byte 0x80, an integer of many bytes."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    if field[0] == 0xFF:
        raise DamagedTar("a length in it is negative")
    digits = field.split(b"\0")[0].strip()
    try:
        return int(digits or b"0", 8)
    except ValueError:
        raise DamagedTar("a number in it is none") from None


def _name(block: bytes) -> str:
    prefix = _text(block[345:500]) if block[257:263] == b"ustar\0" else ""
    return f"{prefix}/{_text(block[:100])}" if prefix else _text(block[:100])


def _text(field: bytes) -> str:
    return field.split(b"\0")[0].decode("utf-8", "surrogateescape")


def _attributes(content: bytes) -> dict[str, str]:
    """POSIX's "length key=value" lines, of which only some are of interest."""
    found, at = {}, 0
    while at < len(content) and content[at]:
        digits = content[at : at + 8].split(b" ")[0]
        length = _decimal(digits.decode("latin-1"))
        if not length or length <= len(digits) + 1:
            raise DamagedTar("attributes in it are damaged")
        key, _, value = content[at + len(digits) + 1 : at + length - 1].partition(b"=")
        if key in (b"path", b"size") or key.startswith(b"GNU.sparse"):
            found[key.decode("latin-1")] = value.decode("utf-8", "surrogateescape")
        at += length
    return found


def _decimal(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 20 else 0


def _content(stream: IO[bytes], size: int) -> bytes:
    """So many bytes, and away with what fills up their last block; memory is taken for what is there."""
    return b"".join(_pieces(stream, size))


def _skip(stream: IO[bytes], size: int) -> None:
    for _ in _pieces(stream, size):
        pass


def _pieces(stream: IO[bytes], size: int) -> Iterator[bytes]:
    left = size
    while left:
        piece = stream.read(min(left, 2**20))
        if not piece:
            raise DamagedTar("it ends too early")
        left -= len(piece)
        yield piece
    stream.read(-size % BLOCK)
