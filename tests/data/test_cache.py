"""Where the cache is, and that its folders are whole or not there."""

import errno
from pathlib import Path

import pytest

from dcgan.data import cache
from dcgan.data.cache import default_cache, default_data_root
from dcgan.errors import InputError


@pytest.mark.parametrize(
    ("platform", "variable", "tail"),
    [
        ("linux", "XDG_CACHE_HOME", "dcgan"),
        ("linux", None, ".cache/dcgan"),
        ("win32", "LOCALAPPDATA", "dcgan"),
        ("win32", None, "AppData/Local/dcgan"),
        ("darwin", None, "Library/Caches/dcgan"),
    ],
)
def test_cache_folders(platform, variable, tail, tmp_path, monkeypatch):
    for name in ("DCGAN_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(cache.sys, "platform", platform)
    if variable:
        monkeypatch.setenv(variable, str(tmp_path))
    assert default_cache() == tmp_path / tail
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "mine"))
    assert default_data_root() == tmp_path / "mine" / "data"


def test_a_folder_is_moved_into_place_whole(tmp_path):
    place = tmp_path / "packs/key"
    with cache.partial_folder(place, Path.exists) as partial:
        (partial / "x").write_text("new")
        assert not place.exists()
    assert (place / "x").read_text() == "new"
    assert list(place.parent.iterdir()) == [place]


@pytest.mark.parametrize(("whole", "content"), [(True, "old"), (False, "new")])
def test_what_is_there_stays_if_it_is_whole(tmp_path, whole, content):
    place = tmp_path / "key"
    place.mkdir()
    (place / "x").write_text("old")
    with cache.partial_folder(place, lambda folder: whole) as partial:
        (partial / "x").write_text("new")
    assert (place / "x").read_text() == content
    assert list(tmp_path.iterdir()) == [place]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.EIO, "Input/output error")])
def test_an_interruption_leaves_nothing(tmp_path, error):
    def interrupted():
        with cache.partial_folder(tmp_path / "key", Path.exists) as partial:
            (partial / "x").touch()
            raise error

    with pytest.raises((KeyboardInterrupt, OSError)):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    place = tmp_path / "file/packs/key"
    with (
        pytest.raises(InputError, match=r"cannot write the cache .*set DCGAN_CACHE"),
        cache.partial_folder(place, Path.exists),
    ):
        pass
