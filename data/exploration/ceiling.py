"""The ceiling that luck sets on R² and D²: what a model would reach that knew every post's true rate.

A post's rate y = k/v is its true rate p plus binomial noise, and no model can foresee the noise. The variance of it,
p(1 − p)/v, is estimated without bias by y(1 − y)/(v − 1), since E[y(1 − y)] = p(1 − p)(v − 1)/v; so

    R² ceiling = 1 − mean of y(1 − y)/(v − 1) / variance of y.

For D² the noise is what the labels' entropy lies below that of the true rates, mean H(p) − mean H(y), over what it
lies below that of the mean rate; H(p) by `data.exploration.deconvolution`. Both are ceilings also because views of one
post are not independent draws: the noise is then larger than binomial, and the true ceiling lower.

25,000 posts × 7 targets take 3 s on one core, most of them for the deconvolution.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.exploration.deconvolution import true_entropy
from data.targets import label_entropy

Array = NDArray[np.float64]

RESAMPLES, BLOCK = 1000, 128
LEAST = 2  # trials from which a post tells something of its own noise
SUMS = 6  # of each target, that the ceilings are made of


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % bootstrap interval (percentiles over resampled posts)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Ceiling:
    """The highest R² and D² that can be hoped for; None where the rates are constant or there are fewer than 2."""

    posts: int  # with at least 2 trials
    r2: Interval | None
    d2: Interval | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def ceilings(y: Array, trials: Array, seed: int = 0) -> list[Ceiling]:
    """The ceiling of each target: rates y (n, targets), NaN where a post has none, and trials (n,).

    Posts with a single trial are left out of both the noise and the variance: they tell nothing of their own noise.
    The intervals hold the deconvolution fixed.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):  # many small products: threads that wait for each other cost 5 times the CPU
        terms = _terms(y, trials)
        whole = _ratios(terms.sum(axis=0))
        resampled = _ratios(_resampled(terms, seed))
    posts = terms[:, :, 0].sum(axis=0)
    return [
        Ceiling(int(posts[j]), *(_interval(whole[j, i], resampled[:, j, i]) for i in range(2)))
        for j in range(y.shape[1])
    ]


def r2_ceiling(y: Array, trials: Array) -> float | None:
    """The estimate alone, of R², for rates y (n,) of trials (n,), all 2 or more."""
    if len(y) < 2 or np.ptp(y) == 0:
        return None
    return float(1 - noise_variance(y, trials).mean() / y.var(ddof=1))


def noise_variance(y: Array, trials: Array) -> Array:
    """Unbiased estimate of p(1 − p)/v from y = k/v and v ≥ 2."""
    return np.asarray(y * (1 - y) / (trials - 1))


def _terms(y: Array, trials: Array) -> Array:
    """(n, targets, 6): 1, y, y², its noise, H(y) and H(p) of each post; 0 where a post does not count."""
    terms = np.zeros((*y.shape, SUMS))
    for j, rates in enumerate(y.T):
        rows = np.flatnonzero(np.isfinite(rates) & (trials >= LEAST))
        if len(rows):
            some, v = rates[rows], trials[rows]
            columns = (some, some**2, noise_variance(some, v), label_entropy(some), true_entropy(some, v))
            terms[rows, j] = np.stack([np.ones_like(some), *columns], axis=1)
    return terms


def _ratios(sums: Array) -> Array:
    """Sums (…, targets, 6) → the ceilings of R² and D² (…, targets, 2); NaN where nothing varies."""
    m, y, squares, noise, entropy, true = np.moveaxis(sums, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = y / m
        variance = (squares - y * mean) / (m - 1)
        excess = label_entropy(np.clip(mean, 0, 1)) - entropy / m
        r2, d2 = 1 - noise / m / variance, 1 - (true - entropy) / m / excess
        # what rounding leaves of a constant's variance is no variance
        varies = (m >= 2) & (variance > 1e-12 * mean**2)
    return np.where(varies[..., None], np.stack([r2, d2], axis=-1), np.nan)


def _resampled(terms: Array, seed: int) -> Array:
    """(RESAMPLES, targets, 6): sums over posts drawn with replacement, the same draws for all targets."""
    rng = np.random.default_rng(seed)
    n, flat = len(terms), terms.reshape(len(terms), -1)
    sums = []
    for start in range(0, RESAMPLES, BLOCK):
        times = [np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(min(BLOCK, RESAMPLES - start))]
        sums.append(np.stack(times).astype(np.float64) @ flat)
    return np.concatenate(sums).reshape(RESAMPLES, *terms.shape[1:])


def _interval(value: float, resampled: Array) -> Interval | None:
    if not np.isfinite(value):
        return None
    low, high = np.nanpercentile(resampled, [2.5, 97.5])
    return Interval(float(value), float(low), float(high))
