"""Fuzzing with atheris, by hand: `python -m tests.fuzz.fuzz TARGET [libFuzzer's options]`.

An input that is no clear error stops it and is written to `crash-…`; once that is mended it belongs into
tests/hostile/found/READER/. `-max_total_time=60` ends it after a minute, `-rss_limit_mb=2048 -timeout=5` bound each
input, and a folder named before the options keeps what was found interesting. `docs/security.md` says what was run.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["dcgan", "yaml", "PIL"]):
    from tests.fuzz.targets import TARGETS, seeds


def main(arguments: list[str]) -> None:
    """Fuzz one target from its seeds."""
    if len(arguments) < 2 or arguments[1] not in TARGETS:
        raise SystemExit(f"usage: python -m tests.fuzz.fuzz TARGET [OPTIONS]; targets: {', '.join(TARGETS)}")
    target, folder = arguments[1], Path(tempfile.mkdtemp(prefix="seeds-"))
    for number, content in enumerate(seeds(target)):
        (folder / str(number)).write_bytes(content)
    atheris.Setup([arguments[0], *arguments[2:], str(folder)], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
