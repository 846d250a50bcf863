"""D's second task against its definition written out, and what it leaves alone."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import dcgan
from dcgan.errors import InputError
from dcgan.files import read_tensors
from dcgan.images import to_float
from dcgan.presets import load_preset
from dcgan.training.players import D_ALONE, G_ALONE
from dcgan.training.rotation import turned
from tests.training.test_step import batches, make


def test_each_image_is_turned_by_its_own_number_of_quarters() -> None:
    images = torch.randn(8, 3, 5, 5)
    turns = torch.tensor([0, 1, 2, 3, 3, 2, 1, 0])
    for image, result, k in zip(images, turned(images, turns), turns.tolist(), strict=True):
        assert torch.equal(result, torch.rot90(image, k, (1, 2)))


@pytest.mark.parametrize("settings", [{}, {"conditional": True, "classes": 3, "condition": "concat"}])
def test_gradients_of_d_are_those_of_both_tasks(settings: dict[str, Any]) -> None:
    """An update of D written out: the game's loss, and 0.7 times the cross-entropy of turns it sees by themselves."""
    step = make(rotation=0.7, loss="bce", label_smoothing=0.0, **settings)
    assert step.rotation is not None
    with torch.no_grad():
        step.rotation.to_turn.weight.normal_(0, 0.1)  # at its start of 0 nothing of the task would reach D
    d, head = copy.deepcopy(step.discriminator), copy.deepcopy(step.rotation.to_turn)
    images, labels = next(batches(classes=3))
    batch = step.deal(D_ALONE, images, labels if settings else None)
    assert batch.turn is not None
    turns = [int(4 * u) for u in batch.turn.flatten().tolist()]
    assert len(set(turns)) > 1
    real, drawn = to_float(images), step.players.draw(batch)
    said = step.players.teach_discriminator(batch, real, drawn)

    y = batch.labels
    game = -(d(real, y).sigmoid().log().mean() + (1 - d(drawn, y).sigmoid()).log().mean()) / 2
    h = torch.stack([torch.rot90(image, k, (1, 2)) for image, k in zip(real, turns, strict=True)])
    code = F.one_hot(y, 3).float() if y is not None else None
    for block in d.blocks:
        h = block(h if code is None else torch.cat([h, code[:, :, None, None].expand(-1, -1, *h.shape[2:])], 1))
    units = h.flatten(1) if code is None else torch.cat([h.flatten(1), code], 1)
    logits = head(units)
    (game + 0.7 * F.cross_entropy(logits, torch.tensor(turns))).backward()

    for ours, plain in ((step.discriminator, d), (step.rotation.to_turn, head)):
        for (name, p), theirs in zip(ours.named_parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(p.grad, theirs.grad, rtol=1e-4, atol=1e-6, msg=name)
    assert said["loss_d"].item() == pytest.approx(game.item(), rel=1e-5)  # of the game alone, as ever
    assert said["d_turn"].item() == pytest.approx((logits.argmax(1) == torch.tensor(turns)).float().mean().item())


def test_nothing_else_that_is_random_changes_with_it() -> None:
    images, labels = next(batches())
    dealt = [make(rotation=weight, flip=True).deal(D_ALONE, images, labels) for weight in (0.0, 1.0)]
    assert dealt[0].turn is None
    assert dealt[1].turn is not None
    for name in ("mirror", "z"):
        assert torch.equal(getattr(dealt[0], name), getattr(dealt[1], name))
    assert make(rotation=1.0).deal(G_ALONE, images, labels).turn is None
    plain, left = make(), torch.get_rng_state()
    turning = make(rotation=1.0)
    assert torch.equal(torch.get_rng_state(), left)  # of dropout
    for p, q in zip(plain.discriminator.parameters(), turning.discriminator.parameters(), strict=True):
        assert torch.equal(p, q)


def test_d_learns_to_tell_turns_and_the_log_says_so() -> None:
    step, data = make(rotation=1.0, width=8, lr_d=2e-3), lit_from_above()
    for _ in range(60):
        step(data)
    step.means()
    for _ in range(20):
        step(data)
    assert step.means()["d_turn"] > 0.9  # chance is 0.25
    assert "d_turn" not in make().means()


def lit_from_above() -> Any:
    generator = torch.Generator().manual_seed(0)
    while True:
        light = torch.linspace(255, 0, 16).view(1, 1, 16, 1)
        yield (light * torch.rand(16, 1, 1, 1, generator=generator) * torch.ones(1, 1, 1, 16)).byte(), None


def test_the_finished_d_is_without_it(photos: Path, tmp_path: Path) -> None:
    small: dict[str, Any] = {"image_size": 16, "width": 4, "latent_dim": 8, "batch_size": 8, "log_interval": 5}
    small |= {"images": 80, "quiet": True}
    with_it, without = (dcgan.train(photos, out=tmp_path / str(w), rotation=w, **small) for w in (1.0, 0.0))
    names = [read_tensors(run.path / "discriminator.safetensors")[0].keys() for run in (with_it, without)]
    assert names[0] == names[1]
    assert "d_turn" in (with_it.path / "metrics.jsonl").read_text()
    dcgan.Discriminator.from_pretrained(with_it.path)


def test_images_that_are_not_square_are_refused() -> None:
    config = load_preset("fast").replace(rotation=1.0, channels=3)
    config.replace(image_size="32").check()
    config.replace(image_size="auto").check()
    with pytest.raises(InputError, match="rotation: quarter turns want square images, not 32x48"):
        config.replace(image_size="32x48").check()
