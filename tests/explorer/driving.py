"""A server that the command starts, a page of it in Chromium, and what people do with that page."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import dcgan

WAIT = 15_000


def environment() -> dict[str, str]:
    """Of a process that runs this very code."""
    return os.environ | {"PYTHONPATH": str(Path(dcgan.__file__).parents[1])}


@contextmanager
def serving(*runs: Path, cached: bool = False) -> Iterator[str]:
    """The address of `dcgan explore RUNS…`, ended by Ctrl-C; cached: with the user's own cache."""
    command = [sys.executable, "-m", "dcgan", "explore", *map(str, runs), "--port", "0", "--no-browser"]
    where = environment()
    if cached:
        del where["DCGAN_CACHE"]
    with subprocess.Popen([*command, "--device", "cpu"], env=where, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            line = server.stdout.readline()
            assert "Ctrl-C ends" in line
            yield line.split(" at ")[1].split()[0]
            server.send_signal(signal.SIGINT)
            assert server.wait(60) == 0
        finally:
            server.kill()


@contextmanager
def visiting(browser: Any, address: str, **options: Any) -> Iterator[Any]:
    """A page of its own, which fails the test for any error, and for any request to another machine."""
    usual = {"viewport": {"width": 1240, "height": 900}, "reduced_motion": "reduce"}
    context = browser.new_context(accept_downloads=True, **usual | options)
    page = context.new_page()
    page.set_default_timeout(WAIT)
    wrong: list[str] = []
    page.refusals = False  # whether the server is meant to refuse something
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda asked: wrong.append(f"failed: {asked.url}") if "blob:" not in asked.url else None)
    page.on("request", lambda asked: None if asked.url.startswith((address, "blob:")) else wrong.append(asked.url))
    page.waits = set[Any]()  # for the answers to these; Playwright's "networkidle" is true for good once it was so
    page.on("request", lambda asked: page.waits.add(asked))
    page.on("requestfinished", lambda asked: page.waits.discard(asked))
    page.on("requestfailed", lambda asked: page.waits.discard(asked))
    try:
        page.goto(address)
        yield page
        wrong = [text for text in wrong if not (page.refusals and "status of 422" in text)]
        assert wrong == [], wrong  # said here, as pytest does not rewrite this module's asserts
    finally:
        context.close()  # which ends what is still asked for, and may be told as a failure


def go(page, tab: str) -> None:
    page.click(f"#tab-{tab}")
    page.wait_for_selector(f"#panel-{tab}:not([hidden])")


def settled(page) -> None:
    """Wait until nothing was asked for in a while."""
    quiet = 0
    for _ in range(WAIT // 50):
        page.wait_for_timeout(50)
        quiet = 0 if page.waits else quiet + 1
        if quiet == 4:
            return
    raise AssertionError(f"never settled: {[asked.url for asked in page.waits]}")


def reload(page) -> None:
    """Once nothing is asked for: what a page still waits for when it is left, the browser tells of as failed."""
    settled(page)
    page.reload()


def until(page, expression: str, milliseconds: int = WAIT) -> None:
    """Wait for JavaScript to be true; Playwright's own way wants the `eval` that our policy forbids."""
    for _ in range(milliseconds // 50):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never: {expression}")


def pixels(page, selector: str, n: int = 0) -> np.ndarray:
    """What a canvas shows, (H, W, 4)."""
    script = """shown => {
        const {height, width} = shown, canvas = Object.assign(document.createElement("canvas"), {height, width});
        const context = canvas.getContext("2d", {willReadFrequently: true});
        context.drawImage(shown, 0, 0);
        return [height, width, ...context.getImageData(0, 0, width, height).data];
    }"""
    height, width, *values = page.locator(selector).nth(n).evaluate(script)
    return np.array(values, np.uint8).reshape(height, width, 4)


def colours(image: np.ndarray) -> np.ndarray:
    """An image (H, W, C) as a canvas shows it."""
    rgb = np.repeat(image, 3, -1) if image.shape[-1] == 1 else image
    return np.concatenate([rgb, np.full((*rgb.shape[:2], 1), 255, np.uint8)], -1)


def changed(page, selector: str, before: np.ndarray, n: int = 0) -> np.ndarray:
    """What a canvas shows once it is something else."""
    for _ in range(WAIT // 50):
        page.wait_for_timeout(50)
        now = pixels(page, selector, n)
        if not np.array_equal(now, before):
            return now
    raise AssertionError(f"{selector} has not changed")


def drawn(page, selector: str, n: int = 0) -> np.ndarray:
    """What a canvas shows once there is something on it, and nothing more is asked for."""
    for _ in range(WAIT // 50):
        if pixels(page, selector, n)[..., 3].any():
            settled(page)
            return pixels(page, selector, n)
        page.wait_for_timeout(50)
    raise AssertionError(f"{selector} stays empty")


def downloaded(page, selector: str) -> tuple[str, bytes]:
    with page.expect_download() as waiting:
        page.click(selector)
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()
