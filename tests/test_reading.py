"""Files from anybody: regular, bounded, and headers that are compared with the file. More is in tests/hostile."""

import json
import os
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from dcgan.errors import InputError
from dcgan.reading import is_integer, is_number, read_bytes, read_header, read_json, read_text, size_text


def test_the_bound_is_the_largest_that_is_read(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_bytes(tmp_path / "a", 5) == b"12345"
    with pytest.raises(InputError, match="a: larger than 4 bytes"):
        read_bytes(tmp_path / "a", 4)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are POSIX's")
def test_pipes_devices_and_folders_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for name in ("pipe", "link", "."):
        with pytest.raises(InputError, match=r"cannot be read \(not a regular file\)"):
            read_bytes(tmp_path / name, 100)
    with pytest.raises(InputError, match=r"cannot be read \(No such file"):
        read_bytes(tmp_path / "none", 100)
    with pytest.raises(InputError, match="cannot be read"):
        read_bytes(tmp_path / "a\0b", 100)


def test_a_file_without_a_size_is_not_believed():
    with pytest.raises(InputError, match="larger than it says"):
        read_bytes(Path("/proc/self/status"), 10)


def test_text_and_json(tmp_path):
    (tmp_path / "a").write_text('{"größe": [1, 2.5]}', encoding="utf-8")
    assert json.loads(read_text(tmp_path / "a", 100)) == read_json(tmp_path / "a") == {"größe": [1, 2.5]}
    (tmp_path / "b\x1b").write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"b\\x1b: is not text in UTF-8"):
        read_text(tmp_path / "b\x1b", 100)


def test_a_header_says_what_the_file_holds(tmp_path):
    tensors = {"a": torch.zeros(2, 3), "b": torch.zeros((), dtype=torch.int64), "c": torch.zeros(0, 4)}
    (tmp_path / "x").write_bytes(save(tensors, {"text": "größe"}))
    header = read_header(tmp_path / "x")
    assert header.tensors == {"a": ("F32", (2, 3)), "b": ("I64", ()), "c": ("F32", (0, 4))}
    assert header.metadata == {"text": "größe"}
    with pytest.raises(InputError, match="larger than 100 bytes"):
        read_header(tmp_path / "x", 100)


def test_ten_bytes_that_claim_2_to_the_60_elements(tmp_path):
    text = json.dumps({"a": {"dtype": "F32", "shape": [2**60], "data_offsets": [0, 10]}}).encode()
    (tmp_path / "x").write_bytes(struct.pack("<Q", len(text)) + text + bytes(10))
    with pytest.raises(InputError, match="'a' is not as large as its shape says"):
        read_header(tmp_path / "x")


@pytest.mark.parametrize(
    ("value", "integer", "number"),
    [
        *((3, True, True), (-1, False, True), (2**63, False, True), (2.5, False, True)),
        *((True, False, False), ("3", False, False), (float("nan"), False, False), (None, False, False)),
    ],
)
def test_what_counts_as_a_number(value, integer, number):
    assert is_integer(value) is integer
    assert is_number(value) is number


def test_sizes_in_words():
    assert [size_text(n) for n in (1, 500, 2048, 3 * 2**20, 2**30)] == [
        "1 bytes",
        "500 bytes",
        "2 KiB",
        "3 MiB",
        "1 GiB",
    ]
