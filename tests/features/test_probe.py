from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dcgan.data.pack import pack
from dcgan.data.sources import find_source
from dcgan.errors import InputError
from dcgan.features import supervised
from dcgan.features.extract import extract_to, feature_extractor
from dcgan.features.judging import standardise_
from dcgan.features.labelled import balanced_draws, split_off
from dcgan.features.probe import probe, untrained
from dcgan.features.protocol import Probe, Protocol
from dcgan.features.supervised import SupervisedNetwork, Trial, train_supervised
from dcgan.pretrained import Discriminator
from tests.features.conftest import CLASSES, write_pictures


def probed(run: Path, more: Path, **settings: Any) -> Probe:
    return probe(run, test=more, protocol=Protocol(**settings), precision="fp32", quiet=True)


@pytest.fixture(scope="module")
def by_few(run: Path, more: Path) -> Probe:
    return probed(run, more, labels=30, draws=4, seed=5)


def test_rows_and_protocol(by_few: Probe) -> None:
    assert [(row.features, row.dimensions) for row in by_few.rows] == [("D", 192), ("random D", 192), ("pixels", 256)]
    facts = json.loads(json.dumps(by_few.to_dict()))["protocol"]
    assert (facts["labels"], facts["draws"], facts["validation"], facts["test"]) == (30, 4, 18, 60)
    assert facts["classes"] == list(CLASSES)
    for row in by_few.rows:
        assert len(row.errors) == 4
        assert row.error == pytest.approx(np.mean(row.errors))
        assert row.deviation is not None
        assert row.deviation == pytest.approx(np.std(row.errors, ddof=1))
        assert row.high - row.error == pytest.approx(3.18245 * row.deviation / 2)
        assert len(row.choice) == 7
        assert row.chosen == (min(row.choice, key=lambda one: one["error"])["c"],)


def test_it_is_what_scikit_learn_finds(by_few: Probe, run: Path, pictures: Path, more: Path) -> None:
    """The whole protocol once more, with LinearSVC."""
    svms = pytest.importorskip("sklearn.svm")
    train, test = (pack(find_source(path), (16, 16), 1) for path in (pictures, more))
    labels, of_tests = train.labels, test.labels
    assert labels is not None
    extractor = feature_extractor(Discriminator.from_pretrained(run, "cpu"))
    of_train, of_test = (extractor(images.images, torch.float16).double().numpy() for images in (train, test))
    pool, validation = split_off(labels, 18, 5)
    draws = balanced_draws(labels, pool, 30, 4, CLASSES, 5)
    row = by_few.rows[0]

    def wrong(draw: np.ndarray, c: Any, features: np.ndarray, wanted: Any) -> float:
        model = svms.LinearSVC(C=c, dual=False, tol=1e-8, max_iter=10**5)
        return (model.fit(of_train[draw], labels[draw]).predict(features) != wanted).mean()

    for tried in row.choice:
        expected = np.mean([wrong(draw, tried["c"], of_train[validation], labels[validation]) for draw in draws])
        assert tried["error"] == pytest.approx(expected)
    (c,) = row.chosen
    assert row.errors == pytest.approx([wrong(draw, c, of_test, of_tests) for draw in draws])


