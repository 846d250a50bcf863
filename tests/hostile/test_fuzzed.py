"""The fuzzers' targets on whole inputs that were changed at random, the same ones each time."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import math
import tarfile
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dcgan.data.streams import members, open_stream
from dcgan.reading import parse_json
from tests.fuzz.targets import TARGETS, seeds

few = settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
edits = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), st.binary(min_size=1, max_size=8)), max_size=6)


def edited(content: bytes, changes: list[tuple[float, int, bytes]]) -> bytes:
    """Bytes put over others, put between them, taken away, or the rest cut off."""
    for share, how, piece in changes:
        at = int(share * len(content))
        after = {0: at + len(piece), 1: at, 2: at + len(piece), 3: len(content)}[how]
        content = content[:at] + (piece if how < 2 else b"") + content[after:]
    return content


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("target", list(TARGETS))
def test_changed_inputs_are_read_or_refused(target: str) -> None:
    whole = seeds(target) or [b""]

    @few
    @given(st.sampled_from(whole), edits)
    def check(content: bytes, changes: list[tuple[float, int, bytes]]) -> None:
        TARGETS[target](edited(content, changes))

    check()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("target", list(TARGETS))
@few
@given(content=st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(target: str, content: bytes) -> None:
    TARGETS[target](content)


finite = st.floats(allow_nan=False, allow_infinity=False)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | finite | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@few
@given(plain)
def test_plain_values_come_back_from_json(value: Any) -> None:
    assert parse_json(json.dumps(value)) == value


@pytest.mark.parametrize("text", ["[NaN]", "-Infinity", '{"a": 1e400}', "9" * 21, "-" + "9" * 20, "[" * 34 + "]" * 34])
def test_what_is_no_number_or_too_deep(text: str) -> None:
    with pytest.raises(ValueError, match=r"number|digits|deeply"):
        parse_json(text)


def test_numbers_that_are_not_finite_where_they_may_be() -> None:
    assert math.isnan(parse_json('{"a": NaN}', nan=True)["a"])
    assert parse_json("[" * 32 + "]" * 32) is not None


names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=200)


@few
@given(
    files=st.dictionaries(names, st.binary(max_size=2000), min_size=1, max_size=5),
    form=st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    mode=st.sampled_from(["w", "w:gz", "w:bz2", "w:xz"]),
)
def test_tars_are_read_as_tarfile_reads_them(
    tmp_path_factory: Any, files: dict[str, bytes], form: int, mode: Any
) -> None:
    path = tmp_path_factory.mktemp("tar") / "x.tar"
    with tarfile.open(path, mode, format=form) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), 12345
            try:
                archive.addfile(member, io.BytesIO(content))
            except ValueError:  # a name too long for the format
                continue
    with tarfile.open(path) as archive:
        expected = [(m.name, m.size, m.mtime, archive.extractfile(m).read()) for m in archive if m.isreg()]  # type: ignore[union-attr]
    with open_stream(path) as stream:
        found = [(m.name, m.size, m.mtime, m.read()) for m in members(stream)]
    if not any(name.endswith("/") for name in files):  # tarfile strips the slash of a folder's name
        assert found == expected


@few
@given(
    parts=st.lists(st.binary(max_size=3000), min_size=1, max_size=4), sizes=st.lists(st.integers(1, 4000), min_size=1)
)
@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress], ids=["gzip", "xz"])
def test_streams_of_several_parts(tmp_path_factory: Any, compress: Any, parts: list[bytes], sizes: list[int]) -> None:
    path = tmp_path_factory.mktemp("stream") / "x"
    path.write_bytes(b"".join(map(compress, parts)))
    with open_stream(path) as stream:
        found = b"".join(stream.read(size) for size in sizes) + stream.read()
    assert found == b"".join(parts)
