from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

import dcgan
from dcgan.data.pack import Pack, pack
from dcgan.data.sources import find_source
from dcgan.errors import InputError
from dcgan.evaluation import Measure, evaluate, fidelity, measure
from dcgan.evaluation.classifier import load_classifier
from dcgan.evaluation.reference import reference
from tests.evaluation.conftest import plain_extractor

CPU = torch.device("cpu")
ALL = ("fid", "kid", "prc", "dc", "isc")
VALUES = ["fid", "kid", "precision", "recall", "density", "coverage", "inception_score"]


@pytest.fixture
def ready(run: Path, few_steps: None, no_weights: None) -> Path:
    return run


def evaluated(model: Path, **options: Any) -> list[Any]:
    given: dict[str, Any] = {"extractor": "classifier", "metrics": ALL, "samples": 50} | options
    return evaluate(model, quiet=True, **given)


def test_scores_are_the_metrics_of_the_classifiers_features(ready: Path, packed: Pack) -> None:
    scores = evaluated(ready, seed=3)
    extractor = load_classifier(packed, CPU).extractor()
    drawn = extractor(dcgan.Generator.from_pretrained(ready).sample(50, seed=3))
    real = reference(packed, extractor, 60)
    assert drawn.logits is not None
    precision, recall = fidelity.precision_recall(drawn.features, real.kept.features[:50])
    density, coverage = fidelity.density_coverage(drawn.features, real.kept.features[:50])
    expected = [
        fidelity.fid(drawn.features, fidelity.statistics(extractor(packed.images).features)),
        fidelity.kid(drawn.features, real.kept.features, 3),
        *(precision, recall, density, coverage),
        fidelity.inception_score(drawn.logits, 3),
    ]
    assert [score.metric for score in scores] == VALUES
    assert [score.value for score in scores] == pytest.approx([one.value for one in expected], rel=1e-4)


