"""Hints for misspelt names, and text that cannot command a terminal."""

import pytest

from dcgan.errors import InputError, nearest, printable


def test_input_error_is_a_value_error():
    assert issubclass(InputError, ValueError)


@pytest.mark.parametrize(
    ("name", "hint"), [("batchsize", "; did you mean 'batch_size'?"), ("zebra", ""), ("", ""), ("lr", "")]
)
def test_nearest_names_one_similar_name_or_nothing(name, hint):
    assert nearest(name, ["batch_size", "width"]) == hint


def test_nearest_takes_any_iterable_and_an_empty_one():
    assert nearest("wdith", iter({"width": 1})) == "; did you mean 'width'?"
    assert nearest("width", []) == ""


def test_printable_escapes_control_characters_only():
    assert printable("Größe 猫.png") == "Größe 猫.png"
    assert printable("a\x1b[31m\nb\u202e") == "a\\x1b[31m\\nb\\u202e"
    assert printable(7) == "7"
