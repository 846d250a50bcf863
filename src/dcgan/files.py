"""Files that are whole or absent, tensors on disk as safetensors, settings as YAML. No file of ours is a pickle."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcgan.errors import InputError

if TYPE_CHECKING:
    import torch


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
    if os.name == "posix":  # the rename itself lasts only once the folder is on disk
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


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
