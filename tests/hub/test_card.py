from __future__ import annotations

import dataclasses
import re
import shlex

import pytest
import yaml

from dcgan.config import NetworkConfig
from dcgan.errors import InputError
from dcgan.hub.card import Facts, card, plain
from dcgan.hub.files import model_files
from dcgan.presets import load_preset
from dcgan.pretrained import Generator
from dcgan.run import Run
from tests.report.test_page import SCORE

FACTS = Facts(
    "me/photos",
    dataclasses.asdict(NetworkConfig(image_size="28", channels="1")),
    (),
    {"preset": "fast", "data": "folder photos: 3 images", "dcgan": "0.1.0", "images": 698_688, "seconds": 600.0},
)


def test_the_head_is_what_the_hub_reads() -> None:
    _, head, body = card(dataclasses.replace(FACTS, licence="cc-by-4.0")).split("---\n", 2)
    assert yaml.safe_load(head) == {
        "license": "cc-by-4.0",
        "library_name": "dcgan",
        "pipeline_tag": "unconditional-image-generation",
        "tags": ["dcgan", "gan", "image-generation"],
    }
    assert body.startswith("\n# photos\n\n![images drawn by this model](samples.png)")
    assert "28 pixels, grey" in body
    assert "698,688 in 10.0 minutes" in body
    assert "Not measured." in body
    assert "was not tested" in body
    assert "pip install" not in body  # the index has no dcgan of ours


def test_the_code_in_it_runs(trained: Run) -> None:
    text = card(dataclasses.replace(FACTS, repo_id=str(trained.path).strip("/")))
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)
    code = code.replace(f'"{str(trained.path).strip("/")}"', repr(str(trained.path)))
    names: dict[str, object] = {}
    exec(code, names)
    assert names["images"].shape == (25, 16, 16, 3)  # type: ignore[attr-defined]


def test_scores_with_protocol_the_newest_of_each() -> None:
    other = SCORE | {"metric": "copied", "value": 0.0123, "extractor": "pixels", "interval": None, "floor": None}
    text = card(dataclasses.replace(FACTS, scores=[SCORE | {"value": 99.0}, SCORE, other]))
    assert "| fid | classifier | 4.41 | 3.757 to 5.062 | 1.519 | 10,000 | 60,000 |" in text
    assert "| copied | pixels | 0.01230 |  |  | 10,000 | 60,000 |" in text
    assert "99" not in text
    assert "\n\nclassifier 83232622 fp32; folder faces: 60,000 images; 28x28x1, lanczos, seed 0:\n\n| metric" in text
    assert "/home" not in text
    assert "is in the table above" in text


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"reference": "folder /b/cats: 9 images"}, "folder cats: 9 images"),
        ({"split": "test"}, "60,000 images (test)"),
        *[({"truncation": 0.5}, "seed 0; truncation 0.5"), ({"precision": "bf16"}, "classifier 83232622 bf16")],
    ],
)
def test_scores_measured_in_another_way_stand_apart(other: dict[str, object], said: str) -> None:
    text = card(dataclasses.replace(FACTS, scores=[SCORE, SCORE | other | {"value": 99.0}]))
    first, second = text.split("## Evaluation")[1].split("## Limits")[0].split(":\n\n| metric")[:3][1:]
    assert "| fid | classifier | 4.41 |" in first
    assert said in first.rpartition("\n\n")[2]
    assert "| fid | classifier | 99 |" in second


def test_scores_of_another_state_are_left_out(trained: Run) -> None:
    generator = Generator.from_pretrained(trained.path)
    old, new = SCORE | {"images_shown": 16}, SCORE | {"images_shown": 32, "metric": "kid"}
    files = model_files([generator], generator.sample(4), "me/photos", "mit", scores=[old, new])
    assert b"| kid |" in files["README.md"]
    assert b"| fid |" not in files["README.md"]


def test_the_command_is_that_of_the_settings() -> None:
    config = load_preset("fast").replace(data="/home/me/my photos", minutes=3, width=9)
    text = card(dataclasses.replace(FACTS, config=config))
    (line,) = re.findall(r"^dcgan train .*$", text, re.M)
    assert shlex.split(line) == [
        "dcgan",
        "train",
        "photos",
        "--preset",
        "fast",
        "--width",
        "9",
        "--minutes",
        "3.0",
    ] or (shlex.split(line)[2] == "my photos")


def test_classes_are_named_and_asked_for() -> None:
    network = dataclasses.asdict(NetworkConfig(image_size="28", channels="3", conditional=True, classes=2))
    text = card(dataclasses.replace(FACTS, network=network, class_names=("cat", "dog")))
    assert "seed=0, label='cat')" in text
    assert "Classes: cat, dog" in text
    hostile = card(dataclasses.replace(FACTS, network=network, class_names=("');import os#",)))
    assert "import os" not in hostile.split("## Training")[0].split("```python")[1]


def test_text_from_outside_is_no_markup() -> None:
    bad = "[x](http://evil) <img src=x onerror=1> `code` | **b** \x1b \n# head @someone ![i](y)"
    data = {"source": bad.replace("/", ""), "key": bad}
    scores = [dict.fromkeys(SCORE, bad)]
    text = card(dataclasses.replace(FACTS, class_names=(bad,), data=data, scores=scores, trained={"preset": bad}))
    body = text.split("---\n", 2)[2]
    assert "<img" not in body
    assert "\x1b" not in body
    assert "\n# head" not in body
    assert not re.search(r"(?<!\\)\]\(http://evil", body)
    assert not re.search(r"(?<!\\)@someone", body)
    (row,) = [line for line in body.splitlines() if line.startswith("| \\[x")]
    assert len(re.findall(r"(?<!\\)\|", row)) == 8


def test_plain_text_is_short() -> None:
    assert plain("a_b*c") == r"a\_b\*c"
    assert len(plain("x" * 10**6)) < 310


@pytest.mark.parametrize("licence", ["", "MIT", "a b", "x\ny", "a: b", "x" * 99])
def test_no_licence(licence: str) -> None:
    with pytest.raises(InputError, match="no identifier"):
        card(dataclasses.replace(FACTS, licence=licence))
