"""Coverage of intervals: counted out of sample, groups kept together, absent where posts are too few."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regress import coverage
from regress.coverage import coverages
from regress.entry import read_entry
from regress.intervals import PostIntervals, post_intervals
from regress.runs import read_predictions


@pytest.fixture
def write(make_world: Callable[..., Any]) -> Callable[..., Any]:
    """(entries, predictions) of one run of n posts that keeps intervals, and of one that keeps none."""

    def write(n: int) -> Any:
        world = make_world(n=n)
        p = world.like(0.9)
        world.added = {"intervals": post_intervals(world.y, p, world.trials)}
        folders: list[Path] = [world.write(world.folder / "runs", "ridge", p, f"kept-{n}")]
        world.added = {"intervals": None}
        folders.append(world.write(world.folder / "runs", "ridge", p, f"none-{n}"))
        entries = [read_entry(folder) for folder in folders]
        return entries, read_predictions(entries)

    return write


def test_nine_in_ten_are_covered_in_every_quarter(write: Any) -> None:
    entries, predictions = write(4000)
    (found,) = coverages(entries, predictions, 30)
    assert found.place == 0
    assert found.covered == pytest.approx(0.9, abs=0.03)
    assert [each.posts for each in found.quarters] == [1000] * 4
    assert all(each.covered.mean == pytest.approx(0.9, abs=0.05) for each in found.quarters)
    assert all(each.covered.low < each.covered.mean < each.covered.high for each in found.quarters)
    widths = [each.width for each in found.quarters]
    assert widths == sorted(widths)  # higher rates vary more
    weights = np.array([each.posts for each in found.quarters]) / 4000
    assert found.width == pytest.approx(weights @ widths)


def test_they_are_counted_on_posts_they_were_not_fitted_on(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    entries, predictions = write(300)
    fitted: list[set[float]] = []
    counted: list[set[float]] = []

    def fit(y: Any, p: Any, trials: Any, **given: Any) -> Any:
        fitted.append(set(p))
        return post_intervals(y, p, trials, **given)

    def count(self: PostIntervals, p: Any, trials: Any) -> Any:
        counted.append(set(p))
        return called(self, p, trials)

    called = PostIntervals.__call__
    monkeypatch.setattr(coverage, "post_intervals", fit)
    monkeypatch.setattr(PostIntervals, "__call__", count)
    coverages(entries, predictions, 30)
    assert [a & b for a, b in zip(fitted, counted, strict=True)] == [set(), set()]
    assert counted[0] | counted[1] == set(predictions.p[0])


def test_posts_of_one_cluster_are_in_one_half(write: Any) -> None:
    clusters = np.repeat(np.arange(50), 4)
    half = coverage._halves(clusters)
    assert half.sum() == 100
    assert all(len(set(half[clusters == k])) == 1 for k in range(50))


def test_too_few_posts_and_too_many_runs(write: Any) -> None:
    assert coverages(*write(60), 30) == []
    assert coverages(*write(301), 0) == []
