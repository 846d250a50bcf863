"""Files that are whole or absent, tensors on disk as safetensors, settings as YAML. No file of ours is a pickle."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcgan.errors import InputError

if TYPE_CHECKING:
    import torch


DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What a full disk, a used up quota and a file size limit answer."""


def write_atomically(path: Path, content: bytes) -> None:
    """Replace the file so that a crash or power loss leaves the old content or the new, never a part."""
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


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


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors and the text of a safetensors file. InputError if it is damaged, or a pickle."""
    from safetensors import SafetensorError, safe_open

    try:
        with path.open("rb") as stream:
            start = stream.read(16)
        if start[:2] == b"PK" or (start[:1] == b"\x80" and start[8:9] != b"{"):
            raise InputError(
                f"{path}: this is a pickle, as torch.save writes; loading one can run any program, so dcgan never does"
            )
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: damaged or not a safetensors file ({error})") from error


def load_yaml(path: Path) -> dict[str, Any]:
    """A YAML file of settings as nested plain values; InputError says what is wrong with it."""
    import yaml

    try:
        if path.stat().st_size > 1_000_000:
            raise InputError(f"{path}: over 1 MB, not a file of settings")
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: wants sections network, data, training with settings below them")
    return values


def to_yaml(values: dict[str, Any]) -> str:
    """Nested plain values as text that `load_yaml` gives back."""
    import yaml

    return yaml.safe_dump(values, sort_keys=False)
