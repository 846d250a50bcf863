"""What a training survives: ends at any moment, full and vanished drives, company, and being told to go.

docs/reliability.md has the table of faults; each row names its test.
"""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import dcgan
from dcgan.cli import main
from dcgan.data import patience
from dcgan.errors import InputError, TrainingError
from dcgan.locks import sole_user
from dcgan.progress import Position
from dcgan.training import checkpoint as checkpoints
from dcgan.training.loop import Interrupted
from dcgan.training.recorder import Recorder
from dcgan.training.step import TrainingStep
from tests.training.conftest import TINY
from tests.training.test_train import after

SHORT: dict[str, Any] = TINY | {"images": 80, "log_interval": 2, "sample_interval": 4, "checkpoint_interval": 4}
OPTIONS = "--image-size 16 --width 4 --latent-dim 8 --batch-size 8 --device cpu --precision fp32"
ROOT = Path(__file__).parents[1]
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


@pytest.fixture(scope="session")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dcgan.Run:
    """The run that nothing happened to."""
    return dcgan.train(photos, out=tmp_path_factory.mktemp("runs") / "whole", **SHORT)


def assert_same(run: Path, whole: dcgan.Run) -> None:
    """Both networks and the whole log, but for the clock; and no litter."""
    for name in ("generator.safetensors", "discriminator.safetensors"):
        one, other = load_file(run / name), load_file(whole.path / name)
        assert all(torch.equal(one[key], other[key]) for key in other)
    assert learnt(dcgan.Run(run)) == learnt(whole)
    assert litter(run) == []


def learnt(run: dcgan.Run) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k not in ("seconds", "images_per_second")} for line in run.metrics()]


def litter(folder: Path) -> list[Path]:
    return [*folder.rglob("*.partial"), *folder.rglob("lock")]


# ---- ends at any moment


class Killed(BaseException):
    """Stands for SIGKILL where Python is asked to write: nothing tidies up after it."""


