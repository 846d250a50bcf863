"""Files that are whole or absent, tensors on disk as safetensors, settings as YAML. No file of ours is a pickle."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcgan.errors import InputError, printable
from dcgan.locks import Lock
from dcgan.reading import LARGEST_TENSORS, Header, read_header, read_text

if TYPE_CHECKING:
    import torch

LARGEST_YAML, DEEPEST_YAML = 100_000, 8
"""Bytes and levels of a file of settings: ours have 3,000 and 2. PyYAML reads some 200,000 bytes a second."""


DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What a full disk, a used up quota and a file size limit answer."""

STALE_SECONDS = 24 * 3600.0
_SCRATCH = re.compile(r".+\.[0-9a-f]{8}\.(partial|lock)", re.DOTALL)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace the file so that a crash or power loss leaves the old content or the new, never a part."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.unlink(missing_ok=True)  # of a killed process, or a link that would be written through
        with partial.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """JSON for people and programs, whole or absent; its folder is made. Raises InputError if it cannot be written."""
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())


def require_new(*paths: Path | None, folders: bool = True, option: str = "") -> None:
    """Raise InputError now rather than when the work is done, if a file is there already, or named twice or in another.

    folders: also if its folder is not there; else that is to be made. option: what named it.
    """
    named = list[Path]()
    for path in filter(None, paths):
        with writing(path):
            there, whole = path.exists() or path.is_symlink(), path.resolve()
        if there:
            raise InputError(f"{printable(path)}: exists already; name another {option}".rstrip())
        if whole in named:
            raise InputError(f"{printable(path)}: is named twice; two things cannot be written there")
        if any(whole in other.parents or other in whole.parents for other in named):
            raise InputError(
                f"{printable(path)}: one of what is to be written would lie in another; name a place apart"
            )
        if folders and not path.absolute().parent.is_dir():
            raise InputError(f"{printable(path)}: there is no folder {printable(path.parent)}")
        named.append(whole)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the system refuses meanwhile becomes an InputError that names the file."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{printable(path)}: cannot be written ({error.strerror})") from error


@contextlib.contextmanager
def whole(place: Path, is_whole: Callable[[Path], bool] | None = None) -> Iterator[Path]:
    """Where to write the file or folder that is at `place` in the end: whole, or not at all whatever happens.

    Gives a path of `scratch`; what has been made there is moved into place, unless there was an error. What is at
    `place` already stays, and FileExistsError is raised; but with `is_whole`, it is replaced unless is_whole(place),
    and if another process was faster, its work is as good.
    """
    with scratch(place) as partial:
        yield partial
        bring_to_disk = sync_file if partial.is_file() else sync_folder
        bring_to_disk(partial)
        if is_whole is None and os.path.lexists(place):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(place))
        if is_whole is not None and place.exists() and not is_whole(place):
            with scratch(place) as damaged:
                place.replace(damaged)
        try:
            partial.replace(place)
        except OSError:
            if is_whole is None or not is_whole(place):
                raise
        sync_folder(place.parent)


@contextlib.contextmanager
def scratch(beside: Path) -> Iterator[Path]:
    """A path `<beside>.<random>.partial` with nothing at it, for a file or a folder that is removed at the end.

    A lock beside it tells the living from the dead: what killed processes left in the same folder goes now.
    """
    _remove_abandoned(beside.parent)
    partial = beside.with_name(f"{beside.name}.{secrets.token_hex(4)}.partial")
    lock = Lock.take(_lock_of(partial))  # before there is anything that another process could think abandoned
    try:
        yield partial
    finally:
        _remove(partial)
        if lock:
            lock.release()


def _remove_abandoned(folder: Path) -> None:
    """Remove what killed processes left half written: what nobody holds; and without locks, what is a day old."""
    found = [path for path in folder.iterdir() if _SCRATCH.fullmatch(path.name)]
    for path in found:
        with contextlib.suppress(OSError):  # another user's
            if path.suffix == ".lock" and (lock := Lock.take(path)):
                if lock.real:
                    _remove(path.with_suffix(".partial"))
                lock.release()
    for path in found:
        try:
            old = path.suffix == ".partial" and time.time() - path.stat().st_mtime > STALE_SECONDS
        except FileNotFoundError:  # its owner has just moved it into place
            continue
        if old and not _lock_of(path).exists():
            _remove(path)


def _lock_of(partial: Path) -> Path:
    """What the process that writes at such a path holds."""
    return partial.with_suffix(".lock")


def _remove(path: Path) -> None:
    """Remove a file or folder, as far as that can be done."""
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk: only then do new, renamed and removed files outlast a power loss."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network drives cannot
            raise
    finally:
        os.close(descriptor)


