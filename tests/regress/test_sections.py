"""The report's sections: there where they apply, absent where not, their numbers those of --json."""

import html
import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from data.files import sha256_file
from regress.compare import Compare, run
from regress.intervals import post_intervals
from regress.metrics import cross_entropy

ENCODERS = {
    "eff": {"spec": {"kind": "image", "family": "timm"}},
    "bert": {"spec": {"kind": "text", "family": "transformers"}},
}
ALWAYS = {"board", "spread", "words", "method", "again"}
SOMETIMES = {"pairs", "parts", "modalities", "strata", "coverage", "leakage", "curves", "timings", "calibration"}
Compared = Callable[..., tuple[str, dict[str, Any]]]


@pytest.fixture
def compared(world: Any) -> Compared:
    def make() -> tuple[str, dict[str, Any]]:
        out = world.folder / "report.html"
        told = run(Compare(runs=world.folder / "runs", out=out, gallery=4)).to_json()
        return out.read_text(encoding="utf-8"), json.loads(json.dumps(told, allow_nan=False))

    return make


def losses(world: Any, p: Any) -> dict[str, list[list[float]]]:
    """What a run keeps of its folds."""
    rows = [world.fold == k for k in range(5)]
    return {
        name: [[float(cross_entropy(world.y, q)[row].mean()) for row in rows]]
        for name, q in (("model", p), ("mean", world.mean))
    }


@pytest.fixture
def write(world: Any) -> Callable[..., Path]:
    """A run that keeps all that runs keep; `raw` are its predictions before calibration."""

    def write(name: str, p: Any, features: str = "bert", raw: Any = None, **changes: Any) -> Path:
        world.added = {
            "encoders": ENCODERS,
            "fold_losses": losses(world, p),
            "intervals": post_intervals(world.y, p, world.trials),
            "leakage": {"purged": {"d2": 0.2, "n": 9}, "random": {"d2": 0.35, "n": 9}},
        }
        folder: Path = world.write(
            world.folder / "runs", "mlp", p, name, name=name, features=features.split("+"), **changes
        )
        table = pd.read_parquet(folder / "predictions.parquet")
        table.assign(raw=p if raw is None else raw).to_parquet(folder / "predictions.parquet", index=False)
        save_file({"history": np.array([[0.5, 0.4], [0.4, 0.3], [0.3, 0.35]])}, folder / "model.safetensors")
        made = json.loads((folder / "run.json").read_text())
        made["files"] = {f.name: sha256_file(f) for f in sorted(folder.iterdir()) if f.name != "run.json"}
        (folder / "run.json").write_text(json.dumps(made))
        return folder

    return write


@pytest.fixture
def rich(world: Any, write: Any) -> None:
    good = world.like(0.8)
    write("texts", good, raw=np.clip(1.7 * good, 0, 1))
    write("pictures", world.like(0.3), "eff")
    write("both", world.like(0.8), "eff+bert")
    world.added = {}
    world.write(world.folder / "runs", "mean", world.mean)


def ids(page: str) -> set[str]:
    return set(re.findall(r'<h[23] id="([a-z]+)"', page))


def text_of(page: str, section: str) -> str:
    """What a section says, without its markup."""
    part = re.split(r"<section ", page[page.index(f'<section aria-labelledby="{section}"') + 1 :])[0]
    return html.unescape(re.sub(r"<[^>]*>", " ", part))


def test_sections_that_apply_are_there_and_the_others_are_not(compared: Compared, rich: None) -> None:
    page, _ = compared()
    assert ids(page) >= ALWAYS | SOMETIMES
    assert set(re.findall(r'href="#([a-z]+)"', page)) <= ids(page)


def test_one_bare_run_has_no_empty_sections(compared: Compared, world: Any) -> None:
    world.write(world.folder / "runs", "ridge", world.like(0.5), seconds={"folds": 0, "final": 0, "total": 0})
    page, told = compared()
    assert ids(page) & SOMETIMES == {"parts", "strata"}
    assert set(re.findall(r'href="#([a-z]+)"', page)) <= ids(page)
    assert told["pairs"] == told["modalities"] == told["intervals"] == told["curves"] == []


