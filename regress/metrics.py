"""Scores that tell a model from predicting the mean.

Log loss alone cannot: on soft labels its floor is the labels' own entropy, and on the origin's data everything a week
of training gained was 0.0025 of 0.16. D² puts it on the scale that matters: 0 is the training mean, 1 is the floor.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.targets import label_entropy

Array = NDArray[np.float64]
EPSILON = 1e-4  # predictions are clipped to [ε, 1 − ε] for log loss; fixed, since D² depends on it


def clip(p: Array) -> Array:
    """Predictions into [ε, 1 − ε]."""
    return np.clip(p, EPSILON, 1 - EPSILON)


def cross_entropy(y: Array, p: Array) -> Array:
    """−y ln p − (1 − y) ln(1 − p) of each row, nats; y in [0, 1], p clipped."""
    p = clip(p)
    return -(y * np.log(p) + (1 - y) * np.log1p(-p))


def d2(y: Array, p: Array, mean: Array, weight: Array | None = None) -> float:
    """Deviance explained: 1 − Σw[ℓ(y,p) − H(y)] / Σw[ℓ(y,mean) − H(y)], H the labels' own entropy.

    `mean` is each row's training mean (n,). 0 is no better than it, 1 is the floor, below 0 is worse.
    """
    w = np.ones_like(y) if weight is None else weight
    floor = label_entropy(y)
    excess = float(np.sum(w * (cross_entropy(y, mean) - floor)))
    return 1.0 - float(np.sum(w * (cross_entropy(y, p) - floor))) / excess if excess > 0 else 0.0


def spearman(y: Array, p: Array) -> float:
    """Rank correlation, ties averaged; 0 where either side is constant."""
    from scipy.stats import rankdata

    a, b = rankdata(y), rankdata(p)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def rarity(y: Array) -> Array:
    """Relevance of rates y (n,), from 0 to 1: zeros and other atoms 0, then by the box plot of the rest."""
    from oversample import fit_relevance

    return fit_relevance("hurdle", y)(y)


@dataclass(frozen=True)
class Scores:
    """How good out-of-fold predictions are. Log losses in nats; `bias` is mean(p) / mean(y)."""

    d2: float
    d2_trials: float  # each post weighted by its trials
    log_loss: float
    log_loss_mean: float  # of the training mean
    log_loss_floor: float  # of the truth itself
    mse: float
    mae: float
    sera: float  # Σ rarity · (p − y)²: squared error of the rare rates
    spearman: float
    bias: float
    outside: int  # predictions outside [0, 1], clipped for log loss

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def scores(y: Array, p: Array, mean: Array, trials: Array) -> Scores:
    """All scores of predictions p for rates y, both (n,); `mean` the training mean of each row's fold."""
    from oversample.metrics import sera

    return Scores(
        d2=d2(y, p, mean),
        d2_trials=d2(y, p, mean, trials),
        log_loss=float(cross_entropy(y, p).mean()),
        log_loss_mean=float(cross_entropy(y, mean).mean()),
        log_loss_floor=float(label_entropy(y).mean()),
        mse=float(np.mean((p - y) ** 2)),
        mae=float(np.mean(np.abs(p - y))),
        sera=sera(y, p, rarity(y)),
        spearman=spearman(y, p),
        bias=float(p.mean() / y.mean()),
        outside=int(((p < 0) | (p > 1)).sum()),
    )
