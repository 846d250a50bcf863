"""`dcgan info`: what is installed and what this machine can do."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

import dcgan
from dcgan.cli import DONE, say
from dcgan.reading import at_home

PACKAGES = ("torch", "torchvision", "numpy", "pillow", "safetensors", "tensorboard", "scipy", "lmdb", "torch-fidelity")


@dataclass(frozen=True)
class InfoOptions:
    """Versions, device, precision, threads and where data and weights are looked for."""

    as_json: Annotated[bool, tyro.conf.arg(name="json", help="Print JSON.")] = False


def run(arguments: Sequence[str]) -> int:
    options = tyro.cli(tyro.conf.FlagCreatePairsOff[InfoOptions], prog="dcgan info", args=arguments)
    facts = gather()
    if options.as_json:
        say(json.dumps(facts, indent=2))
        return DONE
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {text or 'not installed'}" for key, text in value.items())
        say(f"{name:<18} {value}")
    return DONE


def gather() -> dict[str, Any]:
    """Everything `dcgan info` says, as plain values."""
    import torch

    from dcgan.data.pack import default_cache
    from dcgan.data.sources import default_data_root
    from dcgan.device import has_fast_bf16, resolve_device, resolve_precision

    device = resolve_device("auto")
    return {
        "dcgan": dcgan.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "device": device.type,
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "CPU",
        "precision": str(resolve_precision("auto", device)).removeprefix("torch."),
        "bf16_in_hardware": has_fast_bf16(device),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "data_root": str(_told("DCGAN_DATA") or default_data_root()),
        "cache": str(default_cache()),
        "weights": str(_told("DCGAN_WEIGHTS") or Path(torch.hub.get_dir()) / "checkpoints"),
    }


def _told(variable: str) -> Path | None:
    """The place that the environment names."""
    place = os.environ.get(variable)
    return at_home(place) if place else None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
