"""Every kind of picture, and what hostile and broken files come to."""

import contextlib
import io
import struct
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from dcgan.data import decode as decoding
from dcgan.data.decode import BadImage, decode, open_image, upright_size
from tests.data.samples import noise

ORIENTATION = 0x0112


def encoded(image, format="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def through(image, size, channels, format="PNG", resample="lanczos", **options):
    return decode(open_image(encoded(image, format, **options)), size, channels, resample)


def png_header(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("resample", ["lanczos", "bicubic", "bilinear", "nearest"])
def test_exact_size_is_not_resampled(resample):
    pixels = noise(9, 7, 3)
    assert np.array_equal(through(Image.fromarray(pixels), (9, 7), 3, resample=resample), pixels)


def test_bilinear_equals_torchvision_resize():
    transforms = pytest.importorskip("torchvision.transforms")
    grey = Image.fromarray(noise(28, 28))
    expected = np.asarray(transforms.Resize(32)(grey))
    assert np.array_equal(decode(grey, (32, 32), 1, "bilinear")[..., 0], expected)


def test_centre_crop_keeps_the_aspect_ratio():
    pixels = np.zeros((10, 30), np.uint8)
    pixels[:, 10:20] = 200
    assert np.array_equal(through(Image.fromarray(pixels), (10, 10), 1)[..., 0], pixels[:, 10:20])
    small = through(Image.fromarray(pixels.T.copy()), (5, 5), 1, resample="nearest")
    assert np.array_equal(small, np.full((5, 5, 1), 200))


def test_shrinking_is_antialiased():
    checks = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    assert np.ptp(decode(Image.fromarray(checks), (8, 8), 1).astype(int)) < 40


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_modes(mode, channels):
    colour = Image.new("RGB", (6, 4), (255, 255, 255))
    image = decode(colour.convert(mode), (4, 6), channels)
    assert image.shape == (4, 6, channels)
    assert image.dtype == np.uint8
    assert image.min() >= 253


def test_cmyk_jpeg_and_tiff():
    red = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    for format in ("JPEG", "TIFF"):
        pixel = through(red, (8, 8), 3, format)[4, 4].astype(int)
        assert abs(pixel - [255, 0, 0]).max() < 6


@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_sixteen_bits_are_scaled_not_clipped(dtype):
    values = np.array([[0, 128, 129, 257], [1000, 32768, 65534, 65535]], dtype)
    expected = np.rint(values.astype(float) / 257).astype(np.uint8)
    for format in ("PNG", "TIFF"):
        assert np.array_equal(through(Image.fromarray(values), (2, 4), 1, format)[..., 0], expected)
    assert np.array_equal(decode(Image.fromarray(values), (2, 4), 3)[..., 2], expected)


def test_big_endian_tiff_file():
    values = (np.arange(6).reshape(2, 3) * 13000).astype(">u2")
    tags = [(256, 3), (257, 2), (258, 16), (259, 1), (262, 1), (273, 8), (277, 1), (278, 2), (279, 12)]
    entries = b"".join(struct.pack(">HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    directory = struct.pack(">H", len(tags)) + entries + bytes(4)
    image = open_image(b"MM\0*" + struct.pack(">I", 20) + values.tobytes() + directory)
    assert image.mode == "I;16B"
    assert np.array_equal(decode(image, (2, 3), 1)[..., 0], np.rint(values / 257).astype(np.uint8))


def test_thirty_two_bit_integers_and_floats():
    whole = np.array([[0, 257, 65535]], np.int32)
    assert decode(Image.fromarray(whole), (1, 3), 1).ravel().tolist() == [0, 1, 255]
    floats = np.array([[0, 0.5, 1]], np.float32)
    assert through(Image.fromarray(floats), (1, 3), 1, "TIFF").ravel().tolist() == [0, 128, 255]


@pytest.mark.parametrize("values", [[[0, 70000]], [[-1, 3]]])
def test_integers_out_of_range(values):
    with pytest.raises(BadImage, match="outside 0 to 65535"):
        decode(Image.fromarray(np.array(values, np.int32)), (1, 2), 1)


@pytest.mark.parametrize("values", [[[0, 1.5]], [[-0.1, 1]], [[0, np.nan]]])
def test_floats_out_of_range(values):
    with pytest.raises(BadImage, match="outside"):
        decode(Image.fromarray(np.array(values, np.float32)), (1, 2), 1)


def test_transparency_is_laid_on_white_or_kept():
    pixels = np.array([[[255, 0, 0, 255], [0, 0, 0, 0], [0, 0, 0, 128]]], np.uint8)
    flat = through(Image.fromarray(pixels), (1, 3), 3)
    assert flat[0, 0].tolist() == [255, 0, 0]
    assert flat[0, 1].tolist() == [255] * 3
    assert abs(int(flat[0, 2, 0]) - 127) <= 1
    assert np.array_equal(through(Image.fromarray(pixels), (1, 3), 4), pixels)
    grey = Image.merge("LA", [Image.new("L", (2, 2), 0), Image.new("L", (2, 2), 0)])
    assert (through(grey, (2, 2), 1) == 255).all()


def test_palette_and_colour_key_transparency():
    palette = Image.new("P", (2, 1))
    palette.putpalette([0, 0, 255, 255, 0, 0])
    palette.putdata([0, 1])
    assert through(palette, (1, 2), 3).tolist() == [[[0, 0, 255], [255, 0, 0]]]
    for transparency in (0, bytes([0, 255])):
        assert through(palette, (1, 2), 3, transparency=transparency).tolist() == [[[255] * 3, [255, 0, 0]]]
    assert through(palette, (1, 2), 4, transparency=0)[0, :, 3].tolist() == [0, 255]
    keyed = through(Image.new("RGB", (2, 2), (1, 2, 3)), (2, 2), 3, transparency=(1, 2, 3))
    assert (keyed == 255).all()
    deep = Image.fromarray(np.array([[1000, 1001, 65535]], np.uint16))
    assert through(deep, (1, 3), 1, transparency=1000).ravel().tolist() == [255, 4, 255]
    assert through(deep, (1, 3), 4, transparency=1000)[0, :, 3].tolist() == [0, 255, 255]


def test_exif_after_the_pixels_of_a_png():
    pixels, exif = noise(9, 6, 3), Image.Exif()
    exif[ORIENTATION] = 6
    content = encoded(Image.fromarray(pixels), exif=exif)
    start = content.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(content[start : start + 4], "big")
    late = content[:start] + content[end:-12] + content[start:end] + content[-12:]
    assert np.array_equal(decode(open_image(late), None, 3), np.rot90(pixels, -1))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(format, orientation):
    pixels = np.zeros((32, 64), np.uint8)
    pixels[:16, :32] = 250
    turned = {
        **{1: pixels, 2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1]},
        **{5: pixels.T, 6: pixels[::-1].T, 7: pixels[::-1, ::-1].T, 8: pixels[:, ::-1].T},
    }[orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    colour = Image.fromarray(pixels).convert("RGB")
    options = {"lossless": True} if format == "WEBP" else {}
    image = open_image(encoded(colour, format, exif=exif, **options))
    assert upright_size(image) == turned.shape
    upright = decode(image, turned.shape, 1)[..., 0]
    assert abs(upright.astype(int) - turned).max() < 8


@pytest.mark.filterwarnings("ignore")
def test_broken_exif_turns_nothing():
    image = open_image(encoded(Image.new("L", (8, 4), 9), "JPEG", exif=b"Exif\0\0rubbish"))
    assert upright_size(image) == (4, 8)
    assert decode(image, (4, 8), 1).shape == (4, 8, 1)


def test_exif_that_pillow_cannot_parse(monkeypatch):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    image = open_image(encoded(Image.new("L", (8, 4), 9), "JPEG", exif=exif))

    def unparsable(self):
        raise SyntaxError("not a TIFF file")

    monkeypatch.setattr(Image.Image, "getexif", unparsable)  # older releases of Pillow raise for damaged EXIF
    assert upright_size(image) == (4, 8)
    assert decode(image, (4, 8), 1).shape == (4, 8, 1)


def test_huge_jpegs_are_decoded_small_but_never_below_twice_the_target():
    image = open_image(encoded(Image.new("RGB", (1600, 1000)), "JPEG"))
    decode(image, (100, 50), 3)
    assert image.size == (400, 250)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    image = open_image(encoded(Image.new("RGB", (1600, 400)), "JPEG", exif=exif))
    decode(image, (400, 100), 3)  # upright it is 1600 high and 400 wide: half is just enough
    assert image.size == (200, 800)


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    for format in ("GIF", "WEBP"):
        extra = {"lossless": True} if format == "WEBP" else {}
        image = open_image(encoded(frames[0], format, save_all=True, append_images=frames[1:], **extra))
        assert getattr(image, "n_frames", 1) == 2
        assert decode(image, (4, 4), 3)[0, 0].tolist() == [255, 0, 0] or format == "WEBP"


def test_gigantic_picture_is_refused_fast_and_in_little_memory():
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(BadImage, match="million pixels"):
        open_image(png_header(50_000, 50_000))
    assert time.perf_counter() - start < 1
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


@pytest.mark.filterwarnings("ignore")
def test_picture_just_above_the_limit(tmp_path):
    (tmp_path / "big.png").write_bytes(png_header(8_193, 8_192))
    with pytest.raises(BadImage, match=r"more than 67\.1 million pixels"):  # Pillow alone would only warn
        open_image(tmp_path / "big.png")


@pytest.mark.parametrize("content", [b"plain text", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"GIF89a"])
def test_not_a_picture(content):
    with pytest.raises(BadImage, match="not a picture"):
        open_image(content)


def test_empty_large_missing_and_irregular_files(tmp_path, monkeypatch):
    (tmp_path / "empty.png").touch()
    with pytest.raises(BadImage, match="empty file"):
        open_image(tmp_path / "empty.png")
    with pytest.raises(BadImage, match="not a regular file"):
        open_image(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_image(tmp_path / "none.png")
    monkeypatch.setattr(decoding, "MAX_FILE_BYTES", 2**20)
    with pytest.raises(BadImage, match="larger than 1 MiB"):
        open_image(bytes(2**20 + 1))


def test_disk_errors_are_not_the_picture_s_fault(monkeypatch):
    def denied(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image, "open", denied)
    with pytest.raises(PermissionError):
        open_image(b"x")
    monkeypatch.setattr(Image, "open", lambda *a, **k: (_ for _ in ()).throw(ValueError()))
    with pytest.raises(BadImage, match="ValueError"):
        open_image(b"x")


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
@pytest.mark.filterwarnings("ignore")  # Pillow's about broken files; the packer silences them
def test_every_truncation_is_a_bad_image_or_a_picture(format):
    whole = encoded(Image.fromarray(noise(40, 40, 3)), format)
    bad = 0
    for length in range(1, len(whole), max(1, len(whole) // 40)):
        try:
            picture = decode(open_image(whole[:length]), (40, 40), 3)
        except BadImage as error:
            bad += bool(str(error))
        else:
            assert picture.shape == (40, 40, 3)
    assert bad >= 20


@pytest.mark.filterwarnings("ignore")
def test_flipped_bytes_never_escape_as_another_error():
    rng = np.random.default_rng(1)
    for format in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"):
        whole = np.frombuffer(encoded(Image.fromarray(noise(16, 16, 3)), format), np.uint8)
        for _ in range(60):
            damaged = whole.copy()
            damaged[rng.integers(0, min(len(whole), 200), 4)] = rng.integers(0, 256, 4)
            with contextlib.suppress(BadImage):
                decode(open_image(damaged.tobytes()), (16, 16), 3)


@pytest.mark.parametrize("size", [(1, 1), (1, 997), (997, 1), (3, 2), (333, 100)])
def test_odd_shapes(size):
    assert decode(Image.new("RGB", size), (32, 32), 3).shape == (32, 32, 3)
