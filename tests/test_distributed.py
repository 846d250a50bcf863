"""What processes say to each other; a lost one, started again by torchrun; two hosts; drawing by shares."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

import dcgan
from dcgan import distributed
from dcgan.cli import main
from dcgan.errors import InputError
from dcgan.training.checkpoint import saved
from tests.together import environment, free_port, together

SMALL = "--image-size 16 --width 4 --latent-dim 8 --batch-size 8 --device cpu --precision fp32 --log-interval 10"


def said() -> list[Any]:
    """A bit of everything, as this process sees it."""
    rank, main_process = distributed.rank(), distributed.is_main()
    agreed = [distributed.agree(5.0 + rank, False), distributed.agree(5.0 + rank, rank == 1)]
    value = distributed.from_main(lambda: {"rank": rank, "nan": float("nan"), "pi": np.pi})
    content = distributed.bytes_from_main(b"x" * 100_000 if main_process else b"")
    nothing = distributed.bytes_from_main(b"")
    try:
        distributed.from_main(_refuse)
        refusal = ""
    except InputError as error:
        refusal = str(error)
    own = [(np.full((i + 1, 2), i, np.float32), None, np.array([i])) for i in range(rank, 5, distributed.world())]
    gathered = [
        [a.tolist(), b, c.tolist()] for a, b, c in distributed.in_order(own, 5) if a is not None and c is not None
    ]
    with distributed.in_turn():
        turn = time.monotonic()
    return [agreed, value["rank"], value["nan"] != value["nan"], value["pi"], content, nothing, refusal, gathered, turn]


def _refuse() -> None:
    raise InputError("not like this")


@pytest.mark.parametrize("world", [2, 3])
def test_what_is_said_is_the_same_for_all(world: int) -> None:
    found = together(said, world)
    for rank, (agreed, value, nan, pi, content, nothing, refusal, gathered, _) in enumerate(found):
        assert agreed == [(5.0, False), (5.0, True)]  # the main process's clock
        assert (value, nan, pi, refusal) == (0, True, np.pi, "not like this")
        assert (content, nothing) == (b"x" * 100_000, b"")
        assert gathered == ([[[[i, i]] * (i + 1), None, [i]] for i in range(5)] if rank == 0 else [])
    turns = [result[-1] for result in found]
    assert turns[0] == min(turns)


def disk_full() -> str:
    def write() -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises((InputError, OSError), match="No space left on device") as caught:
        distributed.from_main(write)
    return caught.type.__name__


def test_what_the_system_refuses_the_main_process_all_hear_of() -> None:
    assert together(disk_full, 2) == ["OSError", "InputError"]


def test_one_process_talks_to_nobody() -> None:
    assert (distributed.world(), distributed.rank(), distributed.is_main()) == (1, 0, True)
    assert distributed.launch() is None
    assert said()[:3] == [[(5.0, False), (5.0, False)], 0, True]
    with pytest.raises(InputError, match="not like this"):
        distributed.from_main(_refuse)
    with distributed.joined():
        assert distributed.world() == 1


def test_a_process_that_cannot_join_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(1, 2, free_port()).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(distributed, "STEP_TIMEOUT", distributed.timedelta(seconds=1))
    with (
        pytest.raises(InputError, match=r"process 1 of 2 cannot join the others at 127.0.0.1:\d+"),
        distributed.joined("cpu"),
    ):
        pass
    with pytest.raises(InputError, match="mps has no way"), distributed.joined("mps"):
        pass


def test_other_commands_are_for_one_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment(0, 2, 1).items():
        monkeypatch.setenv(name, value)
    assert main(["latent", "walk", "run"]) == 2
    assert "latent walk: is work for one process; start it without torchrun" in capsys.readouterr().err


# torchrun ------------------------------------------------------------------------------------------------------------


def torchrun(
    *arguments: str, processes: int = 2, restarts: int = 0, prefix: tuple[str, ...] = ()
) -> subprocess.Popen[str]:
    """Processes joined by torchrun itself, which runs `dcgan` with these arguments."""
    where = () if "--nnodes" in arguments else ("--standalone",)
    command = [*prefix, sys.executable, "-m", "torch.distributed.run", *where]
    command += ["--nproc-per-node", str(processes), "--max-restarts", str(restarts), "--monitor-interval", "0.1"]
    own = {"PYTHONPATH": str(Path(dcgan.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, *arguments], env=os.environ | own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def worker(launcher: subprocess.Popen[str], rank: int) -> int:
    """The process id of a rank."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    for child in children:
        with contextlib.suppress(OSError):
            if f"RANK={rank}".encode() in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
                return int(child)
    raise AssertionError(f"no rank {rank} among {children}")


