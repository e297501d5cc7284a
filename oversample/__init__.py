"""Oversampling for regression: rarer targets made more frequent, in feature space, with imbalanced-learn's contract."""

from oversample.adasyn import ADASYN
from oversample.base import RegressionSampler
from oversample.noise import GaussianNoise
from oversample.random import RandomOversampler, RandomUndersampler
from oversample.relevance import fit_relevance
from oversample.smogn import SMOGN
from oversample.smoter import SMOTER

SAMPLERS: dict[str, type[RegressionSampler]] = {
    "random": RandomOversampler,
    "undersample": RandomUndersampler,
    "smoter": SMOTER,
    "smogn": SMOGN,
    "noise": GaussianNoise,
    "adasyn": ADASYN,
}

__all__ = [
    "ADASYN",
    "SAMPLERS",
    "SMOGN",
    "SMOTER",
    "GaussianNoise",
    "RandomOversampler",
    "RandomUndersampler",
    "RegressionSampler",
    "fit_relevance",
]
