"""p-values of compared runs: adjusted for all pairs, and what is done where they cannot be had."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.config import InputError
from regress.compare import Compare, run
from regress.entry import read_entry
from regress.inference import paired
from regress.intervals import post_intervals
from regress.metrics import cross_entropy
from regress.pairs import corrected_t, holm
from regress.runs import read_predictions
from regress.standing import Standing, adjusted, all_pairs, standings

RNG = np.random.default_rng(0)
MEAN = 0.5 + 0.01 * RNG.normal(size=(4, 5))
BETTER = MEAN - 0.1 + 0.01 * RNG.normal(size=(4, 5))
ALIKE = BETTER + 0.01 * RNG.normal(size=(4, 5))
USEFUL = {"name": "USEFUL", "why": "It is."}


def kept(model: np.ndarray, mean: np.ndarray = MEAN) -> dict[str, Any]:
    return {"model": model.tolist(), "mean": mean.tolist()}


@pytest.fixture
def write(world: Any) -> Callable[..., Path]:
    """A run with the skill, the D² and the fold losses that are named; None keeps none."""

    def write(name: str, d2: float, losses: dict[str, Any] | None, model: str = "ridge") -> Path:
        p = world.mean if model == "mean" else world.like(0.7 * d2)
        world.added = {"fold_losses": losses, "intervals": post_intervals(world.y, p, world.trials)}
        return world.write(world.folder / "runs", model, p, name=name, metrics={"d2": d2}, verdict=USEFUL)

    return write


def compared(*folders: Path) -> list[Standing]:
    entries = [read_entry(folder) for folder in folders]
    return standings(entries, read_predictions(entries))


def test_tests_against_the_mean_are_one_family_and_pairs_of_runs_another(write: Callable[..., Path]) -> None:
    best = write("best", 0.9, kept(BETTER))
    found = compared(best, write("alike", 0.8, kept(ALIKE)), write("mean", 0.0, kept(MEAN), "mean"))
    raw = [corrected_t((a - b).ravel(), 0.25).p for a, b in ((MEAN, BETTER), (MEAN, ALIKE), (BETTER, ALIKE))]
    first, second = holm(np.array(raw[:2]))
    third = raw[2]  # the only pair
    assert (found[0].p_mean, found[0].p_best) == (pytest.approx(first), None)
    assert (found[1].p_mean, found[1].p_best) == (pytest.approx(second), pytest.approx(third))
    assert (found[2].p_mean, found[2].p_best) == (None, None)  # the mean itself is a name for the training mean
    assert first < 1e-6
    assert third > 0.05


def test_every_pair_has_its_size_and_its_p(write: Callable[..., Path]) -> None:
    folders = [
        write("best", 0.9, kept(BETTER)),
        write("alike", 0.8, kept(ALIKE)),
        write("mean", 0.0, kept(MEAN), "mean"),
    ]
    entries = [read_entry(folder) for folder in folders]
    predictions = read_predictions(entries)
    p = adjusted(entries)
    found = {(pair.first, pair.second): pair for pair in all_pairs(entries, predictions, p)}
    assert set(found) == {(0, 1), (0, 2), (1, 2)}
    standing = standings(entries, predictions)
    assert (found[0, 2].p, found[1, 2].p, found[0, 1].p) == (standing[0].p_mean, standing[1].p_mean, standing[1].p_best)
    losses = cross_entropy(predictions.y, predictions.p).mean(axis=1)
    for (a, b), pair in found.items():
        assert pair.log_loss.mean == pytest.approx(losses[a] - losses[b])
        alone = paired(predictions.losses[a] - predictions.losses[b], predictions.clusters)
        assert pair.log_loss.high - pair.log_loss.low > 1.1 * (alone.high - alone.low)  # they hold together


def test_the_size_is_the_mean_difference_of_all_posts(write: Callable[..., Path]) -> None:
    folders = write("best", 0.9, kept(BETTER)), write("poor", 0.1, None)
    found = compared(*folders)
    predictions = read_predictions([read_entry(folder) for folder in folders])
    best, poor = (cross_entropy(predictions.y, p) for p in predictions.p)
    assert found[0].behind is None
    assert found[1].behind is not None
    assert found[1].behind.mean == pytest.approx((poor - best).mean())
    assert 0 < found[1].behind.low < found[1].behind.mean < found[1].behind.high


def test_runs_that_kept_no_fold_losses_have_no_p_values(write: Callable[..., Path]) -> None:
    found = compared(write("old", 0.9, None), write("new", 0.5, kept(BETTER)))
    assert [(each.p_mean is None, each.p_best is None) for each in found] == [(True, True), (False, True)]


def test_repetitions_that_both_have_are_compared(write: Callable[..., Path]) -> None:
    found = compared(write("twice", 0.9, kept(BETTER[:2], MEAN[:2])), write("often", 0.5, kept(ALIKE)))
    raw = [corrected_t((a - b)[:2].ravel(), 0.25).p for a, b in ((MEAN, BETTER), (MEAN, ALIKE), (BETTER, ALIKE))]
    assert found[1].p_best == pytest.approx(holm(np.array(raw))[2])


def test_other_numbers_of_folds_are_refused(write: Callable[..., Path]) -> None:
    folders = write("five", 0.9, kept(BETTER)), write("four", 0.5, kept(ALIKE[:, :4], MEAN[:, :4]))
    with pytest.raises(InputError, match="losses of different numbers of folds"):
        compared(*folders)


def test_the_table_and_the_report_show_them(write: Callable[..., Path], tmp_path: Path) -> None:
    write("best", 0.9, kept(BETTER))
    write("alike", 0.8, kept(ALIKE))
    done = run(Compare(runs=tmp_path / "runs", out=tmp_path / "report.html", gallery=6))
    lines = str(done).splitlines()
    p = done.analysis.standings[1].p_best
    assert p is not None
    assert lines[0].split()[-6:] == ["p", "mean", "p", "best", "verdict", "seconds"]
    assert "<0.001" in lines[1]
    assert f" {p:.3f} " in lines[2]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f'<data value="{p}">{p:.3f}</data></td>' in page
    assert f"Its folds do not tell it from alike (p\u00a0≥\u00a0{p:.2f})" in page
    assert page.count("best: nine in ten such posts lie from ") == page.count('<li class="card" ') == 6
