"""Malformed archives and sets of arrays: zip, tar, IDX, CIFAR-10, SVHN, CelebA, LSUN."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from tests.hostile.case import Case, Content, Write, bytes_of, files_of
from tests.hostile.pictures import encoded


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip in memory."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def header(name: bytes = b"a.png", size: bytes = b"00000000010\0", kind: bytes = b"0", prefix: bytes = b"") -> bytes:
    """A block of a tar with a right checksum, whatever else is wrong."""
    block = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + size.ljust(12, b"\0") + b"00000000000\0"
    block += b" " * 8 + kind + bytes(100) + b"ustar\x0000" + bytes(32 + 32 + 8 + 8) + prefix.ljust(155, b"\0")
    block = block.ljust(512, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


def archive_cases() -> Iterator[Case]:
    for name, content in _zips().items():
        yield Case("archive_zip", name, bytes_of(content))
    for name, content in _tars().items():
        yield Case("archive_tar", name, bytes_of(content))
    for name, content in _idx().items():
        yield Case("idx", name, bytes_of(content))


def _zips() -> dict[str, Content]:
    picture = encoded("PNG")
    good = zipped({"a.png": picture})
    end = good.rfind(b"PK\5\6")
    directory = good.rfind(b"PK\1\2")
    lzma_member = zipped({"a.png": picture}, zipfile.ZIP_LZMA)
    entry = good[directory:end]
    many = entry[:28] + b"\x01\0" + entry[30:46] + b"a" + entry[46 + 5 :]
    count = 1_300_001
    return {
        "zip-bomb": lambda: zipped({"a.png": bytes(200_000_000)}, zipfile.ZIP_DEFLATED),
        "zip-bomb-small": zipped({"a.png": bytes(5_000_000)}, zipfile.ZIP_DEFLATED),
        "zip-lzma": lzma_member,
        "zip-lzma-dictionary": lzma_member.replace(b"\x5d\0\0\x80\0", b"\x5d\xff\xff\xff\xff"),
        "zip-cut": good[: len(good) // 2],
        "zip-no-directory": good[:directory],
        "zip-end-only": good[end:],
        "zip-directory-far": good[: end + 16] + b"\xff\xff\xff\x7f" + good[end + 20 :],
        "zip-directory-large": good[: end + 12] + b"\xff\xff\xff\x7f" + good[end + 16 :],
        "zip-members": lambda: (
            good[:directory]
            + many * count
            + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 9, 9, len(many) * count, directory, 0)
        ),
        "zip-member-size": good[: directory + 24] + b"\xff\xff\xff\x7f" + good[directory + 28 :],
        "zip-member-offset": good[: directory + 42] + b"\xff\xff\xff\x7f" + good[directory + 46 :],
        "zip-over-each-other": good[:directory]
        + entry * 1000
        + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1000, 1000, len(entry) * 1000, directory, 0),
        "zip-method": good[: directory + 10] + b"\x63\0" + good[directory + 12 :],
        "zip-encrypted": good[: directory + 8] + b"\1\0" + good[directory + 10 :],
        "zip-checksum": good[: directory + 16] + b"abcd" + good[directory + 20 :],
        "zip-no-pictures": zipped({"../../etc/passwd": b"x", "a.sh": b"#!/bin/sh"}),
        "zip-hidden-pictures": zipped({"__MACOSX/a.png": picture, ".a.png": picture}),
        "zip64-directory": good[:end]
        + b"PK\6\6"
        + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 2**60, 2**60, 2**60, 0)
        + struct.pack("<4sIQI", b"PK\6\7", 0, end, 1)
        + b"PK\5\6"
        + b"\xff" * 16
        + b"\0\0",
    }


def _tars() -> dict[str, Content]:
    picture = encoded("PNG")
    member = header(size=b"%011o\0" % len(picture)) + padded(picture)
    link = io.BytesIO()
    with tarfile.open(fileobj=link, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo("a.png")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    xz = lzma.compress(member)
    # The dictionary of an xz block is told in its header, whose checksum has to be right again.
    block = bytearray(xz[12 : 12 + (xz[12] + 1) * 4])
    block[4] = 40  # 4 GiB
    block[-4:] = struct.pack("<I", zlib.crc32(bytes(block[:-4])))
    return {
        "tar-only-links": link.getvalue(),
        "tar-cut": member[:600],
        "tar-checksum": member[:150] + b"7" + member[151:],
        "tar-huge-member": header(size=b"77777777777\0") + b"x" * 1000,
        "tar-binary-size": header(size=b"\x80" + b"\0" * 3 + b"\x7f" * 8) + bytes(512),
        "tar-negative-size": header(size=b"\xff" * 12) + bytes(512),
        "tar-size-text": header(size=b"many\0") + bytes(512),
        "tar-long-name": header(kind=b"L", size=b"77777777777\0") + b"x" * 4096,
        "tar-attributes": header(kind=b"x", size=b"77777777777\0") + b"x" * 4096,
        "tar-attributes-digits": header(kind=b"x", size=b"%011o\0" % 60_000) + padded(b"9" * 60_000) + member[:600],
        "tar-attributes-length": header(kind=b"x", size=b"%011o\0" % 20)
        + padded(b"999999 path=a.png\n\n\n")
        + member[:512],
        "tar-attributes-size": header(kind=b"x", size=b"%011o\0" % 19)
        + padded(b"19 size=9999999999\n")
        + header()
        + bytes(512),
        "tar-attributes-chain": (header(kind=b"x", size=b"00000000000\0")) * 20_000,
        "tar-sparse": header(kind=b"S", size=b"00000000000\0") + bytes(1024),
        "tar-no-pictures": header(name=b"a.sh") + bytes(1024),
        "tar-gz-bomb": lambda: gzip.compress(header(size=b"%011o\0" % 2_000_000_000) + bytes(200_000_000), 9),
        "tar-gz-cut": gzip.compress(member)[:100],
        "tar-gz-name": b"\x1f\x8b\x08\x08" + bytes(6) + b"x" * 5_000_000,
        "tar-gz-empty-parts": lambda: gzip.compress(b"") * 100_000,
        "tar-gz-checksum": gzip.compress(member)[:-8] + bytes(8),
        "tar-xz-dictionary": xz[:12] + bytes(block) + xz[12 + len(block) :],
        "tar-xz-cut": xz[: len(xz) // 2],
        "tar-bz2-cut": b"BZh9" + bytes(100),
    }


def _idx() -> dict[str, Content]:
    def idx(shape: tuple[int, ...], content: bytes, kind: int = 8) -> bytes:
        return bytes([0, 0, kind, len(shape)]) + b"".join(struct.pack(">I", n) for n in shape) + content

    zeros = bytes(28 * 28)
    return {
        "idx-2-to-the-60": idx((2**20, 2**20, 2**20), b"1234567890"),
        "idx-most": idx((2**32 - 1,) * 4, b"x"),
        "idx-empty": idx((0, 28, 28), b""),
        "idx-short": idx((2, 28, 28), zeros),
        "idx-long": idx((1, 28, 28), zeros + b"x"),
        "idx-floats": idx((1, 2, 2), bytes(16), 13),
        "idx-no-pictures": idx((4,), b"abcd"),
        "idx-flat": idx((4, 4), bytes(16)),
        "idx-channels": idx((1, 4, 4, 2), bytes(32)),
        "idx-header-cut": b"\0\0\x08\x03\0\0",
        "idx-magic-only": b"\0\0\x08\x03",
        "idx-five-dimensions": idx((1, 1, 1, 1, 1), b"x"),
        "idx-gz-bomb": lambda: gzip.compress(idx((2**21, 32, 32), bytes(10_000_000)), 9),
        "idx-gz-lies": gzip.compress(idx((60_000, 28, 28), zeros)),
        "idx-gz-more": lambda: gzip.compress(idx((1, 28, 28), bytes(50_000_000))),
        "idx-gz-cut": gzip.compress(idx((1, 28, 28), os.urandom(784)))[:300],
        "idx-gz-checksum": gzip.compress(idx((1, 28, 28), zeros))[:-8] + bytes(8),
        "idx-gz-rubbish": b"\x1f\x8b" + bytes(range(200)),
        "idx-gz-name": b"\x1f\x8b\x08\x08" + bytes(6) + b"x" * 5_000_000,
    }


def published_cases() -> Iterator[Case]:
    """CIFAR-10 in both versions, SVHN, CelebA and LSUN."""
    for name, content in {
        "cifar-short": bytes(3000),
        "cifar-label": b"\x0a" + bytes(3072),
        "cifar-empty": b"",
        "cifar-large": bytes(2**26 + 3073),
    }.items():
        yield Case("cifar10", name, files_of({"cifar-10-batches-bin/data_batch_1.bin": content}))
    for name, content in _batches().items():
        batches = {f"cifar-10-batches-py/data_batch_{i}": content for i in range(1, 6)}
        yield Case("cifar10", name, files_of(batches))
    for name, mat in _mats().items():
        yield Case("svhn", name, files_of({"train_32x32.mat": mat}))
    lists = {
        "celeba-binary": bytes(range(256)) * 10,
        "celeba-large": b"a.png 0\n" * 2_200_000,
        "celeba-none": b"../../etc/passwd 0\n",
    }
    for name, content in lists.items():
        files = {"img_align_celeba/a.png": encoded("PNG"), "list_eval_partition.txt": content}
        yield Case("celeba", name, files_of(files))
    yield Case("celeba", "celeba-zip", files_of({"img_align_celeba.zip": b"PK\3\4 no zip"}))
    for name, content in _databases().items():
        yield Case("lsun", name, files_of({"bedroom_train_lmdb/data.mdb": content}))


class Trap:
    """What runs a program when a pickle of it is loaded."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("trapped",)


