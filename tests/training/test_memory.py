"""Memory that runs out: smaller pieces from that step on, and nothing else of the training is any different."""

import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import dcgan
from dcgan import distributed
from dcgan.errors import TrainingError
from dcgan.training.capture import Captured
from dcgan.training.checkpoint import newest, saved
from dcgan.training.memory import Memory
from dcgan.training.pieces import Piece
from dcgan.training.players import Move, Players
from dcgan.training.step import TrainingStep
from tests.test_faults import SHORT, assert_same
from tests.training.test_step import batches, make


def raises(error: Exception) -> None:
    raise error


SHORTAGES: dict[str, Callable[[], object]] = {
    "host": lambda: torch.empty(10**15),
    "python": lambda: bytearray(2**60),
    "gpu": lambda: raises(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")),
    "onednn": lambda: raises(RuntimeError("could not create a primitive")),
}


def short_of(room: Callable[[], int], monkeypatch: pytest.MonkeyPatch, kind: str = "host") -> list[int]:
    """Let a piece of more than `room()` images fail once all its work is done; gives the sizes that failed."""
    learn, failed = Players.learn, list[int]()

    def limited(self: Players, move: Move, piece: Piece) -> dict[str, torch.Tensor]:
        said = learn(self, move, piece)
        if len(piece.images) > room():
            failed.append(len(piece.images))
            SHORTAGES[kind]()
        return said

    monkeypatch.setattr(Players, "learn", limited)
    return failed


def played(step: TrainingStep, sizes: list[int], n: int = 8) -> TrainingStep:
    """So many steps on always the same batches, each with pieces of this size; None leaves it as it is."""
    data = batches(n, classes=3)
    torch.manual_seed(7)  # of the dropout
    for size in sizes:
        if size:
            step.memory.most = size
        step(data)
    return step


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("host", {"augment": "adaptive", "r1": 1.0, "ema": 0.9}),
        ("gpu", {"preset": "blog", "latent_dim": 100}),
        ("python", {"discriminator_norm": "spectral", "d_steps": 2, "flip": True, "augment": "fixed"}),
        ("onednn", {"loss": "wasserstein", "updates": "alternate", "conditional": True, "classes": 3}),
    ],
)
def test_from_the_step_that_did_not_fit_on_all_is_as_with_a_micro_batch(
    kind: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = played(make(**settings), [8, 8, 2, 2, 2])
    said: list[str] = []
    step = make(**settings)
    step.report = said.append
    room = [8]
    failed = short_of(lambda: room[0], monkeypatch, kind)

    data = batches(8, classes=3)
    torch.manual_seed(7)
    for i in range(5):
        room[0] = 8 if i < 2 else 3
        step(data)
    assert failed == [8, 4]
    assert step.memory.most == 2
    assert [line.split(";")[0] for line in said] == [
        f"step 2: there is not enough memory on cpu for {n} images at once" for n in (8, 4)
    ]
    assert said[1].endswith("played in pieces of 2 (--micro-batch 2 does so from the start)")
    assert step.counters() == expected.counters()
    for name, tensor in expected.tensors().items():
        assert torch.equal(step.tensors()[name], tensor), name
    assert step.means() == expected.means()


def test_a_second_batch_that_does_not_fit_leaves_the_first_update_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    step, data, moves = make(d_steps=2, ema=0.9), batches(), list[int]()
    step.report = lambda _: None
    short_of(lambda: 4 if len(moves) == 2 else 8, monkeypatch)
    play = step._play

    def counted(*arguments: Any) -> None:
        moves.append(1)
        play(*arguments)

    monkeypatch.setattr(step, "_play", counted)
    step(data)
    assert step.memory.most == 4
    for optimizer, updates in ((step.optimizer_g, 1), (step.optimizer_d, 2)):
        assert {int(state["step"]) for state in optimizer.state.values()} == {updates}
    assert step._counts["loss_d"] == 2


@pytest.mark.parametrize(("n", "sizes"), [(8, [8, 4, 2]), (5, [5, 3]), (3, [3]), (2, [2])])
def test_what_does_not_fit_in_the_smallest_pieces_is_an_error(
    n: int, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = short_of(lambda: 1, monkeypatch)
    step = make()
    step.report = lambda _: None
    with pytest.raises(RuntimeError, match="allocate memory"):
        step(batches(n))
    assert list(dict.fromkeys(failed)) == sizes


def test_another_error_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def mistake(*_: Any) -> None:
        raise RuntimeError("a mistake of ours")

    step = make()
    monkeypatch.setattr(Players, "learn", mistake)
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        step(batches())
    assert step.memory.most == 0


def test_one_of_several_processes_does_not_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "world", lambda: 2)
    memory, tried = Memory(0, [], torch.device("cpu")), list[int]()

    def work(most: int) -> None:
        tried.append(most)
        torch.empty(10**15)

    with pytest.raises(RuntimeError, match="allocate memory"):
        memory.fit(8, work, pytest.fail)
    assert tried == [0]


def test_recordings_and_gradients_are_let_go_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recordings are of larger pieces, and the memory that they hold on to is what is wanted."""
    step = make()
    step.report = lambda _: None
    captured = Captured(step.play, step.noise, pytest.fail)
    captured._possible, captured._recorded = False, {"a larger piece": (None, [])}
    step._play = captured
    waited: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: waited.append(device))
    failed = short_of(lambda: 4, monkeypatch)
    step(batches())
    assert failed == [8]
    assert captured._recorded == {}
    assert waited == [step.noise.device]  # for the last replay
    assert step.memory.most == 4


# Whole trainings -------------------------------------------------------------------------------------------------


def short_after(steps: int, room: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let pieces of more than `room` images fail once so many steps are done."""
    reached = [0]
    call = TrainingStep.__call__

    def counted(self: TrainingStep, data: Any) -> int:
        reached[0] = self.updates
        return call(self, data)

    monkeypatch.setattr(TrainingStep, "__call__", counted)
    return short_of(lambda: room if reached[0] >= steps else 1000, monkeypatch)


def test_a_training_goes_on_in_smaller_pieces_and_so_does_its_resume(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as short:
        failed = short_after(5, 4, short)
        whole = dcgan.train(photos, out=tmp_path / "whole", **SHORT | {"quiet": False})
    assert failed == [8]
    said = " ".join(capsys.readouterr().out.split())
    assert "step 5: there is not enough memory on cpu for 8 images at once; from here on batches are played" in said
    assert [line["step"] for line in whole.metrics()] == [2, 4, 6, 8, 10]  # nothing was lost

    with monkeypatch.context() as short:
        short_after(5, 4, short)
        dcgan.train(photos, out=tmp_path / "part", **SHORT | {"images": 64})
    checkpoint, _ = newest(tmp_path / "part" / "checkpoints")
    assert checkpoint is not None
    assert checkpoint.counters["micro_batch"] == 4
    dcgan.train(resume=tmp_path / "part", images=80, quiet=True)  # there is room again, and it changes nothing
    assert_same(tmp_path / "part", whole)


def test_a_resume_may_ask_for_other_pieces_and_later_ones_keep_them(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    dcgan.train(photos, out=out, **SHORT | {"images": 32})
    sizes = []
    asked: list[dict[str, Any]] = [{"micro_batch": 4}, {}, {"micro_batch": 8}, {}]
    for images, settings in zip((40, 48, 56, 64), asked, strict=True):
        dcgan.train(resume=out, images=images, quiet=True, **settings)
        checkpoint, _ = newest(out / "checkpoints")
        assert checkpoint is not None
        sizes.append(checkpoint.counters["micro_batch"])
    assert sizes == [4, 4, 8, 8]


def test_what_goes_back_keeps_the_smaller_pieces(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = short_after(5, 4, monkeypatch)
    counted, poisoned = TrainingStep.__call__, list[bool]()

    def poison(self: TrainingStep, data: Any) -> int:
        if self.updates == 7 and not poisoned:
            poisoned.append(True)
            with torch.no_grad():
                next(self.generator.parameters())[0, 0] = float("nan")
        return counted(self, data)

    monkeypatch.setattr(TrainingStep, "__call__", poison)
    dcgan.train(photos, out=tmp_path / "run", **SHORT)
    assert poisoned
    assert failed == [8]  # and not again, although the checkpoint of step 4 knows nothing of it
    checkpoint, _ = newest(tmp_path / "run" / "checkpoints")
    assert checkpoint is not None
    assert checkpoint.counters["micro_batch"] == 4


def test_the_error_names_the_pieces_and_the_cause(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_after(5, 1, monkeypatch)
    with pytest.raises(TrainingError) as error:
        dcgan.train(photos, out=tmp_path / "run", **SHORT)
    said = str(error.value)
    assert "step 5: there is not enough memory on cpu for batches of 8 in pieces of 2" in said
    assert "000000004.safetensors" in said
    assert "--micro-batch" not in said  # there is nothing smaller
    assert "DefaultCPUAllocator" in said
    assert [path.stem for path in saved(tmp_path / "run" / "checkpoints")] == ["000000004"]


SCARCE = """
import re, resource, torch
from dcgan.presets import load_preset
from dcgan.training.step import TrainingStep
torch.set_num_threads(1)
torch.backends.mkldnn.set_flags(False)  # oneDNN may end the process where it gets no memory for itself
config = load_preset("fast").replace(image_size=32, channels=1, width=8)
step = TrainingStep(config, torch.device("cpu"), report=print)
batch = lambda n: iter([(torch.zeros(n, 1, 32, 32, dtype=torch.uint8), None)])
step(batch(4))
taken = int(re.search(r"VmSize:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (taken + 12 * 2**20, -1))
step(batch(256))
print(step.memory.most, step.updates, torch.stack([p.isfinite().all() for p in step.generator.parameters()]).all())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
def test_an_address_space_that_ends() -> None:
    """A real shortage: 12 MB more than the process has are too few for 256 images, and enough for some of them."""
    assert resource.RLIMIT_AS
    child = subprocess.run([sys.executable, "-c", SCARCE], capture_output=True, text=True, timeout=120)
    assert child.returncode == 0, child.stderr
    *said, last = child.stdout.splitlines()
    assert said[0].startswith("step 1: there is not enough memory on cpu for 256 images at once")
    match = re.fullmatch(r"(\d+) 2 tensor\(True\)", last)
    assert match
    assert 256 // 2 ** len(said) == int(match[1]) >= 8
