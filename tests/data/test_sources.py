"""What the user may give as data, and what is said of anything else."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcgan.data.sources import find_source, find_source_of_run
from dcgan.errors import InputError
from dcgan.training.prepare import located
from tests.data.samples import png, write_folder, write_idx, write_tar, write_zip


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz", "tgz", "tar.bz2", "tar.xz"])
@pytest.mark.parametrize("content", [b"this is text, not an archive", b"\x1f\x8bPK\x03\x04" * 300])
def test_not_an_archive(suffix, content, tmp_path):
    (tmp_path / f"x.{suffix}").write_bytes(content)
    with pytest.raises(InputError, match=r"cannot read .*x\."):
        find_source(tmp_path / f"x.{suffix}")


@pytest.mark.parametrize("name", ["x.npz", "x.pkl", "x.PT", "x.npy"])
def test_pickles_and_arrays_are_refused(name, tmp_path):
    (tmp_path / name).write_bytes(b"\x80\x04N.")
    with pytest.raises(InputError, match="not data that is read here; DATA is a folder"):
        find_source(tmp_path / name)


def test_other_files(tmp_path):
    (tmp_path / "one.jpg").write_bytes(png())
    with pytest.raises(InputError, match="one picture"):
        find_source(tmp_path / "one.jpg")
    (tmp_path / "x.bin").write_bytes(b"hello")
    with pytest.raises(InputError, match="neither a zip nor a tar"):
        find_source(tmp_path / "x.bin")
    (tmp_path / "nothing").touch()
    with pytest.raises(InputError, match="is empty"):
        find_source(tmp_path / "nothing")
    with pytest.raises(InputError, match="not a file"):
        find_source(os.devnull)
    with pytest.raises(InputError, match="no data given"):
        find_source(" ")


def test_archives_without_a_suffix(tmp_path):
    write_zip(tmp_path / "a", ["1.png"])
    write_tar(tmp_path / "b", ["1.png"], "w:gz")
    assert find_source(tmp_path / "a").description.startswith("zip")
    assert find_source(tmp_path / "b").description.startswith("tar")


def test_missing_path_names_the_nearest(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    with pytest.raises(InputError, match="did you mean 'photos'"):
        find_source(tmp_path / "photoz")
    with pytest.raises(InputError, match="did you mean 'fashion-mnist'"):
        find_source("fashion_mnist")
    with pytest.raises(InputError, match="did you mean 'mnist'"):
        find_source("MNIST")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"no data at 'zzzzzz\\x1b'"):
        find_source("zzzzzz\x1b")


def test_a_known_name_is_a_path_only_with_a_separator(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "digits", ["a.png"])
    assert len(find_source("digits")) == 6000
    assert len(find_source("./digits")) == 1
    assert len(find_source(Path("digits"))) == 1
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert len(find_source("~/digits")) == 1


def test_a_tilde_that_is_nobodys_is_a_letter(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no data at '~nosuchuser/photos'"):
        find_source("~nosuchuser/photos")
    write_folder(tmp_path / "~nosuchuser", ["a.png"])
    assert len(find_source("~nosuchuser")) == 1
    assert located("~nosuchuser") == str(tmp_path / "~nosuchuser")


def test_a_run_does_not_say_where_to_download_to(tmp_path, monkeypatch):
    fetched = []
    monkeypatch.setattr("dcgan.data.named.fetch", lambda name, root, split: fetched.append(root))
    monkeypatch.setenv("DCGAN_DATA", str(tmp_path / "mine"))
    with pytest.raises(InputError, match="its download did not bring it"):
        find_source_of_run("mnist", str(tmp_path / "theirs"))
    assert fetched == [tmp_path / "mine"]
    images = write_idx(tmp_path / "theirs" / "mnist")
    found: Any = find_source_of_run("mnist", str(tmp_path / "theirs"))
    assert np.array_equal(found.images, images)
    assert fetched == [tmp_path / "mine"]
