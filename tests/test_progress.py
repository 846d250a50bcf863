from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TextIO

import pytest
from rich.console import Console

from dcgan import progress
from dcgan.progress import Display, Position, describe

METRICS = {"loss_d": 0.624, "loss_g": 0.95, "d_real": 0.58, "d_fake": 0.41}


def display(terminal: bool) -> tuple[Display, io.StringIO]:
    stream = io.StringIO()
    return Display(Console(file=stream, force_terminal=terminal, width=120)), stream


def test_a_line_says_everything() -> None:
    line = describe(Position(200, 12_800, 20.0), 0.2, 640.0, METRICS)
    assert line == "12,800 images · 640 images/s · 1:20 left · loss D 0.62 G 0.95 · D(x) 0.58 · D(G(z)) 0.41"


def test_hours_left_and_nothing_measured_yet() -> None:
    assert describe(Position(1, 64, 40.0), 0.01, 0.0, {}) == "64 images · 0 images/s · 1:06:00 left"
    assert describe(Position(), 0.0, 0.0, {}) == "0 images · 0 images/s"


def test_a_pipe_gets_plain_lines_and_not_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    shown, stream = display(terminal=False)
    with shown:
        for step in range(100):
            now[0] += 0.5  # 50 seconds in all: a line each ten
            shown.training(Position(step, 64 * step, now[0]), step / 100, 128.0, METRICS)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 5
    assert "\x1b" not in stream.getvalue()
    assert lines[-1].startswith(" 99%  6,336 images")


def test_a_terminal_gets_a_bar_and_the_last_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LIVE_SECONDS", 0.0)
    shown, stream = display(terminal=True)
    shown.last_grid = Path("runs/x/samples/1.png")
    with shown:
        shown.training(Position(1, 64, 1.0), 0.5, 64.0, METRICS)
    drawn = [line for line in stream.getvalue().splitlines() if "━" in line or "64 images" in line or "1.png" in line]
    assert "━" in drawn[0]
    assert "loss D 0.62 G 0.95" in drawn[1]
    assert "runs/x/samples/1.png" in drawn[2]


def test_packing_says_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    shown, stream = display(terminal=False)
    count = shown.counter("packing")
    count(0, 1000)
    now[0] = 20.0
    count(400, 1000)
    count(401, 1000)  # too soon
    now[0] = 50.0
    count(1000, 1000)
    assert stream.getvalue().splitlines() == [
        " 40%  packing 400 of 1,000 images · 20 images/s · 0:30 left",
        "100%  packing 1,000 of 1,000 images · 20 images/s",
    ]


def test_steps_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    shown, stream = display(terminal=False)
    count = shown.counter("fitting", "steps")
    count(0, 100, "mse 0.5")
    now[0] = 20.0
    count(40, 100, "mse 0.1")
    assert stream.getvalue() == " 40%  fitting 40 of 100 steps · 2 steps/s · 0:30 left · mse 0.1\n"


@pytest.mark.parametrize(
    ("begun", "done", "line"),
    [
        (None, 300, "100%  drawing 300 of 300 trainings\n"),  # all at once: how fast is not known
        (0, 3, "  1%  drawing 3 of 300 trainings · 0.15 trainings/s · 33:00 left\n"),
    ],
)
def test_a_rate_is_said_when_it_is_known(
    begun: int | None, done: int, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    shown, stream = display(terminal=False)
    count = shown.counter("drawing", "trainings")
    if begun is not None:
        count(begun, 300)
    now[0] = 20.0
    count(done, 300)
    assert stream.getvalue() == line


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(quiet=True) as shown:
        shown.say("hello")
        shown.warn("careful")
    assert capsys.readouterr().out == ""


def test_warnings_and_markup_are_plain_text() -> None:
    shown, stream = display(terminal=False)
    shown.warn("[bold]x[/bold].png")
    assert stream.getvalue() == "warning: [bold]x[/bold].png\n"


def test_nothing_that_a_terminal_obeys_is_shown() -> None:
    out = io.StringIO()
    display = Display(Console(file=out, width=200))
    display.say("a\x1b[2J\nb\u202ec")
    display.warn("\x07")
    display.counter("of \x1b]0;x\x07")(1, 1)
    assert out.getvalue().splitlines()[:3] == ["a\\x1b[2J", "b\\u202ec", "warning: \\x07"]
    assert "\x1b" not in out.getvalue()


def unread() -> TextIO:
    """A stream to a reader that has left."""
    reading, writing = os.pipe()
    os.close(reading)
    return os.fdopen(writing, "w")


def test_when_its_reader_has_left_what_is_said_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with unread() as stream, Display() as shown:
        shown.console.file = stream
        shown.say("packing")
        assert shown.left
        shown.say("packed")
    before, warning, after = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: the output can no longer be written ([Errno 32] Broken pipe)")
    assert (before, after) == ("packing", "packed")


def test_work_goes_on_when_nothing_that_it_says_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    with unread() as stream, unread() as error, Display() as shown:
        monkeypatch.setattr("sys.stderr", error)
        shown.console.file = stream
        for _ in range(2):
            shown.say("packing")
            shown.counter("packing")(1, 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_work_goes_on_when_the_disk_of_its_log_is_full(capsys: pytest.CaptureFixture[str]) -> None:
    with Path("/dev/full").open("w") as stream, Display() as shown:
        shown.console.file = stream
        shown.say("packing")
        assert not shown.left
    assert "No space left on device" in capsys.readouterr().err
