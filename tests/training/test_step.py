"""One step of the two players, against the blog post's loop and each option's definition written out."""

import copy
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dcgan.files import read_tensors, write_tensors
from dcgan.images import to_float
from dcgan.presets import load_preset
from dcgan.training.optimizer import descend
from dcgan.training.players import D_ALONE, G_ALONE
from dcgan.training.step import TrainingStep

CPU = torch.device("cpu")


def make(preset="fast", dtype=torch.float32, **changes):
    """A small step whose start depends on nothing but the settings."""
    small: dict[str, Any] = {"image_size": 16, "channels": 1, "width": 4, "latent_dim": 8, "ema": 0.0}
    small |= {"r1": 0.0, "r1_interval": 1, "augment": "none"}
    torch.manual_seed(0)
    return TrainingStep(load_preset(preset).replace(**small | changes), CPU, dtype)


def batches(n=8, shape=(1, 16, 16), classes=0, seed=0):
    """Endless batches of images with some structure, a new one each time."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        coarse = torch.rand(n, shape[0], 4, 4, generator=generator)
        images = F.interpolate(coarse, shape[1:], mode="bilinear").mul(255).byte()
        yield images, torch.randint(classes, (n,), generator=generator) if classes else None


def snapshot(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def moved(network, before):
    """Whether its parameters moved; batch-norm statistics do not count."""
    return any(not torch.equal(p, before[name]) for name, p in network.named_parameters())


# The blog post, restated -------------------------------------------------------------------------------------


class PostGenerator(nn.Module):
    def __init__(self):
        super().__init__()
        self.l1 = nn.Linear(100, 128 * 8**2)
        self.conv_blocks = nn.Sequential(
            nn.BatchNorm2d(128),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(128, 128, 3, stride=1, padding=1),
            nn.BatchNorm2d(128, 0.8),
            nn.LeakyReLU(0.2),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(128, 64, 3, stride=1, padding=1),
            nn.BatchNorm2d(64, 0.8),
            nn.LeakyReLU(0.2),
            nn.Conv2d(64, 1, 3, stride=1, padding=1),
            nn.Tanh(),
        )

    def forward(self, z):
        return self.conv_blocks(self.l1(z).view(len(z), 128, 8, 8))


class PostDiscriminator(nn.Module):
    def __init__(self):
        super().__init__()

        def block(inputs, outputs):
            return [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.LeakyReLU(0.2), nn.Dropout2d(0.25)]

        self.model = nn.Sequential(
            *block(1, 16),
            *block(16, 32),
            nn.BatchNorm2d(32, 0.8),
            *block(32, 64),
            nn.BatchNorm2d(64, 0.8),
            *block(64, 128),
            nn.BatchNorm2d(128, 0.8),
        )
        self.adv_layer = nn.Sequential(nn.Linear(128 * 2**2, 1), nn.Sigmoid())

    def forward(self, images):
        return self.adv_layer(self.model(images).flatten(1))


class Post:
    """The post's training loop for one batch: probabilities, BCELoss, two Adams, each forward as it stands there."""

    def __init__(self, step):
        self.generator, self.discriminator = PostGenerator(), PostDiscriminator()
        for theirs, ours in ((self.generator, step.generator), (self.discriminator, step.discriminator)):
            theirs.load_state_dict(dict(zip(theirs.state_dict(), snapshot(ours).values(), strict=True)))
        self.optimizer_g = torch.optim.Adam(self.generator.parameters(), lr=0.0002, betas=(0.5, 0.999))
        self.optimizer_d = torch.optim.Adam(self.discriminator.parameters(), lr=0.0002, betas=(0.5, 0.999))

    def __call__(self, real, z):
        adversarial_loss = nn.BCELoss()
        valid, fake = torch.ones(len(real), 1), torch.zeros(len(real), 1)
        self.optimizer_g.zero_grad()
        drawn = self.generator(z)
        g_loss = adversarial_loss(self.discriminator(drawn), valid)
        g_loss.backward()
        self.optimizer_g.step()
        self.optimizer_d.zero_grad()
        real_loss = adversarial_loss(self.discriminator(real), valid)
        fake_loss = adversarial_loss(self.discriminator(drawn.detach()), fake)
        d_loss = (real_loss + fake_loss) / 2
        d_loss.backward()
        self.optimizer_d.step()
        return d_loss.item(), g_loss.item()


