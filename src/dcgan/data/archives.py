"""Archives that may be damaged or mean harm: what a zip may be, and what is raised for one that cannot be read."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from pathlib import Path

from PIL import Image

from dcgan.data import decode
from dcgan.data.decode import BadImage, check_file_size, open_image
from dcgan.data.patience import is_fleeting
from dcgan.data.streams import MOST_FILES, MOST_RATIO, DamagedTar
from dcgan.errors import InputError

UNREADABLE = (  # what zipfile and the decoders raise for damaged archives
    *(OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, DamagedTar),
    *(NotImplementedError, struct.error, UnicodeDecodeError, OverflowError, RuntimeError),
)
LARGEST_DIRECTORY = 256 * 2**20
"""Bytes of a zip's list of members."""
_END = 22
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)  # LZMA's take memory on the word of the file
_RATIO_FROM = 2**20


def reason(error: Exception) -> str:
    """What one of `UNREADABLE` says, in short: an `OSError` without its number and file name."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def check_directory(path: Path) -> None:
    """Raise InputError if a zip has too many members, before Python makes an object of each.

    Where the list of members begins and ends is found as `zipfile` does it.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        first = max(0, size - _END - 2**16)
        file.seek(first)
        tail = file.read()
        at = tail.rfind(b"PK\5\6")
        if at < 0 or len(tail) < at + _END:
            return  # no zip, as zipfile will say
        length, end = int.from_bytes(tail[at + 12 : at + 16], "little"), first + at
        if tail[max(0, at - 20) : at][:4] == b"PK\6\7":  # of more than 4 GiB, or 65,535 members
            end -= 20 + 56
            file.seek(max(0, end))
            length = int.from_bytes(file.read(56)[40:48], "little")
        if length > LARGEST_DIRECTORY:
            raise InputError(f"a list of members of more than {LARGEST_DIRECTORY // 2**20} MiB")
        file.seek(max(0, end - length))
        if file.read(min(length, size)).count(b"PK\1\2") > MOST_FILES:
            raise InputError(f"holds more than {MOST_FILES:,} files")


def load_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Image.Image:
    """A picture of a zip; raises BadImage, or the OSError of a drive that may come back."""
    if member.flag_bits & 1:
        raise BadImage("encrypted")
    if member.compress_type not in _METHODS:
        raise BadImage("compressed in a way that is not read here")
    check_file_size(member.file_size)
    if member.file_size > max(_RATIO_FROM, MOST_RATIO * member.compress_size):
        raise BadImage("a bomb: compressed more than a picture can be")
    try:
        with archive.open(member) as stream:
            content = stream.read(decode.MAX_FILE_BYTES + 1)  # the declared size may lie
    except (*UNREADABLE, ValueError) as error:
        if isinstance(error, OSError) and is_fleeting(error):
            raise
        raise BadImage(reason(error)) from None
    return open_image(content)