@pytest.mark.parametrize(("standardise", "mirror"), [(True, False), (False, True), (True, True)])
def test_of_prepared_features_too(standardise: bool, mirror: bool, run: Path, more: Path, pictures: Path) -> None:
    """Its StandardScaler sees the images that any draw or the choice of C looks at; mirrors are drawn by numpy."""
    svms = pytest.importorskip("sklearn.svm")
    from sklearn.preprocessing import StandardScaler

    settings: dict[str, Any] = {"labels": 30, "draws": 1, "seed": 5, "c": (1e-3,)}
    result = probed(run, more, **settings, standardise=standardise, mirror=mirror)
    said = result.protocol["svm"]
    assert ("standardised" in said, "mirror" in said) == (standardise, mirror)
    packs = [pack(find_source(path), (16, 16), 1) for path in (pictures, more)]
    labels, of_tests = (images.labels for images in packs)
    assert labels is not None
    assert of_tests is not None
    pool, validation = split_off(labels, 18, 5)
    (draw,) = balanced_draws(labels, pool, 30, 1, CLASSES, 5)
    extractor = feature_extractor(Discriminator.from_pretrained(run, "cpu"))
    by_d: list[np.ndarray] = []
    by_pixels: list[np.ndarray] = []
    for images in packs:
        seen = [images.images, np.flip(images.images, 2).copy()] if mirror else [images.images]
        by_d.append(np.mean([extractor(one).double().numpy() for one in seen], 0))
        by_pixels.append(np.mean([one.reshape(len(one), -1) / 127.5 - 1 for one in seen], 0))
    for row, (of_train, of_test) in ((result.rows[0], by_d), (result.rows[2], by_pixels)):
        scaler = StandardScaler(with_mean=standardise, with_std=standardise)
        scaler.fit(of_train[np.concatenate([draw, validation])])
        model = svms.LinearSVC(C=1e-3, dual=False, tol=1e-8, max_iter=10**5)
        model.fit(scaler.transform(of_train[draw]), labels[draw])
        wanted = (model.predict(scaler.transform(of_test)) != of_tests).mean()
        assert row.errors == (pytest.approx(wanted, abs=0.02),)  # one image may lie on the border
    plain = probed(run, more, **settings)
    assert [row.errors for row in result.rows] != [row.errors for row in plain.rows]


def test_standardising() -> None:
    generator = torch.Generator().manual_seed(0)
    train, test = (torch.randn(n, 5, generator=generator) * 3 + 2 for n in (700, 30))
    train[:, 3], test[:, 3] = 0.1, 0.2
    train[:, 4], test[:, 4], train[0, 4], test[0, 4] = 0.0, 0.0, 1e-4, 10.0
    of_train, of_test = train.half(), test.half()
    mean, deviation = of_train.double().mean(0), of_train.double().std(0, correction=0)
    wanted = [((x.half().double() - mean) / deviation)[:, :3] for x in (train, test)]
    standardise_(of_train, of_test)
    for found, x in zip((of_train, of_test), wanted, strict=True):
        assert torch.allclose(found[:, :3].double(), x, rtol=1e-3, atol=1e-3)
    assert not of_train[:, 3].any()
    assert of_train[0, 4] == pytest.approx(700**0.5, rel=0.01)
    assert of_test[0, 4] == 1000


def test_c_by_cross_validation_looks_at_the_draws_alone(run: Path, more: Path) -> None:
    result = probed(run, more, labels=30, draws=3, choose="cv", folds=5, c=(1e-4, 1e-2))
    assert result.protocol["validation"] == 0
    for row in result.rows:
        assert len(row.chosen) == 3
        assert set(row.chosen) <= {1e-4, 1e-2}


