"""Shards as any other data: counted, described, packed. Pictures are read where the index says that they lie."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from dcgan.config import DataConfig
from dcgan.data.decode import MAX_FILE_BYTES, check_file_size, open_image
from dcgan.data.patience import DataLost
from dcgan.data.shards.index import LABEL, NUMBER, OFFSET, SHARD, SIZE, Index, find_index, shards_of_folder
from dcgan.data.shards.pattern import expand, is_url
from dcgan.data.shards.remote import cache_bytes
from dcgan.data.source import Item, Source, called, describe
from dcgan.errors import InputError, printable, typed

SAMPLE = 20_000
"""Pictures of a stream that stand for all of it where a whole set is wanted: its classes, references of metrics."""
WAITS = (0.5, 2.0, 8.0)
"""Seconds before the second, third and fourth try to read a shard."""


@dataclass(frozen=True, eq=False)
class ShardSource:
    """Pictures in tars. `rows` of the index, or all. The fingerprint is the index and the shards' sizes and stamps."""

    pattern: str
    index: Index
    rows: np.ndarray | None = None
    sequential = False

    @property
    def name(self) -> str:
        words = re.findall(r"[a-z0-9]+", re.sub(r"\{.*?\}|\.tar$|\*", " ", self.pattern.rsplit("/", 1)[-1].lower()))
        return "-".join(words) or "shards"

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.index.class_names

    @property
    def remote(self) -> bool:
        return is_url(self.pattern)

    @property
    def description(self) -> str:
        return self._described(self.pattern)

    @property
    def shared(self) -> str:
        return self._described(called(self.pattern))

    def _described(self, place: str) -> str:
        kind = f"{len(self.index.shards):,} shard{'s' * (len(self.index.shards) != 1)}"
        return describe(kind, place, len(self.index.table), len(self.class_names))

    def __len__(self) -> int:
        return len(self.index.table if self.rows is None else self.rows)

    def fingerprint(self) -> str:
        digest = hashlib.sha256(repr(self.class_names).encode())
        digest.update(repr([(shard.name, shard.size, shard.stamp) for shard in self.index.shards]).encode())
        digest.update(np.ascontiguousarray(self.index.table).data)
        if self.rows is not None:
            digest.update(self.rows.astype("<i8").tobytes())
        return digest.hexdigest()

    def items(self) -> Iterator[Item]:
        """In the order of the pictures' numbers, which is that of the set before it was shuffled into shards."""
        table = self.index.table
        rows = np.arange(len(table)) if self.rows is None else self.rows
        needed = sum(self.index.shards[shard].size for shard in np.unique(table[rows, SHARD]))
        if self.remote and needed > cache_bytes():
            raise InputError(
                f"{printable(self.pattern)}: is {needed / 1e9:,.1f} GB, more than the {cache_bytes() / 1e9:,.0f} GB "
                "that fetched shards may take ($DCGAN_SHARD_CACHE): train with --stream, which needs a few at a time"
            )
        for row in rows[np.argsort(table[rows, NUMBER], kind="stable")]:
            yield Item(self.name_of(row), int(table[row, LABEL]), partial(self.load, int(row)))

    def name_of(self, row: int) -> str:
        """For messages: the shard and the byte at which it begins."""
        shard, offset = (int(self.index.table[row, column]) for column in (SHARD, OFFSET))
        return f"{self.index.shards[shard].name}@{offset}"

    def load(self, row: int) -> Image.Image:
        """One picture; raises BadImage for a bad one and InputError for a shard that cannot be read."""
        check_file_size(int(self.index.table[row, SIZE]))
        return open_image(next(self.read([row])))

    def read(self, rows: Sequence[int]) -> Iterator[bytes]:
        """The pictures' bytes one by one, empty where they are more than one may have; fastest in ascending order.

        A shard that is not there, shorter than it was or cannot be read is tried again, and is then DataLost.
        """
        done = 0
        while done < len(rows):
            number = int(self.index.table[rows[done], SHARD])
            for wait in (*WAITS, None):
                try:
                    for content in self._read_from(number, rows[done:]):
                        done += 1
                        yield content
                    break
                except OSError as error:
                    if wait is None:
                        where = printable(self.index.shards[number].where)
                        raise DataLost(f"the shard {where} cannot be read ({error.strerror or error}).") from error
                    time.sleep(wait)

    def _read_from(self, number: int, rows: Sequence[int]) -> Iterator[bytes]:
        """As many of the first rows as lie in this shard."""
        with self.index.shards[number].path().open("rb") as file:
            for row in rows:
                shard, offset, size = (int(value) for value in self.index.table[row, : SIZE + 1])
                if shard != number:
                    break
                file.seek(offset)
                content = file.read(size) if size <= MAX_FILE_BYTES else b""
                if len(content) < min(size, MAX_FILE_BYTES) and size <= MAX_FILE_BYTES:
                    raise OSError(f"it ends in the middle of a picture, at byte {offset + len(content):,}")
                yield content

    def sample(self) -> ShardSource:
        """At most SAMPLE of the pictures: spread evenly over local shards, of remote ones those of a few shards."""
        if len(self) <= SAMPLE:
            return self
        rows = np.linspace(0, len(self.index.table) - 1, SAMPLE).astype(np.int64)
        if self.remote:
            starts = self.index.starts()
            order = np.random.Generator(np.random.Philox(key=0)).permutation(len(self.index.shards))
            enough = int(np.searchsorted(np.cumsum(np.diff(starts)[order]), SAMPLE)) + 1
            rows = np.sort(np.concatenate([np.arange(starts[s], starts[s + 1]) for s in order[:enough]])[:SAMPLE])
        return replace(self, rows=rows)


def shard_source(pattern: str) -> ShardSource:
    """The shards of a pattern; InputError if there are none, or one cannot be read."""
    return ShardSource(pattern, find_index(expand(pattern)))


def streamable(source: Source, settings: DataConfig) -> ShardSource:
    """The source as one that can be streamed; InputError if it is none, or the settings want a whole set."""
    if not isinstance(source, ShardSource):
        raise InputError(
            f"stream: {printable(source.name)} is not tar shards; make them with\n"
            f"  dcgan data pack {typed(settings.data)} --shards FOLDER"
        )
    if settings.dedup:
        raise InputError("dedup: compares all images, which a stream never has at once; leave out --dedup or --stream")
    return source


def shard_folder(folder: Path) -> ShardSource | None:
    """A folder that `dcgan data pack --shards` wrote; None if it is another one."""
    shards = shards_of_folder(folder)
    return ShardSource(str(folder), find_index(shards)) if shards else None
