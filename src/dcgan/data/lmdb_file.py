"""Values in an LMDB file, as LSUN is published, read without the library, which trusts its files.

The library maps the file and follows whatever page numbers it finds: a file of 12 KB ended the process with a bus
error. Here every offset and length is compared with the file first. The layout is LMDB 0.9's for 64-bit
little-endian machines (its lmdb.h and mdb.c): pages of a B+tree, named by number, with nodes in leaves.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dcgan.reading import open_regular

MAGIC, VERSION = 0xBEEFC0DE, 1
BRANCH, LEAF, OVERFLOW = 1, 2, 4
ELSEWHERE = 1
"""Flag of a node whose value is on pages of its own."""
DEEPEST = 32
LARGEST_FILE = 2**44
_NO_PAGE = 2**64 - 1
_META = struct.Struct("<16xII16xI44x32xQQ8xQ")
"""Magic, version, size of a page (kept with the tree of free pages); entries and root of the main tree; transaction."""
_PAGE, _NODE = struct.Struct("<QHHHH"), struct.Struct("<HHHH")
_HEAD = 16


class DamagedDatabase(Exception):
    """What is no LMDB file, or contradicts itself."""


@dataclass(frozen=True)
class Place:
    """Where a value is."""

    key: bytes
    offset: int
    length: int


@dataclass(frozen=True)
class Database:
    """The main tree of an LMDB file, as its newest facts have it."""

    path: Path
    size: int
    """Bytes of the file."""
    page_size: int
    root: int
    entries: int

    def places(self) -> Iterator[Place]:
        """Where each value is, in the order of the keys. Raises DamagedDatabase, also after some."""
        if self.root == _NO_PAGE or not self.entries:
            return
        seen = given = 0
        with open_regular(self.path, LARGEST_FILE) as file:
            pending = [(self.root, 1)]
            while pending:
                number, depth = pending.pop()
                seen += 1
                if depth > DEEPEST or seen > self.size // self.page_size:
                    raise DamagedDatabase("its pages lead round in circles")
                page = self._page(file, number)
                flags, nodes = page[10] | page[11] << 8, self._nodes(page)
                if flags & BRANCH:
                    children = [lo | hi << 16 | top << 32 for lo, hi, top, _, _ in nodes]
                    pending += [(child, depth + 1) for child in reversed(children)]
                elif flags & LEAF:
                    for node in nodes:
                        given += 1
                        if given > self.entries:
                            raise DamagedDatabase("it holds more than it says")
                        yield self._place(file, number, page, node)
                else:
                    raise DamagedDatabase("a page of it is of another kind")

    def _page(self, file: IO[bytes], number: int) -> bytes:
        offset = number * self.page_size
        if offset + self.page_size > self.size:
            raise DamagedDatabase("a page of it is not in the file")
        file.seek(offset)
        page = file.read(self.page_size)
        if len(page) < self.page_size:
            raise DamagedDatabase("it ends too early")
        return page

    def _nodes(self, page: bytes) -> list[tuple[int, int, int, int, int]]:
        """Low and high half of the size, flags, length of the key and offset of each node of a page."""
        _, _, _, lower, _ = _PAGE.unpack_from(page)
        count = (lower - _HEAD) // 2
        if not 0 < count <= (len(page) - _HEAD) // 2:
            raise DamagedDatabase("a page of it has no nodes")
        found = []
        for (at,) in struct.iter_unpack("<H", page[_HEAD : _HEAD + 2 * count]):
            if not lower <= at <= len(page) - _NODE.size:
                raise DamagedDatabase("a node of it is not in its page")
            low, high, flags, key = _NODE.unpack_from(page, at)
            if at + _NODE.size + key > len(page):
                raise DamagedDatabase("a key of it is not in its page")
            found.append((low, high, flags, key, at))
        return found

    def _place(self, file: IO[bytes], number: int, page: bytes, node: tuple[int, int, int, int, int]) -> Place:
        low, high, flags, length, at = node
        begin, size = at + _NODE.size, low | high << 16
        key, value = page[begin : begin + length], begin + length
        offset = number * self.page_size + value
        if flags & ELSEWHERE:
            if value + 8 > len(page):
                raise DamagedDatabase("a value of it is not in its page")
            (elsewhere,) = struct.unpack_from("<Q", page, value)
            if not self._page(file, elsewhere)[10] & OVERFLOW:
                raise DamagedDatabase("a value of it is on a page of another kind")
            offset = elsewhere * self.page_size + _HEAD
        elif flags or value + size > len(page):
            raise DamagedDatabase("a value of it is not in its page")
        if offset + size > self.size:
            raise DamagedDatabase("a value of it is not in the file")
        return Place(key, offset, size)


def open_database(path: Path) -> Database:
    """The database in the file `data.mdb` of a folder. Raises DamagedDatabase, and InputError if it cannot be read."""
    file_path = path / "data.mdb"
    with open_regular(file_path, LARGEST_FILE) as file:
        size = file_path.stat().st_size
        found = [_facts(file.read(_META.size))]
        page_size = found[0][1]
        if not 512 <= page_size <= 65_536 or page_size & (page_size - 1):
            raise DamagedDatabase("its pages have an impossible size")
        file.seek(page_size)
        found.append(_facts(file.read(_META.size)))
    _, _, root, entries = max(found)
    if entries > size // 8:  # a node has 8 bytes besides its key
        raise DamagedDatabase("it is too short for its entries")
    return Database(file_path, size, page_size, root, entries)


def _facts(start: bytes) -> tuple[int, int, int, int]:
    """Number of the transaction, size of a page, root and entries, from one of the two first pages."""
    if len(start) < _META.size:
        raise DamagedDatabase("it ends too early")
    magic, version, page_size, entries, root, transaction = _META.unpack(start)
    if magic != MAGIC or version != VERSION:
        raise DamagedDatabase("it is no LMDB file of version 1")
    return transaction, page_size, root, entries