def test_fewer_images_than_features_are_warned_of(ready: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for samples, side in ((50, "50 drawn"), (129, "60 real")):
        evaluate(ready, samples=samples, extractor="classifier", metrics=["fid"])
        assert f"fid: of {side} images with 128 features each it is far too high" in capsys.readouterr().out


def test_more_images_than_features_on_both_sides_are_not_warned_of(
    ready: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measure, "choose_extractor", lambda *_: plain_extractor())
    evaluate(ready, samples=20, metrics=["fid"])
    assert "warning" not in capsys.readouterr().out


def test_a_score_says_everything(ready: Path, packed: Pack) -> None:
    fid, kid, precision, *_ = evaluated(ready, truncation=0.7)
    assert fid.extractor == "classifier"
    assert fid.digest == load_classifier(packed, CPU).extractor().digest
    assert (fid.samples, fid.reference_samples, precision.reference_samples) == (50, 60, 50)
    assert fid.reference == packed.source
    assert (fid.split, fid.images, fid.resize, fid.precision) == ("train", "16x16x3, lanczos", "none", "fp32")
    assert (fid.seed, fid.truncation, fid.images_shown, fid.dcgan) == (0, 0.7, 64, dcgan.__version__)
    assert fid.generator == str(ready)
    assert fid.interval.low < fid.value < fid.interval.high
    assert fid.interval.how == "delta method over the images"
    assert kid.interval.how == "100 subsets of 25"
    assert fid.floor.samples == 30
    assert fid.floor.how == "reference images against the other 30 of 60"
    assert 0 <= fid.floor.value < fid.value


def test_scores_are_added_to_the_run_and_to_a_file(ready: Path, tmp_path: Path) -> None:
    before = len((ready / "evaluation.jsonl").read_text().splitlines()) if (ready / "evaluation.jsonl").exists() else 0
    scores = [*evaluated(ready, metrics=["fid"], json=tmp_path / "scores.jsonl"), *evaluated(ready, metrics=["dc"])]
    lines = [json.loads(line) for line in (ready / "evaluation.jsonl").read_text().splitlines()[before:]]
    assert lines == [json.loads(score.to_json()) for score in scores]
    assert [line["metric"] for line in lines] == ["fid", "density", "coverage"]
    assert json.loads((tmp_path / "scores.jsonl").read_text())["floor"]["value"] == scores[0].floor.value


def test_the_floor_is_of_held_out_images_if_there_are_some(ready: Path, held_out: Path, packed: Pack) -> None:
    (fid,) = evaluated(ready, metrics=["fid"], test=held_out)
    extractor = load_classifier(packed, CPU).extractor()
    test = pack(find_source(held_out), (16, 16), 3)
    real = fidelity.statistics(extractor(packed.images).features)
    assert fid.floor.value == pytest.approx(fidelity.fid(extractor(test.images).features, real).value, rel=1e-4)
    assert fid.floor.samples == 40
    assert fid.floor.how == f"test images ({test.source})"


def test_the_floor_is_of_as_many_images_as_the_value(ready: Path, packed: Pack) -> None:
    (fid,) = evaluated(ready, metrics=["fid"], samples=25)
    kept = reference(packed, load_classifier(packed, CPU).extractor(), 60).kept.features
    assert fid.floor.samples == 25
    assert fid.floor.how == "reference images against the other 35 of 60"
    assert fid.floor.value == pytest.approx(fidelity.fid(kept[:25], fidelity.statistics(kept[25:])).value)


def test_of_few_images_there_is_no_floor(ready: Path) -> None:
    (fid,) = evaluated(ready, metrics=["fid"], reference_samples=39)
    assert fid.floor is None
    assert json.loads(fid.to_json())["floor"] is None


def test_without_torch_fidelity_its_metrics_are_refused_at_once(ready: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"kid and isc are torch-fidelity's.*pip install 'dcgan\[evaluation\]'"):
        evaluated(ready)


def test_a_weights_file_wants_data(ready: Path, small: Path, held_out: Path) -> None:
    weights = ready / "generator.safetensors"
    with pytest.raises(InputError, match=r"name the real images with --data"):
        evaluated(weights)
    (of_file,) = evaluated(weights, data=small, metrics=["fid"])
    (of_run,) = evaluated(ready, metrics=["fid"])
    assert of_file.value == of_run.value
    (of_others,) = evaluated(ready, data=held_out, metrics=["fid"])
    assert of_others.value != of_run.value
    assert "60 images" in of_run.reference
    assert "40 images" in of_others.reference


def test_images_that_the_run_did_not_see_must_be_named(ready: Path, tmp_path: Path) -> None:
    facts = json.loads((ready / "data.json").read_text())
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("config.yaml", "generator.safetensors"):
        (copy / name).write_bytes((ready / name).read_bytes())
    (copy / "data.json").write_text(json.dumps(facts | {"key": "others", "digest": "others"}))
    with pytest.raises(InputError, match="not those it was trained on; name with --data"):
        evaluated(copy)
    assert not (copy / "evaluation.jsonl").exists()


def test_measure_gives_the_same_values_many_times(ready: Path, packed: Pack) -> None:
    measure = Measure.of(packed, ALL, extractor="classifier", samples=50)
    generator = dcgan.Generator.from_pretrained(ready)
    before = torch.get_rng_state()
    values = measure(generator)
    assert values == measure(generator)
    assert torch.equal(torch.get_rng_state(), before)
    assert values == {score.metric: pytest.approx(score.value) for score in evaluated(ready)}


def test_a_perfect_generator_is_at_the_floor(packed: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real images themselves, drawn: distance 0, all of them inside, all of them covered."""
    real = reference(packed, plain_extractor(), 60)
    measure = Measure(plain_extractor(), real, ("fid", "prc", "dc"), samples=60)

    class Real:
        def stream(self, n: int, seed: int, truncation: float | None) -> Any:
            yield packed.images[:40]
            yield packed.images[40:n]

    values = measure(Real())  # type: ignore[arg-type]
    assert values["fid"] == pytest.approx(0, abs=1e-2)
    assert values["precision"] == values["recall"] == values["coverage"] == 1
    assert math.isfinite(values["density"])


def test_auto_says_what_it_takes_and_why(
    ready: Path, packed: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import replace

    from dcgan.evaluation import choice
    from dcgan.progress import Display

    taken = list[Any]()
    monkeypatch.setattr(choice, "inception", lambda *given: taken.append(given))

    def said(train: Pack, weights: Path | None = None) -> str:
        choice.choose_extractor("auto", weights, train, CPU, "bf16", Display())
        return " ".join(capsys.readouterr().out.split())

    unlabelled = replace(packed, class_names=(), labels=None)
    assert "extractor: classifier, because Inception's weights are not on this machine and the images" in said(packed)
    assert "extractor: inception, because the images have no classes; Inception's weights" in said(unlabelled)
    assert "extractor: inception, because --weights names a file" in said(packed, tmp_path / "w.pth")
    (tmp_path / "here.pth").touch()
    monkeypatch.setenv("DCGAN_WEIGHTS", str(tmp_path / "here.pth"))
    assert "extractor: inception, because its weights are here" in said(packed)
    (tmp_path / "dinov2_vits14_pretrain.pth").touch()
    monkeypatch.setenv("DCGAN_WEIGHTS", str(tmp_path / "dinov2_vits14_pretrain.pth"))
    assert "extractor: classifier, because Inception's weights are not on this machine" in said(packed)
    monkeypatch.setattr(choice.importlib.util, "find_spec", lambda name: None)
    assert "extractor: classifier, because torch-fidelity is not installed" in said(packed)
    with pytest.raises(InputError, match=r"no classes .* torch-fidelity's, .*: pip install 'dcgan\[evaluation\]'"):
        said(unlabelled)
    assert not capsys.readouterr().out
    assert [given[0] for given in taken] == [None, tmp_path / "w.pth", None]
    monkeypatch.setattr(choice.importlib.util, "find_spec", lambda name: None)
    assert "extractor: classifier, because torch-fidelity is not installed" in said(packed)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"metrics": ["fidd"]}, "metrics: there is no 'fidd'; did you mean 'fid'"),
        ({"metrics": []}, "metrics: none given"),
        ({"extractor": "inceptoin"}, "extractor: there is no 'inceptoin'; did you mean 'inception'"),
        ({"precision": "fp16"}, "precision: there is no 'fp16'"),
        ({"weights": "w.pth"}, "weights: the classifier is trained here"),
        ({"reference_samples": 61}, "there are only 60 real images"),
        ({"reference_samples": 3}, "reference: 3 images say nothing; at least 20"),
        ({"samples": 3}, "samples: 3 images say nothing; at least 20"),
        ({"json": "no/such/folder/scores.jsonl"}, "cannot be written"),
        ({"data": "no-such-folder"}, "no data at"),
        ({"seed": -1}, "seed: -1 is outside"),
    ],
)
def test_wrong_input_is_refused(ready: Path, options: dict[str, Any], said: str) -> None:
    before = sorted((path, path.stat().st_size) for path in ready.iterdir())
    given: dict[str, Any] = {"extractor": "classifier", "samples": 50} | options
    with pytest.raises(InputError, match=said):
        evaluate(ready, quiet=True, **given)
    assert sorted((path, path.stat().st_size) for path in ready.iterdir()) == before


def test_isc_wants_classes(packed: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "choose_extractor", lambda *_: plain_extractor())
    with pytest.raises(InputError, match=r"isc wants class probabilities, and this plain has no classifier"):
        Measure.of(packed, ["isc"], samples=50)
