"""Weights for the rows of an imbalanced target: the alternative to sampling that adds no row and moves none.

A strength means something else on every target: by effective sample size exp(3y) leaves 99 % of the rows of 60 % zeros
and a Beta(0.7, 20), 60 % of rates spread evenly, and one row of 50,000 of the same rates in percent. So every scheme
also takes `ess`, the share of the rows that Kish's effective sample size is to be, and solves for its strength.
Weights sharpen the tail at a price: on ten sets they cut the squared error weighted by relevance (SERA) to 0.81 – 0.88
of doing nothing, and raised the plain one to 1.15 – 1.18.

Every function of `WEIGHTS` takes targets y (n,) and keywords, and returns float64 (n,): finite, positive, mean 1. All
raise `ValueError` for targets that are not finite numbers, for settings out of range, for a strength and `ess` at once,
and for an `ess` that cannot be reached, with what can. Atoms (`oversample.relevance.atoms`, zeros above all) have no
density; what becomes of them is said at each scheme.
"""

import numbers
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from oversample.density import Density, check_target
from oversample.relevance import atoms, fit_relevance

Array = NDArray[np.float64]
TINY = float(np.finfo(np.float64).tiny)
EXPONENTS = {"inverse": 1.0, "sqrt_inverse": 0.5}
STEEPEST = 2.0**1000  # a strength beyond which nothing changes


def effective_sample_size(weight: Array) -> float:
    """Kish's (Σw)² / Σw² in rows, from 1 to n, of weights (n,) from 0: as many equal weights estimate as precisely."""
    w = check_target(weight)
    if w.min() < 0 or w.max() == 0:
        raise ValueError(f"weights from {w.min():.4g} to {w.max():.4g}: expected none below 0, and one above")
    w = w / w.max()
    return float(w.sum() ** 2 / (w @ w))


def tempered(weight: Array, ess: float) -> Array:
    """Weights (n,) above 0 → w^t / mean(w^t), with t from 0 such that their effective sample size is `ess` · n.

    The order of the rows stays; t < 1 evens out, t > 1 sharpens. The limit of what can be reached is the share of the
    rows that have the largest weight.
    """
    w = check_target(weight)
    if w.min() <= 0:
        raise ValueError(f"the least weight is {w.min():.4g}: expected weights above 0")
    return _powers(np.log(w), ess)


def exponential(y: Array, *, alpha: float | None = None, ess: float | None = None) -> Array:
    """exp(α y) / mean: `alpha` is per unit of y, 3 unless `ess` is given, any finite number.

    For rates from 0 to 1: with α = 3 a rate of 1 weighs 20 times a rate of 0, and 0.1 weighs 1.35 times; with 10 it is
    22,026 and 2.7 times. Shifting y changes nothing; for y in percent divide α by 100. Zeros get the least weight.
    """
    y = check_target(y)
    _check_one(alpha=alpha, ess=ess)
    if ess is not None:
        return _powers(y, ess)
    strength = 3.0 if alpha is None else alpha
    if not np.isfinite(strength):
        raise ValueError(f"alpha={alpha!r}: expected a finite number")
    if strength == 0:
        return np.ones(len(y))
    with np.errstate(over="ignore"):  # a weight of exp(−∞) is the smallest
        return _scaled(strength * (y - (y.max() if strength > 0 else y.min())))


def dense(y: Array, *, alpha: float | None = None, epsilon: float = 1e-6, ess: float | None = None) -> Array:
    """DenseWeight (Steininger et al. 2021): max(1 − α p̂', ε) / mean, p̂' the density scaled to [0, 1]; α from 0, else 1.

    An atom counts as densest, p̂' = 1, and the rest is scaled alone. Across an atom a density tells nothing apart: at
    75 % zeros its bandwidth is 2e-9, and every positive of a skewed target gets the largest weight. With α = 1 and more
    atoms weigh ε, so that 60 % zeros are all but dropped: give `alpha` below 1, or `ess`.
    """
    y = check_target(y)
    _check_one(alpha=alpha, ess=ess)
    if (alpha is not None and not 0 <= alpha < np.inf) or not 0 < epsilon < 1:
        raise ValueError(f"alpha={alpha!r}, epsilon={epsilon!r}: expected alpha from 0 and 0 < epsilon < 1")
    relevance = fit_relevance("density", y)(y)

    def at(strength: float) -> Array:
        weight = np.maximum(1 - strength * (1 - relevance), epsilon)
        return np.asarray(weight / weight.mean())

    if ess is None:
        return at(1.0 if alpha is None else alpha)
    return at(_solved(at, _share(ess), 2.0**60))  # there every row but the rarest has the least weight


