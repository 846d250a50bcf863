"""Files → uint8 arrays: any picture that people keep on their disks.

Everything that a hostile or broken picture can do is met here. It ends as a `BadImage` with a short reason,
which the packer counts and lists.
"""

from __future__ import annotations

import contextlib
import io
import stat
import threading
from pathlib import Path

import numpy as np

# The plugins are named so that each is registered at import: Pillow otherwise loads all of its forty on the
# first picture that it does not know, in whichever thread meets it.
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from dcgan.data.headers import excess
from dcgan.data.patience import is_fleeting

MAX_PIXELS = 2**26
"""Of one picture; half as many of 16 or 32 bits. With transparency each takes 12 bytes on the way, else less."""
LARGE_PIXELS = 4_000_000
"""Beyond that, pictures are decoded one after the other, however many threads there are."""
MAX_FILE_BYTES = 128 * 2**20
RESAMPLING = {
    "lanczos": Image.Resampling.LANCZOS,
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "nearest": Image.Resampling.NEAREST,
}
GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N", "F"})

# Only what photographs come in: a file named .png never reaches the PostScript or PDF readers.
_FORMATS = tuple(
    plugin.format
    for plugin in (
        JpegImagePlugin.JpegImageFile,
        PngImagePlugin.PngImageFile,
        WebPImagePlugin.WebPImageFile,
        BmpImagePlugin.BmpImageFile,
        TiffImagePlugin.TiffImageFile,
        GifImagePlugin.GifImageFile,
    )
)
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_ORIENTATION = 0x0112
_one_large_at_a_time = threading.Lock()


class BadImage(Exception):
    """A picture that cannot be used; the message is a short reason without the file's name."""


def open_image(file: Path | bytes) -> Image.Image:
    """Open a picture's header; its pixels are decoded later, by whoever needs them.

    Raises `BadImage` when it is no picture, or too large to be decoded safely, and `OSError` when the file
    cannot be read.
    """
    if isinstance(file, Path):
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would block for ever
            raise BadImage("not a regular file")
        length = status.st_size
    else:
        length = len(file)
    check_file_size(length)
    with file.open("rb") if isinstance(file, Path) else io.BytesIO(file) as stream:
        problem = excess(stream, length, MAX_PIXELS)
    if problem:
        raise BadImage(problem)
    try:
        image = Image.open(file if isinstance(file, Path) else io.BytesIO(file), formats=_FORMATS)
    except UnidentifiedImageError:
        raise BadImage("not a picture, or in a format that is not read here") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadImage(_too_large()) from None
    except Exception as error:  # as in `decode`
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's answer, not the picture's
        raise BadImage(_reason(error)) from None
    most = MAX_PIXELS // 2 if _is_deep(image) else MAX_PIXELS
    if image.width * image.height > most:
        image.close()
        raise BadImage(_too_large(most))
    return image


def check_file_size(length: int) -> None:
    """Refuse empty files and those over `MAX_FILE_BYTES`."""
    if length == 0:
        raise BadImage("empty file")
    if length > MAX_FILE_BYTES:
        raise BadImage(f"larger than {MAX_FILE_BYTES / 2**20:.3g} MiB")


def upright_size(image: Image.Image) -> tuple[int, int]:
    """(height, width) of a picture as it is meant to be seen, from its header alone.

    A PNG may have its EXIF after the pixels: then, until they are loaded, as it lies.
    """
    return (image.width, image.height) if _on_its_side(image) else (image.height, image.width)


def decode(image: Image.Image, size: tuple[int, int] | None, channels: int, resample: str = "lanczos") -> np.ndarray:
    """A picture as uint8 (height, width, channels): turned upright, cropped at the centre, resized.

    The crop takes the largest area with the aspect ratio of `size` (height, width); crop and antialiased
    resize are one step, and a picture that already has the size is not resampled at all. With 1 or 3
    `channels` transparent pictures are laid on white; 4 keeps straight alpha. Of an animation the first
    frame counts. `size` None is the upright picture's own. Raises `BadImage` when the pixels cannot be
    decoded, and `OSError` when the drive does not answer.
    """
    try:
        if size is not None:
            # libjpeg can decode at 1/2, 1/4 or 1/8. Twice the target is left for the filter below to average.
            height, width = size
            image.draft(None, (2 * height, 2 * width) if _on_its_side(image) else (2 * width, 2 * height))
        with _one_large_at_a_time if image.width * image.height > LARGE_PIXELS else contextlib.nullcontext():
            image.load()
            if _orientation(image) != 1:
                ImageOps.exif_transpose(image, in_place=True)
            image = _in_mode(image, _MODES[channels])
            if size is not None:
                image = ImageOps.fit(image, (width, height), method=RESAMPLING[resample])
    except BadImage:
        raise
    except Exception as error:  # decoders raise SyntaxError, struct.error, IndexError, …
        if isinstance(error, OSError) and is_fleeting(error):
            raise
        raise BadImage(_reason(error)) from None
    return np.asarray(image).reshape(image.height, image.width, channels)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 for upright; unreadable EXIF turns nothing, as in browsers."""
    if "exif" not in image.info:
        return 1
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # SyntaxError, struct.error and others, depending on the damage
        return 1


def _on_its_side(image: Image.Image) -> bool:
    """Whether width and height trade places when upright; a TIFF's header already has them upright."""
    return image.format != "TIFF" and _orientation(image) in (5, 6, 7, 8)


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if _is_deep(image):
        image = _eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")  # palettes, colour keys and grey + alpha alike
        if mode != "RGBA":
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == mode else image.convert(mode)


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey (0…65535) or float grey (0…1) → "L", rounded; Pillow's own conversion clips at 255.

    "LA" where a PNG names a value that is transparent.
    """
    values = np.asarray(image)
    low, high = values.min(), values.max()
    if image.mode == "F":
        if not (low >= 0 and high <= 1):  # written so that NaN fails
            raise BadImage(f"float pixels outside [0, 1]: {low:.3g} to {high:.3g}")
        grey = np.rint(values * 255)
    else:
        if low < 0 or high > 65535:
            raise BadImage(f"integer pixels outside 0 to 65535: {low} to {high}")
        grey = (values.astype(np.uint32) + 128) // 257
    grey = Image.fromarray(grey.astype(np.uint8))
    key = image.info.get("transparency")
    return grey if key is None else Image.merge("LA", (grey, Image.fromarray((values != key).astype(np.uint8) * 255)))


def _is_deep(image: Image.Image) -> bool:
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def _too_large(most: int = MAX_PIXELS) -> str:
    return f"more than {most / 1e6:.3g} million pixels"


def _reason(error: Exception) -> str:
    return str(error)[:300] or type(error).__name__
