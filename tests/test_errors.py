"""Hints for misspelt names, and text that cannot command a terminal."""

import shlex
from types import SimpleNamespace

import pytest

from dcgan import errors
from dcgan.errors import InputError, last_name, nearest, printable, typed, without_folders


def test_input_error_is_a_value_error():
    assert issubclass(InputError, ValueError)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("batchsize", "; did you mean 'batch_size'?"),
        ("fdi", "; did you mean 'fid'?"),
        ("zebra", ""),
        ("nosuch", ""),
        ("", ""),
        ("lr", ""),
    ],
)
def test_nearest_names_one_similar_name_or_nothing(name, hint):
    assert nearest(name, ["batch_size", "width", "fid", "sh"]) == hint


def test_nearest_takes_any_iterable_and_an_empty_one():
    assert nearest("wdith", iter({"width": 1})) == "; did you mean 'width'?"
    assert nearest("width", []) == ""


def test_printable_escapes_control_characters_only():
    assert printable("Größe 猫.png") == "Größe 猫.png"
    assert printable("a\x1b[31m\nb\u202e") == "a\\x1b[31m\\nb\\u202e"
    assert printable(7) == "7"


@pytest.mark.parametrize("path", ["runs/a", "my runs/a", "a'b", 'a"b', "$HOME", "a;b", "C:\\runs\\my run", "", "猫"])
def test_a_typed_path_is_one_word(path):
    assert shlex.split(f"dcgan sample {typed(path)}") == ["dcgan", "sample", path]
    assert typed("a\x1b[31m") == "'a\\x1b[31m'"


def test_on_windows_a_typed_path_is_one_word_too(monkeypatch):
    monkeypatch.setattr(errors, "os", SimpleNamespace(name="nt"))
    assert typed("C:\\runs\\mine") == "C:\\runs\\mine"
    assert typed("C:\\my runs\\mine") == '"C:\\my runs\\mine"'


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("folder /home/jane doe/my faces: 12 images in 3 classes", "folder my faces: 12 images in 3 classes"),
        ("zip C:\\Users\\Jane\\faces.zip: 5 images", "zip faces.zip: 5 images"),
        ("folder ../private/faces", "folder faces"),
        ("folder photos/: 5 images", "folder photos: 5 images"),
        ("folder Jane Doe secret/pics: 1,234 images", "folder pics: 1,234 images"),
        ("/home/jane/photos/: 300 images", "photos: 300 images"),
        ("folder /home/jane/my photos: 24 images of 3/4 size", "folder my photos: 24 images"),
        ("folder /jane: 2 images/pics: 24 images in 2 classes", "folder pics: 24 images in 2 classes"),
        ("test images (folder /home/jane doe/pics: 24 images)", "test images (folder pics: 24 images)"),
        ("4 shards https://jane:word@host/x.tar?key=a/b: 24 images", "4 shards x.tar: 24 images"),
        (
            "bundled digits from MNIST: 6,000 images in 10 classes (MNIST is not below /home/jane doe, and no: [y/z])",
            "bundled digits from MNIST: 6,000 images in 10 classes",
        ),
        ("folder p: 3 images (left out, as no such file is read: 1 .heic)",) * 2,
        ("mnist", "mnist"),
        ("IDX file /a/b/t10k.gz: 3\x1b", "IDX file t10k.gz: 3\\x1b"),
        ("", ""),
        pytest.param("a" * 10**6 + "/b", "b", id="long"),
        pytest.param("a" * 10**6, "a" * 10**6, id="longer-than-patience"),
    ],
)
def test_folders_that_were_recorded_are_left_out(text: str, left: str) -> None:
    assert without_folders(text) == left


@pytest.mark.parametrize(
    ("path", "name"),
    [
        *[("/home/jane doe/my photos", "my photos"), ("~/photos/", "photos"), ("C:\\Jane\\a.zip", "a.zip")],
        *[("https://me@host/x-{0..9}.tar?key=a/b#c/d", "x-{0..9}.tar"), ("mnist", "mnist"), ("/", ""), ("", "")],
        *[("a/b\x1b", "b\\x1b"), ("what? #1/why? #2", "why? #2")],
    ],
)
def test_the_last_name_of_a_path(path: str, name: str) -> None:
    assert last_name(path) == name
