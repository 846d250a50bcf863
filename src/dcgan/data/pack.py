"""Pictures decoded once into a memory map of uint8, kept in a cache that later runs open at once.

A cache folder is `<cache>/packs/<key>/` with `images.bin` (uint8, N·H·W·C), `labels.bin` (int64, little
endian; absent without labels) and `pack.json`. It is written beside its place and moved there whole.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import math
import os
import statistics
import threading
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dcgan.data.cache import default_cache, partial_folder, sync, write_synced
from dcgan.data.crashes import Notes, find_deadly, suspects
from dcgan.data.decode import GREY_MODES, RESAMPLING, BadImage, decode, upright_size
from dcgan.data.patience import DataLost, patiently
from dcgan.data.source import ArraySource, Item, Source
from dcgan.errors import InputError, printable
from dcgan.reading import is_integer, read_bytes, read_json

if TYPE_CHECKING:
    from dcgan.data.shards.source import ShardSource

FORMAT = 1
CHUNK_IMAGES = 16  # a task for one thread
CHUNK_BYTES = 16 * 2**20  # or fewer, when the items hold their files' bytes
# Below this many pixels threads mostly pass Python's lock around. JPEGs a second with one and two threads, medians
# of three on two shared cores: CIFAR-10's 6,100 and 6,400 (4,800 and 4,100 in another series), 128×128 2,070 and
# 2,720, 512×512 870 and 1,670.
THREADS_PAY_PIXELS = 96 * 96
MAX_WORKERS = 8
LARGEST_FACTS = 64 * 2**20
"""Bytes of what lies beside the pixels, the names of pictures that were left out included."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Inspection:
    """What the headers of a sample of a source's pictures say."""

    looked_at: int
    unreadable: int
    common_size: tuple[int, int] | None  # (height, width) when all have the same, else None
    channels: int  # 1 when every picture is grey, else 3
    pixels: int  # the median height × width; 0 when no picture could be read


@dataclass(frozen=True, eq=False)
class Pack:
    """A source's pictures as one read-only array."""

    images: np.ndarray
    """Memory map, uint8 (N, H, W, C)."""
    labels: np.ndarray | None
    """int64 (N,), or None when the source has no classes."""
    class_names: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    """(name, reason) of every picture left out."""
    upscaled: int
    """How many pictures were smaller than (H, W) in either side."""
    key: str
    """Of the content, and of how it was prepared."""
    path: Path
    """The cache folder."""
    source: str
    """What the source says of itself that is for everyone to read."""
    fresh: bool
    """Packed by this call, not found in the cache."""
    left_out: tuple[int, ...] = ()
    """Rows of the whole pack that this part of it is without; see `subset`."""
    digest: str | None = None
    """SHA-256 (hex) of pixels, labels and class names, wherever they come from; None in packs of earlier versions."""
    streamed: ShardSource | None = None
    """What is trained on, of which this is a sample; None when it is this."""

    def holds(self, key: object, digest: object) -> bool:
        """Whether these are the images of this key or, wherever they come from, of this digest."""
        return self.key == key or (self.digest is not None and self.digest == digest)

    @property
    def total(self) -> int:
        """Images of an epoch."""
        return len(self.images if self.streamed is None else self.streamed)


@dataclass(frozen=True)
class _Chunk:
    images: np.ndarray
    labels: list[int]
    skipped: list[tuple[str, str]]
    upscaled: int
    seen: int


def inspect(source: Source, sample: int = 256) -> Inspection:
    """Look at the headers of up to `sample` evenly spread pictures (of a tar: the first ones).

    Raises `DataLost` when their drive is gone: settings made from what is left of it would be wrong.
    """
    step = 1 if source.sequential else max(1, math.ceil(len(source) / sample))
    sizes: list[tuple[int, int]] = []
    grey, looked_at, unreadable = True, 0, 0
    with quiet_pillow():
        for item in itertools.islice(_items(source), 0, step * sample, step):
            looked_at += 1
            try:
                with patiently(item.load, item.name) as image:
                    sizes.append(upright_size(image))
                    grey = grey and image.mode in GREY_MODES
            except (BadImage, OSError):
                unreadable += 1
    common_size = sizes[0] if len(set(sizes)) == 1 else None
    pixels = statistics.median_high(map(math.prod, sizes)) if sizes else 0
    return Inspection(looked_at, unreadable, common_size, 1 if grey and sizes else 3, pixels)