def lds(  # noqa: PLR0913 - a function of one setting each
    y: Array,
    *,
    bins: int = 100,
    kernel: str = "gaussian",
    kernel_size: int = 5,
    sigma: float = 2.0,
    reweight: str | None = None,
    ess: float | None = None,
) -> Array:
    """Label distribution smoothing (Yang et al. 2021): 1 / (kernel ∗ histogram) at each target's bin, over the mean.

    `bins` of equal width over the range; `kernel` "gaussian", "triangular" or "laplace", `kernel_size` bins wide (odd),
    `sigma` in bins, sum 1; `reweight` "inverse" (else) or "sqrt_inverse", the square root. An atom is a bin of its own,
    and not smoothed: beside 60 % zeros it would lend its lightness to a third of a skewed target's positives.
    """
    y = check_target(y)
    _check_one(reweight=reweight, ess=ess)
    if reweight not in (None, *EXPONENTS):
        raise ValueError(f"unknown reweight {reweight!r}: known are {', '.join(EXPONENTS)}")
    if not _whole(bins) or bins < 1:
        raise ValueError(f"bins={bins!r}: expected a whole number from 1")
    window = kernel_window(kernel, kernel_size, sigma)
    values, inverse, counts = np.unique(y, return_inverse=True, return_counts=True)
    crowd = counts.astype(np.float64)
    rest = ~np.isin(values, atoms(y))
    if rest.any():
        places = _bins(values[rest], bins)
        smooth = np.convolve(np.bincount(places, crowd[rest], bins), window)[len(window) // 2 :]
        crowd[rest] = smooth[places]
    rarity = -np.log(crowd[inverse])
    return _powers(rarity, ess) if ess is not None else _scaled(EXPONENTS[reweight or "inverse"] * rarity)


def ratio(
    y: Array,
    *,
    target: str | Callable[[Array], Array] = "uniform",
    exponent: float | None = None,
    clip: float = 20.0,
    ess: float | None = None,
) -> Array:
    """Density ratio (p_target / p_empirical)^exponent, 1 unless `ess` is given: the weights of importance sampling.

    `target` is "uniform" over the range or a density, up to a factor, as a function of values. Before the exponent,
    ratios of mean 1 are clipped to [1 / `clip`, `clip`], and brought back to mean 1. A continuous target has no mass at
    an atom: it keeps its own, ratio 1, and only the rest is shifted. Atoms are not made rarer, then, as the others do.
    """
    y = check_target(y)
    _check_one(exponent=exponent, ess=ess)
    strength = 1.0 if exponent is None else exponent
    if not 0 <= strength < np.inf or not 1 <= clip < np.inf:
        raise ValueError(f"exponent={exponent!r}, clip={clip!r}: expected exponent from 0 and clip from 1")
    logs = np.zeros(len(y))
    rest = ~np.isin(y, atoms(y))
    if rest.any():
        ratios = _wanted(target, y[rest]) / Density(y[rest]).kernels(y[rest])
        ratios = np.clip(ratios / ratios.mean(), 1 / clip, clip)
        logs[rest] = np.log(ratios / ratios.mean())
    return _powers(logs, ess) if ess is not None else _scaled(strength * logs)


WEIGHTS: dict[str, Callable[..., Array]] = {"exp": exponential, "dense": dense, "lds": lds, "ratio": ratio}


def kernel_window(kernel: str, size: int, sigma: float) -> Array:
    """Window (size,) of sum 1 for a histogram: "gaussian" and "laplace" of scale `sigma` bins, or "triangular"."""
    shapes: dict[str, Callable[[Array], Array]] = {
        "gaussian": lambda x: np.exp(-((x / sigma) ** 2) / 2),
        "triangular": lambda x: 1 - x / (size // 2 + 1),
        "laplace": lambda x: np.exp(-x / sigma),
    }
    if kernel not in shapes:
        raise ValueError(f"unknown kernel {kernel!r}: known are {', '.join(shapes)}")
    if not _whole(size) or size < 1 or size % 2 == 0 or not 0 < sigma < np.inf:
        raise ValueError(f"kernel_size={size!r}, sigma={sigma!r}: expected an odd number of bins and sigma above 0")
    window = shapes[kernel](np.abs(np.arange(size) - size // 2).astype(np.float64))
    return np.asarray(window / window.sum())


def _bins(values: Array, bins: int) -> NDArray[np.int64]:
    """The bin of each value, of equal bins over their range, the last one closed."""
    power = int(np.frexp(np.abs(values).max())[1])  # so that no range overflows
    scaled = np.ldexp(values, -power)
    width = np.ptp(scaled)
    places = np.zeros(len(values)) if width == 0 else (scaled - scaled.min()) / width * bins
    return np.minimum(places.astype(np.int64), bins - 1)


def _wanted(target: str | Callable[[Array], Array], values: Array) -> Array:
    """The density that is wanted at values (m,), in any unit."""
    if isinstance(target, str):
        if target != "uniform":
            raise ValueError(f"unknown target {target!r}: known is uniform, or a function of values")
        return np.ones(len(values))
    density = np.asarray(target(values), dtype=np.float64)
    if density.shape != values.shape or not (np.isfinite(density) & (density >= 0)).all() or not density.any():
        raise ValueError(f"target={target!r}: expected a finite number from 0 for every value, and one above 0")
    return np.asarray(density / density.max())


def _scaled(logs: Array) -> Array:
    """exp(logs) / mean; where it would round to 0, the smallest normal number."""
    weight = np.maximum(np.exp(logs - logs.max()), TINY)
    return np.asarray(weight / weight.mean())


def _powers(logs: Array, ess: float) -> Array:
    """exp(s · logs) / mean with the s from 0 that makes the effective sample size `ess` · n."""
    share = _share(ess)
    logs = np.ldexp(logs, -int(np.frexp(np.abs(logs).max())[1]))
    logs = (logs - logs.max()) / (float(np.ptp(logs)) or 1.0)  # from −1 to 0: steps of the strength fit any unit
    largest = int(np.sum(logs == 0))
    if largest == len(logs) and share < 1:
        raise ValueError(f"ess={ess!r} cannot be reached: expected 1, every row has the same weight")
    if share <= largest / len(logs) and share < 1:
        limit = f"expected more than {largest / len(logs):.6g}, up to 1"
        raise ValueError(f"ess={ess!r} cannot be reached: {limit}, {largest} of {len(logs)} rows share the top")
    return _scaled(_solved(lambda strength: _scaled(strength * logs), share, STEEPEST) * logs)


def _solved(weights: Callable[[float], Array], share: float, steepest: float) -> float:
    """The strength from 0 whose weights have that share of the rows as effective sample size; doubled until it does."""

    def excess(strength: float) -> float:
        weight = weights(strength)
        return effective_sample_size(weight) / len(weight) - share

    if share == 1 or excess(0.0) <= 0:
        return 0.0
    low, high, least = 0.0, 1.0, 1.0
    while (above := excess(high)) > 0:
        least = min(least, above + share)
        low, high = high, 2 * high
        if high > steepest:
            raise ValueError(f"ess={share!r} cannot be reached: expected {least:.6g} to 1")
    return float(brentq(excess, low, high, xtol=1e-12))


def _share(ess: Any) -> float:
    if not isinstance(ess, numbers.Real) or not 0 < float(ess) <= 1:
        raise ValueError(f"ess={ess!r}: expected a share of the rows, above 0 and up to 1")
    return float(ess)


def _whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _check_one(**settings: Any) -> None:
    """Raise `ValueError` where both a strength and `ess` are given."""
    if all(value is not None for value in settings.values()):
        given = ", ".join(f"{name}={value!r}" for name, value in settings.items())
        raise ValueError(f"{given}: expected one of them, since ess solves for the other")
