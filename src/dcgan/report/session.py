"""Under what a run was trained: sessions.jsonl has a line for its start and one for each resume."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dcgan
from dcgan import distributed
from dcgan.errors import TrainingError
from dcgan.report.page import write_report
from dcgan.run import Run

if TYPE_CHECKING:
    import torch

PACKAGES = ("torch", "torchvision", "numpy", "pillow")


@contextmanager
def recorded(
    run: Run, step: int, device: torch.device, dtype: torch.dtype, warn: Callable[[str], None]
) -> Iterator[None]:
    """Inside, a training goes on from `step`: a line in sessions.jsonl before it, report.html after it.

    The report is also written of a training that has failed. Neither can make one fail: what is wrong is a warning.
    Of many processes the first one writes.
    """
    if not distributed.is_main():
        yield
        return
    try:
        run.log_session({"step": step, **surroundings(device, dtype)})
    except OSError as error:
        warn(f"{run}: sessions.jsonl cannot be written ({error.strerror})")
    try:
        yield
    except TrainingError:
        _report(run, warn)
        raise
    _report(run, warn)


def _report(run: Run, warn: Callable[[str], None]) -> None:
    try:
        write_report(run)
    except Exception as error:  # it is only a report: hours of training are worth more, whatever is wrong with it
        warn(f"report.html cannot be written ({type(error).__name__}: {error})")


def surroundings(device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """When, by which command, with which versions and on what; no names of people or machines."""
    import torch

    return {
        "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": command_line(),
        "dcgan": dcgan.__version__,
        "git": git_state(Path(dcgan.__file__).parents[2]),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "device": device.type,
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "precision": str(dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
    }


def command_line() -> list[str] | None:
    """The words after `dcgan` if the command was given; None if it was called from Python."""
    name = Path(sys.argv[0])
    is_ours = name.stem == "dcgan" or name == Path(dcgan.__file__).with_name("__main__.py")
    return sys.argv[1:] if is_ours else None


def git_state(root: Path) -> str | None:
    """The commit of the checkout that dcgan runs from, with -dirty if it was changed; None if it is none."""
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def processor() -> str:
    """The processor's name, as exactly as the system says it."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.M)
    except (OSError, UnicodeDecodeError):
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