def deviation(ours, theirs, start=0.0):
    """Distance between two outcomes, as a share of the way from the start."""
    return ((ours - theirs).norm() / (theirs - start).norm()).item()


@pytest.mark.parametrize("steps", [1, 5])
def test_the_blog_preset_is_the_posts_algorithm(steps, monkeypatch):
    """Losses agree to float32's rounding. Adam divides each gradient by its own size, so for gradients near its
    eps of 1e-8 (many in G, at the start) rounding shows in the weights: whole tensors agree to 3 % of their way.
    """
    torch.manual_seed(0)
    step = TrainingStep(load_preset("blog").replace(channels=1), CPU)
    post = Post(step)
    start = {"generator": snapshot(step.generator), "discriminator": snapshot(step.discriminator)}
    for i, n in enumerate([16, 16, 11, 16, 16][:steps]):  # the third ends an epoch early
        images, labels = next(batches(n, (1, 32, 32), seed=i))
        z = torch.randn(n, 100, generator=torch.Generator().manual_seed(i))
        monkeypatch.setattr(step, "latent", lambda n, z=z: z)
        torch.manual_seed(100 + i)  # of the dropout
        assert step(iter([(images, labels)])) == n
        torch.manual_seed(100 + i)
        d_loss, g_loss = post(images.float() / 255 * 2 - 1, z)
        means = step.means()
        assert means["loss_d"] == pytest.approx(d_loss, rel=2e-6)
        assert means["loss_g"] == pytest.approx(g_loss, rel=2e-6)
    for name, before in start.items():
        ours, theirs = getattr(step, name), getattr(post, name)
        for (key, x), y in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            if name == "generator" and key in ("blocks.1.bias", "blocks.4.bias"):
                # A norm follows, which removes any shift: the gradient is 0 but for rounding.
                assert (x - y).abs().max() <= steps * 2 * 0.0002
            else:
                assert deviation(x, y, before[key]) < 0.03, key
        for (key, x), y in zip(ours.named_buffers(), theirs.buffers(), strict=True):
            torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-4, msg=key)
    for ours, theirs in ((step.optimizer_g, post.optimizer_g), (step.optimizer_d, post.optimizer_d)):
        for x, y in zip(ours.state.values(), theirs.state.values(), strict=True):
            assert x["step"] == y["step"] == steps
            if y["exp_avg"].norm() > 1e-7:
                assert deviation(x["exp_avg"], y["exp_avg"]) < 0.03
                assert deviation(x["exp_avg_sq"], y["exp_avg_sq"]) < 0.03


@pytest.mark.slow
def test_steps_of_the_posts_loop_have_the_same_losses(monkeypatch):
    """In float32 at the post's batch size, dropout included; rounding grows from 1e-7 as the steps go by."""
    torch.manual_seed(0)
    step = TrainingStep(load_preset("blog").replace(channels=1), CPU)
    post, data = Post(step), batches(64, (1, 32, 32))
    for i in range(25):
        images, _ = next(data)
        z = torch.randn(64, 100, generator=torch.Generator().manual_seed(i))
        monkeypatch.setattr(step, "latent", lambda n, z=z: z)
        torch.manual_seed(100 + i)
        step(iter([(images, None)]))
        torch.manual_seed(100 + i)
        d_loss, g_loss = post(images.float() / 255 * 2 - 1, z)
        means = step.means()
        assert means["loss_d"] == pytest.approx(d_loss, rel=1e-3), i
        assert means["loss_g"] == pytest.approx(g_loss, rel=1e-3), i


# Whose turn it is --------------------------------------------------------------------------------------------


