"""What a picture's file asks of its decoder besides pixels, counted before Pillow reads it.

Pillow looks at padding and metadata byte by byte, or chunk by chunk, in Python: 8 MB of padding in a JPEG take it 8
seconds, 700,000 empty chunks of a PNG 4, and a file may be thirty times as large. What follows goes over the same
structure once, without decoding, and says why it is refused. Structure that is damaged is left to Pillow.
"""

from __future__ import annotations

import struct
from typing import IO

MOST_METADATA = 16 * 2**20
"""Bytes before the pixels: profiles, EXIF, comments, thumbnails."""
MOST_PADDING = 2**16
"""Bytes that belong to nothing."""
MOST_SEGMENTS = 2000
"""Pieces of metadata before the pixels."""
BYTES_A_CHUNK = 1024
"""A PNG has a chunk for so many bytes at most, and `MOST_SEGMENTS` more; encoders write 8,192 or more to a chunk."""
MOST_SCAN_PIXELS = 4_000_000_000
"""Passes over a progressive JPEG times its pixels: 40 of the largest picture; encoders make 10."""

_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # JPEG's markers without a length
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})


def excess(file: IO[bytes], length: int, most_pixels: int) -> str | None:
    """Why a picture of so many bytes is refused, from the start of the file; None if nothing is wrong with that."""
    start = file.read(30)
    file.seek(0)
    if start[:2] == b"\xff\xd8":
        return _jpeg(file)
    if start[:8] == b"\x89PNG\r\n\x1a\n":
        return _png(file, length)
    if start[:4] == b"GIF8":
        return _gif(file)
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return _webp(start, most_pixels)
    return None


def _jpeg(file: IO[bytes]) -> str | None:
    file.seek(2)
    segments = metadata = padding = pixels = components = 0
    progressive = False
    while True:
        byte = file.read(1)
        if byte != b"\xff":
            return None
        while (marker := file.read(1)) == b"\xff":
            padding += 1
            if padding > MOST_PADDING:
                return "more than 64 KiB of padding"
        if not marker or marker[0] == 0xD9:
            return None
        if marker[0] in _ALONE:
            padding += 2
            continue
        size = int.from_bytes(file.read(2), "big")
        segments, metadata = segments + 1, metadata + size
        if segments > MOST_SEGMENTS or metadata > MOST_METADATA or padding > MOST_PADDING:
            return "too much metadata before the pixels"
        body = file.read(size - 2) if size > 2 else b""
        if marker[0] in _FRAMES and len(body) >= 6:
            height, width, components = struct.unpack(">HHB", body[1:6])
            pixels, progressive = height * width, marker[0] in (0xC2, 0xC6, 0xCA, 0xCE)
        if marker[0] == 0xDA:
            if not progressive and body and body[0] >= components:
                return None  # one pass
            scans = 1 + _count(file, b"\xff\xda")
            return (
                None if scans * pixels <= MOST_SCAN_PIXELS else f"{scans:,} passes over {pixels / 1e6:.3g} megapixels"
            )


def _count(file: IO[bytes], what: bytes) -> int:
    """How often two bytes occur in the rest of a file."""
    found, last = 0, b""
    while piece := file.read(2**20):
        found += (last + piece).count(what)
        last = piece[-1:]
    return found


def _png(file: IO[bytes], length: int) -> str | None:
    file.seek(8)
    chunks = metadata = 0
    most, pixels_begin = MOST_SEGMENTS + length // BYTES_A_CHUNK, False
    while len(head := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        pixels_begin = pixels_begin or kind == b"IDAT"
        chunks, metadata = chunks + 1, metadata + (0 if pixels_begin else size)
        if chunks > most or metadata > MOST_METADATA:
            return "too many chunks" if chunks > most else "too much metadata before the pixels"
        if size > length:
            return None
        file.seek(size + 4, 1)
    return None


def _gif(file: IO[bytes]) -> str | None:
    head = file.read(13)
    if len(head) < 13:
        return None
    if head[10] & 0x80:
        file.seek(3 << ((head[10] & 7) + 1), 1)
    blocks = metadata = padding = 0
    while (kind := file.read(1)) not in (b"", b",", b";"):
        if kind != b"!":
            padding += 1
            if padding > MOST_PADDING:
                return "more than 64 KiB of padding"
            continue
        file.read(1)
        blocks += 1
        while size := file.read(1)[:1].rstrip(b"\0"):
            metadata += 1 + size[0]
            file.seek(size[0], 1)
            if metadata > MOST_METADATA:
                break
        if blocks > MOST_SEGMENTS or metadata > MOST_METADATA:
            return "too much metadata before the pixels"
    return None


def _webp(start: bytes, most_pixels: int) -> str | None:
    """Its canvas is allocated when it is opened."""
    kind, width, height = start[12:16], 0, 0
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(start[i : i + 3], "little") for i in (24, 27))
    elif kind == b"VP8L":
        bits = int.from_bytes(start[21:25], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif kind == b"VP8 ":
        width, height = (int.from_bytes(start[i : i + 2], "little") & 0x3FFF for i in (26, 28))
    return f"more than {most_pixels / 1e6:.3g} million pixels" if width * height > most_pixels else None
