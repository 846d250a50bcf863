"""Batches in pieces: without batch norm the very step of the whole batch, with it a plain re-statement."""

import copy
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import dcgan
from dcgan.images import to_float
from dcgan.networks import blocks, generators
from dcgan.training.pieces import Piece
from dcgan.training.players import BOTH
from tests.together import together
from tests.training.test_parallel import SMALL
from tests.training.test_step import batches, make


def batch(n: int) -> Piece:
    rows = torch.arange(n)
    return Piece(rows.view(-1, 1, 1, 1), rows, None, None, rows.float().view(-1, 1), None, None, None)


@pytest.mark.parametrize(
    ("n", "most", "sizes"),
    [
        (8, 0, [8]),
        (8, 8, [8]),
        (8, 100, [8]),
        (8, 7, [4, 4]),
        (8, 3, [3, 3, 2]),
        (10, 4, [4, 3, 3]),
        (8, 2, [2, 2, 2, 2]),
        (5, 2, [3, 2]),  # batch norm can do nothing with a single image
        (3, 2, [3]),
    ],
)
def test_pieces_are_as_equal_as_can_be_and_hold_every_image_once(n: int, most: int, sizes: list[int]) -> None:
    pieces = batch(n).split(most)
    assert [len(piece.images) for piece in pieces] == sizes
    for row in ("images", "labels", "z"):
        for first, piece in enumerate(pieces):
            assert getattr(piece, row).flatten().tolist() == list(range(n))[first :: len(pieces)]
    assert all(piece.mirror is piece.mix is piece.augment_real is piece.augment_drawn is None for piece in pieces)
    assert [piece.share for piece in pieces] == [size / n for size in sizes]


def without_norms(monkeypatch: pytest.MonkeyPatch) -> None:
    """G without batch norm, which the settings have for D alone; He's weights make up for it."""
    for module in (blocks, generators):
        monkeypatch.setattr(module, "norm2d", lambda config, channels: nn.Identity())
        monkeypatch.setattr(module, "initialise", begin)
    monkeypatch.setattr(blocks, "norm1d", lambda config, units: nn.Identity())


def begin(network: nn.Module, linear: bool = True) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)


EVERY_LOSS: list[dict[str, Any]] = [
    {"loss": "bce", "label_smoothing": 0.1},
    {"loss": "least-squares", "d_loss_reduction": "sum", "label_smoothing": 0.2},
    {"loss": "hinge", "updates": "alternate"},
    {"loss": "wasserstein", "latent": "uniform"},
    {"loss": "wasserstein", "d_steps": 2, "augment": "adaptive"},
    {"loss": "relativistic", "r1": 1.0, "r2": 2.0, "augment": "fixed"},
    {"loss": "relativistic", "augment": "adaptive"},
    {"r1": 1.0, "augment": "fixed", "flip": True, "d_steps": 2},
    {"r1": 1.0, "r1_interval": 2, "augment": "adaptive", "conditional": True, "classes": 3, "rotation": 0.5},
    {
        "conditional": True,
        "classes": 3,
        "condition": "concat",
        "updates": "alternate",
        "d_steps": 2,
        "augment": "fixed",
    },
]