def turns(step, steps, n=8):
    """Which networks each step changed, as "g", "d" or "gd", and the images it took."""
    data, result = batches(n), []
    for _ in range(steps):
        g, d = snapshot(step.generator), snapshot(step.discriminator)
        shown = step(data)
        result.append(("g" * moved(step.generator, g) + "d" * moved(step.discriminator, d), shown))
    return result


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [("gd", 8)] * 4),
        ({"d_steps": 3}, [("gd", 24)] * 4),
        ({"updates": "alternate"}, [("g", 8), ("d", 8), ("g", 8), ("d", 8)]),
        ({"updates": "alternate", "d_steps": 2}, [("g", 8), ("d", 8), ("d", 8), ("g", 8)]),
    ],
)
def test_whose_turn_it_is_and_how_many_images_it_takes(settings, expected):
    assert turns(make(**settings), 4) == expected


def test_d_steps_update_d_so_often_for_one_update_of_g():
    step = make(d_steps=3)
    step(batches())
    assert {int(s["step"]) for s in step.optimizer_g.state.values()} == {1}
    assert {int(s["step"]) for s in step.optimizer_d.state.values()} == {3}


def test_only_what_was_updated_has_a_mean():
    step, data = make(updates="alternate"), batches()
    step(data)
    assert step.means().keys() == {"loss_g", "grad_g"}
    step(data)
    assert step.means().keys() == {"loss_d", "d_real", "d_fake", "d_right", "grad_d"}
    assert step.means() == {}


def test_updating_g_leaves_d_alone():
    step = make()
    before = snapshot(step.discriminator)
    step.play(G_ALONE, *next(batches()))
    assert not moved(step.discriminator, before)
    assert all(p.grad is None for p in step.discriminator.parameters())
    assert all(p.grad is not None for p in step.generator.parameters())


def test_updating_d_leaves_g_alone():
    step = make()
    before = snapshot(step.generator)
    assert not step.players.draw(step.deal(D_ALONE, *next(batches()))).requires_grad
    step.play(D_ALONE, *next(batches()))
    assert not moved(step.generator, before)
    assert all(p.grad is None for p in step.generator.parameters())


@pytest.mark.parametrize("preset", ["fast", "blog"])
def test_d_judges_the_drawings_that_g_learned_from(preset):
    step = make(preset, latent_dim=100)
    seen = []
    step.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().clone()))
    images, _ = next(batches())
    step(iter([(images, None)]))
    g_drawn, real, *again = seen
    if preset == "blog":  # its dropout makes every look another
        assert torch.equal(g_drawn, *again)  # made before G's update
    else:
        assert again == []
    torch.testing.assert_close(real, images / 127.5 - 1)


@pytest.mark.parametrize("changes", [{}, {"loss": "relativistic", "r1": 1.0}, {"conditional": True, "classes": 3}])
def test_one_look_at_the_drawings_teaches_d_what_a_second_would(changes):
    once, twice = make(lr=0.01, **changes), make(lr=0.01, **changes)
    twice.players.repeatable = False
    for _ in range(3):
        images, labels = next(batches(classes=changes.get("classes", 0)))
        once(iter([(images, labels)]))
        twice(iter([(images, labels)]))
        assert once.means() == pytest.approx(twice.means(), rel=1e-5)
    for network in ("generator", "discriminator"):
        theirs = dict(getattr(twice, network).named_parameters())
        for name, weight in getattr(once, network).named_parameters():
            torch.testing.assert_close(weight, theirs[name], rtol=1e-3, atol=1e-4, msg=name)


# Losses and penalties in their place -------------------------------------------------------------------------


def bce(logits, target):
    return F.binary_cross_entropy(logits.double().sigmoid(), torch.full_like(logits, target).double())


