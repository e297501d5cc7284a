"""Oversampling for regression: rarer targets made more frequent, in feature space, with imbalanced-learn's contract."""

from oversample.base import RegressionSampler
from oversample.random import RandomOversampler, RandomUndersampler
from oversample.relevance import fit_relevance
from oversample.smoter import SMOTER

SAMPLERS: dict[str, type[RegressionSampler]] = {
    "random": RandomOversampler,
    "undersample": RandomUndersampler,
    "smoter": SMOTER,
}

__all__ = ["SAMPLERS", "SMOTER", "RandomOversampler", "RandomUndersampler", "RegressionSampler", "fit_relevance"]
