"""Whether oversampling helps, on planted predictions: everywhere, for rare posts only, by luck, or not at all."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from regress.benefit import MEANINGS, Benefit, benefits
from regress.compare import Compare, run
from regress.metrics import rarity, scores
from regress.runs import choose, read_predictions

Array = NDArray[np.float64]


@pytest.fixture
def plant(world: Any) -> Callable[..., Path]:
    """`plant(oversample, predictions)` → a run of one model with that sampler."""

    def write(oversample: str, p: Array, model: str = "ridge", **changes: Any) -> Path:
        name = f"{model}-{oversample}"
        folder: Path = world.write(world.folder / "runs", model, p, name, name=name, oversample=oversample, **changes)
        return folder

    return write


def judged(world: Any) -> dict[str, Benefit]:
    entries, _ = choose([], world.folder / "runs")
    found = benefits(entries, read_predictions(entries))
    return {entries[benefit.place].oversample: benefit for benefit in found}


def findings(world: Any) -> dict[str, tuple[str, str]]:
    return {name: (benefit.everywhere, benefit.rare) for name, benefit in judged(world).items()}


def shifted(world: Any, share: float, where: NDArray[np.bool_] | None = None) -> Array:
    """The mean moved towards the hidden rate; `where` says for which posts, all without."""
    moved = share * world.rate + (1 - share) * world.mean
    return np.clip(moved if where is None else np.where(where, moved, world.mean), 1e-4, 1 - 1e-4)


def test_a_sampler_helps_only_where_it_beats_nothing_and_random(world: Any, plant: Any) -> None:
    plant("none", shifted(world, 0.2))
    plant("random", shifted(world, 0.5))
    plant("smoter", shifted(world, 0.8))
    plant("smogn", shifted(world, 0.5) * world.random.lognormal(0, 0.02, world.n))
    plant("undersample", shifted(world, 0.0))
    plant("dense-weights:ess=0.5", shifted(world, 0.2))
    assert findings(world) == {
        "smoter": ("helps", "helps"),
        "random": ("helps", "helps"),  # is compared with nothing alone
        "smogn": ("no more than random", "no more than random"),
        "dense-weights:ess=0.5": ("unproven", "unproven"),
        "undersample": ("hurts", "hurts"),
    }


def test_rare_posts_are_judged_apart(world: Any, plant: Any) -> None:
    rare = rarity(world.y) > 0
    plant("none", world.mean)
    plant("random", world.mean)
    worse = np.clip(world.mean + np.where(rare, 0.3 * (world.y - world.mean), 0.12), 1e-4, 1 - 1e-4)
    plant("smoter", worse)
    assert findings(world)["smoter"] == ("hurts", "helps")


def test_without_a_baseline_nothing_is_said(world: Any, plant: Any) -> None:
    plant("smoter", shifted(world, 0.8))
    assert findings(world) == {"smoter": ("no baseline", "no baseline")}
    plant("none", shifted(world, 0.2), model="lgbm")  # another model is no baseline
    assert findings(world) == {"smoter": ("no baseline", "no baseline")}
    plant("none", shifted(world, 0.2))
    assert findings(world) == {"smoter": ("no baseline", "no baseline")}  # random is still to be fitted
    plant("random", shifted(world, 0.2))
    assert findings(world)["smoter"] == ("helps", "helps")


def test_a_baseline_is_recalibrated(world: Any, plant: Any) -> None:
    plant("none", shifted(world, 0.2), calibration="none")
    plant("random", shifted(world, 0.2))
    assert judged(world)["random"].nothing is None


def test_noise_is_seldom_called_help(world: Any, plant: Any) -> None:
    base = shifted(world, 0.5)
    plant("none", base)
    plant("random", base * world.random.lognormal(0, 0.02, world.n))
    for k in range(3, 23):
        plant(f"smoter:k_neighbors={k}", np.clip(base * world.random.lognormal(0, 0.02, world.n), 1e-4, 1 - 1e-4))
    said = [finding for pair in findings(world).values() for finding in pair]
    assert len(said) == 42
    assert not any(finding.startswith("helps") for finding in said)


def test_sera_is_the_squared_error_of_rare_posts(world: Any) -> None:
    mean = np.full(world.n, world.y.mean())
    phi = rarity(world.y)
    assert (phi[world.y == 0] == 0).all()
    assert phi.max() == 1
    assert scores(world.y, mean, mean, world.trials).sera == pytest.approx(np.sum(phi * (mean - world.y) ** 2))
    assert scores(world.y, world.y, mean, world.trials).sera == 0


def test_table_json_and_report_say_it(world: Any, plant: Any, tmp_path: Path) -> None:
    plant("none", shifted(world, 0.2))
    plant("random", shifted(world, 0.2))
    plant("smoter", shifted(world, 0.8))
    result = run(Compare(runs=tmp_path / "runs", out=tmp_path / "report.html", gallery=0))
    lines = str(result).splitlines()
    assert lines[-3:-1] == [
        "oversampling on all posts (log loss): unproven 1, helps 1: ridge-smoter",
        "oversampling on rare posts (SERA): unproven 1, helps 1: ridge-smoter",
    ]
    first, second = json.loads(json.dumps(result.to_json()))["oversampling"]
    assert (first["run"], first["log_loss"], first["sera"]) == ("ridge-smoter", "helps", "helps")
    assert first["nothing"]["run"] == "ridge-none"
    low, middle, high = first["random"]["sera"]
    assert low < middle < high < 0
    assert second["random"] is None
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Does oversampling help?" in page
    assert page.count(f'title="{MEANINGS["helps"]}"') == 2


def test_without_samplers_the_report_does_not_ask(world: Any, plant: Any, tmp_path: Path) -> None:
    plant("none", shifted(world, 0.2))
    result = run(Compare(runs=tmp_path / "runs", out=tmp_path / "report.html", gallery=0))
    assert "oversampling" not in str(result)
    assert "Does oversampling help?" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_runs_without_sera_are_read(world: Any, plant: Any, tmp_path: Path) -> None:
    folder = plant("none", shifted(world, 0.2))
    manifest = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    del manifest["metrics"]["sera"]
    (folder / "run.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert run(Compare(runs=tmp_path / "runs", out=tmp_path / "r.html", gallery=0)).to_json()["runs"][0]["sera"] is None
