"""Figures 2 to 5, 7 and 8 from the training to what is written, on tiny networks."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import dcgan
from dcgan.data.pack import Pack
from dcgan.errors import InputError
from dcgan.evaluation.classifier import TrainedClassifier
from dcgan.features.forget_run import Thing
from dcgan.images import grid
from dcgan.latent import attributes
from dcgan.latents import latents
from dcgan.reproduce import figure6
from dcgan.reproduce.job import Job
from tests.reproduce.conftest import TINY, done, record


@pytest.mark.parametrize(("name", "epochs"), [("figure2", 1), ("figure3", 5)])
def test_samples_after_epochs(name: str, epochs: int, photos: Path, tmp_path: Path) -> None:
    found = done(name, tmp_path / "out", data=photos, numbers={"samples": 9}, images=None, seed=3)
    written = record(found)
    assert dcgan.Run.open(tmp_path / "out" / "run").config.training.n_epochs == epochs
    assert dcgan.Run.open(tmp_path / "out" / "run").config.training.seed == 3
    assert [row["paper"] for row in written["rows"]] == [
        str(epochs),
        "3,033,042",
        f"{3_033_042 * epochs:,}",
        "64×64×3",
    ]
    assert [row["ours"] for row in written["rows"]] == [str(epochs), "40", str(40 * epochs), "16×16×3"]
    drawn = dcgan.Generator.from_pretrained(tmp_path / "out" / "run").sample(9, seed=3)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / f"{name}.png")), grid(drawn))
    assert written["notes"][0].startswith("stand-in: folder ")
    assert written["notes"][0].endswith("in place of the paper's 3,033,042 LSUN bedrooms")


def test_a_walk_and_its_largest_step(photos: Path, tmp_path: Path) -> None:
    found = done("figure4", tmp_path / "out", data=photos, numbers={"points": 3, "steps": 4})
    written = record(found)
    run = dcgan.Generator.from_pretrained(tmp_path / "out" / "run")
    picture = np.asarray(Image.open(tmp_path / "out" / "figure4.png"))
    assert picture.shape == (2 * 18 + 2, 4 * 18 + 2, 3)
    frames = [
        [picture[2 + 18 * r : 18 + 18 * r, 2 + 18 * c : 18 + 18 * c].astype(float) for c in range(4)] for r in (0, 1)
    ]
    ends = run.draw(latents(3, 8, 0))
    assert np.abs(np.stack([frames[0][0], frames[0][3], frames[1][3]]) - ends).max() <= 1
    steps = [np.sqrt(np.mean((b - a) ** 2)) for row in frames for a, b in itertools.pairwise(row)]
    assert written["rows"][1]["value"] == pytest.approx(max(steps) / np.mean(steps))
    assert written["rows"][3]["value"] == pytest.approx(np.mean(steps))
    assert np.array(written["measured"]["steps"]).shape == (2, 3)


def test_what_features_respond_to(photos: Path, tmp_path: Path) -> None:
    found = done("figure5", tmp_path / "out", data=photos, numbers={"features": 8, "top": 3})
    written = record(found)
    assert written["rows"][0]["ours"] == "the first 8"  # more than the paper's six
    responses = [[spot["response"] for spot in feature["strongest"]] for feature in written["measured"]["trained"]]
    assert np.shape(responses) == (8, 3)
    assert written["rows"][3]["value"] == pytest.approx(np.mean(responses))
    assert written["rows"][1]["ours"] == "3 of 40"
    assert written["protocol"]["images_looked_at"] == 40


@pytest.mark.usefixtures("certain")
def test_arithmetic_is_shown_and_counted(photos: Path, tmp_path: Path) -> None:
    found = done("figure7", tmp_path / "out", data=photos, numbers={"samples": 2, "more": 3, "trials": 4})
    written = record(found)
    assert [row["what"] for row in written["rows"]][:6] == [
        "dark - bright + bright: judged dark, 2 samples a concept",
        "… and its eight neighbours, 2 samples a concept",
        "bright, the inputs, mean z: judged dark, 2 samples a concept",
        "the same with pixels, 2 samples a concept",
        "bright, the inputs, mean pixels, 2 samples a concept",
        "dark - bright + bright: judged dark, 3 samples a concept",
    ]
    assert [row["paper"] != "" for row in written["rows"]] == [True, True, False, True, *[False] * 7]
    assert written["rows"][5]["value"] == written["measured"]["claims"]["3"]["centres"]["value"]
    measured = written["measured"] | written["measured"]["claims"]["2"]
    assert written["rows"][0]["value"] == measured["centres"]["value"]
    assert (measured["trials"], measured["centres"]["n"], measured["all_nine"]["n"]) == (4, 4, 36)
    assert len({*measured["a"], *measured["b"], *measured["c"]}) == 6
    other = done(
        "figure7",
        tmp_path / "other",
        run=tmp_path / "out" / "run",
        options={"classes": ("bright", "dark", "bright")},
        numbers={"trials": 4, "more": 3},
    )
    assert record(other)["rows"][0]["what"] == "bright - dark + bright: judged bright, 3 samples a concept"
    assert not (tmp_path / "other" / "run").exists()


@pytest.mark.usefixtures("certain")
def test_a_turn_vector_arrives(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picker = attributes.load_classifier

    def load(part: Pack, *others: Any) -> TrainedClassifier:
        loaded = picker(part, *others)
        if ", judge" in part.key:
            monkeypatch.setattr(loaded, "predict", lambda images: (np.ones(len(images), np.int64), None))
        return loaded

    monkeypatch.setattr(attributes, "load_classifier", load)
    found = done("figure8", tmp_path / "out", data=photos, numbers={"samples": 3, "turned": 10, "steps": 5})
    written = record(found)
    measured = written["measured"]
    z = latents(500, 8, 0)
    vector = z[measured["to"]].mean(0) - z[measured["from"]].mean(0)
    assert np.allclose(vector, measured["vector"], atol=1e-6)
    assert [row["value"] for row in written["rows"]] == measured["shares"] == [1] * 5  # the judge sees dark only
    assert measured["steps"] == [-1, -0.5, 0, 0.5, 1]
    assert np.asarray(Image.open(tmp_path / "out" / "figure8.png")).shape == (8 * 18 + 2, 5 * 18 + 2, 3)
    assert "from bright to dark" in written["notes"][2]
    assert "another one judges, trained on other images: 50.0% of 4 held-out images right" in written["notes"][3]


def test_a_walk_of_a_conditional_run_says_in_which_class(photos: Path, tmp_path: Path) -> None:
    run = dcgan.train(photos, out=tmp_path / "mine", images=16, quiet=True, conditional=True, **TINY)
    walked, plain = (
        record(done("figure4", tmp_path / f"out{n}", run=path, numbers={"points": 3, "steps": 2}))
        for n, path in enumerate([run.path, dcgan.train(photos, images=8, quiet=True, out=tmp_path / "p", **TINY).path])
    )
    assert list(walked["pictures"]) == ["Samples 0 to 2 of seed 0, all of class bright, a path a row"]
    assert walked["protocol"]["class"] == "bright"
    assert list(plain["pictures"]) == ["Samples 0 to 2 of seed 0, a path a row"]
    assert "class" not in plain["protocol"]


def test_a_run_that_was_given(photos: Path, tmp_path: Path) -> None:
    run = dcgan.train(photos, out=tmp_path / "mine", images=16, quiet=True, **TINY)
    written = record(done("figure4", tmp_path / "out", run=run.path, numbers={"points": 2, "steps": 2}))
    assert written["protocol"]["run"] == str(tmp_path / "mine")
    assert written["protocol"]["images shown"] == 16
    assert written["protocol"]["scale"] == "of the run given"
    assert not (tmp_path / "out" / "run").exists()


def test_forgetting_a_region(photos: Path, tmp_path: Path, few_steps: None) -> None:
    found = done(
        "figure6",
        tmp_path / "out",
        data=photos,
        options={"region": "4,4,8,8", "classes": ("bright", "dark")},
        numbers={"samples": 20, "shown": 6, "measure": 150},
    )
    written = record(found)
    measured = written["measured"]
    rows = {row["what"]: row for row in written["rows"]}
    assert rows["feature maps dropped"]["paper"] == "200"
    assert rows["feature maps dropped"]["value"] == len(measured["maps"]) > 0
    assert rows["change of a pixel, levels of 255"]["value"] == measured["measured"]["change"]["outside"]
    rate = rows["samples with it, by class bright,dark"]
    assert rate["ours"] == "100.0 % → 100.0 %: falls by 0 %"  # these are all the classes there are
    assert {"FID outside of it, pixels", "FID outside of it, classifier"} <= rows.keys()
    sheet = np.asarray(Image.open(tmp_path / "out" / "figure6.png"))
    drawn = dcgan.Generator.from_pretrained(tmp_path / "out" / "run").sample(1 + max(measured["shown"]), seed=1)
    assert len(measured["shown"]) == 6
    assert np.array_equal(sheet[2:18, 2:18], drawn[measured["shown"][0]])
    assert written["notes"][2].startswith("stand-in: what is forgotten is found by a rule")
    with pytest.raises(InputError, match="holds another experiment:\n  - region: 4,4,8,8 there, 2,2,4,4 asked for\n"):
        done(
            "figure6",
            tmp_path / "out",
            data=photos,
            options={"region": "2,2,4,4", "classes": ("bright", "dark")},
            numbers={"measure": 150},
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "figure6: say what is to be forgotten: --boxes FILE"),
        ({"region": "1,1,2,2", "mask": "loops"}, "region and mask: say where the thing is in one way"),
        ({"region": "1,1,2"}, "region: .1,1,2. is not top,left,height,width"),
        ({"mask": "lops"}, r"mask: no 'lops'; did you mean 'loops'"),
        ({"mask": "loops", "classes": ("blue",)}, r"classes: no class 'blue' \(there are: bright, dark\)"),
        ({"classes": ("blue",)}, r"classes: no class 'blue' \(there are: bright, dark\)"),
        ({"boxes": Path("nowhere.json")}, "nowhere.json: cannot be read"),
        ({"region": "10,4,8,8"}, "region: .10,4,8,8. is not inside the image, which is 16 high and 16 wide"),
    ],
)
def test_what_cannot_be_forgotten_is_said_before_the_training(
    options: dict[str, object], message: str, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        done("figure6", tmp_path / "out", data=photos, options=options)
    with pytest.raises(InputError, match="measure: 99 samples say nothing"):
        done("figure6", tmp_path / "out", data=photos, numbers={"measure": 99})
    with pytest.raises(InputError, match="scale: this generator has no maps 64 times smaller"):
        done("figure6", tmp_path / "out", data=photos, numbers={"scale": 64}, options={"region": "1,1,2,2"})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("classes", "part", "note"),
    [
        (None, "0,6,8,9", "stand-in: the loops of 0, 6, 8, 9, found by a flood fill"),
        (("0", "8"), "0,8", "stand-in: the loops of 0, 8, found by a flood fill"),
    ],
)
def test_digits_forget_the_loops_of_the_classes_that_are_named(
    classes: tuple[str, ...] | None, part: str, note: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Asked(Exception):
        pass

    def forget_run(path: Path, thing: Thing, **options: object) -> None:
        assert figure6._stand_in(thing)[0].startswith(note)
        raise Asked(thing)

    monkeypatch.setattr(figure6, "forget_run", forget_run)
    monkeypatch.setattr(Job, "trained", lambda job: SimpleNamespace(path=tmp_path))
    options = {} if classes is None else {"classes": classes}
    with pytest.raises(Asked) as asked:
        done("figure6", tmp_path / "out", data="digits", options=options)
    assert asked.value.args == (Thing(mask="loops", part=part),)
    with pytest.raises(InputError, match=r"classes: no class 'banana' \(there are: 0, 1, 2"):
        done("figure6", tmp_path / "other", data="digits", options={"classes": ("banana",)})