def wait_for_checkpoint(run: Path, number: int = 1) -> None:
    deadline = time.monotonic() + 120
    while len(saved(run / "checkpoints")) < number and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(saved(run / "checkpoints")) >= number


def assert_same(one: Path, other: Path) -> None:
    for name in ("generator.safetensors", "discriminator.safetensors"):
        first, second = load_file(one / name), load_file(other / name)
        assert first.keys() == second.keys()
        assert all(first[key].equal(second[key]) for key in first)
    clock = ("seconds", "images_per_second")
    lines = [
        [{k: v for k, v in line.items() if k not in clock} for line in dcgan.Run(run).metrics()] for run in (one, other)
    ]
    assert lines[0] == lines[1]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
def test_a_killed_process_is_started_again_and_changes_nothing(photos: Path, tmp_path: Path) -> None:
    options = ["-m", "dcgan", "train", str(photos), *SMALL.split(), "--images", "1200", "--checkpoint-interval", "20"]
    whole = torchrun(*options, "--out", str(tmp_path / "whole"))
    victim = torchrun(*options, "--out", str(tmp_path / "killed"), restarts=1)
    wait_for_checkpoint(tmp_path / "killed")
    os.kill(worker(victim, 1), signal.SIGKILL)
    output = victim.communicate(timeout=240)[0]
    assert victim.returncode == 0, output
    assert "resuming" in output
    output = whole.communicate(timeout=240)[0]
    assert whole.returncode == 0, output
    assert_same(tmp_path / "whole", tmp_path / "killed")

    again = torchrun(*options, "--out", str(tmp_path / "killed"), restarts=1)  # another torchrun: refused, twice
    output = again.communicate(timeout=240)[0]
    assert again.returncode != 0
    assert output.count("dcgan: error:") == 2
    assert "exists already" in output


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
def test_a_request_to_stop_stops_all_and_saves(photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "stopped"
    options = ["-m", "dcgan", "train", str(photos), *SMALL.split(), "--minutes", "10", "--checkpoint-interval", "20"]
    launcher = torchrun(*options, "--out", str(run))
    wait_for_checkpoint(run)
    os.kill(worker(launcher, 1), signal.SIGTERM)  # one alone hears of it
    output = launcher.communicate(timeout=120)[0]
    assert "stopped and saved" in output
    assert "Traceback (most recent call last)" not in output.split("stopped and saved")[0]
    steps = int(saved(run / "checkpoints")[-1].stem)
    assert len(dcgan.Run(run).metrics()) == steps // 10


@pytest.fixture
def hosts() -> Iterator[list[tuple[str, ...]]]:
    """Two network namespaces joined by a cable, 10.9.0.1 and 10.9.0.2: what to put before a command to run it there."""
    if os.name != "posix" or os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("two hosts: wants root and `ip netns`")
    names, cables = [f"dcgan{i}-{os.getpid()}" for i in (1, 2)], [f"dc{i}-{os.getpid() % 100000}" for i in (1, 2)]

    def ip(*words: str) -> bool:
        return subprocess.run(["ip", *words], capture_output=True, check=False).returncode == 0

    try:
        made = all(ip("netns", "add", name) for name in names)
        made = made and ip("link", "add", cables[0], "type", "veth", "peer", "name", cables[1])
        for i, (name, cable) in enumerate(zip(names, cables, strict=True), 1):
            made = made and ip("link", "set", cable, "netns", name)
            made = made and ip("-n", name, "addr", "add", f"10.9.0.{i}/24", "dev", cable)
            made = made and all(ip("-n", name, "link", "set", device, "up") for device in ("lo", cable))
        if not made:
            pytest.skip("two hosts: no network namespaces can be made here")
        prefixes: list[tuple[str, ...]] = []
        for name, cable in zip(names, cables, strict=True):
            prefixes.append(("ip", "netns", "exec", name, "env", f"GLOO_SOCKET_IFNAME={cable}"))
        yield prefixes
    finally:
        for name in names:
            ip("netns", "del", name)


@pytest.mark.slow
def test_two_hosts_train_as_one(hosts: list[tuple[str, ...]], photos: Path, tmp_path: Path) -> None:
    options = ["-m", "dcgan", "train", str(photos), *SMALL.split(), "--images", "400"]
    port = str(free_port())
    # Who keeps the store is said, because the name of this machine is in neither network.
    meeting = ["--nnodes", "2", "--rdzv-backend", "c10d", "--rdzv-id", "hosts", "--rdzv-endpoint", f"10.9.0.1:{port}"]
    launchers = [
        torchrun(
            *meeting,
            *("--rdzv-conf", f"is_host={int(i == 1)}"),  # by its name no host finds that the address is its own
            "--local-addr",
            f"10.9.0.{i}",
            *options,
            "--out",
            str(tmp_path / "two"),
            processes=1,
            prefix=prefix,
        )
        for i, prefix in enumerate(hosts, 1)
    ]
    outputs = [launcher.communicate(timeout=240)[0] for launcher in launchers]
    assert [launcher.returncode for launcher in launchers] == [0, 0], "\n".join(outputs)
    assert sum("2 processes" in output for output in outputs) == 1  # one alone prints
    same = torchrun(*options, "--out", str(tmp_path / "one"))
    output = same.communicate(timeout=240)[0]
    assert same.returncode == 0, output
    assert_same(tmp_path / "one", tmp_path / "two")


# Drawing and looking by shares ---------------------------------------------------------------------------------------


def drawn(run: str, n: int, out: list[str]) -> list[int]:
    return [main(["sample", run, "-n", str(n), "--seed", "5", "--device", "cpu", "--out", path]) for path in out]


def test_many_processes_draw_the_images_of_one(photos: Path, tmp_path: Path) -> None:
    run = str(
        dcgan.train(photos, out=tmp_path / "run", images=16, batch_size=8, width=4, image_size=16, quiet=True).path
    )
    n = 2 * 1024 + 100  # three shares: one process has two of them
    one, many = ([str(tmp_path / f"{name}{suffix}") for suffix in (".npz", ".png", "")] for name in ("one", "many"))
    assert drawn(run, n, one) == [0, 0, 0]
    assert together(drawn, 2, run, n, many) == [[0, 0, 0]] * 2
    for ours, theirs in zip(many[:2], one[:2], strict=True):
        assert Path(ours).read_bytes() == Path(theirs).read_bytes()
    names = sorted(path.name for path in Path(one[2]).iterdir())
    assert sorted(path.name for path in Path(many[2]).iterdir()) == names
    assert all((Path(many[2]) / name).read_bytes() == (Path(one[2]) / name).read_bytes() for name in names[::97])
    assert together(drawn, 2, run, n, many) == [[2, 2, 2]] * 2  # exist already
    nowhere = [str(tmp_path / "one.npz" / name) for name in ("images.npz", "grid.png", "folder")]
    assert together(drawn, 2, run, n, [*nowhere, str(tmp_path / ("x" * 250))]) == [[2, 2, 2, 2]] * 2  # and none waits


def measured(run: str) -> list[Any]:
    """What a generator is worth by its pixels' averages, and the number of features that this process has of it."""
    import torch

    from dcgan.evaluation import Measure
    from dcgan.evaluation.extractors import Extractor
    from dcgan.evaluation.fidelity import Moments
    from dcgan.evaluation.reference import Reference

    def look(pixels: torch.Tensor) -> tuple[torch.Tensor, None]:
        return torch.nn.functional.avg_pool2d(pixels.float(), 8).flatten(1), None

    extractor = Extractor("plain", "0", "none", 12, False, "fp32", torch.device("cpu"), look)
    real = extractor(np.random.default_rng(0).integers(0, 256, (50, 16, 16, 3), dtype=np.uint8))
    moments = Moments()
    moments.add(real.features)
    measure = Measure(extractor, Reference(moments.statistics(), real), ("fid",), samples=1500)
    generator = dcgan.Generator.from_pretrained(run, "cpu")
    return [measure(generator), len(measure.draw(generator).features)]


def test_features_of_shares_are_those_of_one_process(photos: Path, tmp_path: Path) -> None:
    run = str(
        dcgan.train(photos, out=tmp_path / "run", images=16, batch_size=8, width=4, image_size=16, quiet=True).path
    )
    value, number = measured(run)
    assert number == 1500
    assert together(measured, 2, run) == [[value, 1500], [value, 0]]
