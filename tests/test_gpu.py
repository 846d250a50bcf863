"""What only a GPU shows: that the recorded step, smaller pieces, the SVM and the drawings are those of the plain way.

They need a CUDA device and are skipped elsewhere; `benchmarks/RESULTS.md` says where they were last seen to pass.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import dcgan
from dcgan.data.batches import Batches, ReadAhead, open_batches
from dcgan.features import svm
from dcgan.presets import PRESETS, load_preset
from dcgan.training.capture import Captured
from dcgan.training.step import TrainingStep

pytestmark = pytest.mark.gpu
CUDA = torch.device("cuda")


def config(preset: str, **settings: Any) -> dcgan.Config:
    """A small one of the preset, conditional ones for 10 classes."""
    made = load_preset(preset)
    usual: dict[str, Any] = {"width": 8, "batch_size": 16, "classes": 10 if made.network.conditional else 0}
    if made.network.image_size == "auto":
        usual |= {"image_size": "32"}
    if made.network.channels == "auto":
        usual |= {"channels": "3"}
    return made.replace(**usual | settings)


def batches(of: dcgan.Config, **how: Any) -> Batches:
    rng = np.random.default_rng(0)
    shape = (100, *of.network.size, of.network.image_channels)
    return Batches(
        rng.integers(0, 256, shape, np.uint8), rng.integers(0, 10, 100), of.training.batch_size, seed=0, **how
    )


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Full float32, and the same convolution kernels each time."""
    for name, value in {"allow_tf32": False, "deterministic": True, "benchmark": False}.items():
        monkeypatch.setattr(torch.backends.cudnn, name, value)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)


@pytest.fixture(scope="module")
def finished(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dcgan.Run:
    out = tmp_path_factory.mktemp("runs") / "finished"
    return dcgan.train(photos, out=out, images=400, width=8, batch_size=8, image_size=16, quiet=True)


Said = tuple[dict[str, float], torch.Tensor]


def said(step: TrainingStep) -> Said:
    """Mean losses so far, and the weights of the averaged G."""
    return step.means(), torch.cat([p.flatten() for p in step.average.network.parameters()])


def assert_alike(found: Said, expected: Said, tolerance: float) -> None:
    assert found[0] == pytest.approx(expected[0], rel=2 * tolerance, abs=tolerance / 100)
    assert (found[1] - expected[1]).norm() < tolerance * expected[1].norm()


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-3), (torch.bfloat16, 5e-2)])
@pytest.mark.parametrize("preset", PRESETS)
def test_a_recorded_step_is_the_step(preset: str, dtype: torch.dtype, tolerance: float) -> None:
    """Losses and weights after 24 steps, most of them replayed, are those of steps that were never recorded.

    `fast` penalises at each 4th step here, so that two kinds of step are recorded and replayed in turn.
    """
    wanted = config(preset, **({"r1_interval": 4, "augment": "fixed", "rotation": 0.5} if preset == "fast" else {}))
    found = []
    for recorded in (True, False):
        torch.manual_seed(0)
        step, data = TrainingStep(wanted, CUDA, dtype, report=pytest.fail), batches(wanted, device=CUDA)
        assert isinstance(step._play, Captured)
        captured = step._play
        if not recorded:
            step._play = step.play
        for _ in range(24):
            step(data)
        assert bool(captured._recorded) == recorded
        found.append(said(step))
    assert_alike(found[0], found[1], tolerance)


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("preset", ["paper-mnist", "fast"])
def test_trainings_in_turn_are_those_alone(preset: str) -> None:
    """Four of full width, each replayed on a stream of its own beside the others, as `benchmarks/on_gpu.py` does it."""
    wanted = config(preset, width=64, batch_size=128)

    def trained(number: int) -> list[Said]:
        streams = [torch.cuda.Stream() for _ in range(number)]
        trainings = []
        for stream in streams:
            with torch.cuda.stream(stream):
                torch.manual_seed(0)
                step = TrainingStep(wanted, CUDA, torch.bfloat16, report=pytest.fail)
                trainings.append((step, batches(wanted, device=CUDA)))
        for _ in range(60):
            for stream, (step, data) in zip(streams, trainings, strict=True):
                with torch.cuda.stream(stream):
                    step(data)
        torch.cuda.synchronize()
        assert not any(step.refused() for step, _ in trainings)
        return [said(step) for step, _ in trainings]

    (alone,) = trained(1)
    for beside in trained(4):
        assert_alike(beside, alone, 5e-2)


