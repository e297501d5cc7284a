"""How far the truth may be from a prediction: 90 % intervals for single posts, two ways.

`Mondrian` needs no model of the noise: residuals of out-of-fold predictions, taken apart by the size of the prediction
(one quantile for all covers 0.99 of the low and 0.75 of the high predictions). `BetaBinomial` knows the trials: a post
that was seen ten times has a wide interval, one seen 10,000 times a narrow one. Its model is never quite right: at a
level of 0.9 it covered 0.88 to 0.97 of quarters of simulated posts. `PostIntervals` has both, and gives the second the
level, by the size of the prediction, at which it covered 90 % of the out-of-fold predictions: then 0.89 to 0.91.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regress.dispersion import intra_class_correlation

Array = NDArray[np.float64]
LEVEL = 0.9
BINS = 10
ADDED = 1000  # trials up to which probabilities are added up
LEAST = 40  # rows a bin should have: 90 % of fewer is a matter of luck


@dataclass(frozen=True)
class Mondrian:
    """Intervals from residuals in bins of the prediction (Boström, Johansson 2020)."""

    edges: Array  # (bins − 1,) predictions where one bin ends and the next begins
    low: Array  # (bins,) residual y − p at the lower end
    high: Array  # (bins,)

    @classmethod
    def fit(cls, y: Array, p: Array, level: float = LEVEL) -> "Mondrian":
        """From out-of-fold predictions p of rates y, (n,). In each bin the shortest stretch that holds `level` of them.

        The shortest, since at an atom of zeros the usual two tails would leave out one only: it would cover 95 %.
        """
        bins = int(np.clip(len(y) // LEAST, 1, BINS))
        edges = np.unique(np.quantile(p, np.arange(1, bins) / bins))
        place = np.searchsorted(edges, p, side="right")
        used, place = np.unique(place, return_inverse=True)  # many equal predictions leave a bin empty
        ends = np.array([_shortest(y[place == k], p[place == k], level) for k in range(len(used))])
        return cls(edges[used[1:] - 1], ends[:, 0], ends[:, 1])

    def __call__(self, p: Array) -> tuple[Array, Array]:
        """Lower and upper ends (n,), within [0, 1]."""
        place = self.bin(p)
        return np.clip(p + self.low[place], 0, 1), np.clip(p + self.high[place], 0, 1)

    def bin(self, p: Array) -> NDArray[np.int64]:
        """int64 (n,): the bin of each prediction, from 0."""
        return np.searchsorted(self.edges, p, side="right").astype(np.int64)

    def to_json(self) -> dict[str, list[float]]:
        return {"edges": self.edges.tolist(), "low": self.low.tolist(), "high": self.high.tolist()}

    @classmethod
    def from_json(cls, values: dict[str, list[float]]) -> "Mondrian":
        return cls(*(np.array(values[name], dtype=np.float64) for name in ("edges", "low", "high")))


def _shortest(y: Array, p: Array, level: float) -> tuple[float, float]:
    """The two residuals that enclose `level` of (n + 1) rows in the least mean width on [0, 1]; all of too few rows."""
    residual = np.sort(y - p)
    n = len(residual)
    inside = min(int(np.ceil(level * (n + 1))), n)
    starts = np.arange(n - inside + 1)
    low, high = residual[starts], residual[starts + inside - 1]
    sample = np.quantile(p, np.linspace(0.05, 0.95, 9))
    width = (np.clip(sample + high[:, None], 0, 1) - np.clip(sample + low[:, None], 0, 1)).mean(axis=1)
    best = int(width.argmin())
    return float(low[best]), float(high[best])


@dataclass(frozen=True)
class BetaBinomial:
    """Quantiles of so many trials with a rate ~ Beta around the prediction, ρ their intra-class correlation."""

    rho: float

    def __call__(self, p: Array, trials: Array, level: float | Array = LEVEL) -> tuple[Array, Array]:
        """Lower and upper ends (n,) of the rates that would be seen in so many trials; `level` one, or (n,).

        The tails are equal; where P(0) exceeds the lower one, the interval begins at 0 and leaves `1 − level` above.
        """
        alpha, beta = self._shape(p)
        level = np.broadcast_to(level, p.shape)
        tail = (1 - level) / 2
        at_zero = np.exp(_log_zero(alpha, beta, trials)) > tail
        low = np.where(at_zero, 0, _quantile(alpha, beta, trials, tail))
        high = _quantile(alpha, beta, trials, np.where(at_zero, level, 1 - tail))
        return low / trials, high / trials

    def levels_that_hold(self, y: Array, p: Array, trials: Array) -> tuple[Array, Array, Array]:
        """Levels (n,) a, b, c: intervals of levels in (a, b], where a < b, and above c hold the rate that was seen.

        b is where intervals begin to start at 0: their upper ends then fall, and may leave out a rate until c.
        """
        alpha, beta = self._shape(p)
        below, upto = _cumulative(alpha, beta, trials, np.rint(y * trials))
        from_zero = np.maximum(1 - 2 * np.exp(_log_zero(alpha, beta, trials)), 0)
        return np.maximum(1 - 2 * upto, 2 * below - 1), from_zero, np.maximum(below, from_zero)

    def _shape(self, p: Array) -> tuple[Array, Array]:
        p = np.clip(p, 1e-9, 1 - 1e-9)
        strength = 1 / np.clip(self.rho, 1e-9, 1 - 1e-9) - 1  # next to no overdispersion is a binomial
        return p * strength, (1 - p) * strength


@dataclass(frozen=True)
class PostIntervals:
    """Both kinds as a run keeps them: `BetaBinomial` for posts whose trials are known, `Mondrian` for the others."""

    rho: float
    mondrian: Mondrian
    levels: Array  # (bins,) of the beta-binomial in the bins of `mondrian`

    def __call__(self, p: Array, trials: Array | None = None) -> tuple[Array, Array]:
        """Lower and upper ends (n,) for calibrated predictions p; `trials` (n,) where they are known."""
        if trials is None:
            return self.mondrian(p)
        return BetaBinomial(self.rho)(p, trials, self.levels[self.mondrian.bin(p)])

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "PostIntervals":
        """From what `post_intervals` returned.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        levels = np.array(values["levels"], dtype=np.float64)
        mondrian = Mondrian.from_json(values["mondrian"])
        if not len(levels) == len(mondrian.low) == len(mondrian.high) == len(mondrian.edges) + 1:
            raise ValueError("bins of different numbers")
        return cls(float(values["rho"]), mondrian, levels)


