"""Few experiments of tests/simulation.py, with bounds that chance alone crosses once in 1,000 runs of other seeds.

The promised rates are those of 1,000 experiments: run the file itself.
"""

import pytest
from scipy.stats import binom

from tests.simulation import coverage, false_positives, right_verdicts

CHANCE = 0.001
EXPERIMENTS = 60


def at_most(rate: float) -> float:
    """The share of the experiments that a true rate of `rate` exceeds once in 1,000."""
    return float(binom.ppf(1 - CHANCE, EXPERIMENTS, rate)) / EXPERIMENTS


def test_equal_models_are_seldom_called_different() -> None:
    found = false_positives(EXPERIMENTS)
    assert found["pair"] <= at_most(0.05)
    assert found["family"] <= at_most(0.05)
    assert found["naive"] > at_most(0.05)  # the plain t test fails here: the experiments can tell


def test_intervals_hold_the_oracles_value() -> None:
    assert 1 - coverage(EXPERIMENTS) <= at_most(0.07)


@pytest.mark.parametrize(
    "name", ["constants", "means of folds", "faint noise", "shuffled", "shuffled authors", "the oracle"]
)
def test_verdicts_are_right(verdicts: dict[str, float], name: str) -> None:
    assert 1 - verdicts[name] <= at_most(0.01)


@pytest.mark.parametrize("name", ["biased upwards", "biased downwards"])
def test_a_bias_worse_than_the_mean_is_found(verdicts: dict[str, float], name: str) -> None:
    assert 1 - verdicts[name] <= at_most(0.05)


@pytest.fixture(scope="module")
def verdicts() -> dict[str, float]:
    return right_verdicts(EXPERIMENTS)