PLAIN: dict[str, tuple[Callable, Callable]] = {
    "bce": (lambda r, f: bce(r, 0.9) + bce(f, 0), lambda r, f: bce(f, 1)),
    "least-squares": (lambda r, f: ((r - 0.9) ** 2).mean() + (f**2).mean(), lambda r, f: ((f - 1) ** 2).mean()),
    "hinge": (lambda r, f: F.relu(1 - r).mean() + F.relu(1 + f).mean(), lambda r, f: -f.mean()),
    "wasserstein": (lambda r, f: f.mean() - r.mean(), lambda r, f: -f.mean()),
    "relativistic": (lambda r, f: 2 * bce(r - f, 1), lambda r, f: bce(f - r, 1)),
}


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("loss", PLAIN)
def test_reported_losses_are_those_of_the_logits(loss, reduction):
    smoothing = 0.1 if loss in ("bce", "least-squares") else 0.0
    step = make(loss=loss, label_smoothing=smoothing, d_loss_reduction=reduction)
    logits = []
    step.discriminator.register_forward_hook(lambda _, __, output: logits.append(output.detach()))
    step(batches())
    means = step.means()
    fake, *real_g = logits[: 2 if loss == "relativistic" else 1]  # D learns from the logits that G did
    real = logits[len(real_g) + 1]
    of_d, of_g = PLAIN[loss]
    assert means["loss_g"] == pytest.approx(of_g(*real_g or [None], fake).item(), rel=1e-5)
    expected = of_d(real, fake).item() / (2 if reduction == "mean" else 1)
    assert means["loss_d"] == pytest.approx(expected, rel=1e-5)
    assert means["d_real"] == pytest.approx(real.sigmoid().mean().item(), rel=1e-5)
    assert means["d_fake"] == pytest.approx(fake.sigmoid().mean().item(), rel=1e-5)


def gradients_of(network):
    return [p.grad.clone() for p in network.parameters()]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"d_loss_reduction": "sum", "label_smoothing": 0.1},
        {"r1": 5.0},
        {"loss": "wasserstein"},
        {"loss": "wasserstein", "d_loss_reduction": "sum"},
        {"loss": "wasserstein", "gradient_penalty": 3.0, "r1": 2.0},
        {"loss": "wasserstein", "gradient_penalty": 0.0},
        {"loss": "hinge", "gradient_penalty": 10.0},
        {"loss": "relativistic", "r1": 1.0},
        {"loss": "relativistic", "r1": 0.5, "r2": 2.0},
        {"loss": "relativistic", "r1": 0.5, "r2": 2.0, "r1_interval": 4},
    ],
)
def test_d_descends_the_loss_and_its_penalties(settings):
    step = make(discriminator_norm="none", **settings)
    network = copy.deepcopy(step.discriminator).double()
    s = step.settings
    images, _ = next(batches())
    noise = torch.Generator().set_state(step.noise.get_state())
    fake = copy.deepcopy(step.generator)(torch.randn(8, 8, generator=noise)).detach().double()
    mix = torch.rand(8, 1, 1, 1, generator=noise).double()
    step.play(D_ALONE._replace(penalised=True), images, None)
    real = to_float(images).double()

    def squared_gradient(x):
        x = x.clone().requires_grad_(True)
        (g,) = torch.autograd.grad(network(x).sum(), x, create_graph=True)
        return (g**2).sum((1, 2, 3))

    r, f = network(real), network(fake)
    loss = bce(r, 1 - s.label_smoothing) + bce(f, 0) if s.loss == "bce" else PLAIN[s.loss][0](r, f)
    if s.loss == "wasserstein":  # Gulrajani et al. 2017, equation 3
        norms = squared_gradient(mix * fake + (1 - mix) * real).sqrt()
        loss = loss + s.gradient_penalty * ((norms - 1) ** 2).mean()
    loss = loss / (2 if s.d_loss_reduction == "mean" else 1)
    if s.loss != "wasserstein":
        loss = loss + s.r1_interval * s.r1 / 2 * squared_gradient(real).mean()
        loss = loss + s.r1_interval * s.r2 / 2 * squared_gradient(fake).mean()
    loss.backward()
    for ours, theirs in zip(gradients_of(step.discriminator), gradients_of(network), strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [1, 1, 1, 1, 1, 1]),
        ({"r1_interval": 3}, [1, 0, 0, 1, 0, 0]),
        ({"r1_interval": 2, "d_steps": 2}, [1, 1, 1, 1, 1, 1]),
        ({"r1_interval": 3, "d_steps": 2}, [1, 1, 0, 1, 1, 0]),
        ({"r1_interval": 3, "d_steps": 2, "updates": "alternate"}, [0, 1, 0, 0, 0, 1]),
        ({"r1_interval": 2, "updates": "alternate"}, [0, 1, 0, 0, 0, 1]),
        ({"r1_interval": 2, "updates": "alternate", "d_steps": 2}, [0, 1, 0, 0, 1, 0]),
    ],
)
def test_lazy_penalties_come_at_every_so_many_turns_of_d(settings, expected, monkeypatch):
    calls: list[torch.Tensor] = []

    def penalty(discriminator, images):
        calls.append(images)
        return torch.zeros(())

    monkeypatch.setattr("dcgan.training.players.r1_penalty", penalty)
    step, data, counts = make(r1=1.0, **settings), batches(), []
    for _ in range(6):
        step(data)
        counts.append(len(calls))
        calls.clear()
    assert counts == expected