@pytest.mark.parametrize("choose", ["validation", "cv"])
def test_all_labels(run: Path, more: Path, choose: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from dcgan.evaluation.intervals import wilson
    from dcgan.features import svm

    results = []
    for few in (10**6, 0):  # by either solver
        monkeypatch.setattr(svm, "FEW", few)
        monkeypatch.setattr(svm, "FEW_OF_MANY", few)
        results.append(probed(run, more, choose=choose, c=(1e-3, 1e-2)))
    for result in results:
        assert (result.protocol["trained_on"], result.protocol["draws"]) == (90, 1)
        for row in result.rows:
            assert (row.low, row.high) == pytest.approx(wilson(row.error * 60, 60))
            assert row.deviation is None
    for one, other in zip(*(result.rows for result in results), strict=True):
        assert one.error == pytest.approx(other.error, abs=0.02)  # one image may lie on the border


def test_each_c_that_is_tried_is_told_at_once(run: Path, more: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With all labels each may take many minutes."""
    found = probe(run, test=more, protocol=Protocol(validation=30, c=(1e-3, 1e-2)), precision="fp32")
    said = capsys.readouterr().out
    for row in found.rows:
        for one in row.choice:
            assert f"{row.features}: C of {one['c']:.2g}: {one['error']:.2%} of the validation images wrong\n" in said


def test_the_random_control_is_untrained_and_of_the_same_architecture(run: Path) -> None:
    found = Discriminator.from_pretrained(run, "cpu")
    state = torch.get_rng_state()
    one, same, other = untrained(found, 0), untrained(found, 0), untrained(found, 1)
    assert torch.equal(torch.get_rng_state(), state)
    weights = [net.network.state_dict()["blocks.0.0.weight"] for net in (found, one, same, other)]
    assert torch.equal(weights[1], weights[2])
    assert not torch.equal(weights[1], weights[3])
    assert weights[1].std().item() == pytest.approx(0.02, rel=0.3)
    assert found.network.state_dict().keys() == one.network.state_dict().keys()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"labels": 31}, "cannot be balanced over 3 classes; nearest: 30 and 33"),
        ({"labels": 87}, "29 images of each class, and of bright there are 24"),
        ({"labels": 30, "validation": 90}, "90 cannot be held out"),
        ({"labels": 6, "choose": "cv"}, "2 of bright are too few for 5 folds"),
        ({"labels": 0}, "labels: 0"),
        ({"draws": 0}, "draws: 0"),
        ({"folds": 1}, "folds: 1"),
        ({"seed": -1}, "seed: -1"),
        ({"c": (0.0,)}, "above 0"),
        ({"choose": "luck"}, "'luck'"),
    ],
)
def test_wrong_protocols(run: Path, more: Path, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        probed(run, more, **settings)


def test_wrong_images(run: Path, pictures: Path, more: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no test images; name some"):
        probe(run, quiet=True)
    with pytest.raises(InputError, match="name the real images with --data"):
        probe(run / "discriminator.safetensors", quiet=True)
    plain = tmp_path / "plain"
    plain.mkdir()
    for i, path in enumerate(sorted(more.rglob("*.png"))):
        shutil.copy(path, plain / f"{i}.png")
    with pytest.raises(InputError, match="no labels of two classes"):
        probe(run, test=plain, quiet=True)
    other = write_pictures(tmp_path / "other", 4, 3)
    (other / "dark").rename(other / "dim")
    with pytest.raises(InputError, match="classes bright, dim, striped are not those"):
        probe(run, test=other, quiet=True)
    with pytest.raises(InputError, match="use --choose validation"):
        probe(run, test=more, protocol=Protocol(choose="cv"), supervised=True, quiet=True)


def test_the_supervised_row(run: Path, more: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised, "FEWEST_STEPS", 40)
    protocol = Protocol(labels=30, draws=2, trials=3, augment=True)
    result = probe(run, test=more, protocol=protocol, supervised=True, quiet=True)
    row = result.rows[-1]
    assert (row.features, row.dimensions, len(row.errors), len(row.choice)) == ("supervised", None, 2, 3)
    best = min(row.choice, key=lambda one: one["error"])
    assert row.chosen == ({name: best[name] for name in ("lr", "weight_decay", "dropout", "shift")},)
    json.dumps(result.to_dict())


def test_trials_are_drawn_from_their_ranges() -> None:
    from dcgan.presets import load_preset

    config = load_preset("fast").replace(image_size=28, channels=1).network
    trials = [Trial.drawn(i, 0, config, augment=True) for i in range(200)]
    assert all(1e-4 <= t.lr <= 1e-2 and 1e-5 <= t.weight_decay <= 1 and 0 <= t.dropout <= 0.8 for t in trials)
    assert {t.shift for t in trials} == {0, 1, 2}
    assert np.median([t.lr for t in trials]) == pytest.approx(1e-3, rel=0.5)
    assert {Trial.drawn(i, 0, config, augment=False).shift for i in range(20)} == {0}
    assert Trial.drawn(3, 1, config, augment=True) != trials[3] == Trial.drawn(3, 0, config, augment=True)


@pytest.mark.parametrize("stats", ["running", "batch"])
def test_a_supervised_network_learns(stats: str, pictures: Path, more: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dcgan.presets import load_preset

    monkeypatch.setattr(supervised, "FEWEST_STEPS", 60)
    config = load_preset("fast").replace(image_size=16, channels=1, width=4, norm_stats=stats).network
    train, test = (pack(find_source(path), (16, 16), 1) for path in (pictures, more))
    state, shown = torch.get_rng_state(), list[tuple[int, int]]()
    found = [
        train_supervised(
            config,
            train.images,
            train.labels,  # type: ignore[arg-type]
            3,
            Trial(3e-3, 1e-3, 0.1, 0),
            0,
            torch.device("cpu"),
            lambda done, total: shown.append((done, total)),
        )
        for _ in range(2)
    ]
    assert torch.equal(torch.get_rng_state(), state)
    assert shown[-1] == (60 * 64, 60 * 64)
    assert test.labels is not None
    wrong = [network.wrong(test.images, test.labels) for network in found]
    assert wrong[0] == wrong[1] < 0.1
    one_by_one = [
        found[0].wrong(image[None], label[None]) for image, label in zip(test.images, test.labels, strict=True)
    ]
    assert np.mean(one_by_one) == pytest.approx(wrong[0])


def test_moved_images_are_the_images_moved() -> None:
    pixels = torch.arange(2 * 3 * 5 * 4, dtype=torch.uint8).reshape(2, 3, 5, 4)
    moved = supervised._moved(pixels, 2, np.random.default_rng(0))
    places = np.random.default_rng(0).integers(0, 5, (2, 2)) - 2
    for image, found, (dy, dx) in zip(pixels, moved, places, strict=True):
        for y in range(5):
            for x in range(4):
                assert torch.equal(found[:, y, x], image[:, np.clip(y + dy, 0, 4), np.clip(x + dx, 0, 3)])


def test_a_supervised_network_has_ds_convolutions() -> None:
    from dcgan.presets import load_preset

    config = load_preset("paper-mnist").replace(width=4, classes=3).network
    network = SupervisedNetwork(config, 3, 0.0)
    assert network.head.in_features == 8 * 7 * 7
    assert network(torch.zeros(2, 1, 28, 28, dtype=torch.uint8)).shape == (2, 3)


def test_features_are_written_with_their_labels(run: Path, pictures: Path, more: Path, tmp_path: Path) -> None:
    shape = extract_to(tmp_path / "f.npz", run, quiet=True)
    train = pack(find_source(pictures), (16, 16), 1)
    extractor = feature_extractor(Discriminator.from_pretrained(run, "cpu"))
    with np.load(tmp_path / "f.npz") as arrays:
        assert arrays["features"].shape == shape == (90, 192)
        assert np.array_equal(arrays["features"], extractor(train.images).numpy())
        assert train.labels is not None
        assert np.array_equal(arrays["labels"], train.labels)
    extract_to(tmp_path / "again.npz", run / "discriminator.safetensors", more, recalibrate=True, quiet=True)
    with np.load(tmp_path / "again.npz") as arrays:
        assert arrays["features"].shape == (60, 192)
        assert "averaged over batches of 60" in json.loads(str(arrays["facts"]))["statistics"]


@pytest.mark.data
@pytest.mark.slow
def test_a_random_d_beats_pixels_on_mnist(data_root: Path, tmp_path: Path) -> None:
    """As every convolution with pooling does; no training is needed for that, and it is not D's merit."""
    from tests.features.conftest import discriminator

    found = discriminator(image_size=28, channels=1, width=8)
    found.save_pretrained(tmp_path)
    protocol = Protocol(labels=1000, draws=1, validation=500)
    result = probe(tmp_path / "discriminator.safetensors", "mnist", protocol=protocol, recalibrate=True, quiet=True)
    d, random, pixels = result.rows
    assert pixels.error == pytest.approx(0.125, abs=0.02)
    assert d.error < 0.11
    assert random.error < 0.11