def pack(
    source: Source,
    size: tuple[int, int],
    channels: int,
    *,
    resample: str = "lanczos",
    workers: int | None = None,
    max_skipped: float = 0.1,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Pack:
    """Every picture of `source` at `size` (height, width) with 1, 3 or 4 `channels`, from the cache or anew.

    Broken pictures are left out and listed in `Pack.skipped`. The order is the source's, whatever the number
    of `workers` (threads; default: one for small pictures, else the CPUs, at most 8). `progress(done, total)`
    is called after each chunk.
    Raises `InputError` when no picture, or less than 1 - `max_skipped` of them, can be used, when the
    cache cannot be written or the disk is full, or (`DataLost`) when the drive of the pictures is gone.
    """
    if resample not in RESAMPLING or channels not in (1, 3, 4) or min(size) < 1:
        raise InputError(
            f"cannot pack at size {size} with {channels} channels and {resample!r}: sides are at least 1, "
            f"channels 1, 3 or 4, and resample one of {', '.join(RESAMPLING)}"
        )
    facts = (source.fingerprint(), tuple(size), channels, resample, FORMAT)
    key = hashlib.sha256(repr(facts).encode()).hexdigest()[:32]
    folder = (cache or default_cache()) / "packs" / key
    found = open_pack(folder, fresh=False)
    if found is None:
        shape = (*size, channels)
        deadly = find_deadly(source, suspects(folder), lambda item: _decode_one(item, shape, resample))
        with partial_folder(folder, is_whole) as partial:
            _write(partial, source, shape, resample, workers or _workers(source), max_skipped, progress, deadly)
        found = open_pack(folder, fresh=True)
        if found is None:
            raise OSError(f"the cache {printable(folder)} was changed while it was written")
    _check_skipped(found.skipped, len(found.images), max_skipped, source.description)
    return replace(found, source=source.shared)  # it may have been packed from another place, or by another version


def open_pack(folder: Path, fresh: bool) -> Pack | None:
    """The pack in a cache folder; None when there is none or it is damaged."""
    try:
        facts = read_json(folder / "pack.json", LARGEST_FACTS)
        shape = tuple(facts["shape"])
        class_names = tuple(map(str, facts["class_names"]))
        skipped = tuple((str(name), str(reason)) for name, reason in facts["skipped"])
        if len(shape) != 4 or not all(is_integer(side, 1, 2**40) for side in shape):
            return None
        if facts["format"] != FORMAT or (folder / "images.bin").stat().st_size != math.prod(shape):
            return None
        labels = None
        if class_names:
            content = read_bytes(folder / "labels.bin", 8 * shape[0])
            labels = np.frombuffer(content, "<i8").astype(np.int64)
            if labels.shape != shape[:1] or labels.min() < 0 or labels.max() >= len(class_names):
                return None
        images = np.memmap(folder / "images.bin", np.uint8, "r", shape=shape)
        upscaled, source = int(facts["upscaled"]), str(facts["source"])
        left_out = tuple(map(int, facts.get("left_out", ())))
        digest = str(facts["digest"]) if facts.get("digest") else None
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
    return Pack(images, labels, class_names, skipped, upscaled, folder.name, folder, source, fresh, left_out, digest)


def is_whole(folder: Path) -> bool:
    return open_pack(folder, fresh=False) is not None


def _write(
    partial: Path,
    source: Source,
    shape: tuple[int, int, int],
    resample: str,
    workers: int,
    max_skipped: float,
    progress: Progress | None,
    deadly: Mapping[str, str],
) -> None:
    labels: list[int] = []
    skipped: list[tuple[str, str]] = []
    upscaled = seen = 0
    content = hashlib.sha256()
    path = partial / "images.bin"
    with (
        path.open("wb") as file,
        closing(Notes(partial, deadly)) as notes,
        closing(_chunks(source, shape, resample, workers, notes)) as chunks,
    ):
        for chunk in chunks:
            file.write(chunk.images.data)
            content.update(chunk.images.data)
            labels += chunk.labels
            skipped += chunk.skipped
            upscaled += chunk.upscaled
            seen += chunk.seen
            if progress:
                progress(seen, len(source))
        sync(file)
    _check_skipped(skipped, len(labels), max_skipped, source.description)
    facts = {
        "shape": (len(labels), *shape),
        "class_names": source.class_names,
        "skipped": skipped,
        "upscaled": upscaled,
        "source": source.description,
    }
    write_facts(partial, labels if source.class_names else None, facts, content)


def write_facts(
    partial: Path, labels: Sequence[int] | np.ndarray | None, facts: dict[str, Any], content: hashlib._Hash
) -> None:
    """What lies beside `images.bin`: labels, if there are classes, and `pack.json`, which makes the pack whole.

    content: the SHA-256 of `images.bin`, which becomes that of the whole pack here.
    """
    if labels is not None:
        array = np.array(labels, "<i8")
        write_synced(partial / "labels.bin", array.data)
        content.update(array.data)
    content.update(repr((facts["shape"], facts["class_names"])).encode())
    facts = {"format": FORMAT, "digest": content.hexdigest()} | facts
    write_synced(partial / "pack.json", json.dumps(facts, indent=1).encode())


def _chunks(
    source: Source,
    shape: tuple[int, int, int],
    resample: str,
    workers: int,
    notes: Notes | None = None,
) -> Generator[_Chunk, None, None]:
    """The source's pictures decoded, in order, with two chunks a worker in memory at most."""
    if isinstance(source, ArraySource) and _as_nhwc(source.images).shape[1:] == shape:
        yield from _array_chunks(source)
        return
    stop = threading.Event()
    pending: deque[Future[_Chunk]] = deque()
    with quiet_pillow(), ThreadPoolExecutor(workers, "dcgan-pack") as pool:
        try:
            for items in _batches(_items(source)):
                pending.append(pool.submit(_decode_chunk, items, shape, resample, stop, notes))
                if len(pending) >= 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:  # after Ctrl-C the threads end with the picture they are at
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)


