"""What `shards/x-{000..019}.tar`, `shards/*.tar` and `https://host/x-{0..9}.tar` stand for."""

from __future__ import annotations

import glob
import os
import re
from urllib.parse import urlsplit

from dcgan.errors import InputError, printable

MOST_SHARDS = 100_000
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,12})\.\.(\d{1,12})")


def is_url(data: str) -> bool:
    """Whether this is `scheme://…`, of whatever scheme."""
    return re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", data) is not None


def is_pattern(data: str) -> bool:
    """Whether this stands for shards: a URL, or a path with braces, `*`, `?` or `[` that is no file itself."""
    return is_url(data) or (any(c in data for c in "{*?[") and not os.path.exists(os.path.expanduser(data)))


def expand(pattern: str) -> tuple[str, ...]:
    """The paths or URLs in the order of their numbers, or of their names for a glob.

    Raises InputError for a pattern of nothing, of more than MOST_SHARDS, or of a scheme other than http and https.
    """
    if is_url(pattern):
        urls = _unbraced(pattern)
        if pattern.split(":")[0].lower() not in ("http", "https"):
            raise InputError(f"{printable(pattern)}: shards are read from files and by http:// and https:// only")
        try:
            hosts = [((parts.hostname or "").encode("idna"), parts.port) for parts in map(urlsplit, urls)]
        except ValueError as error:
            raise InputError(f"{printable(pattern)}: is no URL ({error})") from error
        if not all(host for host, _ in hosts):
            raise InputError(f"{printable(pattern)}: is no URL (it names no host)")
        return tuple(urls)
    found: list[str] = []
    for path in _unbraced(os.path.expanduser(pattern)):
        matches = [path]
        if any(c in path for c in "*?[") and not os.path.exists(path):
            folder, name = os.path.split(path)
            literal = os.path.join(glob.escape(folder), name) if os.path.isdir(folder) else path
            matches = sorted(glob.glob(literal))
        found += [match for match in matches if os.path.isfile(match)]
        if not matches or not os.path.exists(matches[0]):
            raise InputError(f"{printable(pattern)}: there is no {printable(path)}")
    if not found:
        raise InputError(f"{printable(pattern)}: matches no file")
    return tuple(found)


def _unbraced(pattern: str) -> list[str]:
    """`a{0..2}b` → a0b, a1b, a2b, as wide as the first number; `{x,y}` → x, y; several from left to right."""
    done = [""]
    rest = pattern
    while match := _BRACES.search(rest):
        choices = _choices(match[1], pattern)
        if len(done) * len(choices) > MOST_SHARDS:
            raise InputError(f"{printable(pattern)}: stands for more than {MOST_SHARDS:,} shards")
        done = [one + rest[: match.start()] + choice for one in done for choice in choices]
        rest = rest[match.end() :]
    return [one + rest for one in done]


def _choices(inside: str, pattern: str) -> list[str]:
    if (numbers := _RANGE.fullmatch(inside)) is None:
        return inside.split(",")
    first, last = map(int, numbers.groups())
    if first > last or last - first >= MOST_SHARDS:
        raise InputError(
            f"{printable(pattern)}: {{{inside}}} is no range of up to {MOST_SHARDS:,} numbers, smallest first"
        )
    return [str(number).zfill(len(numbers[1])) for number in range(first, last + 1)]
