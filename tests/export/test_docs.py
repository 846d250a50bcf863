"""The programs that docs/export.md shows, run as they stand."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dcgan.export.onnx import export_onnx
from dcgan.export.runtime import SCRIPT, WASM
from tests.export.networks import generator

DOCS = Path(__file__).parents[2] / "docs" / "export.md"


def shown(language):
    (program,) = re.findall(rf"```{language}\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    return program


@pytest.fixture
def folder(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    export_onnx(generator(channels=1), tmp_path / "faces.onnx", output="uint8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_python(folder):
    exec(compile(shown("python"), str(DOCS), "exec"), {})
    with Image.open(folder / "face.png") as image:
        assert image.size == (32, 32)
        assert np.ptp(np.asarray(image)) > 50


def test_javascript(folder, ort, serve, browser):
    (folder / "index.html").write_text(f"<!doctype html><body>{shown('html')}</body>", "utf-8")
    shutil.copyfile(ort.script, folder / SCRIPT)
    shutil.copyfile(ort.wasm, folder / WASM)
    page = browser.new_page()
    page.goto(serve(folder))
    page.wait_for_selector("canvas")
    levels = "canvas => new Set(canvas.getContext('2d').getImageData(0, 0, 32, 32).data).size"
    assert page.locator("canvas").evaluate(levels) > 50
    page.close()