@pytest.mark.parametrize("moment", range(0, 45, 3))
def test_an_end_at_any_write_costs_nothing_but_time(
    photos: Path, whole: dcgan.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    writes = iter(range(10**9))

    def fsync(_descriptor: int, real: Callable[[int], None] = os.fsync) -> None:
        if next(writes) == moment:
            raise Killed
        real(_descriptor)

    monkeypatch.setattr(Path, "unlink", lambda *_args, **_named: None)  # the dead remove nothing
    monkeypatch.setattr(os, "fsync", fsync)
    out = tmp_path / "run"
    with pytest.raises(Killed):
        dcgan.train(photos, out=out, **SHORT)
    monkeypatch.undo()
    begun = (out / "config.yaml").exists()
    assert begun or moment < 8  # only in its first moments is there nothing to resume, and nothing in the way
    if begun:
        dcgan.train(resume=out, quiet=True)
    else:
        dcgan.train(photos, out=out, **SHORT)
    assert_same(out, whole)


def test_a_line_cut_short_is_the_only_one_lost(whole: dcgan.Run, tmp_path: Path) -> None:
    copy = dcgan.Run(Path(shutil.copytree(whole.path, tmp_path / "copy")))
    for name, log, read in (
        ("metrics.jsonl", copy.log, copy.metrics),
        ("health.jsonl", copy.log_health, copy.health),
    ):
        before = read()
        with (copy.path / name).open("a") as file:
            file.write('{"step": 99, "los')
        assert read() == before
        log({"step": 100})
        assert read() == [*before, {"step": 100}]


def test_a_resume_from_the_beginning_logs_no_line_twice(whole: dcgan.Run, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(whole.path, copy, ignore=shutil.ignore_patterns("checkpoints"))
    (copy / "samples" / "0000000005.png.partial").write_bytes(b"half")  # of no grid to come
    dcgan.train(resume=copy, quiet=True)
    assert_same(copy, whole)


@linux
def test_what_is_resumed_from_is_on_the_disk(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Power loss: content before its name, the name before whatever relies on it."""
    events: list[tuple[str, str]] = []

    def fsync(descriptor: int, real: Callable[[int], None] = os.fsync) -> None:
        events.append(("sync", os.path.relpath(os.readlink(f"/proc/self/fd/{descriptor}"), tmp_path)))
        real(descriptor)

    def replace(self: Path, target: Path, real: Any = Path.replace) -> Any:
        events.append(("name", os.path.relpath(target, tmp_path)))
        return real(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    dcgan.train(photos, out=tmp_path / "run", **SHORT | {"images": 64})
    names = [path for kind, path in events if kind == "name"]
    assert names[:2] == ["run/data.json", "run/config.yaml"]
    for place, (kind, path) in enumerate(events):
        if kind == "name":
            assert events[place - 1] == ("sync", path + ".partial")
            assert events[place + 1] == ("sync", os.path.dirname(path))
    first = events.index(("name", "run/checkpoints/000000004.safetensors"))
    assert ("sync", "run/metrics.jsonl") in events[:first]
    assert events[events.index(("name", "run/config.yaml")) + 2] == ("sync", ".")


@pytest.mark.slow
def test_five_kills() -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(dcgan.__file__).parents[1])}
    command = [sys.executable, str(ROOT / "benchmarks" / "kill_resume.py"), "--kills", "5", "--seed", "1"]
    done = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kills: 5" in done.stdout
    assert "bit for bit the same" in done.stdout


# ---- full and read-only disks


@pytest.mark.parametrize("moment", range(1, 45, 6))
def test_a_disk_full_at_any_write_leaves_a_run_that_resumes(
    photos: Path, whole: dcgan.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    writes = iter(range(10**9))

    def full(descriptor: int, real: Callable[[int], None] = os.fsync) -> None:
        if next(writes) >= moment:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    out = tmp_path / "run"
    with pytest.raises(InputError, match="No space left on device"):
        dcgan.train(photos, out=out, **SHORT)
    assert litter(out) == []
    monkeypatch.undo()
    if (out / "config.yaml").exists():
        dcgan.train(resume=out, quiet=True)
    else:
        dcgan.train(photos, out=out, **SHORT)
    assert_same(out, whole)


@linux
def test_a_file_size_limit_of_the_system(photos: Path, whole: dcgan.Run, tmp_path: Path) -> None:
    """A real one (RLIMIT_FSIZE), which checkpoints are over and pictures are not."""
    size = checkpoints.saved(whole.checkpoints)[0].stat().st_size
    out = tmp_path / "run"
    dcgan.train(photos, out=out, **SHORT | {"images": 32})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, hard))
    try:
        with pytest.raises(InputError, match=r"File too large.*000000004.*Make room .a checkpoint .* MB") as caught:
            dcgan.train(resume=out, images=80, quiet=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert f"dcgan train --resume {out}" in str(caught.value)
    assert litter(out) == []
    dcgan.train(resume=out, images=80, quiet=True)
    assert_same(out, whole)


@linux
@pytest.mark.slow
def test_a_small_disk_that_fills(photos: Path, tmp_path: Path) -> None:
    """A tmpfs of 2 MB and a training that keeps every checkpoint; half a megabyte is freed, and it goes on."""
    disk = tmp_path / "disk"
    disk.mkdir()
    train = f"{sys.executable} -m dcgan train"
    script = f"""
        mount -t tmpfs -o size=2m tmpfs {disk} && head -c 700000 /dev/zero > {disk}/filler || exit 77
        {train} {photos} {OPTIONS} --images 800 --checkpoint-interval 2 --keep-checkpoints 1000 --out {disk}/run
        echo first $?; find {disk} -name '*.partial'
        rm {disk}/filler
        {train} --resume {disk}/run --keep-checkpoints 2 --checkpoint-interval 50; echo second $?
    """
    environment = os.environ | {"PYTHONPATH": str(Path(dcgan.__file__).parents[1])}
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script], env=environment, text=True, capture_output=True)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("no tmpfs can be mounted here")
    said = done.stdout + done.stderr
    assert "first 2" in said, said
    assert "No space left on device" in said
    assert "Make room" in said
    assert ".partial\n" not in said
    assert "second 0" in said, said


def test_a_read_only_folder(photos: Path, whole: dcgan.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = Path(shutil.copytree(whole.path, tmp_path / "copy"))
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}

    def read_only(self: Path, mode: str = "r", *args: Any, real: Any = Path.open, **named: Any) -> Any:
        if set(mode) & set("wax+") and self.is_relative_to(tmp_path):
            raise OSError(errno.EROFS, "Read-only file system", str(self))
        return real(self, mode, *args, **named)

    monkeypatch.setattr(Path, "open", read_only)
    for arguments in (
        {"resume": copy, "images": 160, "quiet": True},
        {"data": photos, "out": tmp_path / "new", **SHORT},
    ):
        with pytest.raises(InputError, match=r"cannot be written \(Read-only file system\)"):
            dcgan.train(**arguments)
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


# ---- company


def test_two_trainings_in_one_directory(
    photos: Path, whole: dcgan.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, new = Path(shutil.copytree(whole.path, tmp_path / "copy")), tmp_path / "new"
    with sole_user(copy), sole_user(new):
        assert main(["train", "--resume", str(copy), "--images", "160"]) == 2
        assert main(["train", str(photos), *OPTIONS.split(), "--images", "16", "--out", str(new)]) == 2
    said = capsys.readouterr().err
    assert len(re.findall(rf"process {os.getpid()} on \S+ is working on it", said)) == 2
    assert not (new / "config.yaml").exists()
    assert main(["train", str(photos), *OPTIONS.split(), "--images", "16", "--out", str(new)]) == 0


# ---- the data's drive


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("steps", [1, 2])
def test_data_that_vanishes_is_waited_for_then_all_is_saved(
    photos: Path, own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    settings = SHORT | {"d_steps": steps, "images": 80 * steps}
    plain = dcgan.train(photos, out=tmp_path / "plain", **settings)
    real = TrainingStep.__call__
    waits: list[float] = []

    def gone(self: TrainingStep, batches: Any) -> int:
        if self.updates == 6 and steps == 1:
            vanish(batches)
        if self.updates == 6 and steps == 2:  # between the two batches of one step

            def second() -> Any:
                yield next(batches)
                vanish(batches)
                yield next(batches)

            return real(self, second())
        return real(self, batches)

    def vanish(batches: Any) -> None:
        batches._rows._file.close()
        own_cache.rename(tmp_path / "away")

    monkeypatch.setattr(patience, "time", SimpleNamespace(sleep=waits.append))  # others sleep too
    monkeypatch.setattr(TrainingStep, "__call__", gone)
    with pytest.raises(InputError, match=r"tried 7 times in 30 seconds.* Saved at step 6; .*dcgan train --resume"):
        dcgan.train(photos, out=tmp_path / "run", **settings)
    assert waits == list(patience.WAITS)
    monkeypatch.setattr(TrainingStep, "__call__", real)
    (tmp_path / "away").rename(own_cache)
    dcgan.train(resume=tmp_path / "run", quiet=True)
    assert_same(tmp_path / "run", plain)


def test_data_that_comes_back_in_time_is_no_event(
    photos: Path, own_cache: Path, whole: dcgan.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(step: Any) -> None:
        (batches,) = held
        batches._rows._file.close()
        own_cache.rename(tmp_path / "away")

    def back(_seconds: float) -> None:
        if len(slept) == 2:
            (tmp_path / "away").rename(own_cache)
        slept.append(_seconds)

    def hold(self: Recorder, *args: Any, real: Any = Recorder.__init__) -> None:
        real(self, *args)
        held.append(self.batches)

    held: list[Any] = []
    slept: list[float] = []
    monkeypatch.setattr(Recorder, "__init__", hold)
    monkeypatch.setattr(patience, "time", SimpleNamespace(sleep=back))
    after(5, gone, monkeypatch)
    dcgan.train(photos, out=tmp_path / "run", **SHORT)
    assert slept == list(patience.WAITS[:3])
    assert_same(tmp_path / "run", whole)


# ---- memory


@pytest.mark.parametrize("shortage", [lambda: torch.empty(10**15), lambda: bytearray(2**60)])
def test_memory_that_runs_out_is_said_and_the_last_checkpoint_goes_on(
    photos: Path, whole: dcgan.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shortage: Callable[[], object]
) -> None:
    after(7, lambda: shortage(), monkeypatch)
    out = tmp_path / "run"
    with pytest.raises(TrainingError, match=r"not enough memory on cpu for batches of 8; .*000000004.*--batch-size"):
        dcgan.train(photos, out=out, **SHORT)
    monkeypatch.undo()
    dcgan.train(resume=out, quiet=True)
    assert_same(out, whole)


def test_other_errors_are_not_taken_for_it(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mistake() -> None:
        raise RuntimeError("a mistake of ours")

    after(2, mistake, monkeypatch)
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        dcgan.train(photos, out=tmp_path / "run", **SHORT)


# ---- signals and time


def test_sigterm_saves_without_measuring(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []

    class Slow:
        seconds, best, kept = 0.0, None, None

        def __call__(self, _generator: Any) -> dict[str, float]:
            measured.append(1)
            return {"fid": 1.0}

    real = Recorder.__init__

    def with_scoring(self: Recorder, *args: Any) -> None:
        real(self, *args)
        self.scoring = Slow()  # type: ignore[assignment]

    monkeypatch.setattr(Recorder, "__init__", with_scoring)
    after(5, lambda: os.kill(os.getpid(), 15), monkeypatch)
    with pytest.raises(Interrupted):
        dcgan.train(photos, out=tmp_path / "run", **SHORT)
    assert measured == []
    assert checkpoints.saved(tmp_path / "run" / "checkpoints")[-1].stem == "000000005"


def test_setting_the_clock_changes_nothing(
    photos: Path, whole: dcgan.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jumps = iter([1e9, 5.0, 2e9, 0.0] * 10_000)
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    run = dcgan.train(photos, out=tmp_path / "run", **SHORT)
    assert_same(run.path, whole)
    seconds = [line["seconds"] for line in run.metrics()]
    assert seconds == sorted(seconds)
    assert seconds[-1] < 60


def test_a_night_asleep_is_no_training(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept = [0.0]

    def sleep() -> None:
        slept[0] = 30_000.0

    real = time.monotonic
    monkeypatch.setattr("dcgan.training.clock.Clock.__init__.__defaults__", (0.0, lambda: real() + slept[0]))
    after(5, sleep, monkeypatch)
    run = dcgan.train(photos, out=tmp_path / "run", **SHORT)
    newest, _ = checkpoints.newest(run.checkpoints)
    assert newest is not None
    assert isinstance(newest.position, Position)
    assert newest.position.seconds < 60


# ---- the same numbers


def test_the_number_of_workers_changes_nothing(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: dcgan.Run
) -> None:
    for workers in (1, 5):
        monkeypatch.setenv("DCGAN_CACHE", str(tmp_path / f"cache{workers}"))
        run = dcgan.train(photos, out=tmp_path / f"run{workers}", workers=workers, **SHORT)
        assert_same(run.path, whole)


def test_deterministic_is_the_same_for_any_number_of_threads(photos: Path, tmp_path: Path) -> None:
    """Without it, two threads of a network of this size round otherwise than one: seen, so that this test can fail."""
    settings = TINY | {"images": 64, "image_size": 32, "width": 24, "batch_size": 32}
    found = {}
    for asked in (False, True):
        for threads in (1, 2):
            torch.set_num_threads(threads)
            try:
                run = dcgan.train(photos, out=tmp_path / f"{asked}{threads}", deterministic=asked, **settings)
                assert torch.get_num_threads() == threads
            finally:
                torch.set_num_threads(1)
            found[asked, threads] = load_file(run.path / "generator.safetensors")
    assert not torch.are_deterministic_algorithms_enabled()
    same = {a: all(torch.equal(found[a, 1][k], found[a, 2][k]) for k in found[a, 1]) for a in (False, True)}
    assert same == {False: False, True: True}
