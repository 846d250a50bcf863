"""The two ways to fail with words for the user: wrong input (exit code 2), and a training gone wrong (1)."""

from __future__ import annotations

import difflib
import os
import re
import shlex
import subprocess
from collections.abc import Iterable
from pathlib import Path


class InputError(ValueError):
    """Wrong usage or input. The message says what, where, and what to do about it."""


class TrainingError(RuntimeError):
    """The training cannot go on. The message says why and what to try."""


def nearest(name: str, known: Iterable[str]) -> str:
    """`"; did you mean 'x'?"` for the known name closest to `name`, or an empty string."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.65)
    return f"; did you mean {matches[0]!r}?" if matches else ""


def nearest_beside(path: Path) -> str:
    """`nearest` to the name of a path that is not there, among what is in its folder."""
    return nearest(path.name, os.listdir(path.parent) if os.path.isdir(path.parent) else [])


def printable(text: object) -> str:
    """`text` with control characters escaped: file names are data, never terminal commands."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


def typed(path: object) -> str:
    """A path as it is typed in a command of this machine's shell: one word, whatever it is called."""
    return printable(shlex.quote(str(path)) if os.name == "posix" else subprocess.list2cmdline([str(path)]))


def last_name(path: object) -> str:
    """A path or URL without its folders, for what others are to read: /home/me/photos → photos."""
    text = str(path)
    if "://" in text:
        text = re.split(r"[?#]", text)[0]  # what follows may be a key
    return printable(re.split(r"[/\\]", text.rstrip("/\\"))[-1])


def without_folders(description: object) -> str:
    """The description of data that earlier versions recorded, folders and all, as it is recorded now.

    "folder /home/me/my photos: 24 images in 2 classes" → "folder my photos: 24 images in 2 classes".
    """
    text = str(description).partition(" (MNIST is not below ")[0]
    counts = [*_COUNTS.finditer(text)]
    end = counts[-1].start() if counts else len(text)
    kind = _KIND.match(text, 0, end)
    begin = kind.end() if kind else 0
    after = counts[-1].end() if counts else end
    remark = "" if re.search(r"[/\\]", text[after:]) else text[after:]
    return printable(text[:begin]) + last_name(text[begin:end]) + printable(text[end:after] + remark)


_COUNTS = re.compile(r": [\d,]+ images?\b(?: in [\d,]+ classes)?")
_KIND = re.compile(
    r"(?:test images \()?(?:folder|zip|tar|IDX file|[\d,]+ shards?|mnist|fashion-mnist|cifar10|svhn|lsun-bedroom) "
)