def _batches() -> dict[str, bytes]:
    program = b"cos\nsystem\n(S'touch trapped'\ntR."
    return {
        "cifar-program": program,
        "cifar-mkdir": pickle.dumps({"data": Trap(), "labels": [1]}),
        "cifar-no-array": pickle.dumps({"data": b"x" * 3072, "labels": [1]}),
        "cifar-no-dict": pickle.dumps([1, 2, 3]),
        "cifar-cut": pickle.dumps({"data": Trap(), "labels": [1] * 100})[:40],
        "cifar-mark": b"(" * 1_000_000,
        "cifar-memo": b"K\x01" + b"p0\ng0\n" * 100_000,
        "cifar-bytes": b"\x8e" + b"\xff" * 7 + b"\x7f.",
        "cifar-bytearray": b"\x96" + b"\xff" * 7 + b"\x7f.",
        "cifar-opcodes": b"N0" * 3_000_000 + b".",
    }


def _mats() -> dict[str, Content]:
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"

    def element(kind: int, content: bytes, size: int | None = None) -> bytes:
        return struct.pack("<II", kind, len(content) if size is None else size) + content + bytes(-len(content) % 8)

    def matrix(name: bytes, shape: tuple[int, ...], content: bytes, size: int | None = None, cls: int = 9) -> bytes:
        parts = element(6, struct.pack("<II", cls, 0)) + element(5, struct.pack(f"<{len(shape)}i", *shape))
        return element(14, parts + element(1, name) + element(2, content, size))

    pixels, labels = matrix(b"X", (32, 32, 3, 1), bytes(3072)), matrix(b"y", (1, 1), b"\x01")
    return {
        "mat-empty": b"",
        "mat-header": head,
        "mat-rubbish": head + b"\xff" * 100,
        "mat-cut": head + pixels[:1000],
        "mat-no-labels": head + pixels,
        "mat-labels-differ": head + pixels + matrix(b"y", (2, 1), b"\x01\x02"),
        "mat-shape": head + matrix(b"X", (2**30, 2**30, 3, 1), bytes(3072)) + labels,
        "mat-shape-negative": head + matrix(b"X", (-32, -32, 3, 1), bytes(3072)) + labels,
        "mat-size": head + matrix(b"X", (32, 32, 3, 1), bytes(3072), 2**32 - 8) + labels,
        "mat-bomb": lambda: head + element(15, zlib.compress(pixels[:-3072] + bytes(300_000_000), 9)) + labels,
        "mat-bomb-large": lambda: head + element(15, zlib.compress(bytes(540_000_000), 1)) + labels,
        "mat-zlib": head + element(15, b"not zlib at all") + labels,
        "mat-zlib-size": head + element(15, zlib.compress(pixels), 2**31) + labels,
        "mat-object": head + element(14, element(6, struct.pack("<II", 3, 0)) + bytes(64)) + labels,
        "mat-function": head + element(14, element(6, struct.pack("<II", 16, 0)) + bytes(64)) + labels,
        "mat-hdf5": b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(512) + b"\x89HDF\r\n\x1a\n" + bytes(100),
    }


