"""Sends some cases through their readers, in a process that may take 1 GB more than it has and 5 s a case.

`python -m tests.hostile.child FOLDER FIRST STEP`: the cases FIRST, FIRST + STEP, …; a line of JSON for each.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
import time
from pathlib import Path

from dcgan.errors import InputError
from tests.hostile.case import Case
from tests.hostile.corpus import cases
from tests.hostile.readers import FOLDERS, READERS, SKIPPED
from tests.hostile.runs import VICTIM
from tests.hostile.tiny import trained_run

MOST_MEMORY, MOST_SECONDS = 10**9, 5.0


def main(folder: Path, first: int, step: int) -> None:
    """Run the cases in `folder`, which holds nothing else."""
    (folder / "warm").mkdir()
    trained_run(folder / "warm")  # whatever is imported late is imported now
    shutil.rmtree(folder / "warm")
    for index, case in list(enumerate(cases()))[first::step]:
        print(json.dumps({"index": index} | one(case, folder / str(index))), flush=True)


def one(case: Case, box: Path) -> dict[str, object]:
    """What became of a case; `box` is removed again."""
    for name in ("in", VICTIM, "home"):
        (box / name).mkdir(parents=True)
    (box / VICTIM / "keep.safetensors").write_text("mine")
    path = box / "in" / "case"
    if case.reader in FOLDERS:
        path.mkdir()
    os.environ["HOME"], os.environ["DCGAN_CACHE"] = str(box / "home"), str(box / "in" / "cache")
    link_target = path.parent / VICTIM  # where links of a run lead
    link_target.mkdir(exist_ok=True)
    case.write(path)
    before = listing(box / VICTIM, box / "home", link_target)
    os.chdir(box / "home")
    limit(True)
    began = time.process_time()
    try:
        said = READERS[case.reader](path)
        outcome, message = ("skipped", "") if said == SKIPPED else ("read", str(said)[:300])
    except InputError as error:
        outcome, message = "error", str(error)
    except BaseException as error:
        outcome, message = type(error).__name__, str(error)[:300]
    seconds = time.process_time() - began
    limit(False)
    os.chdir("/")
    if listing(box / VICTIM, box / "home", link_target) != before:
        outcome, message = "wrote", f"outside: {message}"
    shutil.rmtree(box)
    return {"outcome": outcome, "message": message, "seconds": seconds}


def listing(*folders: Path) -> list[tuple[str, int, bytes]]:
    """Every file and folder below some: name, mode, content."""
    found = []
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            found.append((str(path), path.lstat().st_mode, content))
    return found


def limit(on: bool) -> None:
    """Bound memory from here on, and time."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MOST_MEMORY if on else resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    signal.setitimer(signal.ITIMER_VIRTUAL, 2 * MOST_SECONDS if on else 0)  # ends the process: a hang is a crash
    signal.setitimer(signal.ITIMER_REAL, 60.0 if on else 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
