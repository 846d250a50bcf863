"""Kill a training again and again at random moments, resume it each time, and compare it with one left in peace.

    python benchmarks/kill_resume.py --kills 100

Every session is a process of its own that runs `dcgan train`, ended by SIGKILL: one in five while it starts (the lock,
the data, the checkpoint's reading), two in five at a random moment of a training that saves every 4th step, and two in
five at the first moment after that at which a file is seen half written. At the end one session goes on in peace, and
so does a second run from the start to the same length. Exit code 0 if every resume worked, no kill cost more than one
interval, and the two runs are the same: all tensors of the last checkpoint and of both networks bit for bit, and the
log but for what depends on the clock. Sessions are forked from this process, which has imported everything already;
with `--spawn` each is a command that imports anew (some 2 seconds of work each).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

import dcgan
from dcgan.cli import main as main_of_dcgan
from dcgan.files import read_tensors
from dcgan.training.checkpoint import newest

INTERVAL, BATCH = 4, 8
SETTINGS = (
    "--image-size 16 --width 4 --latent-dim 8 --device cpu --precision fp32 --health warn --log-interval 1 "
    f"--sample-interval 40 --batch-size {BATCH} --checkpoint-interval {INTERVAL}"
).split()
ENDLESS = 10**9
IMPORTED = ("torch._dynamo", "dcgan.cli.train", "dcgan.training.loop", "dcgan.training.prepare", "PIL.GifImagePlugin")
LONGEST = 0.5  # seconds of training before a kill
AFTERWARDS = 50  # steps in peace after the last kill


@dataclass
class Tally:
    """What the kills did."""

    kills: int = 0
    starting: int = 0
    writing: int = 0
    """Killed with a file half written, as the `….partial` it leaves tells."""
    lost: list[int] = field(default_factory=list)
    """Images of each kill that had to be shown again."""
    failures: list[str] = field(default_factory=list)


class Session:
    """A training that goes on, or begins if there is nothing yet that could, in a process of its own."""

    def __init__(self, run: Path, images: int, spawn: bool) -> None:
        begun = (run / "config.yaml").exists()
        where = ["--resume", str(run)] if begun else ["digits", "--out", str(run), *SETTINGS]
        arguments = ["train", *where, "--images", str(images)]
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.dup2(writing, 1)
            os.dup2(writing, 2)
            if spawn:
                os.execv(sys.executable, [sys.executable, "-m", "dcgan", *arguments])
            sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
            code = 1
            try:
                code = main_of_dcgan(arguments)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(writing)
        self.output = os.fdopen(reading)

    def wait(self) -> tuple[int, str]:
        """Its exit code (-9 if it was killed) and what it has still said."""
        said = self.output.read()
        self.output.close()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]), said


def kill_one(run: Path, chance: random.Random, startup: float, spawn: bool, tally: Tally) -> None:
    """Start a session, kill it, and count what that has cost."""
    before = set(run.rglob("*.partial"))  # what a session that dies early has not removed yet
    session = Session(run, ENDLESS, spawn)
    said = []
    kind = chance.random()
    if kind < 0.2:
        tally.starting += 1
        time.sleep(chance.uniform(0, startup))
    else:
        for line in session.output:
            said.append(line)
            if line.startswith("training on"):
                break
        time.sleep(chance.uniform(0, LONGEST))
        if kind < 0.6:
            wait_for_writing(run)
    os.kill(session.pid, signal.SIGKILL)
    code, rest = session.wait()
    if code != -signal.SIGKILL:
        tally.failures.append("".join([*said, rest]))
        return
    tally.kills += 1
    tally.writing += bool(set(run.rglob("*.partial")) - before)
    checkpoint, problems = newest(run / "checkpoints")
    tally.failures += problems
    lost = logged(run) - (checkpoint.position.step if checkpoint else 0)
    tally.lost.append(max(lost, 0) * BATCH)


def wait_for_writing(run: Path) -> None:
    """Until a file of the checkpoint's or the networks' is half written, or for a second."""
    until = time.monotonic() + 1
    while time.monotonic() < until:
        for folder in (run, run / "checkpoints"):
            if folder.is_dir() and any(name.endswith(".partial") for name in os.listdir(folder)):
                return


def logged(run: Path) -> int:
    """The last step in the log: there is a line a step."""
    lines = dcgan.Run(run).metrics()
    return lines[-1]["step"] if lines else 0


def differences(one: Path, other: Path) -> list[str]:
    """What is not the same in two runs of the same length."""
    files = ["generator.safetensors", "discriminator.safetensors"]
    files.append(f"checkpoints/{max(path.name for path in (one / 'checkpoints').iterdir())}")
    unequal = []
    for name in files:
        a, b = (read_tensors(run / name)[0] for run in (one, other))
        unequal += [f"{name}: {key}" for key in a.keys() | b.keys() if not same(a.get(key), b.get(key))]
    return unequal + (["metrics.jsonl"] if learnt(one) != learnt(other) else [])


def same(one: torch.Tensor | None, other: torch.Tensor | None) -> bool:
    return one is not None and other is not None and torch.equal(one, other)


def learnt(run: Path) -> list[dict[str, Any]]:
    clock = ("seconds", "images_per_second")
    return [{k: v for k, v in line.items() if k not in clock} for line in dcgan.Run(run).metrics()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--spawn", action="store_true", help="every session a command that imports anew")
    options = parser.parse_args()
    os.environ |= {"PYTHONPATH": str(Path(dcgan.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    for name in () if options.spawn else IMPORTED:
        import_module(name)
    torch.set_num_threads(1)  # what is forked must have no threads
    chance, tally, began = random.Random(options.seed), Tally(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run, peace = Path(folder) / "killed", Path(folder) / "peace"
        os.environ["DCGAN_CACHE"] = f"{folder}/cache"
        startup = time_of_start(Path(folder) / "first", options.spawn)
        while tally.kills < options.kills and len(tally.failures) < 10:
            kill_one(run, chance, startup, options.spawn, tally)
            if tally.kills % 10 == 0:
                print(f"{tally.kills} kills, step {logged(run)}, {time.monotonic() - began:.0f} s", flush=True)
        images = (logged(run) + AFTERWARDS) * BATCH
        for path in (run, peace):
            code, said = Session(path, images, options.spawn).wait()
            tally.failures += [said] if code else []
        unequal = differences(run, peace) if not tally.failures else ["not compared"]
    share = json.dumps({"mean": sum(tally.lost) / max(len(tally.lost), 1), "most": max(tally.lost, default=0)})
    print(f"kills: {tally.kills} ({tally.starting} while starting, {tally.writing} with a file half written)")
    print(f"failures to resume, or unreadable checkpoints: {len(tally.failures)}")
    print(f"images lost a kill: {share}; one interval is {INTERVAL * BATCH}")
    print(f"after {images:,} images, compared with a run left in peace: {unequal or 'bit for bit the same'}")
    print(f"seconds: {time.monotonic() - began:.0f}")
    print(*tally.failures[:3], sep="\n", end="")
    return int(bool(tally.failures or unequal or max(tally.lost, default=0) > INTERVAL * BATCH))


def time_of_start(run: Path, spawn: bool) -> float:
    """Seconds from the start to the end of a training of one step, here and now."""
    began = time.monotonic()
    Session(run, BATCH, spawn).wait()
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
