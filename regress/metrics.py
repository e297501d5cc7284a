"""Scores that tell a model from predicting the mean.

Log loss alone cannot: on soft labels its floor is the labels' own entropy, and on the origin's data everything a week
of training gained was 0.0025 of 0.16. D² puts it on the scale that matters: 0 is the training mean, 1 is the floor.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.targets import label_entropy
from regress.dispersion import intra_class_correlation, trial_weights

Array = NDArray[np.float64]
EPSILON = 1e-4  # predictions are clipped to [ε, 1 − ε] for log loss; fixed, since D² depends on it
HIGHEST = 0.05  # share of the rows that `lift` looks at
RARE = 0.5  # rarity from which a rate counts as rare, as the samplers' threshold


def clip(p: Array) -> Array:
    """Predictions into [ε, 1 − ε]."""
    return np.clip(p, EPSILON, 1 - EPSILON)


def cross_entropy(y: Array, p: Array) -> Array:
    """−y ln p − (1 − y) ln(1 − p) of each row, nats; y in [0, 1], p clipped."""
    p = clip(p)
    return -(y * np.log(p) + (1 - y) * np.log1p(-p))


def d2(y: Array, p: Array, mean: Array, weight: Array | None = None) -> float:
    """Deviance explained: 1 − Σw[ℓ(y,p) − H(y)] / Σw[ℓ(y,mean) − H(y)], H the labels' own entropy.

    `mean` is each row's training mean. 0 is no better than it, 1 is the floor, below 0 is worse. p and mean are (n,),
    or (r, n) of r repetitions.
    """
    w = np.ones_like(y) if weight is None else weight
    floor = label_entropy(y)
    excess = float(np.mean(w * (cross_entropy(y, mean) - floor)))
    return 1.0 - float(np.mean(w * (cross_entropy(y, p) - floor))) / excess if excess > 0 else 0.0


def worth(y: Array, mean: Array, trials: Array) -> Array:
    """What each rate's trials are worth as a weight of its score, float64 (n,), mean 1.

    v/(1 + (v − 1)ρ) with ρ the rates' own correlation around the training mean (n,): it depends on the posts alone, so
    that all models are scored by one measure. Raw trials would leave the score to the few posts that everyone saw.
    """
    return trial_weights(trials, intra_class_correlation(y, mean, trials))


def decomposition(y: Array, p: Array) -> tuple[float, float]:
    """Miscalibration and discrimination of the log loss (CORP; Dimitriadis, Gneiting, Jordan 2021), nats; (n,).

    Log loss = miscalibration − discrimination + that of the mean rate; the first is what the best monotone map of the
    predictions would gain, the second how far it is below predicting the mean. D² against the mean rate is
    (discrimination − miscalibration) / (its log loss − the floor).
    """
    from sklearn.isotonic import isotonic_regression

    _, place, size = np.unique(p, return_inverse=True, return_counts=True)  # equal predictions share one value
    recalibrated = isotonic_regression(np.bincount(place, y) / size, sample_weight=size)[place]
    best = float(cross_entropy(y, recalibrated).mean())
    uncertainty = float(cross_entropy(y, np.full_like(y, y.mean())).mean())
    return float(cross_entropy(y, p).mean()) - best, uncertainty - best


def lift(y: Array, p: Array) -> float:
    """Mean rate of the 5 % of rows with the highest predictions over that of all; equal predictions share places."""
    wanted = int(np.ceil(HIGHEST * len(y)))
    least = np.partition(p, len(p) - wanted)[len(p) - wanted]
    above, tied = p > least, p == least
    total = y[above].sum() + y[tied].mean() * (wanted - above.sum())
    return float(total / wanted / y.mean())


def spearman(y: Array, p: Array) -> float:
    """Rank correlation, ties averaged; 0 where either side is constant."""
    return float(np.mean(standard_ranks(y) * standard_ranks(p)))


def standard_ranks(values: Array) -> Array:
    """Ranks (n,), ties averaged, less their mean and over their standard deviation; 0 where all are equal."""
    from scipy.stats import rankdata

    ranks = rankdata(values)
    ranks -= ranks.mean()
    spread = ranks.std()
    return np.asarray(ranks / spread if spread > 0 else ranks)


def rarity(y: Array) -> Array:
    """Relevance of rates y (n,), from 0 to 1: zeros and other atoms 0, then by the box plot of the rest."""
    from oversample import fit_relevance

    return fit_relevance("hurdle", y)(y)


def rare_error(y: Array, p: Array, phi: Array) -> float | None:
    """Mean |p − y| of the rows with a rarity φ (n,) of 0.5 or more; p (n,) or (r, n). None where no row is rare."""
    rare = phi >= RARE
    return float(np.abs(p - y)[..., rare].mean()) if rare.any() else None


@dataclass(frozen=True)
class Scores:
    """How good out-of-fold predictions are. Log losses in nats; `bias` is mean(p) / mean(y)."""

    d2: float
    d2_trials: float  # each post weighted by what its trials are worth
    log_loss: float
    log_loss_mean: float  # of the training mean
    log_loss_floor: float  # of the truth itself
    miscalibration: float  # log loss that recalibrating would gain
    discrimination: float  # log loss that the order of the predictions gains on the mean
    mse: float
    mae: float
    mae_rare: float | None  # mean absolute error of the rare rates alone; None where no rate is rare
    sera: float  # Σ rarity · (p − y)²: squared error of the rare rates
    spearman: float
    lift: float  # mean rate of the 5 % highest predictions over that of all
    bias: float
    outside: int  # predictions outside [0, 1], clipped for log loss

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def scores(y: Array, p: Array, mean: Array, trials: Array) -> Scores:
    """All scores of predictions p for rates y (n,); `mean` the training mean of each row's fold.

    p and mean are (n,), or (r, n) of r repetitions of the cross-validation: scores are then means over them, and
    `outside` is their sum.
    """
    from oversample.metrics import sera

    repetitions, phi = np.atleast_2d(p), rarity(y)
    split = np.mean([decomposition(y, each) for each in repetitions], axis=0)
    return Scores(
        d2=d2(y, p, mean),
        d2_trials=d2(y, p, mean, worth(y, np.atleast_2d(mean)[0], trials)),
        log_loss=float(cross_entropy(y, p).mean()),
        log_loss_mean=float(cross_entropy(y, mean).mean()),
        log_loss_floor=float(label_entropy(y).mean()),
        miscalibration=float(split[0]),
        discrimination=float(split[1]),
        mse=float(np.mean((p - y) ** 2)),
        mae=float(np.mean(np.abs(p - y))),
        mae_rare=rare_error(y, p, phi),
        sera=float(np.mean([sera(y, each, phi) for each in repetitions])),
        spearman=float(np.mean([spearman(y, each) for each in repetitions])),
        lift=float(np.mean([lift(y, each) for each in repetitions])),
        bias=float(p.mean() / y.mean()),
        outside=int(((p < 0) | (p > 1)).sum()),
    )
