"""The panel of long work, and the example notebook as it stands."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from dcgan import progress
from dcgan.images import save_png
from dcgan.notebook import LARGEST_GRID, render
from dcgan.progress import NOTEBOOK_SECONDS, Display

NOTEBOOK = Path(__file__).parents[1] / "examples" / "dcgan.ipynb"


def test_the_panel_is_text_a_bar_and_the_grid(tmp_path: Path) -> None:
    save_png(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint8))
    html = render(0.25, "<b>12 images</b>", tmp_path / "a.png")
    assert '<progress value="0.2500" max="1"' in html
    assert "25% · &lt;b&gt;12 images&lt;/b&gt;" in html
    (content,) = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    assert base64.b64decode(content) == (tmp_path / "a.png").read_bytes()
    assert "<img" not in render(1.5, "x", tmp_path / "nothing.png")
    (tmp_path / "large.png").write_bytes(bytes(LARGEST_GRID + 1))
    assert "<img" not in render(1.0, "x", tmp_path / "large.png")


class Handle:
    """Stands for the output below a cell."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def __call__(self, html: Any, display_id: bool) -> Handle:
        assert display_id
        self.update(html)
        return self

    def update(self, html: Any) -> None:
        self.shown.append(html.data)


@pytest.mark.parametrize(("quiet", "times"), [(False, 3), (True, 0)])
def test_a_notebook_has_one_output_that_is_brought_up_to_date(
    quiet: bool, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    display = pytest.importorskip("IPython.display")
    handle, now = Handle(), [0.0]
    monkeypatch.setattr(display, "display", handle)
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    console = Console(file=io.StringIO(), force_jupyter=True, quiet=quiet)
    with Display(console) as shown:
        count = shown.counter("drawing")
        for done in (1, 2, 3, 4, 5):
            now[0] += 0.6 * NOTEBOOK_SECONDS
            count(done, 5)
    assert len(handle.shown) == times  # at most one a second, and the last
    if times:
        assert "100% · drawing 5 of 5 images" in handle.shown[-1]


def test_it_is_committed_without_outputs_and_installs_nothing() -> None:
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not re.search(r"\bpip\b", cell.source)  # the index has no dcgan of ours
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.slow
def test_it_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", str(Path(progress.__file__).parents[1]))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    shown = [output.get("data", {}) for output in outputs]
    assert sum("image/png" in data for data in shown) >= 3
    assert any("<progress" in data.get("text/html", "") for data in shown)
    text = "".join(output.get("text", "") for output in outputs)
    accuracy, pixels = map(float, re.findall(r"(\d\.\d+) of the test digits", text))
    assert accuracy > 0.75
    assert pixels > 0.6
    measured = re.findall(r"^(precision|recall) +([\d.]+) \(([\d.]+) to ([\d.]+)\), floor ([\d.]+)$", text, re.M)
    assert [name for name, *_ in measured] == ["precision", "recall"]
    assert all(0.2 < float(value) <= 1 and float(floor) > 0.5 for _, value, _, _, floor in measured)
