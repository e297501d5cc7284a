"""What the leading run gets wrong: planted faults are named, and nothing is said of the mean."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regress.entry import Entry, read_entry
from regress.runs import Predictions, read_predictions
from regress.strata import strata
from regress.weakness import weaknesses


@pytest.fixture
def read(make_world: Any) -> tuple[list[Entry], Predictions]:
    world = make_world(n=2000)
    folder: Path = world.write(world.folder / "runs", "ridge", world.like(0.9))
    entries = [read_entry(folder)]
    return entries, read_predictions(entries)


def said(entries: list[Entry], predictions: Predictions, p: Any) -> list[str]:
    planted = replace(predictions, p=np.clip(np.asarray(p)[None], 1e-4, 1 - 1e-4))
    return weaknesses(entries, planted, strata(planted))


def test_the_tail_is_named_where_it_is_missed(read: Any) -> None:
    entries, predictions = read
    y = predictions.y
    first, *_ = said(entries, predictions, np.where(y > np.quantile(y, 0.95), 0.01, y))
    low = np.quantile(y[y > 0], 0.9, method="higher")
    assert f"of posts with rates from {100 * low:.1f}\u00a0% to" in first
    assert "it predicts" in first
    assert "of its excess log loss" in first


def test_zeros_are_named_where_they_are_missed(read: Any) -> None:
    entries, predictions = read
    first, *_ = said(entries, predictions, np.where(predictions.y == 0, 0.5, predictions.y))
    assert "of posts with a rate of zero: it predicts 50.0\u00a0% there, the truth is 0.0\u00a0%." in first


@pytest.mark.parametrize(("times", "judged"), [(2.0, "too high"), (0.5, "too low"), (1.0, "no bias beyond chance")])
def test_the_level_of_the_highest_predictions(read: Any, make_world: Any, times: float, judged: str) -> None:
    entries, predictions = read
    rate = make_world(n=2000).rate  # the same seed: what the counts were drawn from
    second = said(entries, predictions, rate * times)[1]
    highest = 100 * np.sort(np.clip(rate * times, 1e-4, 1 - 1e-4))[-200:].mean()
    truth = 100 * predictions.y[np.argsort(rate)[-200:]].mean()
    assert second.startswith(
        f"Its highest tenth of predictions say {highest:.1f}\u00a0%, the truth is {truth:.1f}\u00a0%"
    )
    assert second.endswith(f": {judged}.")


def test_bins_of_trials_without_a_gain_are_named(read: Any) -> None:
    entries, predictions = read
    few = predictions.trials <= np.quantile(predictions.trials, 0.2)
    p = np.where(few, predictions.mean, predictions.p[0])
    third = said(entries, predictions, p)[2]
    assert third.startswith(f"With {predictions.trials.min():.0f} to ")
    assert third.endswith("view it is not proven better than predicting the mean.")
    assert len(said(entries, predictions, predictions.mean)) == 2  # everywhere: that is the verdict, no weakness


def test_the_mean_alone_has_none(world: Any) -> None:
    entries = [read_entry(world.write(world.folder / "runs", "mean", world.mean))]
    predictions = read_predictions(entries)
    assert weaknesses(entries, predictions, strata(predictions)) == []
