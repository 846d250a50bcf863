"""Reports and moved files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dcgan.curation import report
from dcgan.curation.dedup import Duplicates, Group
from dcgan.curation.report import Copy, copies, move_aside, pages, write_report
from dcgan.data.pack import Pack, pack
from dcgan.data.source import Source
from dcgan.data.sources import find_source
from dcgan.errors import InputError
from tests.curation.conftest import smooth
from tests.data.samples import zipped


def photos(folder: Path) -> Path:
    """Six pictures, of which the fifth is larger, one is broken, in two folders."""
    for i, image in enumerate(smooth(6)[..., 0]):
        side = 128 if i == 4 else 64
        path = folder / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).resize((side, side)).save(path)
    (folder / "a" / "1.png").write_text("broken")
    return folder


FOUND = Duplicates(6, (Group((0, 2, 4), (1.0, 0.97, 0.95), (0, 3, 9)), Group((1, 5), (1.0, 1.0), (0, 0))))
# rows: a/0 a/2 a/4 b/1 b/3 b/5, because a/1 cannot be read


def opened(data: Path) -> tuple[Source, Pack]:
    source = find_source(data)
    return source, pack(source, (64, 64), 1, max_skipped=0.5)


def test_copies_have_names_and_the_largest_comes_first(tmp_path: Path) -> None:
    source, packed = opened(photos(tmp_path / "p"))
    found = Duplicates(6, (Group((0, 2, 4), (1.0, 0.97, 0.95), (0, 3, 9)), Group((1, 5), (1.0, 1.0), (0, 0))))
    groups = copies(source, packed, found)
    assert groups == [
        (
            Copy("a/4.png", 2, 128, 128, 0.97, 3),
            Copy("a/0.png", 0, 64, 64, 1.0, 0),
            Copy("b/3.png", 4, 64, 64, 0.95, 9),
        ),
        (Copy("a/2.png", 1, 64, 64, 1.0, 0), Copy("b/5.png", 5, 64, 64, 1.0, 0)),
    ]


def test_the_report(tmp_path: Path) -> None:
    source, packed = opened(photos(tmp_path / "p"))
    write_report(tmp_path / "report", packed, copies(source, packed, FOUND), {"agreement": 0.94})
    content = json.loads((tmp_path / "report" / "groups.json").read_text())
    assert (content["images"], content["agreement"]) == (6, 0.94)
    assert [group["keep"]["name"] for group in content["groups"]] == ["a/4.png", "a/2.png"]
    assert [len(group["duplicates"]) for group in content["groups"]] == [2, 1]
    assert (tmp_path / "report" / "duplicates.txt").read_text() == "a/0.png\nb/3.png\nb/5.png\n"
    with Image.open(tmp_path / "report" / "page-01.png") as page:
        assert page.size == (14 * 68, 68)


def test_pages_show_groups_side_by_side_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "COLUMNS", 3)
    monkeypatch.setattr(report, "ROWS", 2)
    monkeypatch.setattr(report, "PAGES", 2)
    images = np.arange(1, 41, dtype=np.uint8)[:, None, None, None].repeat(4, 1).repeat(4, 2)

    def group(*rows: int) -> tuple[Copy, ...]:
        return tuple(Copy(str(row), row, 4, 4, 1.0, 0) for row in rows)

    sheets = pages(images, [group(0, 1), group(2, 3, 4), group(5, 6), *(group(7 + i, 20 + i) for i in range(6))])
    shown = [sheet[4::8, 4::8, 0].tolist() for sheet in sheets]
    assert shown == [[[1, 2, 0], [3, 4, 5]], [[6, 7, 0], [8, 21, 0]]]
    assert sheets[0][0, 0, 0] == 255  # the best has a frame
    assert sheets[0][0, 9, 0] == 0
    assert pages(images, []) == []
    assert len(pages(images, [group(0, 1)])[0]) == 8  # no empty rows


def test_moving_aside_keeps_the_paths(tmp_path: Path) -> None:
    source, packed = opened(photos(tmp_path / "p"))
    before = {path.name: path.read_bytes() for path in (tmp_path / "p").rglob("*.png")}
    assert move_aside(source, copies(source, packed, FOUND), tmp_path / "aside") == (3, 0)
    moved = {str(path.relative_to(tmp_path / "aside")) for path in (tmp_path / "aside").rglob("*.png")}
    assert moved == {"a/0.png", "b/3.png", "b/5.png"}
    after = {path.name: path.read_bytes() for path in tmp_path.rglob("*.png")}
    assert after == before


def test_links_and_what_they_lead_to_stay(tmp_path: Path) -> None:
    data, outside = photos(tmp_path / "p"), tmp_path / "outside"
    outside.mkdir()
    shutil.copy(data / "b" / "5.png", outside / "holiday.png")
    (data / "a" / "0-favourite.png").symlink_to("2.png")
    (data / "z").symlink_to(outside)
    source, packed = opened(data)  # a/0-favourite a/0 a/2 a/4 b/1 b/3 b/5 z/holiday
    one = 1.0, 1.0
    groups = (Group((1, 3), one, (0, 0)), Group((0, 2), one, (0, 0)), Group((5, 6, 7), (*one, 1.0), (0, 0, 0)))
    assert move_aside(source, copies(source, packed, Duplicates(8, groups)), tmp_path / "aside") == (2, 2)
    moved = {str(path.relative_to(tmp_path / "aside")) for path in (tmp_path / "aside").rglob("*.png")}
    assert moved == {"a/0.png", "b/5.png"}
    assert (data / "a" / "0-favourite.png").is_file()
    assert (outside / "holiday.png").is_file()


def test_what_cannot_be_moved_is_refused(tmp_path: Path) -> None:
    source, packed = opened(photos(tmp_path / "p"))
    groups = copies(source, packed, FOUND)
    archive = find_source(zipped(tmp_path / "p"))
    with pytest.raises(InputError, match="only files of a folder can be moved"):
        move_aside(archive, groups, tmp_path / "aside")
    with pytest.raises(InputError, match="inside of the data"):
        move_aside(source, groups, tmp_path / "p" / "aside")
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match="exists already"):
        move_aside(source, groups, tmp_path / "there")
    (tmp_path / "p" / "b" / "3.png").unlink()
    with pytest.raises(InputError, match=r"b/3.png: cannot be moved .*1 files were moved before it"):
        move_aside(source, groups, tmp_path / "aside")
    assert (tmp_path / "aside" / "a" / "0.png").is_file()


def test_data_that_has_changed_is_noticed(tmp_path: Path) -> None:
    source, packed = opened(photos(tmp_path / "p"))
    (tmp_path / "p" / "b" / "3.png").write_text("no picture any more")
    with pytest.raises(InputError, match=r"b/3\.png: was a picture and is none now"):
        copies(source, packed, FOUND)
    (tmp_path / "p" / "c.png").write_bytes((tmp_path / "p" / "b" / "1.png").read_bytes())
    with pytest.raises(InputError, match="was changed meanwhile"):
        copies(find_source(tmp_path / "p"), packed, Duplicates(6, ()))
