"""Following a training: whole lines only, in bounded pieces, and from the beginning when lines were taken back."""

from __future__ import annotations

import json
import os

import pytest

from dcgan.errors import InputError
from dcgan.explorer import log
from dcgan.explorer.log import grids, read_grid, read_log
from dcgan.files import write_atomically
from dcgan.run import Run


def test_a_look_gives_what_is_new_and_no_half_lines(tmp_path):
    file = tmp_path / "metrics.jsonl"
    assert read_log(tmp_path, "", 0).age is None
    file.write_text('{"step": 1, "loss_d": 0.5}\n{"step": 2, "lo')
    first = read_log(tmp_path, "", 0)
    assert first.records == [{"step": 1, "loss_d": 0.5}]
    assert not first.more
    assert first.age is not None
    assert 0 <= first.age < 60
    nothing = read_log(tmp_path, first.version, first.offset)
    assert (nothing.records, nothing.offset) == ([], first.offset)
    with file.open("a") as stream:
        stream.write('ss_d": 0.25}\n')
    second = read_log(tmp_path, first.version, first.offset)
    assert second.records == [{"step": 2, "loss_d": 0.25}]
    assert second.offset == file.stat().st_size


def test_a_training_that_went_back_is_read_from_the_beginning(tmp_path):
    run = Run(tmp_path)
    for step in range(10):
        run.log({"step": step})
    seen = read_log(tmp_path, "", 0)
    run.rewind(4, 10**9)
    for step in range(5, 30):
        run.log({"step": step})
    again = read_log(tmp_path, seen.version, seen.offset)
    assert again.version != seen.version
    assert [record["step"] for record in again.records] == list(range(30))
    assert read_log(tmp_path, again.version, 10**9).records == again.records


def test_long_logs_come_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(log, "PIECE", 100)
    lines = [{"step": step, "value": step / 8} for step in range(50)]
    write_atomically(tmp_path / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode())
    found: list[dict[str, float]] = []
    version, offset, looks = "", 0, 0
    while True:
        piece = read_log(tmp_path, version, offset)
        found, version, offset, looks = found + piece.records, piece.version, piece.offset, looks + 1
        if not piece.more:
            break
    assert found == lines
    assert looks > 10


def test_a_line_without_an_end_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(log, "PIECE", 100)
    (tmp_path / "metrics.jsonl").write_text("x" * 250 + '\n{"step": 1}\n')
    found = read_log(tmp_path, "", 0)
    while found.more:
        found = read_log(tmp_path, found.version, found.offset)
    assert found.records == [{"step": 1}]


def test_only_finite_numbers_of_lines_with_a_step_are_told(tmp_path):
    lines = [
        '{"step": 1, "c": 2.5, "d": "x", "e": true, "f": [1], "g": null}',
        '{"step": 1, "a": NaN}',
        '{"step": 1, "a": 1e400}',
        '{"step": 1.5, "a": 2}',
        '{"a": 1}',
        "[1, 2]",
        "nonsense",
        "[" * 100_000,
        '{"step": ' + "9" * 5000 + "}",
        '{"step": ' + "9" * 30 + "}",
        '{"step": 2, "\\u0007": 3}',
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    assert read_log(tmp_path, "", 0).records == [{"step": 1, "c": 2.5}, {"step": 2, "\\x07": 3}]


def test_health_and_scores_are_told_in_printable_words(tmp_path):
    event = {
        "step": 7,
        "images": 56,
        "symptom": "collapse",
        "evidence": "one\x1b[2J",
        "advice": "try",
        "action": "warned",
    }
    Run(tmp_path).log_health(event)
    with (tmp_path / "health.jsonl").open("a") as file:
        file.write('{"symptom": 5}\nnonsense\n')
    score = {"metric": "fid", "value": 4.5, "interval": {"low": 4, "high": 5}, "floor": {"value": 1.5}, "samples": 10}
    lines = [score | {"extractor": "inception"}, {"metric": "kid", "value": 1.0, "interval": None}, {"metric": 3}]
    (tmp_path / "evaluation.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found = read_log(tmp_path, "", 0)
    assert [one.symptom for one in found.health] == ["collapse", "5"]
    assert found.health[0].evidence == "one\\x1b[2J"
    fid, kid = found.values
    assert (fid.metric, fid.value, fid.low, fid.high, fid.floor, fid.samples) == ("fid", 4.5, 4, 5, 1.5, 10)
    assert (kid.value, kid.low, kid.floor) == (1.0, None, None)


def test_grids_are_those_with_a_number(tmp_path, monkeypatch):
    assert grids(tmp_path) == []
    folder = tmp_path / "samples"
    folder.mkdir()
    for name in ("0000000064.png", "0000000008.png", "progress.gif", "x.png", "0000000016.png.partial"):
        (folder / name).write_bytes(b"\x89PNG\r\n\x1a\n" + name.encode())
    assert grids(tmp_path) == [8, 64]
    assert read_grid(tmp_path, 64).endswith(b"0000000064.png")
    monkeypatch.setattr(log, "MOST_GRIDS", 4)
    for images in range(100, 109):
        (folder / f"{images:010d}.png").touch()
    assert grids(tmp_path) == [64, 102, 105, 108]
    with pytest.raises(InputError, match="no grid of samples"):
        read_grid(tmp_path, 100)
    with pytest.raises(InputError, match="no grid of samples at 5 images"):
        read_grid(tmp_path, 5)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_is_no_grid_and_is_not_waited_for(tmp_path):
    (tmp_path / "samples").mkdir()
    os.mkfifo(tmp_path / "samples" / "0000000064.png")
    with pytest.raises(InputError, match="no grid of samples"):
        read_grid(tmp_path, 64)
