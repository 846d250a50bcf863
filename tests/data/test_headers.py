"""What a picture asks of its decoder: pictures of every encoder here pass, and each bound is where it is said to be."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from dcgan.data import headers
from dcgan.data.decode import MAX_PIXELS, BadImage, open_image
from dcgan.data.headers import excess
from tests.hostile.pictures import chunk, encoded

LARGE = {"side": 400}


def refused(content):
    return excess(io.BytesIO(content), len(content), MAX_PIXELS)


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("PNG", {}),
        ("PNG", {"compress_level": 0}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True, "quality": 95}),
        ("JPEG", {"comment": b"x" * 60_000, "icc_profile": bytes(2_000_000)}),
        ("JPEG", {"restart_marker_blocks": 1}),
        ("GIF", {"comment": b"x" * 5000}),
        ("WebP", {}),
        ("WebP", {"lossless": True}),
        ("TIFF", {}),
        ("BMP", {}),
    ],
)
@pytest.mark.parametrize("side", [1, 400])
def test_pictures_of_encoders_pass(format, options, side):
    content = encoded(format, side, **options)
    assert refused(content) is None
    with open_image(content) as image:
        image.load()
        assert image.size == (side, side)


def test_animations_pass():
    frames = [Image.fromarray(np.full((20, 20, 3), i, np.uint8)) for i in (0, 100, 200)]
    for format in ("GIF", "PNG", "WebP"):
        buffer = io.BytesIO()
        frames[0].save(buffer, format, save_all=True, append_images=frames[1:], duration=100)
        assert refused(buffer.getvalue()) is None


def test_padding_of_a_jpeg():
    good = encoded("JPEG")
    assert refused(good[:2] + b"\xff" * 60_000 + good[2:]) is None
    assert refused(good[:2] + b"\xff" * 70_000 + good[2:]) == "more than 64 KiB of padding"


def test_passes_over_a_jpeg(monkeypatch):
    good = encoded("JPEG", 16, progressive=True)
    scans = good.count(b"\xff\xda")
    assert scans > 3
    monkeypatch.setattr(headers, "MOST_SCAN_PIXELS", 256 * scans)
    assert refused(good) is None
    monkeypatch.setattr(headers, "MOST_SCAN_PIXELS", 256 * scans - 1)
    assert refused(good) == f"{scans} passes over 0.000256 megapixels"
    assert refused(encoded("JPEG", 16)) is None  # one pass, however large


def test_chunks_of_a_png():
    good = encoded("PNG")
    many = headers.MOST_SEGMENTS - 10
    assert refused(good[:33] + chunk(b"abCd") * many + good[33:]) is None
    assert refused(good[:33] + chunk(b"abCd") * (many + 100) + good[33:]) == "too many chunks"
    assert refused(good[:33] + chunk(b"abCd", bytes(2**24)) + good[33:]) == "too much metadata before the pixels"


def test_extensions_of_a_gif():
    good = encoded("GIF")
    start = 13 + 3 * (2 << (good[10] & 7))
    for count, said in ((1000, None), (3000, "too much metadata before the pixels")):
        assert refused(good[:start] + b"!\xfe\x01x\0" * count + good[start:]) == said


@pytest.mark.parametrize("lossless", [True, False])
def test_the_canvas_of_a_webp_is_read_as_pillow_reads_it(lossless):
    for width, height in ((1, 1), (37, 300), (16383, 2)):
        buffer = io.BytesIO()
        Image.new("RGB", (width, height)).save(buffer, "WebP", lossless=lossless)
        content = buffer.getvalue()
        assert excess(io.BytesIO(content), len(content), width * height) is None
        assert "million pixels" in str(excess(io.BytesIO(content), len(content), width * height - 1))


def test_deep_pictures_may_have_half_the_pixels():
    def header(depth, colour, height):
        content = struct.pack(">IIBBBBB", 8192, height, depth, colour, 0, 0, 0)
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", content) + chunk(b"IDAT") + chunk(b"IEND")

    for depth, most in ((8, 8192), (16, 4096)):
        open_image(header(depth, 0, most)).close()
        with pytest.raises(BadImage, match="million pixels"):
            open_image(header(depth, 0, most + 1))