def _databases() -> dict[str, bytes]:
    page = 4096

    def meta(root: int, entries: int = 1, depth: int = 1, version: int = 1, last: int = 3) -> bytes:
        """A page of facts: magic, version, address, map size, and two trees, of which the second is the main one."""
        free = struct.pack("<IHHQQQQQ", page, 0, 0, 0, 0, 0, 0, 2**64 - 1)
        main = struct.pack("<IHHQQQQQ", 0, 0, depth, 0, 1, 0, entries, root)
        body = struct.pack("<IIQQ", 0xBEEFC0DE, version, 0, 2**30) + free + main + struct.pack("<QQ", last, 1)
        return (struct.pack("<QHHI", 0, 0, 8, 0) + body).ljust(page, b"\0")

    def leaf(number: int, nodes: list[bytes], lower: int | None = None, flags: int = 2) -> bytes:
        offsets, at, body = [], page, b""
        for node in nodes:
            at -= len(node)
            offsets.append(at)
            body = node + body
        top = 16 + 2 * len(nodes) if lower is None else lower
        head = struct.pack("<QHHHH", number, 0, flags, top, at) + b"".join(struct.pack("<H", o) for o in offsets)
        return head + bytes(page - len(head) - len(body)) + body

    def node(key: bytes, value: bytes, size: int | None = None, flags: int = 0) -> bytes:
        length = len(value) if size is None else size
        content = struct.pack("<HHHH", length & 0xFFFF, length >> 16, flags, len(key)) + key + value
        return content + bytes(len(content) % 2)

    both = meta(2) * 2
    return {
        "mdb-empty": b"",
        "mdb-rubbish": bytes(range(256)) * 64,
        "mdb-magic": b"\xff" * 8192,
        "mdb-version": meta(2, version=9) * 2 + leaf(2, [node(b"a", b"x")]),
        "mdb-root-far": meta(2**40) * 2 + leaf(2, [node(b"a", b"x")]),
        "mdb-cut": meta(2)[:2000],
        "mdb-loop": meta(2, depth=9) * 2 + leaf(2, [node(b"a", b"", 2), node(b"b", b"", 2)], flags=1),
        "mdb-lower": both + leaf(2, [node(b"a", b"x")], lower=65_535),
        "mdb-value-long": both + leaf(2, [node(b"a", b"x", 2**31)]),
        "mdb-overflow-far": both + leaf(2, [node(b"a", struct.pack("<Q", 2**50), 2**20, 1)]),
        "mdb-overflow-long": both + leaf(2, [node(b"a", struct.pack("<Q", 3), 2**31, 1)]) + bytes(page),
        "mdb-no-leaf": both + leaf(2, [node(b"a", b"x")], flags=4),
    }


def names_case(reader: str, name: str, file: str) -> Case:
    """A folder with a good picture and a broken one whose name drives a terminal."""

    def write(path: Path) -> None:
        files: Write = files_of({"a.png": encoded("PNG"), file: b"broken"})
        files(path)

    return Case(reader, name, write)
