"""Who sees augmented images, and how p finds its way."""

import copy

import pytest
import torch

from dcgan.config import Config
from dcgan.data.augment import augment, chances
from dcgan.training import augmentation as module
from dcgan.training.augmentation import FULL_IMAGES, LOOKS, Augmentation
from dcgan.training.players import BOTH
from tests.training.test_step import batches, make


def adaptive(**settings):
    return Augmentation(Config().replace(augment="adaptive", **settings).training, torch.device("cpu"))


def looks(augmentation, sign, n, images=16):
    """p after each of n decisions on batches of which D is so sure."""
    found = []
    for _ in range(n):
        for _ in range(LOOKS):
            augmentation.see(torch.tensor(sign))
            augmentation.after_look(images)
        found.append(augmentation.p)
    return found


def test_p_rises_while_d_is_sure_and_falls_while_it_is_not():
    augmentation, step = adaptive(), LOOKS * 16 / FULL_IMAGES
    assert augmentation.p == 0
    assert looks(augmentation, 0.9, 3) == pytest.approx([step, 2 * step, 3 * step])
    assert looks(augmentation, 0.6000001, 1) == pytest.approx([4 * step])
    assert looks(augmentation, 0.5, 5) == pytest.approx([3 * step, 2 * step, step, 0, 0])
    assert looks(augmentation, -1.0, 1) == [0]


def test_p_stops_at_the_most_and_counts_images():
    augmentation = adaptive(augment_p=0.3)
    steps = looks(augmentation, 1.0, 20, images=128)
    assert steps[0] == pytest.approx(LOOKS * 128 / FULL_IMAGES)
    assert steps[-1] == 0.3


def test_p_is_settled_by_the_mean_since_the_last_decision():
    augmentation = adaptive()
    for i in range(LOOKS):
        augmentation.see(torch.tensor(1.0 if i % 4 else -0.9))  # mean 0.525
        augmentation.after_look(16)
    assert augmentation.p == 0
    for i in range(LOOKS):
        assert augmentation.p == 0
        augmentation.see(torch.tensor(1.0 if i % 4 else -0.5))  # mean 0.625
        augmentation.after_look(16)
    assert augmentation.p > 0


@pytest.mark.parametrize(("augment", "p"), [("none", 0.0), ("fixed", 0.7)])
def test_only_the_adaptive_kind_moves(augment, p):
    augmentation = Augmentation(Config().replace(augment=augment, augment_p=0.7).training, torch.device("cpu"))
    assert looks(augmentation, 1.0, 3) == [p] * 3
    assert augmentation.tensors() == augmentation.counters() == {}


@pytest.mark.parametrize(
    "settings", [{}, {"updates": "alternate"}, {"preset": "blog", "latent_dim": 8}, {"d_steps": 2}]
)
def test_d_sees_real_and_drawn_images_augmented(settings, monkeypatch):
    """A stand-in that adds 10, so that what has been through it is known."""
    monkeypatch.setattr(module, "augment", lambda images, p, noise: images.float() + 10)
    step, seen = make(augment="fixed", **settings), []
    step.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().clone()))
    data = batches()
    for _ in range(2):
        step(data)
    assert len(seen) >= 3
    assert all(images.min() >= 9 and images.max() <= 11 for images in seen)


def test_g_learns_through_the_augmentation_and_d_from_the_same_drawings():
    step = make(augment="fixed", augment_p=1.0)
    noise = torch.Generator().set_state(step.noise.get_state())
    piece = step.deal(BOTH._replace(augmented=True), *next(batches()))
    chances(8, noise)  # those of the real images
    z = torch.randn(8, 8, generator=noise)
    images = step.generator(z)
    step.discriminator.requires_grad_(False)
    expected_images = augment(images, torch.tensor(1.0), chances(8, noise))
    loss = (step.discriminator(expected_images) - 1).square().mean()  # least squares
    expected = torch.autograd.grad(loss, list(step.generator.parameters()))
    step.discriminator.requires_grad_(True)
    drawn, logits, _ = step.players.teach_generator(piece, step.players.real(piece), again=True)
    assert torch.equal(drawn, expected_images)
    torch.testing.assert_close(logits, step.discriminator(drawn))
    for parameter, gradient in zip(step.generator.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_while_p_is_0_nothing_is_done(monkeypatch):
    monkeypatch.setattr(module, "augment", lambda *_: pytest.fail("there is nothing to do"))
    step, plain = make(augment="adaptive"), make()
    data, same = batches(), batches()
    for _ in range(LOOKS - 1):
        step(data)
        plain(same)
    for name, tensor in plain.tensors().items():
        assert torch.equal(step.tensors()[name], tensor), name


@pytest.mark.parametrize("loss", ["least-squares", "bce", "hinge", "relativistic", "wasserstein"])
def test_adaptive_training_moves_p_and_logs_it(loss):
    step, data = make(augment="adaptive", loss=loss), batches()
    torch.nn.init.zeros_(step.generator.to_image.weight)  # grey images: D soon knows real ones
    step.optimizer_g.param_groups[0]["lr"] = 0.0
    for _ in range(8 * LOOKS):
        step(data)
    assert step.augmentation.p > 0
    assert step.means()["augment_p"] == step.augmentation.p
    assert "augment_p" not in make().means()


def test_a_resume_goes_on_with_the_same_p_bit_for_bit(monkeypatch):
    monkeypatch.setattr(module, "LOOKS", 3)
    settings = {"augment": "adaptive", "loss": "hinge"}

    def trained(step, data, n):
        for _ in range(n):
            step(data)
        return step

    whole = trained(make(**settings), batches(), 40)
    data = batches()
    begun = trained(make(**settings), data, 31)  # in the middle of an interval
    tensors = {name: tensor.clone() for name, tensor in begun.tensors().items()}
    resumed = make(**settings)
    resumed.restore(tensors, copy.deepcopy(begun.counters()))
    assert resumed.augmentation.p == begun.augmentation.p > 0
    trained(resumed, data, 9)
    assert resumed.counters() == whole.counters()
    for name, tensor in whole.tensors().items():
        assert torch.equal(resumed.tensors()[name], tensor), name