def _batches(items: Iterator[Item]) -> Iterator[list[Item]]:
    batch: list[Item] = []
    weight = 0
    for item in items:
        batch.append(item)
        weight += item.weight
        if len(batch) == CHUNK_IMAGES or weight >= CHUNK_BYTES:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch


def _items(source: Source) -> Iterator[Item]:
    """The candidates; a tar is read here, and cannot be begun anew where its drive failed."""
    items = source.items()
    while True:
        try:
            item = next(items, None)
        except OSError as error:
            what = f"{source.description}: cannot be read any more ({error.strerror or error})"
            raise DataLost(f"{what}; is its drive still there?") from error
        if item is None:
            return
        yield item


def _decode_one(item: Item, shape: tuple[int, int, int], resample: str) -> tuple[np.ndarray, bool]:
    """A picture (height, width, channels), and whether it was smaller than that."""
    height, width, channels = shape
    with item.load() as image:
        source_height, source_width = upright_size(image)
        return decode(image, (height, width), channels, resample), source_height < height or source_width < width


def _decode_chunk(
    items: list[Item],
    shape: tuple[int, int, int],
    resample: str,
    stop: threading.Event,
    notes: Notes | None = None,
) -> _Chunk:
    images = np.empty((len(items), *shape), np.uint8)
    labels: list[int] = []
    skipped: list[tuple[str, str]] = []
    upscaled = 0
    for item in items:
        if stop.is_set():
            break
        if notes and (how := notes.take(item)):
            skipped.append((item.name, how))
            continue
        try:
            images[len(labels)], small = patiently(functools.partial(_decode_one, item, shape, resample), item.name)
        except BadImage as error:
            skipped.append((item.name, str(error)))
        except OSError as error:
            skipped.append((item.name, error.strerror or str(error)))
        else:
            labels.append(item.label)
            upscaled += small
    return _Chunk(images[: len(labels)], labels, skipped, upscaled, len(items))


def _array_chunks(source: ArraySource) -> Iterator[_Chunk]:
    """An array that already has the right shape is copied slice by slice."""
    for start in range(0, len(source), 4096):
        images = np.ascontiguousarray(_as_nhwc(source.images[start : start + 4096]))
        some = source.labels[start : start + 4096].tolist() if source.labels is not None else [-1] * len(images)
        yield _Chunk(images, some, [], 0, len(images))


def _as_nhwc(images: np.ndarray) -> np.ndarray:
    return images[..., None] if images.ndim == 3 else images


def _check_skipped(skipped: Sequence[tuple[str, str]], used: int, max_skipped: float, source: str) -> None:
    total = used + len(skipped)
    share = len(skipped) / total if total else 1.0
    if used and share <= max_skipped:
        return
    examples = "".join(f"\n  {printable(name)}: {printable(reason)}" for name, reason in skipped[:5])
    advice = "; --max-skipped raises the limit" if used else ""
    raise InputError(
        f"{source}: {len(skipped)} of {total} pictures cannot be used ({share:.0%}; "
        f"at most {max_skipped:.0%} may be left out{advice}){examples}"
    )


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings about broken files: the list of skipped pictures says more.

    Entered once around all threads, because the warning filters belong to the process.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def _workers(source: Source) -> int:
    if inspect(source, 16).pixels < THREADS_PAY_PIXELS:
        return 1
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return min(MAX_WORKERS, len(usable))
