"""The split of a labelled set, how a classifier is tested, and which samples it picks."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dcgan.config import Config
from dcgan.data.pack import Pack
from dcgan.errors import InputError
from dcgan.evaluation.classifier import TrainedClassifier
from dcgan.latent import attributes
from dcgan.latent.attributes import Pick, class_number, labelled_images, pick, split
from dcgan.pretrained import Generator
from dcgan.progress import Display
from dcgan.run import Run


def rows_of(part: Pack, whole: Pack) -> list[int]:
    return [int(np.flatnonzero((whole.images == image).all((1, 2, 3)))[0]) for image in part.images]


def test_no_image_is_in_two_parts(labelled: Pack) -> None:
    assert labelled.labels is not None
    parts = split(labelled)
    rows = {name: rows_of(getattr(parts, name), labelled) for name in ("pick", "judge", "held_out")}
    assert sorted(itertools.chain(*rows.values())) == list(range(103))
    for name, expected in (("held_out", [4, 6]), ("pick", [18, 29]), ("judge", [18, 28])):
        part = getattr(parts, name)
        assert part.labels.tolist() == labelled.labels[rows[name]].tolist()
        assert np.bincount(part.labels).tolist() == expected
    assert len({labelled.key, parts.pick.key, parts.judge.key, parts.held_out.key}) == 4
    again = split(replace(labelled, source="elsewhere"))
    assert rows_of(again.judge, labelled) == rows["judge"]


def test_large_sets_are_cut(labelled: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attributes, "MOST_TRAINED", 20)
    monkeypatch.setattr(attributes, "MOST_TESTED", 5)
    parts = split(labelled)
    assert [len(part.images) for part in (parts.pick, parts.judge, parts.held_out)] == [19, 19, 4]


def test_a_class_of_two_images_is_refused(labelled: Pack) -> None:
    assert labelled.labels is not None
    few = replace(labelled, images=labelled.images[38:], labels=labelled.labels[38:], source="zip a\x1b.zip")
    with pytest.raises(InputError, match=r"zip a\\x1b.zip: class dark has 2 images"):
        split(few)


def test_accuracy_is_of_images_held_out(labelled: Pack, classifier: TrainedClassifier) -> None:
    assert labelled.labels is not None
    wrong = labelled.labels.copy()
    wrong[[0, 1, 50]] = 1, 1, 0  # now 39 are called dark, and one of them is not; 64 bright, of which two are not
    found = attributes.tested(classifier, replace(labelled, labels=wrong))
    assert (found.images, found.right) == (103, 100)
    assert found.recall == pytest.approx({"dark": 38 / 39, "bright": 62 / 64})
    assert str(found).startswith("97.1% of 103 held-out images right (")


def test_the_first_confident_samples_of_each_class_are_picked(
    generator: Generator, classifier: TrainedClassifier
) -> None:
    images = generator.sample(300, seed=4)
    mean = images.astype(np.float64).mean((1, 2, 3)) - 127.5
    sure = 1 / (1 + np.exp(-np.abs(mean) / 4))
    expected = {
        label: [n for n in range(300) if (mean[n] > 0) == label and sure[n] >= 0.95 and n not in (0, 3, 11)]
        for label in (0, 1)
    }
    seen: list[tuple[int, int]] = []
    found = pick(
        generator,
        classifier,
        {1: 7, 0: 70},
        seed=4,
        confidence=0.95,
        without={0, 3, 11},
        progress=lambda done, total: seen.append((done, total)),
    )
    assert [one.number for one in found[1]] == expected[1][:7]
    assert [one.number for one in found[0]] == expected[0][:70]
    assert [one.confidence for one in found[1]] == pytest.approx(sure[expected[1][:7]], abs=1e-4)
    assert seen[-1] == (77, 77)
    assert isinstance(found[1][0], Pick)


def test_a_rare_class_is_named(generator: Generator, classifier: TrainedClassifier) -> None:
    with pytest.raises(
        InputError, match=r"among 100 samples there are \d+ of 90 bright that .* 99% sure.*--confidence"
    ):
        pick(generator, classifier, {0: 1, 1: 90}, most=100)


def test_an_unknown_class_is_named() -> None:
    with pytest.raises(
        InputError, match=r"no class 'smilig'; did you mean 'smiling'\? \(there are: neutral, smiling\)"
    ):
        class_number("smilig", ("neutral", "smiling"))
    assert class_number("smiling", ("neutral", "smiling")) == 1


def test_labelled_images_are_those_of_the_run_or_given(generator: Generator, photos: Path, tmp_path: Path) -> None:
    quiet = Display(quiet=True)
    given = labelled_images(tmp_path / "x.safetensors", generator, photos, quiet)
    assert given.images.shape == (40, 16, 16, 1)
    assert given.class_names == ("bright", "dark")
    config = Config().replace(data=photos)
    own = Run.create(tmp_path / "own", config, {"key": given.key})
    assert labelled_images(own.path, generator, None, quiet).key == given.key
    changed = Run.create(tmp_path / "changed", config, {"key": "other"})
    with pytest.raises(InputError, match=r"changed: .*not those it was trained on; .*--data"):
        labelled_images(changed.path, generator, None, quiet)
    with pytest.raises(InputError, match="--data"):
        labelled_images(tmp_path / "x.safetensors", generator, None, quiet)
    with pytest.raises(InputError, match=r"has no classes to pick samples by; .*--data, or pick samples by their numb"):
        labelled_images(own.path, generator, photos / "dark", quiet)
