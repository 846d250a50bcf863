"""How concepts are named, and that they are the samples that `dcgan sample` draws."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dcgan.data.pack import Pack
from dcgan.errors import InputError
from dcgan.evaluation.classifier import TrainedClassifier
from dcgan.latent import concepts
from dcgan.latent.attributes import Reliability, pick
from dcgan.latent.concepts import Concept, by_numbers, find_concepts, parse_picking
from dcgan.latents import latents
from dcgan.pretrained import Generator
from dcgan.progress import Display

MODEL = Path("run")


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("3,17,42", (3, 17, 42)),
        (" 3 , 17 ", (3, 17)),
        ("7", (7,)),
        ("class:7", "7"),
        ("smiling", "smiling"),
        ("3,x", "3,x"),
        ("-3", "-3"),
        ("a/photo.JSON", Path("a/photo.JSON")),
    ],
)
def test_what_a_text_means(text: str, meaning: object) -> None:
    assert parse_picking(text) == meaning


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no samples named"),
        ("class:", "no samples"),
        ("1,1099511627776", "sample 1099511627776 is"),
        ("9" * 5000, "sample 9{20} is outside"),
    ],
)
def test_texts_without_meaning(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_picking(text)


def test_numbers_are_those_of_sample(generator: Generator, classes: Generator) -> None:
    for some in (generator, classes):
        concept = by_numbers(some, (130, 3, 64), seed=9)
        assert np.array_equal(some.draw(concept.z, concept.labels), some.sample(131, seed=9)[[130, 3, 64]])
        assert torch.equal(concept.mean, latents(131, 5, 9)[[130, 3, 64]].mean(0))
        assert concept.numbers == (130, 3, 64)
    assert concept.label == 1  # 130 % 3 and 64 % 3
    assert by_numbers(generator, (1,), 0).label is None


@pytest.mark.parametrize(
    ("numbers", "seed", "said"),
    [
        ((), 0, "no samples named"),
        ((1, -1), 0, "from number -1 on"),
        ((2**70,), 0, "from number 1180591620717411303424 on"),
        ((1,), -1, "seed: -1"),
    ],
)
def test_numbers_that_no_sample_has(classes: Generator, numbers: tuple[int, ...], seed: int, said: str) -> None:
    with pytest.raises(InputError, match=said):
        by_numbers(classes, numbers, seed)


def test_the_first_of_equally_frequent_classes() -> None:
    assert Concept("x", torch.zeros(4, 2), torch.tensor([2, 1, 1, 2])).label == 2
    assert Concept("x", torch.zeros(3, 2), torch.tensor([2, 1, 1])).label == 1


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, labelled: Pack, classifier: TrainedClassifier) -> None:
    """Labelled images and their classifier, without a run or a training."""
    monkeypatch.setattr(concepts, "labelled_images", lambda *_: labelled)
    monkeypatch.setattr(concepts, "classifier_of", lambda *_: (classifier, Reliability(1, 1, {})))


Find = Callable[..., list[Concept]]


@pytest.mark.usefixtures("trained")
def test_classes_are_picked_once_each(generator: Generator, classifier: TrainedClassifier) -> None:
    in_order = pick(generator, classifier, {0: 9, 1: 9}, seed=2)
    dark, bright = ([one.number for one in in_order[label]] for label in (0, 1))
    texts = {"a": "bright", "b": "dark", "c": "dark", "d": f"{dark[1]},{bright[0]}"}
    found, labelled = find_concepts(MODEL, generator, texts, Display(quiet=True), samples=3, seed=2)
    assert labelled is not None
    assert [list(concept.numbers) for concept in found] == [
        bright[1:4],
        [dark[0], *dark[2:4]],
        dark[4:7],
        [dark[1], bright[0]],
    ]
    assert [concept.name for concept in found][:3] == ["bright", "dark", "dark"]
    assert min(found[0].confidences) >= 0.99
    assert found[3].confidences == ()
    assert found[0].record()["numbers"] == bright[1:4]
    assert torch.equal(torch.tensor(found[0].record()["z"]), found[0].z)


def test_numbers_alone_need_no_images(generator: Generator) -> None:
    found, labelled = find_concepts(MODEL, generator, {"a": "1,2"}, Display(quiet=True), samples=3)
    assert labelled is None
    assert found[0].numbers == (1, 2)


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize(
    ("text", "settings", "said"),
    [
        ("brigt", {}, "a: no class 'brigt'; did you mean 'bright'"),
        ("", {}, "a: no samples named"),
        ("bright", {"samples": 0}, "0 samples a concept"),
        ("bright", {"confidence": 1.5}, r"confidence of 1\.5"),
        ("bright", {"seed": -1}, "seed: -1"),
        ("nothing.json", {}, "nothing.json: cannot be read"),
    ],
)
def test_what_cannot_be_picked(
    generator: Generator, monkeypatch: pytest.MonkeyPatch, text: str, settings: dict[str, float], said: str
) -> None:
    monkeypatch.setattr(concepts, "classifier_of", None)  # nothing slow is begun
    with pytest.raises(InputError, match=said):
        find_concepts(MODEL, generator, {"a": text}, Display(quiet=True), **{"samples": 3} | settings)  # type: ignore[arg-type]