@pytest.mark.parametrize("settings", EVERY_LOSS)
def test_without_batch_norm_a_step_in_pieces_is_the_whole_step(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    without_norms(monkeypatch)
    steps = [make(discriminator_norm="none", micro_batch=most, **settings) for most in (0, 4, 3)]
    start = {name: tensor.clone() for name, tensor in steps[0].generator.state_dict().items()}
    for step in steps:
        data = batches(10, classes=3)
        for _ in range(4):
            step(data)  # 10 images as 4, 3 and 3, and as 3, 3, 2 and 2
    whole, *others = steps
    signs, means = whole.augmentation._signs.item(), whole.means()
    assert (signs != 0) == (settings.get("augment") == "adaptive")
    for step in others:
        assert step.augmentation._signs.item() == pytest.approx(signs, abs=1e-5)
        assert step.means() == pytest.approx(means, rel=1e-5, abs=1e-6)
        for name, tensor in whole.tensors().items():
            torch.testing.assert_close(step.tensors()[name], tensor, rtol=1e-4, atol=1e-5, msg=name)
    assert any(not torch.equal(tensor, start[name]) for name, tensor in whole.generator.state_dict().items())


def test_a_micro_batch_of_the_batch_is_the_batch_bit_for_bit() -> None:
    whole, pieces = make(r1=1.0, augment="fixed"), make(r1=1.0, augment="fixed", micro_batch=8)
    for step in (whole, pieces):
        data = batches()
        for _ in range(3):
            step(data)
    assert all(torch.equal(pieces.tensors()[name], tensor) for name, tensor in whole.tensors().items())


def test_batch_norm_sees_each_piece_by_itself() -> None:
    """The paper's step written out for pieces of 3, 3 and 2 of 8 images: gradients are weighted sums."""
    step = make(loss="bce", label_smoothing=0.0, micro_batch=3)
    g, d = copy.deepcopy(step.generator), copy.deepcopy(step.discriminator)
    noise = torch.Generator().set_state(step.noise.get_state())
    images, _ = next(batches())
    real, z = to_float(images), torch.randn(8, 8, generator=noise)
    expected = {n: [torch.zeros_like(p) for p in n.parameters()] for n in (g, d)}
    losses = dict.fromkeys(("loss_g", "loss_d"), 0.0)
    for rows in ([0, 3, 6], [1, 4, 7], [2, 5]):
        share = len(rows) / 8
        fake = d(g(z[rows]))
        loss_g = -fake.sigmoid().log().mean()
        loss_d = -(d(real[rows]).sigmoid().log().mean() + (1 - fake.sigmoid()).log().mean()) / 2
        for network, loss, name in ((g, loss_g, "loss_g"), (d, loss_d, "loss_d")):
            losses[name] += share * loss.item()
            for total, part in zip(
                expected[network],
                torch.autograd.grad(loss, list(network.parameters()), retain_graph=True),
                strict=True,
            ):
                total += share * part
    step.play(BOTH, images, None)
    for ours, plain in ((step.generator, g), (step.discriminator, d)):
        for p, gradient in zip(ours.parameters(), expected[plain], strict=True):
            torch.testing.assert_close(p.grad, gradient, rtol=1e-4, atol=1e-6)
        for (name, own), theirs in zip(ours.named_buffers(), plain.buffers(), strict=True):
            torch.testing.assert_close(own, theirs, msg=name)  # the momentum is applied once a look
    assert {int(b) for n, b in step.generator.named_buffers() if n.endswith("num_batches_tracked")} == {3}
    step._counts |= {"loss_g": 1, "loss_d": 1}
    means = step.means()
    assert {name: means[name] for name in losses} == pytest.approx(losses, rel=1e-5)


def trained(photos: str, out: str, micro_batch: int) -> None:
    """A training without norms, the same in one process and in several."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        without_norms(monkeypatch)
        settings = {"image_size": 16, "width": 4, "latent_dim": 8, "discriminator_norm": "none", "augment": "fixed"}
        dcgan.train(photos, out=out, images=40, micro_batch=micro_batch, **SMALL | settings)


def test_two_processes_play_their_shares_in_pieces(photos: Path, tmp_path: Path) -> None:
    trained(str(photos), str(tmp_path / "one"), 0)
    together(trained, 2, str(photos), str(tmp_path / "two"), 2)  # of 4 images each
    ours, theirs = (dcgan.Run(tmp_path / name).metrics() for name in ("two", "one"))
    for line, expected in itertools.zip_longest(ours, theirs):
        assert line["loss_d"] == pytest.approx(expected["loss_d"], rel=1e-4)
        assert line["loss_g"] == pytest.approx(expected["loss_g"], rel=1e-4)


def test_a_piece_of_a_single_image_is_refused(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(dcgan.InputError, match="micro_batch: batch norm compares images, so 2 is the smallest"):
        dcgan.train(photos, out=tmp_path / "run", micro_batch=1, images=8)
    assert not (tmp_path / "run").exists()
