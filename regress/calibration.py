"""Beta calibration (Kull, Silva Filho, Flach 2017): logit q = a·ln p − b·ln(1 − p) + c, with a, b ≥ 0.

Three numbers undo what a weighted loss or an oversampled training set did to the level of the predictions. They are
fitted on out-of-fold predictions of original rows, never in-sample and never on synthetic rows.
"""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from regress.losses import sigmoid
from regress.metrics import clip, cross_entropy

Array = NDArray[np.float64]
RIDGE = 1e-6  # keeps Newton's system regular when the predictions are nearly collinear; far below the data's weight


@dataclass(frozen=True)
class BetaCalibration:
    """A monotone map of [0, 1] into itself; (1, 1, 0) is the identity."""

    a: float = 1.0
    b: float = 1.0
    c: float = 0.0

    def apply(self, p: Array) -> Array:
        """float64 (n,) predictions → calibrated ones in (0, 1); values outside are clipped first."""
        if self == IDENTITY:
            return p
        return sigmoid(_inputs(p) @ np.array([self.a, self.b, self.c]))

    def to_json(self) -> dict[str, float]:
        return asdict(self)


IDENTITY = BetaCalibration()


def fit_beta(p: Array, y: Array) -> BetaCalibration:
    """Maximum-likelihood map of predictions p to rates y, both (n,).

    A coefficient that comes out negative is set to 0 and the rest fitted again, as in the paper. Constant predictions,
    and a fit that would be worse than leaving them alone, give the identity.
    """
    if np.ptp(p) < 1e-12:
        return IDENTITY
    Z = _inputs(p)
    free = [True, True, True]
    theta = _newton(Z, y, free)
    while (theta[:2] < 0).any():
        free[int(np.argmin(theta[:2]))] = False
        theta = _newton(Z, y, free)
    fitted = BetaCalibration(*(float(t) for t in theta))
    better = cross_entropy(y, fitted.apply(p)).mean() <= cross_entropy(y, p).mean()
    return fitted if better else IDENTITY


def _inputs(p: Array) -> Array:
    p = clip(p)
    return np.stack([np.log(p), -np.log1p(-p), np.ones_like(p)], axis=1)


def _newton(Z: Array, y: Array, free: list[bool]) -> Array:
    """Minimise the cross-entropy of sigmoid(Zθ) over the free coefficients, the others 0."""
    columns = np.flatnonzero(free)
    A, theta = Z[:, columns], np.zeros(len(columns))

    def objective(t: Array) -> float:
        score = A @ t
        return float(np.mean(np.logaddexp(0, score) - y * score) + RIDGE * t @ t / 2)

    value = objective(theta)
    for _ in range(100):
        q = sigmoid(A @ theta)
        gradient = A.T @ (q - y) / len(y) + RIDGE * theta
        hessian = (A * (q * (1 - q))[:, None]).T @ A / len(y) + RIDGE * np.eye(len(columns))
        step, size = np.linalg.solve(hessian, gradient), 1.0
        while (new := objective(theta - size * step)) > value and size > 1e-8:
            size /= 2
        if value - new < 1e-12:
            break
        theta, value = theta - size * step, new
    full = np.zeros(3)
    full[columns] = theta
    return full
