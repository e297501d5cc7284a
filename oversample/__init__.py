"""Oversampling for regression: rarer targets made more frequent, in feature space, with imbalanced-learn's contract."""

from oversample.adasyn import ADASYN
from oversample.base import RegressionSampler
from oversample.cmixup import CMixup
from oversample.generative import VAESampler
from oversample.gsmote import GSMOTE
from oversample.metrics import geometric_mean_error, retrieval, sera, sera_curve, shots
from oversample.noise import GaussianNoise
from oversample.over import Oversampler
from oversample.plot import plot_relevance
from oversample.random import RandomOversampler, RandomUndersampler
from oversample.ratio import DensityRatio
from oversample.relevance import fit_relevance
from oversample.smogn import SMOGN
from oversample.smoter import SMOTER
from oversample.weights import WEIGHTS, effective_sample_size, tempered
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
    "vae": VAESampler,
}

__all__ = [
    "ADASYN",
    "GSMOTE",
    "SAMPLERS",
    "SMOGN",
    "SMOTER",
    "WEIGHTS",
    "WERCS",
    "CMixup",
    "DensityRatio",
    "GaussianNoise",
    "Oversampler",
    "RandomOversampler",
    "RandomUndersampler",
    "RegressionSampler",
    "VAESampler",
    "effective_sample_size",
    "fit_relevance",
    "geometric_mean_error",
    "plot_relevance",
    "retrieval",
    "sera",
    "sera_curve",
    "shots",
    "tempered",
]