# Options -----------------------------------------------------------------------------------------------------


def test_weight_decay_is_added_to_the_gradient():
    step = make(weight_decay=0.1, lr=1e-3)
    before = {name: p.detach().clone() for name, p in step.generator.named_parameters()}
    step.play(G_ALONE, *next(batches()))
    for name, p in step.generator.named_parameters():
        g = p.grad + 0.1 * before[name]
        torch.testing.assert_close(p.detach(), before[name] - 1e-3 * g / (g.abs() + 1e-8), rtol=1e-5, atol=1e-6)


def test_each_network_has_its_rate_and_the_rates_scale():
    step = make(lr=1e-3, lr_d=4e-3)

    def rates():
        return step.optimizer_g.param_groups[0]["lr"], step.optimizer_d.param_groups[0]["lr"]

    assert rates() == (1e-3, 4e-3)
    step.set_rate(0.5)
    assert rates() == (5e-4, 2e-3)
    step.set_rate(0.25)  # of the settings' rate, not of the last
    assert rates() == (2.5e-4, 1e-3)
    step.set_rate(0.0)
    assert turns(step, 1) == [("", 8)]


def test_one_rate_serves_both():
    step = make(lr=1e-3)
    step.set_rate(0.5)
    assert step.optimizer_g.param_groups[0]["lr"] == step.optimizer_d.param_groups[0]["lr"] == 5e-4


@pytest.mark.parametrize("updates", ["joint", "alternate"])
def test_the_average_follows_g_with_a_warm_up(updates):
    step, data = make(ema=0.5, updates=updates), batches()
    expected = {name: tensor.double() for name, tensor in snapshot(step.generator).items()}
    t = 0
    for i in range(14):
        step(data)
        if updates == "joint" or i % 2 == 0:
            d = min(0.5, (1 + t) / (10 + t))
            for name, tensor in step.generator.state_dict().items():
                expected[name] = d * expected[name] + (1 - d) * tensor.double()
            t += 1
    assert step.average.updates == t
    for name, tensor in step.average.network.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("flip", [False, True])
def test_flip_mirrors_about_half_of_the_images(flip):
    step = make(flip=flip)
    seen = []
    step.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().clone()))
    images, _ = next(batches(64))
    step(iter([(images, None)]))
    original = to_float(images)
    kept = (seen[1] == original).flatten(1).all(1)
    mirrored = (seen[1] == original.flip(3)).flatten(1).all(1)
    assert (kept ^ mirrored).all()
    assert kept.all() if not flip else 16 < mirrored.sum() < 48


@pytest.mark.parametrize(("latent", "low", "high"), [("normal", -9, 9), ("uniform", -1, 1)])
def test_noise_has_the_distribution_of_the_settings(latent, low, high):
    z = make(latent=latent, latent_dim=50).latent(1000)
    assert low <= z.min() < -0.99
    assert 0.99 < z.max() <= high
    assert z.std().item() == pytest.approx(1.0 if latent == "normal" else 3**-0.5, rel=0.02)


