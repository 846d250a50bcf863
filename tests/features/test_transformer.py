from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

import dcgan
from dcgan.errors import InputError
from dcgan.features import transformer
from dcgan.features.extract import feature_extractor
from tests.features.conftest import discriminator, random_images

sklearn = pytest.importorskip("sklearn")


def test_it_gives_the_extractors_features(run: Path) -> None:
    found = dcgan.Discriminator.from_pretrained(run, "cpu")
    images = random_images(found, 12)
    features = dcgan.DiscriminatorFeatures(run).fit_transform(images)
    assert features.dtype == np.float32
    assert np.array_equal(features, feature_extractor(found)(images).numpy())
    for other in (images.reshape(12, -1), images[..., 0], torch.from_numpy(images)):
        assert np.array_equal(dcgan.DiscriminatorFeatures(found).transform(other), features)


def test_names_of_the_features(run: Path) -> None:
    step = dcgan.DiscriminatorFeatures(run)
    names = step.get_feature_names_out()
    assert len(names) == step.transform(np.zeros((1, 16, 16, 1), np.uint8)).shape[1] == 192
    assert (names[0], names[-1]) == ("conv1_0_0_0", "conv2_7_3_3")


def test_in_a_pipeline(run: Path) -> None:
    from sklearn.base import clone
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    images = np.clip(rng.normal(100 + 50 * labels[:, None, None, None], 30, (40, 16, 16, 1)), 0, 255).astype(np.uint8)
    pipeline = make_pipeline(dcgan.DiscriminatorFeatures(run, recalibrate=True), LinearSVC(C=0.01))
    assert cross_val_score(pipeline, images.reshape(40, -1), labels, cv=2).mean() > 0.9
    copy = clone(pipeline)
    assert copy.get_params()["discriminatorfeatures__recalibrate"] is True
    pipeline.fit(images, labels)
    again = pickle.loads(pickle.dumps(pipeline))
    assert np.array_equal(again.predict(images), pipeline.predict(images))


def test_statistics_are_those_of_fit() -> None:
    from sklearn.exceptions import NotFittedError

    found = discriminator("paper-svhn", image_size=16, width=4)
    images = random_images(found, 30)
    step = dcgan.DiscriminatorFeatures(found)
    with pytest.raises(NotFittedError, match="call fit first"):
        step.transform(images)
    step.fit(images)
    assert np.array_equal(step.transform(images[:5]), feature_extractor(found, images)(images[:5]).numpy())


def test_wrong_images(run: Path) -> None:
    step = dcgan.DiscriminatorFeatures(run)
    for wrong in (np.zeros((2, 16, 16, 1)), np.zeros((2, 255), np.uint8), np.zeros((2, 16, 16, 3), np.uint8)):
        with pytest.raises(ValueError, match="wants uint8"):
            step.fit(wrong)


def test_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformer, "HAS_SKLEARN", False)
    with pytest.raises(InputError, match=r"pip install 'dcgan\[features\]'"):
        dcgan.DiscriminatorFeatures("runs/x")