def post_intervals(
    y: Array, p: Array, trials: Array, level: float = LEVEL, *, rho: float | None = None
) -> dict[str, Any]:
    """What `PostIntervals.from_json` reads, for a run's manifest: from calibrated out-of-fold predictions, all (n,).

    `rho` is the intra-class correlation of the trials, where it is known.
    """
    rho = intra_class_correlation(y, p, trials) if rho is None else rho
    mondrian = Mondrian.fit(y, p, level)
    holding, place = BetaBinomial(rho).levels_that_hold(y, p, trials), mondrian.bin(p)
    levels = [_least(*(ends[place == k] for ends in holding), level=level) for k in range(len(mondrian.low))]
    return {"level": level, "rho": rho, "mondrian": mondrian.to_json(), "levels": levels}


def _least(a: Array, b: Array, c: Array, *, level: float) -> float:
    """The least level whose intervals hold `level` of (n + 1) rows (split conformal); 1 for too few rows."""
    once = np.minimum(a, b)  # b at least: then (a, b] is empty
    ends = np.concatenate([once, b, c])
    order = np.argsort(ends)
    held = np.cumsum(np.repeat([1, -1, 1], len(a))[order])
    last = np.append(np.diff(ends[order]) > 0, True)  # equal ends count together
    enough = last & (held >= np.ceil(level * (len(a) + 1)))
    return float(np.clip(ends[order][enough.argmax()] + 1e-9, 0, 1)) if enough.any() else 1.0


def _log_zero(alpha: Array, beta: Array, trials: Array) -> Array:
    """ln P(0) of a beta-binomial."""
    from scipy.special import gammaln

    n = trials
    return np.asarray(gammaln(n + beta) - gammaln(n + alpha + beta) + gammaln(alpha + beta) - gammaln(beta))


def _log_growth(alpha: Array, beta: Array, trials: Array, k: int) -> Array:
    """ln P(k + 1)/P(k) of a beta-binomial."""
    return np.asarray(np.log((trials - k) / (k + 1)) + np.log((k + alpha) / (trials - k - 1 + beta)))


def _matched(alpha: Array, beta: Array, trials: Array) -> tuple[Array, Array]:
    """Parameters of the Beta distribution with the mean and the variance of a beta-binomial's rate."""
    mean, strength = alpha / (alpha + beta), alpha + beta
    matched = 1 / (1 / trials + (1 - 1 / trials) / (strength + 1)) - 1
    return mean * matched, (1 - mean) * matched


def _cumulative(alpha: Array, beta: Array, trials: Array, count: Array) -> tuple[Array, Array]:
    """P(less than `count`) and P(at most `count`), float64 (n,) each; as exact as `_quantile`."""
    from scipy.special import betainc

    many = trials > ADDED
    below, upto = np.zeros(len(trials)), np.ones(len(trials))
    shape = _matched(alpha[many], beta[many], trials[many])
    below[many] = betainc(*shape, np.maximum(count[many] - 1, 0) / trials[many])
    upto[many] = betainc(*shape, count[many] / trials[many])
    open_ = np.flatnonzero(~many)
    a, b, n = alpha[open_], beta[open_], trials[open_]
    log_mass, before = _log_zero(a, b, n), np.zeros(len(open_))
    for k in range(int(n.max(initial=0)) + 1):
        reached = before + np.exp(log_mass)
        here = count[open_] == k
        below[open_[here]], upto[open_[here]] = before[here], reached[here]
        going = ~here
        open_ = open_[going]
        if not len(open_):
            break
        a, b, n, log_mass, before = (values[going] for values in (a, b, n, log_mass, reached))
        log_mass = log_mass + _log_growth(a, b, n, k)
    return below, upto


def _quantile(alpha: Array, beta: Array, trials: Array, q: Array) -> Array:
    """The least count with a cumulative probability of q, float64 (n,).

    Up to 1,000 trials by adding probabilities, all rows at once (scipy adds them for each row and each try: 20,000
    posts took 36 s). Above, the Beta distribution of the same mean and variance, rounded up.
    """
    from scipy.special import betaincinv

    many = trials > ADDED
    count = np.zeros(len(trials))
    far = betaincinv(*_matched(alpha[many], beta[many], trials[many]), q[many])
    count[many] = np.ceil(far * trials[many])
    open_ = np.flatnonzero(~many)
    a, b, n = alpha[open_], beta[open_], trials[open_]
    log_mass = _log_zero(a, b, n)
    reached = np.exp(log_mass)
    for k in range(int(n.max(initial=0))):
        going = (reached < q[open_]) & (k < n)
        if not going.any():
            break
        open_ = open_[going]
        a, b, n, log_mass, reached = (values[going] for values in (a, b, n, log_mass, reached))
        log_mass = log_mass + _log_growth(a, b, n, k)
        reached = reached + np.exp(log_mass)
        count[open_] = k + 1
    return count