def test_headings_are_in_order_and_figures_are_labelled(compared: Compared, rich: None) -> None:
    page, _ = compared()
    levels = [int(level) for level in re.findall(r"<h([1-6])", page)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    drawn = re.findall(r"<svg [^>]*>", page)
    assert len(drawn) > 15
    assert all('role="img" aria-label="' in each or 'aria-hidden="true"' in each for each in drawn)
    assert page.count("<table") == page.count("<caption")
    assert page.count("<th ") == page.count('scope="')


def test_the_numbers_of_each_section_are_those_of_the_json(compared: Compared, rich: None) -> None:
    page, told = compared()
    minus = "−"

    def shown(value: float, digits: int) -> str:
        return f"{value:.{digits}f}".replace("-", minus)

    for pair in told["pairs"]:
        assert shown(1000 * pair["log_loss"][1], 1) in text_of(page, "pairs")
    for row in told["runs"]:
        assert shown(row["miscalibration"], 4) in text_of(page, "parts")
        assert shown(row["discrimination"], 4) in text_of(page, "parts")
    for addition in told["modalities"][0]["additions"]:
        assert all(shown(value, 3) in text_of(page, "modalities") for value in addition["d2"])
    leading = told["runs"][0]["name"]
    for way in told["strata"]:
        for bin_, error in zip(way["bins"], way["runs"][leading], strict=True):
            assert f"{bin_['posts']}" in text_of(page, "strata")
            assert shown(error["excess"], 4) in text_of(page, "strata")
            assert shown(error["gain"][1], 4) in text_of(page, "strata")
    for each in told["intervals"]:
        assert f"{100 * each['covered']:.1f}" in text_of(page, "coverage")
    for each in told["calibration"]:
        assert shown(each["bias"][0], 2) in text_of(page, "words")
        assert shown(each["change"][1], 4) in text_of(page, "words")
    for curve in told["curves"]:
        assert f"epoch {curve['best_epoch']} of {len(curve['held'])} kept" in text_of(page, "curves")
    assert text_of(page, "leakage").count("+0.150") == len(told["leakage"]) == 3
    first = html.unescape(page[: page.index("</header>")])
    assert all(said in first for said in told["weaknesses"])
    assert all(advice["command"] in first for advice in told["advice"])
    assert told["weaknesses"]


def test_only_what_calibration_moved_is_said_to_be_calibrated(compared: Compared, rich: None) -> None:
    page, told = compared()
    (moved,) = told["calibration"]
    assert moved["run"] == "texts"
    assert moved["bias"][0] == pytest.approx(1.7 * moved["bias"][1], rel=0.1)
    words = page[page.index('aria-labelledby="words"') : page.index('aria-labelledby="coverage"')]
    assert words.count('class="before"') == 10  # groups of one run


def test_leakage_is_told_from_the_laxest_folds_to_the_strictest(compared: Compared, rich: None) -> None:
    text = text_of(compared()[0], "leakage")
    assert text.index("random") < text.index("purged")


def test_the_errors_told_are_the_leading_runs(compared: Compared, world: Any) -> None:
    unproven = {"name": "UNPROVEN", "why": "The interval spans 0."}
    world.write(world.folder / "runs", "ridge", world.like(0.2), name="lucky", metrics={"d2": 0.9}, verdict=unproven)
    useful = {"name": "USEFUL", "why": "It is."}
    world.write(world.folder / "runs", "ridge", world.like(0.8), name="solid", metrics={"d2": 0.5}, verdict=useful)
    page, told = compared()
    assert "solid by true rate" in text_of(page, "strata")
    for error in told["strata"][0]["runs"]["solid"]:
        assert f"{error['excess']:.4f}" in text_of(page, "strata")


def test_many_runs_are_folded_and_a_matrix_stays_readable(compared: Compared, world: Any) -> None:
    for i in range(34):
        p, metrics = world.like(0.5), {"d2": 0.3 - i / 200}
        world.write(world.folder / "runs", "ridge", p, name=f"run-{i:02}", metrics=metrics)
    page, told = compared()
    assert len(told["runs"]) == 34
    assert len(told["pairs"]) == 30 * 29 // 2
    assert "The first 30 of 34 runs" in page
    assert page.count('<details class="more"><summary>21 more runs</summary>') == 2  # spread, errors
    assert text_of(page, "board").count("run-33") == 1
    assert "run-33" not in text_of(page, "spread")
    assert len(page) < 3_000_000


def test_hostile_names_stay_text_in_every_section(compared: Compared, write: Any, world: Any, hostile: str) -> None:
    write("a", world.like(0.8), loss=hostile, raw=world.like(0.1))
    write("b", world.like(0.7), "eff+bert", loss=hostile, raw=world.like(0.1))
    for folder in (world.folder / "runs").iterdir():
        made = json.loads((folder / "run.json").read_text())
        made |= {"name": hostile + folder.name, "model": hostile, "comparable": "same", "oversample": hostile}
        made["target"]["trials"] = hostile
        made["leakage"] = {hostile: {"d2": 0.1}, "random": {"d2": 0.2}}
        made["config"] |= {"features": [hostile], "set": [hostile]}
        (folder / "run.json").write_text(json.dumps(made))
    page, _ = compared()
    assert ids(page) >= ALWAYS | SOMETIMES
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "\x1b" not in page


@pytest.mark.parametrize(
    ("key", "value"), [("leakage", {"random": {}}), ("encoders", {"eff": {}}), ("encoders", [1]), ("leakage", 5)]
)
def test_damaged_entries_are_one_error(world: Any, key: str, value: Any) -> None:
    world.added = {key: value}
    world.write(world.folder / "runs", "ridge", world.like(0.5))
    with pytest.raises(ValueError, match="is damaged"):
        run(Compare(runs=world.folder / "runs", out=world.folder / "report.html"))
