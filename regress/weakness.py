"""What the leading run gets wrong, in at most three sentences: each states the numbers that it rests on."""

from collections.abc import Sequence

import numpy as np

from data.page import percent
from regress.entry import Entry
from regress.inference import paired
from regress.runs import Predictions, leader
from regress.strata import Strata

HIGHEST = 0.1  # share of the posts, those with the highest predictions, whose level is looked at


def weaknesses(entries: Sequence[Entry], predictions: Predictions, strata: Sequence[Strata]) -> list[str]:
    """Of the leading run; nothing where there is only the mean."""
    first = leader(entries)
    if entries[first].is_reference:
        return []
    by = {each.by: each for each in strata}
    told = [_largest(by["rate"], first)] if "rate" in by else []
    told.append(_top(predictions, first))
    if "trials" in by and (seldom := _no_better(by["trials"], first, entries[0].ground.trials)):
        told.append(seldom)
    return told


def _largest(strata: Strata, place: int) -> str:
    """The bin of rates that makes most of the loss that a perfect model would not have, beyond its share of posts."""
    n = sum(each.posts for each in strata.bins)
    k = max(range(len(strata.bins)), key=lambda i: strata.errors[place][i].share - strata.bins[i].posts / n)
    bin_, error = strata.bins[k], strata.errors[place][k]
    posts = bin_.posts / n
    where = f"with rates from {percent(bin_.low)} to {percent(bin_.high)}" if bin_.high > 0 else "with a rate of zero"
    return (
        f"{percent(error.share)} of its excess log loss is on the {percent(posts)} of posts {where}: "
        f"it predicts {percent(error.predicted)} there, the truth is {percent(bin_.truth)}."
    )


def _top(predictions: Predictions, place: int) -> str:
    """Whether the highest predictions are right on average; equal predictions stay together."""
    p, y = predictions.p[place], predictions.y
    rows = np.flatnonzero(p >= np.quantile(p, 1 - HIGHEST))
    predicted, off = float(p[rows].mean()), paired(p[rows] - y[rows], predictions.clusters[rows])
    said = f"Its highest tenth of predictions say {percent(predicted)}, the truth is {percent(float(y[rows].mean()))}"
    span = f"95\u00a0% interval {percent(predicted - off.high)} to {percent(predicted - off.low)}"
    judged = "too high" if off.low > 0 else "too low" if off.high < 0 else "no bias beyond chance"
    return f"{said} ({span}): {judged}."


def _no_better(strata: Strata, place: int, trials: str) -> str | None:
    """The bins of trials in which it is not proven better than predicting the mean, where there are others."""
    open_ = [k for k, error in enumerate(strata.errors[place]) if error.gain.low <= 0]
    if not open_ or len(open_) == len(strata.bins):
        return None
    spans = [f"{strata.bins[k].low:,.0f} to {strata.bins[k].high:,.0f}" for k in open_]
    return f"With {' or '.join(spans)} {trials} it is not proven better than predicting the mean."
