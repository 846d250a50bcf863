from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dcgan.data.pack import Pack
from dcgan.evaluation import reference as module
from dcgan.evaluation.extractors import Features
from dcgan.evaluation.fidelity import statistics
from dcgan.evaluation.reference import Reference, reference
from tests.evaluation.conftest import plain_extractor


def test_statistics_are_of_all_images_and_what_is_kept_is_some_of_them(
    packed: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT", 25)
    monkeypatch.setattr(module, "_PIECE", 7)
    extractor = plain_extractor(has_classes=True)
    calls = list[tuple[int, int]]()
    found = reference(packed, extractor, 60, lambda done, total: calls.append((done, total)), tmp_path)
    everything = extractor(packed.images).features
    assert found.statistics.count == 60
    assert np.allclose(found.statistics.mean, everything.mean(0), atol=1e-4)
    assert np.allclose(found.statistics.covariance, np.cov(everything, rowvar=False), rtol=1e-3)
    features, logits = found.kept
    assert features.shape == (25, 6)
    assert logits is not None
    assert np.array_equal(logits, features[:, :2])
    rows = {row.tobytes() for row in everything}
    assert len({row.tobytes() for row in features} & rows) == 25
    assert not np.array_equal(features, everything[:25])  # a random choice
    assert calls[-1] == (60, 60)


def test_fewer_images_are_the_first_of_the_same_order(packed: Pack, tmp_path: Path) -> None:
    all_of_them = reference(packed, plain_extractor(), 60, cache=tmp_path)
    some = reference(packed, plain_extractor(), 30, cache=tmp_path)
    assert np.array_equal(some.kept.features, all_of_them.kept.features[:30])
    assert some.kept.logits is None
    assert np.allclose(some.statistics.covariance, statistics(some.kept.features).covariance)


def test_the_cache_knows_images_extractor_precision_and_number(packed: Pack, tmp_path: Path) -> None:
    counted = list[int]()

    def look(images: Pack, digest: str, precision: str, number: int) -> Reference:
        extractor = replace(plain_extractor(), digest=digest, precision=precision)
        return reference(images, extractor, number, lambda done, _: counted.append(done), tmp_path)

    first = look(packed, "0", "fp32", 60)
    counted.clear()
    again = look(packed, "0", "fp32", 60)
    assert not counted
    assert np.array_equal(again.kept.features, first.kept.features)
    assert np.array_equal(again.statistics.covariance, first.statistics.covariance)
    assert again.statistics.count == 60
    for other in (
        (replace(packed, key="x"), "0", "fp32", 60),
        (packed, "1", "fp32", 60),
        (packed, "0", "bf16", 60),
        (packed, "0", "fp32", 59),
    ):
        counted.clear()
        look(*other)
        assert counted


def test_batches_are_grouped_in_order() -> None:
    rows = np.arange(5000, dtype=np.float32)[:, None]
    groups = list(module._grouped(Features(part, part) for part in np.array_split(rows, 300)))
    assert np.array_equal(np.concatenate([group.features for group in groups]), rows)
    assert all(len(group.features) >= 1024 for group in groups[:-1])
    assert len(groups) < 6


def test_the_parts_of_a_split_share_no_image() -> None:
    features = np.random.default_rng(0).standard_normal((31, 3)).astype(np.float32)
    first, second = Reference(statistics(features), Features(features, features)).split(12)
    assert np.array_equal(np.concatenate([first.features, second.kept.features]), features)
    assert first.logits is not None
    assert len(first.logits) == 12
    assert np.allclose(second.statistics.mean, features[12:].mean(0))
