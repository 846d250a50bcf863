"""Logistic regression of two classes, small enough to be solved exactly."""

from __future__ import annotations

import numpy as np

TOLERANCE = 1e-8
STEPS = 100


def logistic(x: np.ndarray, y: np.ndarray, l2: float) -> tuple[np.ndarray, float]:
    """Weights (D,) and intercept that minimise mean log(1 + exp(-s(x·w + b))) + l2/2 |w|², s = ±1 for y of (N,).

    x: (N, D); y: bool (N,), of both kinds; l2 > 0, and the intercept is free: scikit-learn's LogisticRegression with
    C = 1 / (N l2). Newton's method in float64, to a gradient of at most 1e-8 anywhere.
    Raises ValueError for other input, and if it does not get there.
    """
    if x.ndim != 2 or y.shape != x.shape[:1] or y.all() or not y.any() or not l2 > 0:
        raise ValueError("logistic wants x (N, D), y (N,) with both kinds in it, and l2 > 0")
    design = np.concatenate([x, np.ones((len(x), 1))], 1, dtype=np.float64)
    ridge = np.append(np.full(x.shape[1], float(l2)), 0.0)
    w = np.zeros(len(ridge))

    def loss(w: np.ndarray) -> float:
        scores = design @ w
        return float(np.logaddexp(0, np.where(y, -scores, scores)).mean() + (ridge * w**2).sum() / 2)

    for _ in range(STEPS):
        p = (1 + np.tanh(design @ w / 2)) / 2  # the sigmoid, which never overflows so
        gradient = design.T @ (p - y) / len(x) + ridge * w
        if np.abs(gradient).max() <= TOLERANCE:
            return w[:-1], float(w[-1])
        curvature = (design * (p * (1 - p))[:, None]).T @ design / len(x) + np.diag(ridge)
        step = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
        here, share = loss(w), 1.0
        while share > 1e-10 and loss(w - share * step) > here - 1e-4 * share * (gradient @ step):
            share /= 2
        w = w - share * step
    raise ValueError(f"no solution after {STEPS} steps")