def test_noise_depends_on_the_seed_alone():
    first, same, other = make(seed=1), make(seed=1), make(seed=2)
    torch.manual_seed(9)
    z = first.latent(3)
    torch.manual_seed(10)
    assert torch.equal(same.latent(3), z)
    assert not torch.equal(other.latent(3), z)


@pytest.mark.parametrize("classes", [0, 3])
def test_labels_reach_both_networks_only_when_conditional(classes):
    step = make(conditional=classes > 0, classes=classes)
    seen = []
    for network in (step.generator, step.discriminator):
        network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))
    images, labels = next(batches(classes=3))
    step(iter([(images, labels)]))
    assert len(seen) == 3  # G, D on the drawings, D on the real ones
    assert all(torch.equal(s, labels) if classes else s is None for s in seen)


EVERYTHING = [
    {},
    {"preset": "blog", "latent_dim": 100},
    {"preset": "paper"},
    {"preset": "paper-mnist", "classes": 3},
    {"preset": "paper-imagenet32"},
    {"conditional": True, "classes": 3, "d_steps": 2, "flip": True, "weight_decay": 1e-3},
    {"loss": "wasserstein", "discriminator_norm": "none", "latent": "uniform"},
    {"loss": "relativistic", "r1": 1.0, "r2": 1.0, "r1_interval": 2, "discriminator_norm": "none"},
    {"augment": "fixed", "r1": 1.0, "discriminator_norm": "spectral", "upsampling": "resize"},
    {"augment": "adaptive", "conditional": True, "classes": 3, "condition": "concat"},
    {"rotation": 0.5, "updates": "alternate", "conditional": True, "classes": 3, "condition": "concat"},
]


@pytest.mark.parametrize("settings", EVERYTHING)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_kind_of_training_runs_and_stays_finite(settings, dtype):
    step = make(dtype=dtype, **{"ema": 0.9} | settings)
    data = batches(classes=3)
    for _ in range(4):
        step(data)
    for name, tensor in step.tensors().items():
        assert tensor.isfinite().all(), name
        assert tensor.dtype != torch.bfloat16, name
    assert all(value == value for value in step.means().values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_precision_is_that_of_the_drawings(dtype):
    step = make(dtype=dtype)
    assert step.players.draw(step.deal(G_ALONE, *next(batches()))).dtype == dtype


# Nothing that is not finite is learnt ---------------------------------------------------------------------------


def parameters_and_moments(optimizer):
    """Everything that an update of this optimiser changes."""
    moments = (tensor for state in optimizer.state.values() for tensor in state.values())
    return [tensor.clone() for tensor in (*optimizer.param_groups[0]["params"], *moments)]


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["gradient", "loss"])
def test_an_update_that_is_not_finite_is_not_made(where, value, told):
    step, data = make(weight_decay=0.1), batches()
    step.optimizer_d.defaults["capturable"] = told  # told by a tensor, as on a GPU, or by a look
    step(data)
    assert not step.refused()
    before = parameters_and_moments(step.optimizer_d)
    loss = torch.tensor(0.5)
    if where == "gradient":
        next(step.discriminator.parameters()).grad[0, 0, 0, 0] = value
    else:
        loss.fill_(value)
    descend(step.optimizer_d, loss, step._refused)
    assert step.refused()
    for now, then in zip(parameters_and_moments(step.optimizer_d), before, strict=True):
        assert torch.equal(now, then)
    step(data)
    assert step.refused()  # until a restore
    assert moved(step.discriminator, dict(zip(dict(step.discriminator.named_parameters()), before, strict=False)))


def test_restoring_forgets_what_was_refused(tmp_path):
    step = make()
    saved = saved_and_read(step, tmp_path / "x")
    step(batches())
    descend(step.optimizer_g, torch.tensor(float("nan")), step._refused)
    assert step.refused()
    step.restore(*saved)
    assert not step.refused()


