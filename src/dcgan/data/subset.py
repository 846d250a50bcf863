"""A pack without some of its images, as a pack of its own: whatever takes a pack takes it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import replace

import numpy as np

from dcgan.data.cache import partial_folder, sync
from dcgan.data.pack import Pack, is_whole, open_pack, write_facts

_PIECE = 4096


def without(pack: Pack, rows: Collection[int]) -> Pack:
    """The pack less these rows, in the same order, from the cache or copied now beside the whole one.

    Its key is that of the whole pack and of the rows. Rows beyond the last are those of another pack, and no harm:
    the key tells. Raises ValueError if nothing would be left, and InputError as `pack` does.
    """
    if not rows:
        return pack
    left_out = tuple(sorted(set(rows)))
    keep = np.ones(len(pack.images), bool)
    keep[[row for row in left_out if row < len(keep)]] = False
    if not keep.any():
        raise ValueError(f"{pack.source}: nothing is left without {len(left_out)} images")
    key = hashlib.sha256(repr((pack.key, left_out)).encode()).hexdigest()[:32]
    folder = pack.path.with_name(key)
    found = open_pack(folder, fresh=False)
    if found is None:
        content = hashlib.sha256()
        with partial_folder(folder, is_whole) as partial:
            with (partial / "images.bin").open("wb") as file:
                for start in range(0, len(keep), _PIECE):
                    piece = slice(start, start + _PIECE)
                    images = np.ascontiguousarray(pack.images[piece][keep[piece]])
                    file.write(images.data)
                    content.update(images.data)
                sync(file)
            facts = {
                "shape": (int(keep.sum()), *pack.images.shape[1:]),
                "class_names": pack.class_names,
                "skipped": pack.skipped,
                "upscaled": pack.upscaled,
                "source": pack.source,
                "left_out": left_out,
            }
            write_facts(partial, None if pack.labels is None else pack.labels[keep], facts, content)
        found = open_pack(folder, fresh=True)
        if found is None:
            raise OSError(f"the cache {folder} was changed while it was written")
    return replace(found, source=pack.source)
