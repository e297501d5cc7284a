"""Losses by one name for trees and heads: mse, bce, wbce:ALPHA (the origin's weight exp(α·y)).

A loss is a shape (squared error, or cross-entropy on soft labels) and a weight per row; nothing else differs between
models. Cross-entropy weights grow with the target, so they shift the level of predictions: see regress.calibration.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.config import InputError
from data.names import unknown

KNOWN = ("bce", "mse", "wbce:ALPHA")
MAX_ALPHA = 50.0  # exp(50·y) spans 21 decades: one row is the whole sample long before that


@dataclass(frozen=True)
class Loss:
    """`squared`: (p − y)², else −y ln p − (1 − y) ln(1 − p); each row weighted by exp(alpha · y), mean 1."""

    name: str
    squared: bool = False
    alpha: float = 0.0

    @classmethod
    def parse(cls, text: str) -> "Loss":
        """ "mse", "bce" or "wbce:3" → Loss; an `InputError` otherwise."""
        name, colon, value = text.partition(":")
        if text in ("mse", "bce"):
            return cls(text, squared=text == "mse")
        if colon and name in ("mse", "bce"):
            raise InputError(f"loss {text!r}: {name} takes no weight, write {name}, or wbce:3 for one")
        if name != "wbce":
            raise InputError(unknown(name, KNOWN, "loss").replace("known losss", "known losses"))
        try:
            alpha = float(value) if colon else math.nan
        except ValueError:
            alpha = math.nan
        if not 0 < alpha <= MAX_ALPHA:
            raise InputError(f"loss {text!r} needs a weight above 0 and up to {MAX_ALPHA:g}: write for example wbce:3")
        return cls(f"wbce:{alpha:g}", alpha=alpha)

    def weights(self, y: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64 (n,), mean 1: exp(α·y) over its mean; ones without α."""
        if not self.alpha:
            return np.ones(len(y))
        weight = np.exp(self.alpha * y)
        return np.asarray(weight / weight.mean())

    def value(self, score: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Unweighted loss of each row at a raw score: the prediction for `mse`, its logit otherwise."""
        if self.squared:
            return (score - y) ** 2
        return np.asarray(np.logaddexp(0.0, score) - y * score)

    def gradient(self, score: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivative of `value` by the score."""
        return 2 * (score - y) if self.squared else sigmoid(score) - y

    def predict(self, score: NDArray[np.float64]) -> NDArray[np.float64]:
        """Raw score → prediction: itself for `mse`, else its sigmoid."""
        return score if self.squared else sigmoid(score)


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(−x)) without overflow."""
    from scipy.special import expit

    return np.asarray(expit(x))
