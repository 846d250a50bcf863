"""What the data is: a folder, an archive, arrays in a file, or a name, all behind one small interface.

`find_source` looks at what the user gave; nothing is decoded or extracted here. See `source` for the interface,
and `listings`, `idx` and `named` for what stands behind it.
"""

from __future__ import annotations

import contextlib
import zipfile
from pathlib import Path

from dcgan.data.archives import UNREADABLE, reason
from dcgan.data.cache import default_data_root
from dcgan.data.idx import idx_folder, idx_source, is_idx
from dcgan.data.listings import EXTENSIONS, folder_source, tar_source, zip_source
from dcgan.data.named import NAMES, default_source, find_named
from dcgan.data.shards.pattern import is_pattern
from dcgan.data.shards.source import shard_folder, shard_source
from dcgan.data.source import TAR_EXTENSIONS, Source, Split
from dcgan.data.splits import archive_of_split
from dcgan.data.streams import is_tar
from dcgan.errors import InputError, nearest, nearest_beside, printable
from dcgan.reading import at_home

__all__ = ["NAMES", "default_data_root", "find_source", "find_source_of_run"]

# Pickles can run code when they are read, and none of these says which array holds the pictures.
REFUSED = (".npz", ".npy", ".pkl", ".pickle", ".pt", ".pth", ".mat", ".h5", ".hdf5", ".parquet", ".tfrecord")
FORMS = "a folder, zip or tar of pictures, a folder of IDX files, tar shards by a pattern, or one of " + ", ".join(
    NAMES
)


def find_source(
    data: str | Path | None, data_root: Path | None = None, split: Split = "train", download: bool = True
) -> Source:
    """The source that `data` means: a path, a known name, or, for None, MNIST or else the bundled digits.

    A `Path`, and a string with a path separator, is always a path; any other string is a known name first.
    `split` picks the files of named datasets and IDX folders, and of folders and archives that have `splits`; others
    are what they are.
    Names are looked up below `data_root`, `$DCGAN_DATA` and `default_data_root()`, then downloaded into the
    first of these that is set. Raises `InputError` when nothing usable is found.
    """
    if data is None:
        return default_source(data_root, split, download)
    if isinstance(data, str) and data in NAMES:
        return find_named(data, data_root, split, download)
    if not str(data).strip():
        raise InputError(f"no data given; it is {FORMS}")
    if is_pattern(str(data)):
        return shard_source(str(data))
    path = at_home(data)
    try:
        if path.is_dir():
            path = archive_of_split(path, split) or path
        if path.is_dir():
            return shard_folder(path) or idx_folder(path, split) or folder_source(path, split)
        if path.exists():
            return _file_source(path, split)
    except InputError as error:
        said = str(error)
        raise (
            error if str(path) in said or printable(path) in said else InputError(f"{printable(path)}: {said}")
        ) from error
    except (*UNREADABLE, ValueError) as error:  # a name with a NUL is a ValueError
        raise InputError(f"cannot read {printable(path)}: {printable(reason(error))}") from error
    raise InputError(_nothing_at(path, str(data)))


def find_source_of_run(data: str | Path, data_root: str, split: Split = "train") -> Source:
    """The source that the settings of a run name. They are somebody's file, and do not say where to download to.

    A name is looked up below `data_root`, but fetched only into `$DCGAN_DATA` or `default_data_root()`. Raises
    `InputError` as `find_source` does.
    """
    if data in NAMES and data_root:
        with contextlib.suppress(InputError):
            return find_source(data, Path(data_root), split, download=False)
    return find_source(data, None, split)


def _file_source(path: Path, split: Split) -> Source:
    name = path.name.lower()
    if name.endswith(REFUSED):
        raise InputError(f"{printable(path)} is not data that is read here; DATA is {FORMS}")
    if name.endswith(EXTENSIONS):
        raise InputError(f"{printable(path)} is one picture; give the folder that it is in")
    if not path.is_file() or path.stat().st_size == 0:
        raise InputError(f"{printable(path)} is {'empty' if path.is_file() else 'not a file'}; DATA is {FORMS}")
    if is_idx(path):
        return idx_source(path)
    if name.endswith(".zip") or zipfile.is_zipfile(path):
        return zip_source(path, split)
    if name.endswith(TAR_EXTENSIONS) or is_tar(path):
        return tar_source(path, split)
    raise InputError(f"{printable(path)} is neither a zip nor a tar nor IDX images; DATA is {FORMS}")


def _nothing_at(path: Path, text: str) -> str:
    known = nearest(text.lower(), NAMES) or nearest_beside(path)
    return f"no data at '{printable(text)}': DATA is {FORMS}{known}"
