"""Every malformed input of the corpus ends in a clear error, or is left out and counted.

None takes more than 5 s of processor time or 1 GB of memory, kills the process, or writes outside of where it should.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dcgan.errors import printable
from tests.hostile.child import MOST_SECONDS
from tests.hostile.corpus import FOUND, cases
from tests.hostile.readers import READERS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the memory limit is Linux's"),
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """What became of each case; of those after a crash, in a process of their own."""
    found: dict[int, dict[str, Any]] = {}
    first = 0
    while first < len(cases()):
        folder = tmp_path_factory.mktemp("hostile")
        command = [sys.executable, "-W", "ignore", "-m", "tests.hostile.child", str(folder), str(first), "1"]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=Path(__file__).parents[2], env=dict(os.environ)
        )
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"index"')]
        found |= {line["index"]: line for line in lines}
        if done.returncode == 0:
            return found
        crashed = max(found, default=first - 1) + 1
        found[crashed] = {"outcome": f"crash {done.returncode}", "message": done.stderr[-500:], "seconds": 0.0}
        first = crashed + 1
    return found


def test_the_corpus_is_large_and_its_names_are_its_own() -> None:
    names = [(case.reader, case.name) for case in cases()]
    assert len(names) == len(set(names)) >= 300
    assert {case.reader for case in cases()} == set(READERS)
    assert sum(path.stat().st_size for path in FOUND.rglob("*") if path.is_file()) < 300_000


def test_each_is_a_clear_error_or_a_counted_skip(results: dict[int, dict[str, Any]]) -> None:
    faults = [
        f"{case.reader}/{case.name}: {result['outcome']}: {result['message'][:200]}"
        for case, result in zip(cases(), (results[i] for i in range(len(cases()))), strict=True)
        if result["outcome"] not in ("error", "skipped")
    ]
    assert not faults, "\n".join(faults)
    counted = Counter(result["outcome"] for result in results.values())
    assert counted["error"] > 200
    assert counted["skipped"] > 50


def test_none_takes_long(results: dict[int, dict[str, Any]]) -> None:
    slow = {cases()[i].name: result["seconds"] for i, result in results.items() if result["seconds"] > MOST_SECONDS}
    assert not slow


def test_messages_say_something_short_that_no_terminal_obeys(results: dict[int, dict[str, Any]]) -> None:
    for index, result in results.items():
        if result["outcome"] == "error":
            message = result["message"]
            assert 10 < len(message) < 3000, (cases()[index].name, message[:100])
            assert all(printable(line) == line for line in message.split("\n")), cases()[index].name
