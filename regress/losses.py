"""Losses by one name for trees and heads: squared error, cross-entropy on soft labels, and what is made of the two.

    mse             (p − y)²
    bce             −y ln p − (1 − y) ln(1 − p)
    wbce:ALPHA      bce, rows weighted by exp(α·y): the origin's
    binomial        bce, rows weighted by what their trials are worth: regress.dispersion
    focal:GAMMA     bce times |y − p|^γ: quality focal loss (Li et al. 2020); heads only
    bmse            Balanced MSE by batch Monte-Carlo (Ren et al. 2022); heads only

A loss is a value at a raw score and a weight per row; here is the one definition, which torch and LightGBM are tested
against. Only mse, bce and binomial estimate the mean; the others move the level of predictions, have to be calibrated
(regress.calibration), and win nothing in D²: an `mlp` on 20,000 × 1,536 simulated features scores, calibrated, 0.42
with bce and binomial, 0.40 with wbce:3, 0.39 with bmse and focal:1, 0.37 with focal:2 and mse.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.config import InputError
from data.names import unknown
from regress.dispersion import trial_weights

Array = NDArray[np.float64]

KNOWN = ("bce", "binomial", "bmse", "focal:GAMMA", "mse", "wbce:ALPHA")
KINDS = tuple(name.partition(":")[0] for name in KNOWN)
MAX_ALPHA = 50.0  # exp(50·y) spans 21 decades: one row is the whole sample long before that
MAX_GAMMA = 10.0


@dataclass(frozen=True)
class Loss:
    """`squared`: the raw score is the prediction; otherwise it is its logit."""

    name: str
    squared: bool = False
    alpha: float = 0.0
    gamma: float = 0.0

    @property
    def kind(self) -> str:
        """The name without its parameter."""
        return self.name.partition(":")[0]

    @classmethod
    def parse(cls, text: str) -> "Loss":
        """ "mse", "bce", "wbce:3", "focal:2", … → Loss; an `InputError` otherwise."""
        kind, colon, value = text.partition(":")
        if kind not in KINDS:
            question = unknown(kind, KINDS, "loss").partition(" known ")[0]
            raise InputError(f"{question} known losses are {', '.join(KNOWN)}")
        if kind == "wbce":
            alpha = _number(value)
            if not 0 < alpha <= MAX_ALPHA:
                raise InputError(
                    f"loss {text!r} needs a weight above 0 and up to {MAX_ALPHA:g}: write for example wbce:3"
                )
            return cls(f"wbce:{alpha:g}", alpha=alpha)
        if kind == "focal":
            gamma = _number(value)
            if not (gamma == 0 or 1 <= gamma <= MAX_GAMMA):  # between, the slope at p = y is infinite
                raise InputError(f"loss {text!r} needs a γ of 0, or from 1 to {MAX_GAMMA:g}: write for example focal:2")
            return cls(f"focal:{gamma:g}", gamma=gamma)
        if colon:
            raise InputError(f"loss {text!r}: {kind} takes no weight, write {kind}, or wbce:3 for one")
        return cls(kind, squared=kind in ("mse", "bmse"))

    def weights(self, y: Array, trials: Array | None = None, rho: float = 0.0) -> Array:
        """float64 (n,), mean 1: exp(α·y) for wbce, v/(1 + (v − 1)ρ) of `trials` v for binomial, else ones."""
        if self.kind == "binomial":
            if trials is None:
                raise ValueError("binomial weighs rows by their trials, which are not given")
            return trial_weights(trials, rho)
        weight = np.exp(self.alpha * y)
        return np.asarray(weight / weight.mean())

    def value(self, score: Array, y: Array, noise: float = 1.0) -> Array:
        """Unweighted loss (n,) of rows at raw scores.

        For bmse the rows are one batch: −ln softmax_i of −(score_i − y_j)²/2σ² over the batch's targets y_j, σ the
        `noise`. It asks of a score to be nearer to its own target than to the others', so the many zeros compete with
        each other and not with the rare rates.
        """
        if self.kind == "bmse":
            from scipy.special import logsumexp

            logits = _logits(score, y, noise)
            return np.asarray(logsumexp(logits, axis=1) - np.diagonal(logits))
        if self.squared:
            return (score - y) ** 2
        entropy = np.logaddexp(0.0, score) - y * score
        return np.asarray(np.abs(sigmoid(score) - y) ** self.gamma * entropy)

    def gradient(self, score: Array, y: Array, noise: float = 1.0) -> Array:
        """Derivative of `value` by the score; of bmse's, by the row's own score."""
        if self.kind == "bmse":
            from scipy.special import softmax

            return np.asarray((softmax(_logits(score, y, noise), axis=1) @ y - y) / noise**2)
        if self.squared:
            return 2 * (score - y)
        p = sigmoid(score)
        if not self.gamma:
            return p - y
        miss, entropy = np.abs(p - y), np.logaddexp(0.0, score) - y * score
        steeper = self.gamma * miss ** (self.gamma - 1) * np.sign(p - y) * p * (1 - p) * entropy
        return np.asarray(steeper + miss**self.gamma * (p - y))

    def predict(self, score: Array) -> Array:
        """Raw score → prediction: itself where `squared`, else its sigmoid."""
        return score if self.squared else sigmoid(score)


def _number(text: str) -> float:
    """The number that a text is, or NaN."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _logits(score: Array, y: Array, noise: float) -> Array:
    """(n, n): how well each score (a row) suits each target, −(score − y)²/2σ²."""
    return np.asarray(-((score[:, None] - y[None, :]) ** 2) / (2 * noise**2))


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(−x)) without overflow."""
    from scipy.special import expit

    return np.asarray(expit(x))
