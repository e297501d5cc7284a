"""Where the error lies: log loss by bins of the rate and of the trials, the zeros apart.

By the trials a good model is right on average in every bin. By the rate none is: the highest rates are high by luck as
well, and even the best prediction is below them. Runs can be compared there, with each other and with the mean.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data.targets import label_entropy
from regress.entry import Entry
from regress.inference import Difference, paired
from regress.metrics import cross_entropy
from regress.runs import Predictions

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
RATE_QUANTILES = (0.25, 0.5, 0.75, 0.9)  # of the rates above zero: the tail is looked at closely
TRIAL_QUANTILES = (0.2, 0.4, 0.6, 0.8)


@dataclass(frozen=True)
class Stratum:
    """Posts whose rate, or whose trials, lie from `low` to `high`."""

    low: float
    high: float
    posts: int
    truth: float  # mean rate


@dataclass(frozen=True)
class StratumError:
    """How one run does in one stratum."""

    predicted: float  # mean prediction
    excess: float  # mean log loss above the floor, nats
    gain: Difference  # mean log loss of predicting the mean less the run's; above 0 the run is better; 95 %
    share: float  # of the run's excess log loss over all posts


@dataclass(frozen=True)
class Strata:
    """One way to bin the posts, and how every run does in each bin."""

    by: Literal["rate", "trials"]
    bins: list[Stratum]
    errors: list[list[StratumError]]  # by run, in the order of the leaderboard, and bin

    def to_json(self, entries: Sequence[Entry]) -> dict[str, Any]:
        bins = [asdict(each) for each in self.bins]
        runs = {entry.name: _told(errors) for entry, errors in zip(entries, self.errors, strict=True)}
        return {"by": self.by, "bins": bins, "runs": runs}


def _told(errors: Sequence[StratumError]) -> list[dict[str, Any]]:
    return [
        {"predicted": e.predicted, "excess": e.excess, "share": e.share, "gain": [e.gain.low, e.gain.mean, e.gain.high]}
        for e in errors
    ]


def strata(predictions: Predictions) -> list[Strata]:
    """By the rate and by the trials; a way that gives a single bin is left out."""
    y, trials = predictions.y, predictions.trials
    positive = np.flatnonzero(y > 0)
    zero = [np.flatnonzero(y <= 0)] if len(positive) < len(y) else []
    by_rate = [*zero, *(positive[rows] for rows in quantile_bins(y[positive], RATE_QUANTILES))]
    ways: list[tuple[Literal["rate", "trials"], Array, list[Rows]]] = [
        ("rate", y, by_rate),
        ("trials", trials, quantile_bins(trials, TRIAL_QUANTILES)),
    ]
    floor = label_entropy(y)
    excess, gain = predictions.losses - floor, cross_entropy(y, predictions.mean) - predictions.losses
    return [
        Strata(
            by,
            [Stratum(float(v[r].min()), float(v[r].max()), len(r), float(y[r].mean())) for r in bins],
            [_errors(predictions, place, bins, excess[place], gain[place]) for place in range(len(excess))],
        )
        for by, v, bins in ways
        if len(bins) > 1
    ]


def quantile_bins(values: Array, quantiles: Sequence[float]) -> list[Rows]:
    """Rows of each bin, the lowest values first; equal values stay together, and no bin is empty."""
    if not len(values):
        return []
    edges = np.unique(np.quantile(values, quantiles, method="higher"))
    place = np.searchsorted(edges, values, side="right")
    return [rows for k in range(len(edges) + 1) if len(rows := np.flatnonzero(place == k))]


def _errors(
    predictions: Predictions, place: int, bins: Sequence[Rows], excess: Array, gain: Array
) -> list[StratumError]:
    total = max(float(excess.sum()), float(np.finfo(float).tiny))
    return [
        StratumError(
            predicted=float(predictions.p[place, rows].mean()),
            excess=float(excess[rows].mean()),
            gain=paired(gain[rows], predictions.clusters[rows]),
            share=float(excess[rows].sum()) / total,
        )
        for rows in bins
    ]
