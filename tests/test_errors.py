"""Hints for misspelt names, and text that cannot command a terminal."""

import pytest

from dcgan.errors import InputError, nearest, printable, without_folders


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


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("folder /home/jane doe/my faces: 12 images in 3 classes", "folder my faces: 12 images in 3 classes"),
        ("zip C:\\Users\\Jane\\faces.zip: 5 images", "zip faces.zip: 5 images"),
        ("folder ../private/faces", "folder faces"),
        ("~/photos/", "photos"),
        ("mnist", "mnist"),
        ("/", ""),
        ("IDX file /a/b/t10k.gz: 3\x1b", "IDX file t10k.gz: 3\\x1b"),
        ("a\tnew\n/b c\\d/e f", "a\\tnew\\ne f"),
        ("", ""),
        pytest.param("a" * 10**6 + "/b", "b", id="long"),
        pytest.param("a" * 10**6, "a" * 10**6, id="longer-than-patience"),
    ],
)
def test_folders_are_nobodys_business(text: str, left: str) -> None:
    assert without_folders(text) == left
