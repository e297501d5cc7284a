"""The entropy of true rates, from rates that carry binomial noise.

An entropy has no unbiased estimate from counts, and plugging the rate in is far off where events are few. So the
distribution of the true rates is estimated first, without assuming its shape: the nonparametric maximum likelihood of
Kiefer and Wolfowitz (1956) on a grid of 250 rates, by EM (Laird 1978) that leaps ahead (SQUAREM; Varadhan and Roland
2008); each post's entropy is then its expectation given the post's own count. On simulated rates (beta, zero-inflated,
two atoms, log-normal; 2 to 11,000 trials) the ceilings of D² made of it are within 0.06 of the truth, where Zhang's
estimate is up to 0.4 and a beta prior 0.08 off.

25,000 posts take 0.2 s of CPU: the distribution is fitted on at most 4,000 of them. 60 steps that leap come as near to
the truth as 300 that do not, at a third of the time; 60 that do not see 0.09 of D² in pure noise.
"""

import numpy as np
from numpy.typing import NDArray

from data.targets import label_entropy

Array = NDArray[np.float64]

GRID, SMALL = 200, 50  # even steps of arcsin √p, and geometric ones below the first of them
CYCLES = 20  # of three steps of EM
FARTHEST = 1e4  # leap
FITTED = 4000  # posts: their likelihoods in float32 stay in a core's cache
BLOCK = 4096
FLOOR = 1e-12  # of a grid point's probability: no post is without any


def true_entropy(y: Array, trials: Array, seed: int = 0) -> Array:
    """E[H(p) | y, trials] of each post in nats, float64 (n,), for rates y in [0, 1] and trials of 1 or more, (n,)."""
    p = _grid(y, trials)
    entropy, weights = label_entropy(p), np.full(len(p), 1 / len(p))
    rows = np.random.default_rng(seed).permutation(len(y))[:FITTED]
    likelihood = _likelihood(y[rows], trials[rows], p).astype(np.float32)
    for _ in range(CYCLES):
        weights = _cycle(weights, likelihood)
    found = np.empty_like(y)
    for start in range(0, len(y), BLOCK):
        block = slice(start, start + BLOCK)
        posterior = _likelihood(y[block], trials[block], p) * weights
        found[block] = posterior @ entropy / posterior.sum(axis=1)
    return found


def _cycle(weights: Array, likelihood: NDArray[np.float32]) -> Array:
    """Two steps of EM, a leap as far as they point, and a third step from there."""
    first = _step(weights, likelihood)
    second = _step(first, likelihood)
    move = first - weights
    bend = second - first - move
    size = float(np.linalg.norm(bend))
    leap = min(max(1.0, float(np.linalg.norm(move)) / size), FARTHEST) if size > 0 else 1.0
    return _step(np.maximum(weights + 2 * leap * move + leap**2 * bend, FLOOR), likelihood)


def _step(weights: Array, likelihood: NDArray[np.float32]) -> Array:
    """The posterior probabilities of the grid's points, mean over the posts; the sum of `weights` does not matter."""
    new = weights * (likelihood.T @ (1 / (likelihood @ weights.astype(np.float32)))) + FLOOR
    return np.asarray(new / new.sum())


def _grid(y: Array, trials: Array) -> Array:
    """Rates from 0 to beyond the highest, in steps of about equal noise; finer near 0, where rates pile up."""
    top = min(1.0, 1.2 * float(y.max()) + 1 / float(trials.min()))
    even = np.sin(np.linspace(0, np.arcsin(np.sqrt(top)), GRID)) ** 2
    lowest = min(0.1 / float(trials.max()), even[1] / 2)
    return np.concatenate([[0.0], np.geomspace(lowest, even[1], SMALL, endpoint=False), even[1:]])


def _likelihood(y: Array, trials: Array, p: Array) -> Array:
    """(n, grid) binomial likelihoods, each post's highest being 1."""
    from scipy.special import xlog1py, xlogy

    count = np.rint(y * trials)
    logs = xlogy(count[:, None], p) + xlog1py((trials - count)[:, None], -p)
    logs -= logs.max(axis=1, keepdims=True)
    return np.asarray(np.exp(logs))
