"""A training that really runs, in a process of its own, is followed by the page: killed, resumed, ended by Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from dcgan.pretrained import Generator
from dcgan.run import Run
from tests.explorer.driving import changed, colours, drawn, environment, go, pixels, reload, serving, until, visiting

pytestmark = pytest.mark.slow
PATIENCE = 120_000
"""Milliseconds; a busy machine is given time."""
SEEN = "Number((document.querySelector('#panel-training .stat b')?.textContent ?? '0').replaceAll(',', ''))"
GRIDS = "Number(document.querySelector('#panel-training .over-time input').max)"
CURVE = "(document.querySelector('#panel-training .chart svg path')?.getAttribute('d') ?? '')"


@contextmanager
def training(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """`dcgan train` with these arguments, killed at the end if it still runs."""
    command = [sys.executable, "-m", "dcgan", "train", *arguments]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE / 1000
    while not path.exists():
        assert process.poll() is None, "the training has ended"
        assert time.monotonic() < end, f"never: {path}"
        time.sleep(0.05)


def test_a_training_is_followed(browser, photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "small"
    small = "--images 100000000 --image-size 16 --width 4 --latent-dim 8 --batch-size 8 --device cpu --precision fp32"
    intervals = "--log-interval 5 --sample-interval 40 --checkpoint-interval 40"
    with training(str(photos), "--out", str(run), *small.split(), *intervals.split()) as process:
        wait_for(run / "config.yaml", process)
        with serving(run) as address, visiting(browser, address) as page:
            wait_for(run / "generator.safetensors", process)
            reload(page)
            before = drawn(page, "#panel-draw .tile canvas")
            go(page, "training")
            page.get_by_text("live", exact=True).wait_for()
            for _ in range(3):
                seen, grids, curve = page.evaluate(SEEN), page.evaluate(GRIDS), page.evaluate(CURVE)
                until(page, f"{SEEN} > {seen} && {GRIDS} > {grids} && {CURVE} !== {curve!r}", PATIENCE)
            go(page, "draw")
            page.get_by_role("button", name="New seed").click()
            changed(page, "#panel-draw .tile canvas", before)

            go(page, "training")
            process.send_signal(signal.SIGKILL)
            process.wait()
            logged = Run(run).metrics()[-1]["images"]
            until(page, f"{SEEN} === {logged}", PATIENCE)
            with training("--resume", str(run)) as process:
                until(page, f"{SEEN} > {logged}", PATIENCE)
                process.send_signal(signal.SIGINT)
                assert process.wait(PATIENCE / 1000) == 130
            last = Run(run).metrics()[-1]["images"]
            until(page, f"{SEEN} === {last}", PATIENCE)

            go(page, "draw")
            reload(page)
            go(page, "draw")
            drawn(page, "#panel-draw .tile canvas")
            wanted = Generator.from_pretrained(run, "cpu").sample(
                1, int(page.input_value("#panel-draw input[type=number]"))
            )
            assert np.array_equal(pixels(page, "#panel-draw .tile canvas"), colours(wanted[0]))