def test_other_seeds_give_other_noise_and_dropout():
    step = make("blog")
    drawn = []
    for seed in (1, 2, 1):
        step.reseed(seed)
        drawn.append((step.latent(4), torch.rand(4)))
    assert all(torch.equal(a, b) for a, b in zip(drawn[0], drawn[2], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(drawn[0], drawn[1], strict=True))


@pytest.mark.parametrize("settings", [{}, {"loss": "wasserstein", "discriminator_norm": "none"}, {"r1": 1.0}])
def test_gradient_norms_and_right_decisions_are_those_of_the_step(settings):
    step = make(**settings)
    logits = []
    step.discriminator.register_forward_hook(lambda _, __, output: logits.append(output.detach()))
    step(batches())
    means = step.means()
    for name, network in (("grad_g", step.generator), ("grad_d", step.discriminator)):
        norm = sum(p.grad.double().square().sum() for p in network.parameters()) ** 0.5
        assert means[name] == pytest.approx(norm.item(), rel=1e-5)
    fake, real = logits[:2]
    if step.settings.loss == "wasserstein":
        right = (real > fake).double().mean()
    else:
        right = ((real > 0.45).double() + (fake < 0.45)).mean() / 2
    assert means["d_right"] == pytest.approx(right.item(), abs=1e-6)


# Resuming ----------------------------------------------------------------------------------------------------


def saved_and_read(step, path):
    """What `restore` gets after a trip through a file, where every tensor is contiguous."""
    write_tensors(path, step.tensors(), {})
    return read_tensors(path)[0], copy.deepcopy(step.counters())


@pytest.mark.parametrize("settings", EVERYTHING)
@pytest.mark.parametrize("k", [0, 3])
def test_a_restored_step_goes_on_bit_for_bit(settings, k, tmp_path):
    settings = {"ema": 0.9} | settings
    first, second = batches(classes=3), batches(classes=3)
    whole = make(**settings)
    kernels = [p for p in whole.generator.parameters() if p.ndim == 4 and min(p.shape) > 1]
    assert kernels
    assert not any(p.is_contiguous() for p in kernels)  # fused Adam reads moments in this memory order
    torch.manual_seed(5)
    for _ in range(7):
        whole(first)

    begun = make(**settings)
    torch.manual_seed(5)
    for _ in range(k):
        begun(second)
    tensors, counters = saved_and_read(begun, tmp_path / "x")
    resumed = make(**settings)
    for p in itertools.chain(resumed.generator.parameters(), resumed.discriminator.parameters()):
        p.data += 1  # nothing of its own start may remain
    torch.manual_seed(99)
    resumed.latent(3)
    resumed.restore(tensors, counters)
    for _ in range(7 - k):
        resumed(second)

    assert resumed.counters() == whole.counters()
    expected = whole.tensors()
    actual = resumed.tensors()
    assert actual.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(actual[name], tensor), name
    assert resumed.means() == whole.means()


def test_a_used_step_becomes_a_fresh_one(tmp_path):
    used, data = make(), batches()
    for _ in range(3):
        used(data)
    torch.manual_seed(1)
    fresh = TrainingStep(
        load_preset("fast").replace(image_size=16, channels=1, width=4, latent_dim=8, ema=0.0, r1=0.0, augment="none"),
        CPU,
    )
    used.restore(*saved_and_read(fresh, tmp_path / "x"))
    for step in (used, fresh):
        again = batches(seed=2)
        for _ in range(3):
            step(again)
    for name, tensor in fresh.tensors().items():
        assert torch.equal(used.tensors()[name], tensor), name


def test_restored_moments_lie_in_memory_like_their_parameters(tmp_path):
    step = make()
    step(batches())
    resumed = make()
    resumed.restore(*saved_and_read(step, tmp_path / "x"))
    for optimizer in (resumed.optimizer_g, resumed.optimizer_d):
        for p, state in optimizer.state.items():
            assert state["exp_avg"].stride() == state["exp_avg_sq"].stride() == p.stride()


def test_tensors_hold_all_that_learns():
    step = make(ema=0.9)
    step(batches())
    kinds = {name.split(".")[0] for name in step.tensors()}
    assert kinds == {"generator", "discriminator", "average", "optimizer_g", "optimizer_d", "noise", "torch", "sums"}
