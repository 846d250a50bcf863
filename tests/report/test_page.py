from __future__ import annotations

import json
import os
import shutil
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

import dcgan
from dcgan.errors import InputError
from dcgan.images import save_png
from dcgan.report import write_report
from dcgan.report.page import page
from dcgan.report.pictures import embedded, spread
from dcgan.run import Run
from tests.report.reading import Page
from tests.training.conftest import TINY

HOSTILE = "<script>alert(1)</script>\"'&\x1b[31m"
SCORE = {
    "metric": "fid",
    "value": 4.410234567,
    "interval": {"low": 3.757, "high": 5.062, "how": "bootstrap"},
    "floor": {"value": 1.519, "samples": 10000, "how": "test images (IDX file /home/me/t10k: 10,000 images)"},
    "samples": 10000,
    "reference_samples": 60000,
    "reference": "folder /home/me/secret place/faces: 60,000 images",
    "extractor": "classifier",
    "digest": "83232622ffff",
    "precision": "fp32",
    "images": "28x28x1, lanczos",
    "seed": 0,
    "truncation": None,
    "images_shown": 698688,
    "when": "2026-01-01T00:00:00+00:00",
}


@pytest.fixture(scope="module")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of 20 steps that is done; not to be changed."""
    out = tmp_path_factory.mktemp("runs") / "trained"
    return dcgan.train(photos, out=out, images=160, log_interval=5, sample_interval=8, **TINY)


@pytest.fixture
def run(trained: Run, tmp_path: Path) -> Run:
    """A copy to be changed."""
    shutil.copytree(trained.path, tmp_path / "run")
    return Run(tmp_path / "run")


def add(run: Run, name: str, *records: object) -> None:
    with (run.path / name).open("a") as file:
        file.write("".join(json.dumps(record) + "\n" for record in records))


def test_training_leaves_a_report_that_asks_for_nothing(trained: Run) -> None:
    source = (trained.path / "report.html").read_text()
    read = Page(source)
    assert not {"script", "link", "iframe", "object", "base", "form"} & {tag for tag, _ in read.elements}
    addresses = [
        attributes.get(name) for _, attributes in read.elements for name in ("src", "href", "srcset", "action")
    ]
    assert all(address.startswith("data:image/") for address in addresses if address)
    assert "url(" not in source
    assert "@import" not in source
    assert "default-src 'none'" in source
    assert all(image["alt"] for image in read.all("img"))
    assert len(read.all("img")) == len(list((trained.path / "samples").glob("*.png")))


def test_settings_are_those_that_differ_from_the_preset_first(trained: Run) -> None:
    rows = {cells[0]: cells[1:] for cells in Page(page(trained)).cells}
    assert rows["width"][:2] == ["4", "24"]
    assert rows["latent_dim"][:2] == ["8", "100"]
    assert rows["data"][:2] == ["photos", "none"] or rows["data"][0].startswith("photos")
    assert rows["beta1"][0] == "0.5"
    assert len(rows["beta1"]) == 2  # of the others: no preset's value beside it
    assert set(trained.config.flat()) <= set(rows)


def test_the_last_values_are_those_of_the_log(trained: Run) -> None:
    shown = {attributes["value"] for attributes in Page(page(trained)).all("data")}
    last = trained.metrics()[-1]
    assert len(trained.metrics()) == 4
    for name in ("loss_d", "loss_g", "d_real", "d_fake", "images_per_second", "d_right"):
        assert repr(last[name]) in shown


def test_scores_have_their_interval_and_floor(run: Run) -> None:
    add(run, "evaluation.jsonl", SCORE, SCORE | {"metric": "nearest_training", "interval": None, "floor": None})
    source = page(run)
    rows = {cells[0]: cells for cells in Page(source).cells}
    assert rows["fid"][1:6] == ["4.410234567", "3.757", "1.519", "10000", "60000"]
    assert rows["nearest_training"][2:4] == ["", ""]
    assert "faces: 60,000 images" in rows["fid"][6]
    assert "classifier 83232622 fp32" in rows["fid"][6]
    assert "/home/me" not in source
    assert "secret" not in source


def test_health_events_are_listed_and_marked(run: Run) -> None:
    assert "Nothing was wrong" in page(run)
    event = {"step": 9, "images": 72, "symptom": "collapse", "evidence": "e", "advice": "a", "action": "rollback"}
    add(run, "health.jsonl", event)
    read = Page(page(run))
    assert ["72", "collapse", "e", "rollback", "a"] in read.cells
    assert any(attributes.get("class") == "mark" for attributes in read.all("line"))


def test_what_was_measured_on_the_way_has_a_curve(run: Run) -> None:
    add(run, "metrics.jsonl", *({"step": s, "images": 8 * s, "fid": 100.5 / s} for s in (21, 22)))
    read = Page(page(run))
    assert any("fid over images shown" in (svg["aria-label"] or "") for svg in read.all("svg"))
    assert repr(100.5 / 22) in {attributes["value"] for attributes in read.all("data")}


def test_nearest_neighbours_if_they_were_looked_for(run: Run) -> None:
    assert "Nearest training images" not in page(run)
    save_png(run.path / "memorisation.png", np.zeros((16, 24, 3), np.uint8))
    assert any(image["alt"] == "samples beside their nearest training images" for image in Page(page(run)).all("img"))


def test_how_to_do_it_again(trained: Run) -> None:
    text = Page(page(trained)).text
    assert f"dcgan train {Path(trained.config.data.data).name} --preset fast" in text
    assert trained.data["key"] in text
    (session,) = trained.sessions()
    assert session["step"] == 0
    assert session["command"] is None
    assert session["packages"]["torch"] in text
    assert session["device_name"] in text
    assert {"when", "dcgan", "python", "platform", "precision", "threads", "cores"} <= set(session)


def test_text_from_outside_does_nothing(run: Run) -> None:
    data = run.data | {"source": HOSTILE, "class_names": [HOSTILE] * 30, "key": HOSTILE, "skipped": [1, 2]}
    (run.path / "data.json").write_text(json.dumps(data))
    texts = dict.fromkeys(SCORE, HOSTILE) | {"interval": {"low": HOSTILE}, "floor": {"how": HOSTILE}}
    add(run, "evaluation.jsonl", texts, [HOSTILE], 3, None)
    add(run, "health.jsonl", dict.fromkeys(("symptom", "evidence", "action", "advice"), HOSTILE) | {"images": 40})
    add(
        run,
        "sessions.jsonl",
        dict.fromkeys(("step", "when", "git", "device", "platform"), HOSTILE),
        {"command": [HOSTILE]},
    )
    add(run, "metrics.jsonl", *({"step": s, "images": 10**400 if s == 30 else s, HOSTILE: s} for s in (30, 40, 50)))
    config = (run.path / "config.yaml").read_text()
    (run.path / "config.yaml").write_text(config.replace("data_root: ''", "data_root: '<script>alert(1)</script>'"))
    read = Page(page(run))
    assert not read.all("script")
    assert not any(name.startswith("on") for _, attributes in read.elements for name in attributes)
    assert "\x1b" not in read.text
    assert read.text.count("alert(1)") > 10


def test_a_long_run_with_large_noisy_pictures_is_below_three_megabytes_and_a_second(run: Run) -> None:
    lines = [
        {"step": i, "images": 16 * i, **{f"{n}": float(i % 13) for n in ("loss_d", "loss_g", "d_real", "fid", "kid")}}
        for i in range(20_000)
    ]
    add(run, "metrics.jsonl", *lines)
    add(run, "evaluation.jsonl", *[SCORE] * 500)
    noise = np.random.default_rng(0).integers(0, 256, (1292, 1292, 3), np.uint8)
    for number in range(12):
        save_png(run.path / "samples" / f"{10**6 + number:010d}.png", noise[: 530 if number else None])
    save_png(run.path / "memorisation.png", noise)
    began = time.process_time()
    path = write_report(run)
    assert time.process_time() - began < 4  # about one; a busy machine is given time
    assert path.stat().st_size < 3e6
    assert "The newest 200 of 500" in path.read_text()


def test_a_picture_is_itself_if_it_fits_and_smaller_if_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    save_png(tmp_path / "a.png", rng.integers(0, 256, (64, 96, 3), np.uint8))
    whole, reduced, tiny = (embedded(tmp_path / "a.png", budget) for budget in (10**6, 9000, 1))
    assert whole is not None
    assert reduced is not None
    assert tiny is not None
    assert whole[0].startswith("data:image/png;base64,")
    assert whole[1] == reduced[1] == (96, 64)
    assert reduced[0].startswith("data:image/jpeg")
    assert len(reduced[0]) < 9100
    (tmp_path / "b.png").write_bytes(b"no picture")
    assert embedded(tmp_path / "b.png", 99) is None
    assert embedded(tmp_path / "none.png", 99) is None


def test_spread() -> None:
    paths = [Path(str(i)) for i in range(100)]
    assert spread(paths[:5], 8) == paths[:5]
    chosen = spread(paths, 8)
    assert (len(chosen), chosen[0], chosen[-1]) == (8, paths[0], paths[-1])


def test_a_run_that_cannot_be_read_says_so(run: Run) -> None:
    (run.path / "data.json").write_text("[]")
    with pytest.raises(InputError, match=r"data\.json"):
        page(run)


@pytest.mark.parametrize("damage", [{"class_names": 5}, {"class_names": {"a": 1}}, {"skipped": 5}, {"left_out": {}}])
def test_data_of_the_wrong_kind_is_refused(run: Run, damage: dict[str, object]) -> None:
    (run.path / "data.json").write_text(json.dumps(run.data | damage))
    with pytest.raises(InputError, match=r"data\.json: is damaged"):
        page(run)


def test_long_words_are_cut(run: Run) -> None:
    (run.path / "data.json").write_text(json.dumps(run.data | {"source": "x" * 10**6}))
    written = page(run)
    assert "x" * 900 in written
    assert "x" * 1100 not in written


def test_pictures_that_are_bombs_or_pipes_are_left_out(tmp_path: Path) -> None:
    side, pixels = 9000, zlib.compress(bytes((1 + 9000) * 9000))
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    parts = [struct.pack(">I", len(c)) + kind + c + struct.pack(">I", zlib.crc32(kind + c)) for kind, c in chunks]
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    assert embedded(tmp_path / "bomb.png", 1000) is None
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
        assert embedded(tmp_path / "pipe.png", 1000) is None
