from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dcgan.data.pack import Pack, pack
from dcgan.data.sources import find_source
from dcgan.errors import InputError
from dcgan.evaluation import classifier
from dcgan.evaluation.classifier import Classifier, load_classifier

CPU = torch.device("cpu")


@pytest.mark.parametrize("size", [(16, 16), (28, 28), (48, 100), (256, 256)])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_any_size_gives_128_features(size: tuple[int, int], channels: int) -> None:
    network = Classifier(size, channels, 7).eval()
    features, logits = network(torch.zeros(2, channels, *size, dtype=torch.uint8))
    assert features.shape == (2, 128)
    assert logits.shape == (2, 7)


def test_large_images_are_averaged_down_first() -> None:
    """So that doubling the pixels changes nothing, and the words say so."""
    small, large = Classifier((48, 64), 1, 3).eval(), Classifier((96, 128), 1, 3).eval()
    large.load_state_dict(small.state_dict())
    images = torch.randint(0, 256, (2, 1, 48, 64), dtype=torch.uint8)
    doubled = images.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.allclose(small(images)[0], large(doubled)[0], atol=1e-6)
    assert (small.resize, large.resize) == ("none", "average-pooled by 2")


def test_an_odd_edge_is_the_mean_of_what_is_there() -> None:
    """Of a white image the last column, of one pixel's width, is white as well."""
    network, seen = Classifier((65, 66), 1, 3).eval(), list[torch.Tensor]()
    network.features[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(torch.full((1, 1, 65, 66), 255, dtype=torch.uint8))
    assert torch.equal(seen[0], torch.ones(1, 1, 33, 33))


@pytest.mark.usefixtures("few_steps")
def test_it_learns_and_predicts(packed: Pack) -> None:
    shown = list[tuple[int, int]]()
    trained = load_classifier(packed, CPU, lambda done, total: shown.append((done, total)))
    assert shown[0] == (16, 192)
    assert shown[-1] == (192, 192)
    seen = list[tuple[int, int]]()
    labels, confidence = trained.predict(packed.images, lambda done, total: seen.append((done, total)))
    assert packed.labels is not None
    assert labels.dtype == np.int64
    assert (labels == packed.labels).mean() > 0.9
    assert ((confidence >= 0.5) & (confidence <= 1)).all()
    assert seen == [(60, 60)]
    assert trained.class_names == ("bright", "dark")


@pytest.mark.usefixtures("few_steps")
def test_its_features_lead_to_its_predictions(packed: Pack) -> None:
    trained = load_classifier(packed, CPU)
    extractor = trained.extractor()
    features, logits = extractor(packed.images)
    assert features.shape == (60, extractor.dimensions) == (60, 128)
    assert logits is not None
    labels, confidence = trained.predict(packed.images)
    assert np.array_equal(logits.argmax(1), labels)
    assert np.allclose(np.exp(logits.max(1)) / np.exp(logits).sum(1), confidence, atol=1e-6)
    assert (extractor.name, extractor.resize, extractor.precision) == ("classifier", "none", "fp32")


@pytest.mark.usefixtures("few_steps")
def test_trained_once_the_same_each_time_and_without_a_trace(
    packed: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_rng_state()
    digests = [load_classifier(packed, CPU, cache=tmp_path / name).extractor().digest for name in ("a", "b")]
    assert digests[0] == digests[1]
    assert torch.equal(torch.get_rng_state(), before)
    monkeypatch.setattr(classifier, "_train", None)  # to train once more would fail
    assert load_classifier(packed, CPU, cache=tmp_path / "a").extractor().digest == digests[0]
    other = replace(packed, key="other images")
    with pytest.raises(TypeError):
        load_classifier(other, CPU, cache=tmp_path / "a")


def test_images_without_classes_are_refused(packed: Pack) -> None:
    for unlabelled in (replace(packed, labels=None, class_names=()), replace(packed, class_names=("one",))):
        with pytest.raises(InputError, match=r"two classes or more .*--extractor inception needs no labels"):
            load_classifier(unlabelled, CPU)


@pytest.mark.usefixtures("few_steps")
def test_images_of_another_shape_are_refused(packed: Pack) -> None:
    trained = load_classifier(packed, CPU)
    with pytest.raises(InputError, match=r"knows images of \(16, 16, 3\)"):
        trained.predict(packed.images[:, :8])
    with pytest.raises(InputError, match=r"these are \(16, 16, 1\)"):
        trained.extractor()(packed.images[..., :1])


@pytest.mark.data
@pytest.mark.slow
def test_a_short_training_reads_mnist(data_root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(classifier, "STEPS", 100)
    train, test = (pack(find_source("mnist", data_root, split), (28, 28), 1) for split in ("train", "test"))
    labels, _ = load_classifier(train, CPU, cache=tmp_path).predict(test.images)
    assert (labels == test.labels).mean() > 0.96
