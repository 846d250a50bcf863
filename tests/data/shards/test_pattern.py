from __future__ import annotations

from pathlib import Path

import pytest

from dcgan.data.shards.pattern import expand, is_pattern
from dcgan.errors import InputError


def test_braces_of_urls() -> None:
    assert expand("https://host/{a,b}/x-{08..10}.tar") == tuple(
        f"https://host/{letter}/x-{number}.tar" for letter in "ab" for number in ("08", "09", "10")
    )
    assert expand("http://host/x.tar") == ("http://host/x.tar",)


def test_paths_and_globs(tmp_path: Path) -> None:
    for i in range(12):
        (tmp_path / f"x-{i:02d}.tar").write_bytes(b"")
    every = tuple(str(tmp_path / f"x-{i:02d}.tar") for i in range(12))
    assert expand(f"{tmp_path}/x-{{00..11}}.tar") == every
    assert expand(f"{tmp_path}/*.tar") == every
    assert expand(f"{tmp_path}/x-0{{3,5}}.tar") == (every[3], every[5])


def test_a_file_with_braces_in_its_name_is_itself(tmp_path: Path) -> None:
    path = tmp_path / "x{1..2}.tar"
    assert is_pattern(str(path))
    path.write_bytes(b"")
    assert not is_pattern(str(path))
    assert not is_pattern("photos/")


def test_brackets_in_the_name_of_a_folder_that_exists(tmp_path: Path) -> None:
    (tmp_path / "[old]").mkdir()
    (tmp_path / "[old]" / "x-0.tar").write_bytes(b"")
    assert expand(f"{tmp_path}/[old]/x-{{0..0}}.tar") == (f"{tmp_path}/[old]/x-0.tar",)
    assert expand(f"{tmp_path}/[old]/*.tar") == (f"{tmp_path}/[old]/x-0.tar",)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("nowhere/*.tar", "matches no file|there is no"),
        ("nowhere/x-{0..3}.tar", "there is no nowhere/x-0.tar"),
        ("https://host/{5..2}", "smallest first"),
        ("http://[::1/x.tar", "is no URL"),
        ("https:///x.tar", "is no URL"),
        ("http://a..b/x-{0..3}.tar", "is no URL"),
        ("http://host:abc/x.tar", "is no URL .*abc"),
        ("~nosuchuser/*.tar", "matches no file|there is no"),
        ("x" * 5000 + "*.tar", "there is no|matches no file"),
        ("https://host/{0..999999999999}", "no range of up to"),
        ("https://host/{0..999}{0..999}", "stands for more than"),
        ("file:///etc/x.tar", "by http:// and https:// only"),
        ("s3://bucket/x.tar", "by http:// and https:// only"),
    ],
)
def test_patterns_of_nothing_are_refused(pattern: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        expand(pattern)
