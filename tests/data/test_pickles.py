"""Pickles taken apart: plain values as Python's loader gives them, arrays, and everything else refused, never run."""

import io
import os
import pickle

import numpy as np
import pytest

from dcgan.data.pickles import Call, Name, NotInert, inert, uint8_array

PLAIN = {
    "numbers": [0, 1, 255, 256, 65536, -1, 2**40, -(2**70), 1.5, float("inf")],
    "texts": ("", "a", "größe", "x" * 300),
    "bytes": [b"", b"a", b"b" * 300],
    "more": {"none": None, "true": True, "false": False, "empty": ((), [], {}), "four": (1, 2, 3, 4)},
    3: "three",
}


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_plain_values_are_those_of_the_loader(protocol):
    content = pickle.dumps(PLAIN, protocol)
    assert inert(io.BytesIO(content)) == pickle.loads(content) == PLAIN


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_plain_values_of_old_protocols(protocol):
    values: dict = {"numbers": [0, 300, -1, 2**40, 1.5], "texts": ("a", "größe"), "more": [None, True, {}]}
    assert inert(io.BytesIO(pickle.dumps(values, protocol))) == values


def test_values_that_are_shared_stay_shared():
    one = [1]
    back = inert(io.BytesIO(pickle.dumps([one, one])))
    assert back[0] is back[1]


def test_the_stream_is_left_behind_each_pickle():
    stream = io.BytesIO(pickle.dumps(1) + pickle.dumps("two") + b"rest")
    assert [inert(stream), inert(stream), stream.read()] == [1, "two", b"rest"]


@pytest.mark.parametrize("shape", [(3, 4), (0, 4), (5,)])
@pytest.mark.parametrize("protocol", [3, 4])
def test_arrays(shape, protocol):
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert np.array_equal(uint8_array(inert(io.BytesIO(pickle.dumps(array, protocol)))), array)


@pytest.mark.parametrize(
    "array", [np.zeros((2, 2)), np.asfortranarray(np.zeros((2, 3), np.uint8)), np.array([object], object), 3, [1]]
)
def test_other_arrays_are_refused(array):
    with pytest.raises(NotInert):
        uint8_array(inert(io.BytesIO(pickle.dumps(array, 3))))


def test_nothing_is_imported_or_called(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "trapped"),)

    for protocol in range(6):
        found = inert(io.BytesIO(pickle.dumps(Trap(), protocol)))
        assert isinstance(found, Call)
        assert isinstance(found.function, Name)
        assert found.function.path.endswith(" mkdir")
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b".",
        b"(.",
        b"K\x01",
        b"a.",
        b"}(K\x01u.",
        b"h\x07.",
        b"\x80\x02c__main__\n.",
        b"(lp0\nI1\naI2",
        b"i__builtin__\neval\n.",
        b"(c__builtin__\neval\no.",
        b"\x80\x02c__builtin__\neval\n)\x81.",
        b"Pname\n.",
        b"}]K\x01s.",
        b"\x8e" + b"\xff" * 8 + b".",
        b"\x8b\xff\xff\xff\x7f.",
        b"I" + b"9" * 6000 + b"\n.",
        b"]K\x01b.",
        b"0.",
    ],
)
def test_damaged_and_other_pickles(content):
    with pytest.raises(NotInert):
        inert(io.BytesIO(content))


def test_names_are_made_of_texts_only():
    """Found by atheris: each name was the one before it, written out twice."""
    with pytest.raises(NotInert):
        inert(io.BytesIO(b"]q\x00h\x00" + b"\x93q\x00h\x00" * 60 + b"."))
