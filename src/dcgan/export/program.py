"""A trained generator as a `.pt2` file of torch.export, which PyTorch runs without dcgan."""

from __future__ import annotations

import io
import json
from pathlib import Path

import torch

from dcgan.export.drawing import Exported, Output, compare, facts, traced, write
from dcgan.files import require_new
from dcgan.pretrained import Generator

FACTS = "dcgan.json"
"""The file within the archive that says what the latents, classes, source and licence are."""


def export_program(
    generator: Generator, path: str | Path, *, output: Output = "float", source: str = "", licence: str = ""
) -> Exported:
    """Write a generator as a program of torch.export, once it has been loaded again and drawn the same images.

    `torch.export.load(path).module()(latent)`, or `(latent, label)` for class-conditional ones: see `export_onnx` for
    both and for the images. The archive holds graph, weights as they are and JSON; its example inputs, which would be a
    pickle, are left out. Raises InputError if `path` exists or cannot be written, RuntimeError if the images are
    others.
    """
    path = Path(path)
    require_new(path, folders=False)
    program = traced(generator, output)
    program.example_inputs = None
    stream, about = io.BytesIO(), facts(generator, output, source, licence)
    torch.export.save(program, stream, extra_files={FACTS: json.dumps(about, indent=2)})
    content = stream.getvalue()
    module = torch.export.load(io.BytesIO(content)).module()
    difference, images = compare(generator, lambda *inputs: module(*inputs).numpy(), output)
    return write(path, content, difference, images)
