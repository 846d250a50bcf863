from __future__ import annotations

import numpy as np
import pytest
import torch

from dcgan.errors import InputError
from dcgan.features import svm
from dcgan.features.svm import LinearSVM, cross_validated, fit, fit_path

sklearn_svm = pytest.importorskip("sklearn.svm")


def problem(n: int, dimensions: int, classes: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Classes that overlap, off centre, with features of different sizes."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)])
    features = rng.normal(size=(n, dimensions)) + 0.5 * rng.normal(size=(classes, dimensions))[labels] + 1
    return torch.from_numpy(features * np.linspace(0.2, 2, dimensions)), torch.from_numpy(labels)


@pytest.fixture(params=["by features", "by products"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both solvers on the same problems."""
    monkeypatch.setattr(svm, "FEW", 10**9 if request.param == "by products" else 0)
    monkeypatch.setattr(svm, "FEW_OF_MANY", 0)
    return request.param


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(("n", "dimensions", "classes"), [(300, 20, 4), (60, 200, 3), (80, 5, 2)])
@pytest.mark.parametrize("c", [1e-3, 0.1, 3.0])
def test_it_is_linear_svc(n: int, dimensions: int, classes: int, c: float) -> None:
    """Weights and biases of scikit-learn's, whose own tolerance is what remains between the two."""
    features, labels = problem(n, dimensions, classes)
    found = fit(features, labels, classes, c, tolerance=1e-6)
    for k in range(classes):
        one = sklearn_svm.LinearSVC(C=c, loss="squared_hinge", dual=False, tol=1e-10, max_iter=10**6)
        one.fit(features.numpy(), labels.numpy() == k)
        expected = one.decision_function(features.numpy())
        decision = found.decision(features)[:, k].numpy()
        assert np.abs(decision - expected).max() < 1e-4 * np.abs(expected).max()
        assert found.bias[k].item() == pytest.approx(one.intercept_[0], rel=1e-3, abs=1e-5)
    assert found.gradient <= 1e-6


def objective(features: torch.Tensor, labels: torch.Tensor, c: float, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Of each class (K,), as it is written."""
    y = 2 * torch.nn.functional.one_hot(labels) - 1
    slack = (1 - y * (features @ w + b)).clamp_min(0)
    return (w.square().sum(0) + b.square()) / 2 + c * slack.square().sum(0)


def steepness(features: torch.Tensor, labels: torch.Tensor, c: float, w: torch.Tensor, b: torch.Tensor) -> float:
    """Norm of the gradient by automatic differentiation, as a share of √(2 objective); the largest of the classes."""
    value = objective(features, labels, c, w, b)
    gw, gb = torch.autograd.grad(value.sum(), (w, b))
    return ((gw.square().sum(0) + gb.square()).sqrt() / (2 * value).sqrt()).max().item()


def test_gradient_is_what_it_says(way: str) -> None:
    features, labels = problem(120, 10, 3)
    found = fit(features, labels, 3, 0.05, tolerance=1e-2)
    w, b = found.weights.double().requires_grad_(), found.bias.double().requires_grad_()
    relative = steepness(features, labels, 0.05, w, b)
    if way == "by features":
        assert relative == pytest.approx(found.gradient, rel=1e-3)
        assert relative <= 1e-2
    else:
        assert relative < 1e-6


def test_a_path_starts_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svm, "FEW", 0)
    features, labels = problem(400, 30, 4)
    cs = [0.01, 0.03, 0.1, 0.3]
    path = list(fit_path(features, labels, 4, cs, tolerance=1e-4))
    alone = [fit(features, labels, 4, c, tolerance=1e-4) for c in cs]
    for one, other in zip(path, alone, strict=True):
        torch.testing.assert_close(one.weights, other.weights, rtol=0.01, atol=1e-3)
    assert sum(one.passes for one in path[1:]) < sum(other.passes for other in alone[1:])
    again = fit(features, labels, 4, 0.3, tolerance=1e-4, start=path[-1])
    assert again.passes < 3


def test_a_start_that_no_image_is_short_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Far past all margins only the weights' own length pulls, and it leads back to the minimum."""
    monkeypatch.setattr(svm, "FEW", 0)
    labels = torch.arange(200) % 2
    apart = torch.randn(200, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    features = apart + 5 * torch.nn.functional.one_hot(labels, 5)
    wanted = fit(features, labels, 2, 10.0, tolerance=1e-6)
    far = LinearSVM(wanted.weights * 1e3, wanted.bias * 1e3, 10.0, 0.0, 0.0)
    assert ((2 * torch.nn.functional.one_hot(labels, 2) - 1) * far.decision(features)).min() > 1
    found = fit(features, labels, 2, 10.0, tolerance=1e-6, start=far)
    torch.testing.assert_close(found.weights, wanted.weights, rtol=1e-4, atol=1e-5)


def test_many_images_begin_from_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = problem(600, 30, 4)
    monkeypatch.setattr(svm, "FEW", 0)
    alone = fit(features, labels, 4, 0.1)
    monkeypatch.setattr(svm, "FEW", 100)
    monkeypatch.setattr(svm, "BEGINNING", 100)
    helped = fit(features, labels, 4, 0.1)
    assert 0 < helped.passes < alone.passes
    torch.testing.assert_close(helped.weights, alone.weights, rtol=0.02, atol=2e-3)
    rare = labels.clone()
    rare[rare == 3] = 0
    rare[1] = 3  # none of those evenly spread
    assert fit(features, rare, 4, 0.1).gradient <= svm.TOLERANCE


@pytest.mark.usefixtures("way")
def test_float16_features_and_large_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    from dcgan.features import primal

    features, labels = problem(700, 12, 3)
    half = features.half()
    expected = fit(half.double(), labels, 3, 0.1, tolerance=1e-6)
    monkeypatch.setattr(primal, "BLOCK", 1)  # 16 rows a block
    monkeypatch.setattr(svm, "SMALL", 0)  # in float32
    found = fit(half, labels, 3, 0.1, tolerance=1e-4)
    torch.testing.assert_close(found.decision(half).double(), expected.decision(half), rtol=1e-3, atol=1e-3)
    assert found.weights.dtype == torch.float32


@pytest.mark.usefixtures("way")
def test_some_images_only() -> None:
    features, labels = problem(200, 15, 3)
    which = torch.arange(0, 150)
    (found,) = fit_path(features, labels, 3, [0.1], which=which, tolerance=1e-6)
    expected = fit(features[:150], labels[:150], 3, 0.1, tolerance=1e-6)
    torch.testing.assert_close(found.weights, expected.weights, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("way")
def test_cross_validation_is_one_fit_a_fold() -> None:
    features, labels = problem(90, 10, 3)
    folds, cs = torch.arange(90) % 3, [0.001, 0.1]
    wrong = [0, 0]
    for fold in range(3):
        kept = folds != fold
        for i, c in enumerate(cs):
            model = sklearn_svm.LinearSVC(C=c, dual=False, tol=1e-8, max_iter=10**5)
            model.fit(features[kept].numpy(), labels[kept].numpy())
            wrong[i] += int((model.predict(features[~kept].numpy()) != labels[~kept].numpy()).sum())
    found = cross_validated(features, labels, 3, cs, folds, tolerance=1e-5)
    assert [round(error * 90) for error in found] == wrong
    assert found[0] != found[1]


@pytest.mark.parametrize("ratio", [300.0, 1e3, 1e4])
@pytest.mark.parametrize(("n", "dimensions"), [(82, 55), (134, 95), (263, 28), (192, 233)])
def test_a_large_c_from_nothing_ends_at_the_minimum(n: int, dimensions: int, ratio: float) -> None:
    """Where whole Newton steps go too far: no gradient is left, and scikit-learn finds nothing lower."""
    rng = np.random.default_rng(7)
    features = torch.from_numpy(rng.normal(size=(n, dimensions)))
    labels = torch.from_numpy(np.concatenate([np.arange(4), rng.integers(0, 4, n - 4)]))
    c = ratio / features.square().sum(1).mean().item()
    found = fit(features, labels, 4, c)
    w, b = found.weights.requires_grad_(), found.bias.requires_grad_()
    assert steepness(features, labels, c, w, b) < 1e-6
    if ratio == 300:
        one = sklearn_svm.LinearSVC(C=c, dual=False, tol=1e-6, max_iter=10**5).fit(features.numpy(), labels.numpy())
        theirs = objective(features, labels, c, torch.from_numpy(one.coef_.T), torch.from_numpy(one.intercept_))
        least = objective(features, labels, c, w, b)
        torch.testing.assert_close(least, theirs, rtol=1e-5, atol=0)
        assert (least <= theirs).all()


def test_a_c_that_rounding_cannot_bear(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    features = torch.from_numpy(np.abs(rng.normal(size=(800, 100)))).half()
    labels = torch.from_numpy(np.concatenate([np.arange(2), rng.integers(0, 2, 798)]))
    assert fit(features, labels, 2, 1e3).gradient < 1e-4
    for c in (1e7, 1e16):  # what is found is no minimum; the system is not solvable
        with pytest.raises(InputError, match=f"c: {c:g} is too large".replace("+", r"\+")):
            fit(features, labels, 2, c)
    with pytest.raises(InputError, match=r"c: 1e\+16 is too large"):
        cross_validated(features, labels, 2, [1.0, 1e16], torch.arange(800) % 2)
    monkeypatch.setattr(svm, "FEW", 0)
    monkeypatch.setattr("dcgan.features.primal.MOST_STEPS", 1)
    with pytest.raises(InputError, match=r"c: 0\.1 is too large"):
        fit(features, labels, 2, 0.1)


def test_it_is_exact_even_when_images_repeat() -> None:
    features, labels = problem(50, 100, 3)
    found = fit(features.repeat(2, 1), labels.repeat(2), 3, 0.1)
    expected = fit(features, labels, 3, 0.2)
    torch.testing.assert_close(found.weights, expected.weights, rtol=1e-6, atol=1e-8)


def test_which_way_is_taken() -> None:
    assert svm.by_products(1000, 784)
    assert svm.by_products(4000, 7168)
    assert not svm.by_products(4000, 784)
    assert not svm.by_products(10_000, 28_672)


@pytest.mark.usefixtures("way")
def test_wrong_input() -> None:
    features, labels = problem(40, 5, 3)
    for c in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="above 0"):
            fit(features, labels, 3, c)
    with pytest.raises(InputError, match="of 4 classes, 1 have no image"):
        fit(features, labels, 4, 1.0)
    with pytest.raises(ValueError, match="go up to 2"):
        fit(features, labels, 2, 1.0)
    with pytest.raises(ValueError, match="do not go together"):
        fit(features[1:], labels, 3, 1.0)
    features[3, 2] = torch.nan
    with pytest.raises(InputError, match="not finite"):
        fit(features, labels, 3, 1.0)
    with pytest.raises(InputError, match="one fold only"):
        cross_validated(features.nan_to_num(), labels, 3, [1.0], labels)


def test_features_of_another_length_are_refused() -> None:
    model = LinearSVM(torch.zeros(5, 2), torch.zeros(2), 1.0, 0.0, 0.0)
    with pytest.raises(ValueError, match=r"wants \(N, 5\)"):
        model.predict(torch.zeros(3, 4))


@pytest.mark.parametrize("classes", [1, 3, 16, 17])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_products_with_the_hessian_are_as_they_are_written(classes: int, share: float) -> None:
    """However many classes there are, and whether few or most rows are short of their margin."""
    from dcgan.features.primal import MOST, Rows

    noise = torch.Generator().manual_seed(0)
    features = torch.randn(90, 7, generator=noise, dtype=torch.float64)
    with_one = torch.cat([features, torch.ones(90, 1, dtype=torch.float64)], 1)
    d = torch.randn(8, classes, generator=noise, dtype=torch.float64)
    seen = torch.rand(90, 1, generator=noise) < share
    active = (seen & (torch.rand(90, classes, generator=noise) < 0.8)).double()
    rows = Rows(features, torch.float64)
    expected = d + 2 * 0.3 * with_one.T @ (active * (with_one @ d))
    torch.testing.assert_close(rows.curve(d, active, 0.3), expected)
    wanted = int(active.any(1).sum())
    assert rows.read == (90 if wanted > MOST * 90 else wanted)
    torch.testing.assert_close(rows.scores(d), with_one @ d)
    targets = torch.where(torch.rand(90, classes, generator=noise) < 0.5, 1.0, -1.0).double() * seen
    short = (targets.square() - targets * (with_one @ d)).clamp_min(0)
    torch.testing.assert_close(
        rows.gradient(d, with_one @ d, targets, 0.3), d - 2 * 0.3 * with_one.T @ (targets * short)
    )
