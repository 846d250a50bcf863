"""Which extractor: by name, or the best that is at hand."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

from dcgan.data.pack import Pack
from dcgan.errors import InputError, nearest
from dcgan.evaluation.classifier import load_classifier
from dcgan.evaluation.extractors import Extractor, dinov2, inception
from dcgan.evaluation.weights import INCEPTION_URL, find_weights
from dcgan.progress import Display

EXTRACTORS = ("auto", "inception", "dinov2", "classifier")
PRECISIONS = ("fp32", "bf16")


def check_precision(precision: str) -> None:
    """Raises InputError for one that there is not."""
    if precision not in PRECISIONS:
        raise InputError(f"precision: there is no {precision!r} (there are: {', '.join(PRECISIONS)})")


def choose_extractor(
    name: str, weights: Path | None, train: Pack, device: torch.device, precision: str, display: Display
) -> Extractor:
    """The extractor of that name, ready; "auto" says which it is and why.

    auto: Inception if its weights are given or on this machine, else the classifier if the images have classes,
    else Inception by download. weights: the file of inception or dinov2. Raises InputError if it cannot be had.
    """
    if name not in EXTRACTORS:
        raise InputError(
            f"extractor: there is no {name!r}{nearest(name, EXTRACTORS)} (there are: {', '.join(EXTRACTORS)})"
        )
    check_precision(precision)
    if name == "auto":
        name, why = _automatic(weights, train)
        display.say(f"extractor: {name}, because {why}")
    if name == "classifier":
        if weights is not None:
            raise InputError("weights: the classifier is trained here and takes no file; leave --weights out")
        trained = load_classifier(train, device, display.counter("training the classifier on"))
        return trained.extractor()
    return (inception if name == "inception" else dinov2)(weights, device, precision)


def _automatic(weights: Path | None, train: Pack) -> tuple[str, str]:
    labelled = len(train.class_names) > 1
    if weights is not None:
        return "inception", "--weights names a file"
    missing = importlib.util.find_spec("torch_fidelity") is None
    if missing and not labelled:
        raise InputError(
            "extractor: the images have no classes to train a classifier on, and Inception is torch-fidelity's, "
            "which is not installed: pip install 'dcgan[evaluation]'"
        )
    if not missing and (found := find_weights(INCEPTION_URL)):
        return "inception", f"its weights are here ({found})"
    where = "torch-fidelity is not installed" if missing else "Inception's weights are not on this machine"
    if labelled:
        return "classifier", f"{where} and the images have classes; figures do not compare with Inception's"
    return "inception", f"the images have no classes; {where}, so they are downloaded"
