"""Maps of predictions to the level of the rates: beta (Kull, Silva Filho, Flach 2017) and isotonic.

They undo what a weighted loss or an oversampled training set did to the level of the predictions. They are fitted on
out-of-fold predictions of original rows, never in-sample and never on synthetic rows.

Beta's three numbers seldom overfit, and keep ranks apart. Isotonic takes any monotone shape and pays for it: where it
is flat, posts become ties and ranks are lost; where the lowest predictions were all of zeros it predicts exactly 0,
which costs ln(1/ε) for the next one that is not. On 2,000 simulated posts of a mean rate of 2.8 %, whose level eleven
samplers and four weightings raised to 1.3 – 5.9 times the truth, both bring it to 0.99 – 1.03; D² is 0.01 lower with
isotonic, and on 300 posts without a signal −0.11 where beta has −0.003. A map fitted on other folds' models can only do
so where folds agree in level: with 900 posts in three folds and the heaviest weights, which leave few that count, 1.13
and 1.19 remain.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from data.config import InputError
from data.names import pick
from regress.losses import sigmoid
from regress.metrics import clip, cross_entropy

Array = NDArray[np.float64]
RIDGE = 1e-6  # keeps Newton's system regular when the predictions are nearly collinear; far below the data's weight


class Calibration(Protocol):
    """A monotone map of predictions (n,) to calibrated ones, kept as JSON."""

    def apply(self, p: Array) -> Array: ...

    def to_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class BetaCalibration:
    """logit q = a·ln p − b·ln(1 − p) + c, with a, b ≥ 0: from [0, 1] into itself; (1, 1, 0) is the identity."""

    a: float = 1.0
    b: float = 1.0
    c: float = 0.0
    kind: Literal["beta"] = "beta"

    def apply(self, p: Array) -> Array:
        """float64 (n,) predictions → calibrated ones in (0, 1); values outside are clipped first."""
        if self == IDENTITY:
            return p
        return sigmoid(_inputs(p) @ np.array([self.a, self.b, self.c]))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class IsotonicCalibration:
    """Linear between thresholds, constant beyond the first and the last: no prediction is out of range."""

    p: tuple[float, ...]  # ascending
    rate: tuple[float, ...]  # never falling, from 0 to 1
    kind: Literal["isotonic"] = "isotonic"

    def apply(self, p: Array) -> Array:
        """float64 (n,) predictions → calibrated ones in [0, 1]."""
        return np.interp(p, self.p, self.rate)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "p": list(self.p), "rate": list(self.rate)}


IDENTITY = BetaCalibration()


def fit_calibration(kind: str, p: Array, y: Array) -> Calibration:
    """The map of a kind, "beta" or "isotonic", of predictions p to rates y, both (n,)."""
    return pick({"beta": fit_beta, "isotonic": fit_isotonic}, kind, "calibration")(p, y)


def from_json(kept: dict[str, Any]) -> Calibration:
    """What `to_json` gave; without a kind it is beta, as earlier runs kept it."""
    kind = kept.get("kind", "beta")
    if kind == "beta":
        return BetaCalibration(kept["a"], kept["b"], kept["c"])
    if kind == "isotonic":
        return IsotonicCalibration(tuple(kept["p"]), tuple(kept["rate"]))
    raise InputError(f"calibration {kind!r} is not of this version, which knows beta and isotonic: fit again")


def fit_isotonic(p: Array, y: Array) -> Calibration:
    """The non-decreasing map of least squared error, and of least cross-entropy, by pooling adjacent violators.

    Its mean over the rows is that of y. Constant predictions give the identity, as they do for beta.
    """
    if np.ptp(p) < 1e-12:
        return IDENTITY
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(out_of_bounds="clip", y_min=0, y_max=1).fit(p, y)
    return IsotonicCalibration(tuple(fitted.X_thresholds_.tolist()), tuple(fitted.y_thresholds_.tolist()))


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
    a, b, c = theta.tolist()
    fitted = BetaCalibration(a, b, c)
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