def append_lines(path: Path, text: str, lasting: bool = False) -> None:
    """Add whole lines to a file in one write; `lasting`: and wait until they are on the disk.

    A last line that a crash or a full disk cut short is ended first, so that only that one is lost.
    """
    with path.open("a+b", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        torn = size > 0 and file.seek(size - 1) >= 0 and file.read(1) != b"\n"
        content = ("\n" * torn + text).encode()
        if file.write(content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        if lasting:
            os.fsync(file.fileno())


def sync_file(path: Path) -> None:
    """Bring a file that was appended to, if it is there, to the disk."""
    with contextlib.suppress(FileNotFoundError), path.open("ab") as file:
        os.fsync(file.fileno())


def remove_partial(folder: Path) -> None:
    """Remove what a killed process was writing in a folder, at any depth; only for who works there alone."""
    for path in folder.rglob("*.partial"):
        if path.is_file():
            path.unlink(missing_ok=True)


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    """Named tensors and text as one safetensors file, atomically."""
    from safetensors.torch import save

    write_atomically(path, save({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, metadata))


def read_tensors(
    path: Path, most: int = LARGEST_TENSORS, like: dict[str, torch.Tensor] | None = None
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors and the text of a safetensors file. InputError if it is damaged, a pickle, or over `most` bytes.

    like: names, shapes and types that it has to have; tensors on the meta device do. They are compared, as all that
    the header says, before anything is allocated.
    """
    from safetensors import SafetensorError, safe_open

    header = read_header(path, most)
    if like is not None and (problem := _unlike(header, like)):
        raise InputError(f"{printable(path)}: {problem}")
    try:
        with safe_open(path, framework="pt") as file:
            # Copies: what a tensor shows of a mapped file changes, or ends the process, as the file is written over.
            return {name: file.get_tensor(name).clone() for name in header.tensors}, header.metadata
    except (OSError, SafetensorError, ValueError) as error:
        raise InputError(f"{printable(path)}: damaged or not a safetensors file ({printable(error)})") from error


def _unlike(header: Header, like: dict[str, torch.Tensor]) -> str:
    """How the tensors of a file differ from those that it should have; empty if they do not."""
    missing, extra = sorted(like.keys() - header.tensors.keys()), sorted(header.tensors.keys() - like.keys())
    if missing or extra:
        return f"has no {missing[0]}" if missing else f"has a tensor too many, {printable(extra[0])[:100]}"
    for name, tensor in like.items():
        expected = _DTYPE_NAMES.get(str(tensor.dtype)), tuple(tensor.shape)
        if header.tensors[name] != expected:
            found, wanted = (f"{dtype} {shape}" for dtype, shape in (header.tensors[name], expected))
            return f"{name} is {found}; expected {wanted}"
    return ""


_DTYPE_NAMES = {"torch.float32": "F32", "torch.int64": "I64", "torch.bfloat16": "BF16", "torch.float16": "F16"}


def load_yaml(path: Path) -> dict[str, Any]:
    """A YAML file of settings as nested plain values; InputError says what is wrong with it.

    Only what settings need is read: no tags, no nesting beyond a few levels, and no aliases, with which some lines
    stand for billions of values.
    """
    import yaml

    text = read_text(path, LARGEST_YAML)
    try:
        _check_yaml(text)
        values = yaml.safe_load(text)
    except InputError as error:
        raise InputError(f"{printable(path)}: {error}") from error
    # PyYAML raises what its conversions raise: of a date that is none, or an integer of 5,000 digits.
    except (yaml.YAMLError, RecursionError, ValueError, LookupError, ArithmeticError, TypeError) as error:
        said = "\n".join(map(printable, str(error).splitlines()))
        raise InputError(f"{printable(path)}: not valid YAML: {said}") from error
    if not isinstance(values, dict):
        raise InputError(f"{printable(path)}: wants sections network, data, training with settings below them")
    return values


def _check_yaml(text: str) -> None:
    """Raise InputError for what settings do not need, at the place where it is."""
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        refused = {
            "aliases are not read here": isinstance(event, yaml.AliasEvent),
            "tags are not read here": isinstance(event, yaml.NodeEvent) and getattr(event, "tag", None) is not None,
            "nested too deeply": depth > DEEPEST_YAML,
        }
        for problem, is_so in refused.items():
            if is_so:
                assert event.start_mark is not None
                raise InputError(f"line {event.start_mark.line + 1}: {problem}")


def to_yaml(values: dict[str, Any]) -> str:
    """Nested plain values as text that `load_yaml` gives back."""
    import yaml

    return yaml.safe_dump(values, sort_keys=False)
