"""report.html as people see it: light and dark, wide and narrow; nothing is asked for, and everyone can read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dcgan
from dcgan.images import save_png
from dcgan.report import write_report
from tests.report.test_page import SCORE
from tests.training.conftest import TINY

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a run with everything that a report can show."""
    out = tmp_path_factory.mktemp("runs") / "run"
    run = dcgan.train(photos, out=out, images=160, log_interval=5, sample_interval=8, **TINY)
    run.log({"step": 21, "images": 168, "fid": 30.5})
    run.log({"step": 22, "images": 176, "fid": 28.5})
    for action in ("warning", "rollback"):
        event = {"step": 9, "images": 72, "symptom": "collapse", "evidence": "e", "advice": "a", "action": action}
        run.log_health(event)
    (out / "evaluation.jsonl").write_text(json.dumps(SCORE) + "\n")
    save_png(out / "memorisation.png", np.zeros((16, 24, 3), np.uint8))
    return write_report(run)


@pytest.mark.parametrize("width", [1240, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Any, report: Path, scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    page = context.new_page()
    said, asked = list[str](), list[str]()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    page.locator("summary").first.click()
    found = axe.run(page).response["violations"]
    serious = [
        (one["id"], [node["html"][:120] for node in one["nodes"][:3]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert said == []
    assert [url for url in asked if not url.startswith(("data:", report.as_uri()))] == []
    context.close()
