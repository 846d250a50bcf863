"""Malformed pictures. Each lies beside a good one and has to be left out and counted."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from tests.hostile.case import Case, bytes_of

Chunks = list[tuple[bytes, bytes]]


def encoded(format: str, side: int = 8, **options: object) -> bytes:
    """A picture of noise as the bytes of a file."""
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format, **options)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes = b"", crc: int | None = None) -> bytes:
    """A chunk of a PNG."""
    check = zlib.crc32(kind + content) if crc is None else crc
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def png(width: int, height: int, depth: int = 8, colour: int = 2, pixels: bytes = b"", more: bytes = b"") -> bytes:
    """A PNG with any header, compressed pixels, and chunks between them."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + more + chunk(b"IDAT", pixels) + chunk(b"IEND")


def tiff(entries: list[tuple[int, int, int, int]], order: str = "<", count: int | None = None) -> bytes:
    """A TIFF of one directory of (tag, type, count, value)."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    body = b"".join(struct.pack(order + "HHII", *entry) for entry in entries)
    return head + struct.pack(order + "H", len(entries) if count is None else count) + body + bytes(4)


def _segment(kind: int, content: bytes) -> bytes:
    return bytes([0xFF, kind]) + struct.pack(">H", len(content) + 2) + content


def _progressive(side: int, scans: int) -> bytes:
    content = encoded("JPEG", 16, progressive=True)
    at = content.rfind(b"\xff\xda")
    frame = content.find(b"\xff\xc2")
    sized = content[: frame + 5] + struct.pack(">HH", side, side) + content[frame + 9 : -2]
    return sized + content[at:-2] * scans + b"\xff\xd9"


def picture_cases() -> Iterator[Case]:
    """Bombs, lies, absurd sizes, endless metadata, and good pictures cut short."""
    for name, content in (_pngs() | _jpegs() | _gifs() | _tiffs() | _others()).items():
        yield Case("picture", name, bytes_of(content))
    for format in ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WebP"):
        whole = encoded(format, 32)
        for share in (0.0, 0.02, 0.1, 0.5):
            yield Case("picture", f"{format.lower()}-cut-at-{share:.0%}", bytes_of(whole[: int(len(whole) * share)]))


def _pngs() -> dict[str, bytes]:
    zeros, good = zlib.compress(bytes(10_000_000)), encoded("PNG")
    return {
        "png-2-billion": png(2**31 - 1, 2**31 - 1),
        "png-no-width": png(0, 8),
        "png-bomb": png(60_000, 60_000, pixels=zeros),
        "png-just-too-large": png(8193, 8192, pixels=zeros),
        "png-deep-just-too-large": png(8192, 4097, 16, 0, pixels=zeros),
        "png-wide": png(2**31 - 1, 1, pixels=zeros),
        "png-no-pixels": png(32, 32),
        "png-short-pixels": png(32, 32, pixels=zlib.compress(bytes(50))),
        "png-colour": png(8, 8, colour=5, pixels=zeros),
        "png-depth": png(8, 8, depth=7, pixels=zeros),
        "png-text-bomb": png(
            8, 8, pixels=zeros, more=chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(50_000_000)))
        ),
        "png-itxt-bomb": png(
            8, 8, pixels=zeros, more=chunk(b"iTXt", b"XML\0\1\0\0\0" + zlib.compress(bytes(50_000_000)))
        ),
        "png-endless-texts": png(8, 8, pixels=zeros, more=chunk(b"tEXt", b"a\0" + b"x" * 900_000) * 20),
        "png-chunks": good[:33] + chunk(b"abCd") * 300_000 + good[33:],
        "png-empty-pixels": good[:33] + chunk(b"IDAT") * 300_000 + good[33:],
        "png-no-header": b"\x89PNG\r\n\x1a\n" + chunk(b"IDAT", zeros),
        "png-header-short": b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", b"\0\0\0\x08"),
        "png-checksum": good[:29] + b"\0\0\0\0" + good[33:],
        "png-no-zlib": png(8, 8, pixels=b"not compressed at all"),
    }


def _jpegs() -> dict[str, bytes]:
    good = encoded("JPEG")
    frame = good.find(b"\xff\xc0")
    return {
        "jpeg-padding": good[:2] + b"\xff" * 5_000_000 + good[2:],
        "jpeg-comments": good[:2] + _segment(0xFE, b"") * 500_000 + good[2:],
        "jpeg-exif": good[:2] + _segment(0xE1, b"Exif\0\0" + bytes(65_000)) * 300 + good[2:],
        "jpeg-profile": good[:2] + _segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(65_000)) * 300 + good[2:],
        "jpeg-scans": _progressive(8000, 200),
        "jpeg-65535": good[: frame + 5] + b"\xff\xff\xff\xff" + good[frame + 9 :],
        "jpeg-no-height": good[: frame + 5] + b"\0\0\0\x08" + good[frame + 9 :],
        "jpeg-components": good[: frame + 9] + b"\xff" + good[frame + 10 :],
        "jpeg-no-tables": good[:2] + good[frame:],
        "jpeg-only-start": b"\xff\xd8\xff",
        "jpeg-only-markers": b"\xff\xd8" + b"\xff\xd0" * 100_000,
        "jpeg-segment-length": b"\xff\xd8\xff\xe0\xff\xff" + bytes(100),
    }


def _gifs() -> dict[str, bytes]:
    good = encoded("GIF")
    start = 13 + 3 * (2 << (good[10] & 7)) * bool(good[10] & 0x80)
    before, after = good[:start], good[start:]
    frame = b",\0\0\0\0\xff\xff\xff\xff\0\x08"
    return {
        "gif-65535": b"GIF89a\xff\xff\xff\xff\0\0\0" + frame + b"\0;",
        "gif-frame-outgrows": b"GIF89a\x01\0\x01\0\0\0\0" + frame + b"\x02\x4c\x01\0;",
        "gif-comments": before + b"!\xfe\x01x\0" * 500_000 + after,
        "gif-comment": before + b"!\xfe" + (b"\xff" + b"x" * 255) * 80_000 + b"\0" + after,
        "gif-padding": before + b"\x01" * 5_000_000 + after,
        "gif-no-frame": before + b";",
        "gif-short-table": b"GIF89a\x08\0\x08\0\xf7\0\0" + bytes(100),
        "gif-code-size": before + b",\0\0\0\0\x08\0\x08\0\0\xff\x01\0\0;",
    }


def _tiffs() -> dict[str, bytes]:
    plain = [(256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1)]
    huge = [(256, 4, 1, 2**31), (257, 4, 1, 2**31), *plain[2:]]
    strips = [(273, 4, 1, 8), (278, 4, 1, 8), (279, 4, 1, 64)]
    return {
        "tiff-huge": tiff([*huge, *strips]),
        "tiff-huge-big-endian": tiff([*huge, *strips], ">"),
        "tiff-strips-count": tiff([*plain, (273, 4, 2**30, 8), (279, 4, 2**30, 8)]),
        "tiff-strips-outside": tiff([*plain, (273, 4, 1, 2**31), (278, 4, 1, 8), (279, 4, 1, 64)]),
        "tiff-entries": tiff(plain, count=65_535),
        "tiff-no-directory": b"II*\0\xff\xff\xff\x7f",
        "tiff-itself": b"II*\0\0\0\0\0",
        "tiff-tiles": tiff([*plain, (322, 4, 1, 2**31), (323, 4, 1, 2**31), (324, 4, 1, 8), (325, 4, 1, 8)]),
        "tiff-lzw": tiff([*plain[:3], (259, 3, 1, 5), *plain[4:], *strips]) + bytes(range(64)),
        "tiff-jpeg": tiff([*plain[:3], (259, 3, 1, 7), *plain[4:], *strips]) + bytes(range(64)),
        "tiff-samples": tiff([*plain[:5], (277, 3, 1, 65_535), *strips]),
        "bigtiff": b"II+\0\x08\0\0\0" + b"\xff" * 8 + bytes(20),
    }


def _others() -> dict[str, bytes]:
    bmp, webp = encoded("BMP"), encoded("WebP", lossless=True)
    animated = b"RIFF\x40\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0" + b"\xff" * 6 + b"ANIM\6\0\0\0" + bytes(30)
    return {
        "bmp-huge": bmp[:18] + struct.pack("<ii", 2**31 - 1, 2**31 - 1) + bmp[26:],
        "bmp-negative": bmp[:18] + struct.pack("<ii", -8, 8) + bmp[26:],
        "bmp-offset": bmp[:10] + b"\xff\xff\xff\x7f" + bmp[14:],
        "bmp-header-size": bmp[:14] + b"\xff\xff\xff\x7f" + bmp[18:],
        "bmp-compression": bmp[:30] + b"\x63\0\0\0" + bmp[34:],
        "webp-canvas": animated,
        "webp-lossless-huge": webp[:21] + b"\xff\xff\xff\xff" + webp[25:],
        "webp-length": webp[:4] + b"\xff\xff\xff\xff" + webp[8:20],
        "webp-chunk": webp[:16] + b"\xff\xff\xff\x7f" + webp[20:],
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(x) run\n",
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "pdf": b"%PDF-1.4\n1 0 obj\n",
        "text": b"not a picture",
        "zeros": bytes(1000),
        "numpy": b"\x93NUMPY\x01\0v\0{'descr': '|O', 'fortran_order': False, 'shape': (9,)}",
        "pickle": b"\x80\x04cos\nsystem\n(S'touch trapped'\ntR.",
        "html": b"<!doctype html><title>404</title>",
    }
