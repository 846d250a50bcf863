"""A trained generator as an ONNX file, which runs without PyTorch: in any language, and in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dcgan.errors import InputError
from dcgan.export.drawing import (
    HALF_LIMIT,
    LIMIT,
    Exported,
    Output,
    as_text,
    check_size,
    compare,
    facts,
    traced,
    write,
)
from dcgan.files import require_new
from dcgan.pretrained import Generator

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 18
"""Of 2022: every onnxruntime since 1.14 has it."""
FEW = 256
"""Tensors of at most so many values are not worth halving."""


def export_onnx(
    generator: Generator,
    path: str | Path,
    *,
    output: Output = "float",
    half: bool = False,
    source: str = "",
    licence: str = "",
) -> Exported:
    """Write a generator as one ONNX file, once onnxruntime has drawn the same images with it.

    Inputs: `latent` float32 (N, latent_dim) and, for class-conditional generators, `label` int64 (N,), N any.
    Output: `images`, float32 (N, C, H, W) in [-1, 1], or for output="uint8" uint8 (N, H, W, C). An image does not
    depend on the others of its batch: networks that normalise by the batch have the statistics of the first 64 samples
    of seed 0. half: store the weights as float16, which halves the file; the arithmetic stays float32. source, licence:
    for the file's metadata, which also hold what the latents and classes are.
    Raises InputError if `path` exists or cannot be written, or the `onnx` extra is not installed, RuntimeError if the
    file's images are not the network's (over 1e-4 of values in [-1, 1]; 0.1 with half).
    """
    path = Path(path)
    require_new(path, folders=False)
    content, difference, images = build(generator, output, half, facts(generator, output, source, licence))
    return write(path, content, difference, images)


def build(generator: Generator, output: Output, half: bool, metadata: dict[str, Any]) -> tuple[bytes, float, int]:
    """The file's content, checked; the largest difference from the network, and of how many images."""
    check_installed()
    check_size(generator)
    import onnx

    model = _converted(generator, output)
    if half:
        _halve(model)
    for name, text in as_text(metadata).items():
        model.metadata_props.add(key=name, value=text)
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    return content, *compare(generator, session(content), output, HALF_LIMIT if half else LIMIT)


def check_installed() -> None:
    """Raises InputError unless onnx, onnxscript and onnxruntime are there."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(f"ONNX wants {error.name}: pip install 'dcgan[onnx]'") from error


class session:  # noqa: N801  # called like the function that it is in effect
    """A model's content as a function of (latent, label) tensors, run by onnxruntime on the CPU."""

    def __init__(self, content: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def __call__(self, *inputs: torch.Tensor) -> np.ndarray:
        names = ("latent", "label")[: len(inputs)]
        feed = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
        (images,) = self._session.run(None, feed)
        return images


def _converted(generator: Generator, output: Output) -> ModelProto:
    """The graph by PyTorch's exporter, without the notes that it makes of our source files."""
    program = traced(generator, output)
    names = ["latent", "label"][: 1 + bool(generator.info.network.classes)]
    converted = torch.onnx.export(
        program, dynamo=True, opset_version=OPSET, input_names=names, output_names=["images"], verbose=False
    )
    assert converted is not None
    model = converted.model_proto
    model.doc_string = "Draws images: latent (and label) to images. Made by dcgan."
    model.producer_name = "dcgan"
    del model.metadata_props[:]
    for item in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        item.doc_string = ""
        del item.metadata_props[:]
    return model


def _halve(model: ModelProto) -> None:
    """Large weights as float16, in place, with a cast back in front of what uses them."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size <= FEW:
            continue
        with np.errstate(over="ignore"):
            halved = values.astype(np.float16)
        if not np.isfinite(halved).all():
            raise InputError(f"half: a weight of {np.abs(values).max():.3g} is beyond float16, which ends at 65,504")
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(halved, f"{name}.half"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *nodes])
