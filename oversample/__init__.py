"""Oversampling for regression: rarer targets made more frequent, in feature space, with imbalanced-learn's contract."""

from oversample.adasyn import ADASYN
from oversample.base import RegressionSampler
from oversample.cmixup import CMixup
from oversample.gsmote import GSMOTE
from oversample.noise import GaussianNoise
from oversample.random import RandomOversampler, RandomUndersampler
from oversample.ratio import DensityRatio
from oversample.relevance import fit_relevance
from oversample.smogn import SMOGN
from oversample.smoter import SMOTER
from oversample.wercs import WERCS

SAMPLERS: dict[str, type[RegressionSampler]] = {
    "random": RandomOversampler,
    "undersample": RandomUndersampler,
    "smoter": SMOTER,
    "smogn": SMOGN,
    "noise": GaussianNoise,
    "wercs": WERCS,
    "adasyn": ADASYN,
    "gsmote": GSMOTE,
    "cmixup": CMixup,
    "ratio": DensityRatio,
}

__all__ = [
    "ADASYN",
    "GSMOTE",
    "SAMPLERS",
    "SMOGN",
    "SMOTER",
    "WERCS",
    "CMixup",
    "DensityRatio",
    "GaussianNoise",
    "RandomOversampler",
    "RandomUndersampler",
    "RegressionSampler",
    "fit_relevance",
]
