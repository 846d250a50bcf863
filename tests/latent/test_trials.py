"""The claim's shares against their plain re-statement, with a generator and a classifier that can be calculated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dcgan.data.pack import Pack
from dcgan.errors import InputError
from dcgan.evaluation.classifier import TrainedClassifier
from dcgan.latent import trials as module
from dcgan.latent.attributes import Reliability
from dcgan.latent.trials import Share, disjoint_concepts, trials
from dcgan.pretrained import Generator
from dcgan.progress import Display

GOOD = Reliability(100, 90, {"dark": 0.8, "bright": 1.0})


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, labelled: Pack, classifier: TrainedClassifier) -> None:
    monkeypatch.setattr(module, "labelled_images", lambda *_: labelled)
    monkeypatch.setattr(module, "classifier_of", lambda *_: (classifier, GOOD))


def usual(z: np.ndarray) -> np.ndarray:
    """As long as normal z of five numbers are."""
    return z / (z**2).sum() ** 0.5 * 4.5**0.5


def bright(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float64).mean(1) > 127.5


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("kind", ["generator", "classes"])
def test_shares_are_plain_counts(kind: str, classifier: TrainedClassifier, request: pytest.FixtureRequest) -> None:
    generator: Generator = request.getfixturevalue(kind)

    def draw(z: np.ndarray, numbers: tuple[int, ...]) -> np.ndarray:
        """As the class that most of the samples have, number modulo 3; the first of equals."""
        labels = [number % 3 for number in numbers]
        label = max(labels, key=lambda one: (labels.count(one), -labels.index(one)))
        given = torch.full((len(z),), label) if generator.info.network.classes else None
        return generator.draw(torch.tensor(z, dtype=torch.float32), given)

    classes = ["bright", "dark", "dark"]
    claim = trials(Path("run"), classes, generator=generator, number=30, samples=2, noise=2.0, seed=3, confidence=0.6)
    dealt = disjoint_concepts(generator, classifier, [1, 0, 0], 30, 2, seed=3, confidence=0.6)
    drawn = generator.sample(3000, seed=3)
    centres, results, pixel_results, inputs = [], [], [], []
    rng = np.random.Generator(np.random.Philox(key=np.array([3, 0xA817], np.uint64)))
    for concepts in dealt:
        a, b, c = (concept.z.double().numpy().mean(0) for concept in concepts)
        images = [drawn[list(concept.numbers)].astype(np.float64).mean(0) for concept in concepts]
        noise = rng.uniform(-2, 2, (9, 5))
        noise[4] = 0
        nine = bright(draw(usual(a - b + c) + noise, concepts[2].numbers))
        centres.append(nine[4])
        results.append(nine)
        inputs.append(bright(draw(usual(c)[None], concepts[2].numbers))[0])
        pixel_results.append(bright((images[0] - images[1] + images[2]).clip(0, 255).round()[None])[0])
    assert claim.centres.value == np.mean(centres)
    assert claim.all_nine.value == pytest.approx(np.mean(results))
    assert 0.5 < claim.all_nine.value < claim.centres.value  # with so much noise
    assert claim.inputs.value == np.mean(inputs)
    assert claim.input_samples.value == 0
    assert claim.a_samples.value == 1
    assert kind == "classes" or (claim.inputs.value, claim.a_means.value) == (0, 1)
    assert claim.pixel_results.value == np.mean(pixel_results)
    assert (claim.centres.n, claim.all_nine.n, claim.input_samples.n) == (30, 270, 60)
    assert claim.centres.low <= claim.centres.value <= claim.centres.high
    assert claim.record()["judge_accuracy"] == 0.9
    assert claim.lines()[1].split()[1:4] == [f"{claim.centres.value:.1%}", "of", "30"]


def test_no_sample_is_dealt_twice(generator: Generator, classifier: TrainedClassifier) -> None:
    dealt = disjoint_concepts(generator, classifier, [1, 0, 0], 40, 3, seed=0, confidence=0.7)
    numbers = [number for concepts in dealt for concept in concepts for number in concept.numbers]
    assert len(numbers) == len(set(numbers)) == 360
    drawn = bright(generator.sample(max(numbers) + 1, seed=0))
    for concepts in dealt:
        assert [drawn[list(concept.numbers)].tolist() for concept in concepts] == [[True] * 3, [False] * 3, [False] * 3]
    assert np.array_equal(
        dealt[7][2].z, disjoint_concepts(generator, classifier, [1, 0, 0], 40, 3, seed=0, confidence=0.7)[7][2].z
    )


def test_an_interval_counts_trials_only() -> None:
    """Nine alike images of each of 20 trials say no more than one of each."""
    once = Share.of(np.arange(20)[:, None] < 15)
    nine = Share.of(np.repeat(np.arange(20)[:, None] < 15, 9, 1))
    assert (once.low, once.high) == (nine.low, nine.high)
    assert (once.n, nine.n) == (20, 180)
    n, p, z = 20, 0.75, 1.959963985
    middle, half = p + z * z / 2 / n, z * np.sqrt(p * (1 - p) / n + z * z / 4 / n / n)
    assert (once.low, once.high) == pytest.approx(
        ((middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n))
    )


@pytest.mark.usefixtures("trained")
def test_wrong_trials(generator: Generator) -> None:
    for number, samples in ((0, 3), (3, 0)):
        with pytest.raises(InputError, match="wants 1 or more of both"):
            trials("run", ["bright"] * 3, generator=generator, number=number, samples=samples)
    with pytest.raises(InputError, match="did you mean 'dark'"):
        trials("run", ["bright", "drak", "dark"], generator=generator, display=Display(quiet=True))
