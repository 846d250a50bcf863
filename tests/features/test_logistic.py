"""Logistic regression against scikit-learn, its own optimality, and a closed form."""

import numpy as np
import pytest

from dcgan.features.logistic import logistic


def problem(n, d, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d)) * rng.uniform(0.5, 2, d) + rng.uniform(-2, 2, d)
    y = x @ rng.standard_normal(d) + rng.standard_normal(n) > 1
    return x, y


@pytest.mark.parametrize(("n", "d", "l2"), [(50, 3, 1e-3), (200, 24, 0.1), (40, 60, 1e-2), (30, 2, 100.0)])
def test_agrees_with_scikit_learn(n, d, l2):
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, y = problem(n, d)
    theirs = linear_model.LogisticRegression(C=1 / (n * l2), tol=1e-10, max_iter=10_000).fit(x, y)
    weights, intercept = logistic(x, y, l2)
    np.testing.assert_allclose(weights, theirs.coef_[0], rtol=1e-3, atol=1e-5)
    assert intercept == pytest.approx(theirs.intercept_[0], rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("separable", [False, True])
def test_the_gradient_is_nothing_at_the_solution(separable):
    x, y = problem(80, 5)
    if separable:
        y = x[:, 0] > x[:, 0].mean()
    weights, intercept = logistic(x, y, 1e-4)
    p = 1 / (1 + np.exp(-(x @ weights + intercept)))
    np.testing.assert_allclose(x.T @ (p - y) / 80 + 1e-4 * weights, 0, atol=2e-8)
    assert (p - y).mean() == pytest.approx(0, abs=2e-8)


def test_with_nothing_to_tell_by_the_intercept_is_the_log_odds():
    weights, intercept = logistic(np.zeros((8, 2)), np.arange(8) < 6, 1.0)
    assert not weights.any()
    assert intercept == pytest.approx(np.log(3))


def test_a_repeated_column_shares_its_weight():
    x, y = problem(60, 2)
    weights, _ = logistic(np.concatenate([x, x], 1), y, 1e-2)
    np.testing.assert_allclose(weights[:2], weights[2:], rtol=1e-6)


def test_large_values_do_not_overflow():
    x, y = problem(60, 2)
    weights, _ = logistic(x * 1e4, y, 1e-9)
    assert np.isfinite(weights).all()


@pytest.mark.parametrize(
    ("x", "y", "l2"),
    [
        (np.zeros((3, 2)), np.array([True, True, True]), 1.0),
        (np.zeros((3, 2)), np.array([False] * 3), 1.0),
        (np.zeros((3, 2)), np.array([True, False]), 1.0),
        (np.zeros(3), np.array([True, False, True]), 1.0),
        (np.zeros((2, 2)), np.array([True, False]), 0.0),
        (np.zeros((2, 2)), np.array([True, False]), float("nan")),
    ],
)
def test_wrong_problems(x, y, l2):
    with pytest.raises(ValueError, match="logistic wants"):
        logistic(x, y, l2)