@pytest.mark.usefixtures("exact")
def test_noise_is_as_it_would_be() -> None:
    """A replay moves the generator of its random numbers on, as a plain step does."""
    wanted = config("fast")
    states = []
    for recorded in (True, False):
        step, data = TrainingStep(wanted, CUDA, report=pytest.fail), batches(wanted, device=CUDA)
        if not recorded:
            step._play = step.play
        for _ in range(12):
            step(data)
        states.append(step.latent(4))
    assert torch.equal(*states)


def test_a_step_is_recorded_while_a_thread_reads_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """A set that is too large for the GPU comes in batches that another thread pins."""
    wanted = config("fast")
    step = TrainingStep(wanted, CUDA, torch.bfloat16, report=pytest.fail)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (0, 0))
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (1000, 32, 32, 3), np.uint8)
    ahead = open_batches(images, None, CUDA, batch_size=16, seed=0)
    assert isinstance(ahead, ReadAhead)
    for _ in range(80):
        step(ahead)
    ahead.close()
    assert len(step._play._recorded) >= 2  # type: ignore[union-attr]
    assert all(np.isfinite(value) for value in step.means().values())


def test_memory_runs_out_and_the_pieces_become_smaller() -> None:
    wanted = config("fast", image_size="64", width=64, batch_size=2048, augment="none")
    rng = np.random.default_rng(0)
    data = Batches(rng.integers(0, 256, (2048, 64, 64, 3), np.uint8), None, 2048, seed=0, device=CUDA)
    told: list[str] = []
    step = TrainingStep(wanted, CUDA, torch.bfloat16, report=told.append)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(CUDA).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 3 * 2**30) / total)
    try:
        for _ in range(6):
            step(data)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()
    assert told
    assert "not enough memory on cuda for 2048 images at once" in told[0]
    assert 0 < step.memory.most < 2048
    assert all(np.isfinite(value) for value in step.means().values())


@pytest.mark.parametrize("few", [0, 10**9])
def test_the_svm_is_the_cpu_s(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svm, "FEW", few)
    monkeypatch.setattr(svm, "FEW_OF_MANY", 0)
    rng = np.random.default_rng(0)
    labels = torch.from_numpy(rng.integers(0, 5, 9000 if few == 0 else 400))
    features = torch.from_numpy(rng.normal(size=(len(labels), 300)) + rng.normal(size=(5, 300))[labels] / 4).half()
    found = svm.fit(features, labels, 5, 1e-3, tolerance=1e-4)
    there = svm.fit(features.cuda(), labels.cuda(), 5, 1e-3, tolerance=1e-4)
    assert there.weights.is_cuda
    assert (there.weights.cpu() - found.weights).norm() < 1e-3 * found.weights.norm()
    assert (there.predict(features.cuda()).cpu() == found.predict(features)).double().mean() > 0.999


def test_drawings_are_the_cpu_s(finished: dcgan.Run) -> None:
    here, there = (dcgan.Generator.from_pretrained(finished.path, device) for device in ("cpu", "cuda"))
    assert np.abs(here.sample(70).astype(int) - there.sample(70)).max() <= 2
    alike = np.abs(here.sample(70).astype(int) - there.sample(70, precision="bf16"))
    assert alike.mean() < 1
    assert alike.max() <= 16


def test_every_measure_runs(photos: Path, finished: dcgan.Run, tmp_path: Path) -> None:
    for picture in photos.rglob("*.png"):
        held_out = tmp_path / picture.relative_to(photos)
        held_out.parent.mkdir(exist_ok=True)
        Image.open(picture).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(held_out)
    scores = dcgan.evaluate(
        finished.path,
        photos,
        test=tmp_path,
        metrics=["fid", "kid", "prc", "dc", "1nn", "memorisation"],
        extractor="classifier",
        samples=60,
        device="cuda",
        quiet=True,
    )
    assert {"fid", "kid", "1nn"} <= {score.metric for score in scores}
