"""Which run leads, what makes runs incomparable, and that the report's numbers are the JSON's."""

import html
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from regress.compare import Compare, run
from regress.entry import SCORES, read_entry
from regress.runs import choose, leader

Write = Callable[..., Path]
VERDICTS = {name: {"name": name, "why": "…"} for name in ("USEFUL", "UNPROVEN", "COLLAPSED", "NO SIGNAL")}


@pytest.mark.parametrize(
    ("verdicts", "place"),
    [
        (["USEFUL", "USEFUL"], 0),
        (["UNPROVEN", "USEFUL"], 1),  # a higher D² that may be luck does not lead
        (["UNPROVEN", "NO SIGNAL"], 0),
    ],
)
def test_the_best_useful_run_leads(write_run: Write, verdicts: list[str], place: int) -> None:
    entries = [read_entry(write_run(f"run-{i}", verdict=VERDICTS[name])) for i, name in enumerate(verdicts)]
    assert leader(entries) == place


def test_the_mean_leads_only_when_it_is_alone(write_run: Write) -> None:
    mean = read_entry(write_run("mean-1", 0.2, "mean", verdict=VERDICTS["COLLAPSED"]))
    worse = read_entry(write_run("ridge-1", verdict=VERDICTS["NO SIGNAL"]))
    assert leader([mean, worse]) == 1
    assert leader([mean]) == 0


def test_differences_name_what_differs_and_nothing_else(write_run: Write) -> None:
    ground = read_entry(write_run("a")).ground
    assert ground.differences(ground) == []
    assert ground.differences(replace(ground, purged=99, path="elsewhere.csv")) == []
    assert ground.differences(replace(ground, target="like / view")) == ["target (open_photo / view and like / view)"]
    other = replace(ground, min_trials=1, seed=3, sha256="0" * 64)
    told = ground.differences(other)
    assert [line.partition(" (")[0] for line in told] == ["posts", "min-trials", "folds"]
    assert "00000000…" in told[0]
    assert "5/3/none/" in told[2]


def test_the_folder_of_runs_is_read_without_files_and_hidden_folders(write_run: Write, tmp_path: Path) -> None:
    write_run("kept")
    (tmp_path / "runs" / ".half.tmp").mkdir()
    (tmp_path / "runs" / "notes.txt").write_text("not a run")
    entries, others = choose([], tmp_path / "runs")
    assert [entry.run.folder.name for entry in entries] == ["kept"]
    assert others == []


def rows_of(page: str) -> list[tuple[str, str]]:
    """Name and markup of each row of the leaderboard's body."""
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    rows = re.findall(r"<tr .*?</tr>", body, re.DOTALL)
    return [(html.unescape(re.findall(r"<span class=\"name\">(.*?)</span>", row)[0]), row) for row in rows]


def test_the_reports_numbers_are_the_jsons(six_runs: Path, tmp_path: Path) -> None:
    told = run(Compare(runs=six_runs, out=tmp_path / "report.html", gallery=0)).to_json()["runs"]
    rows = rows_of((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert [name for name, _ in rows] == [row["name"] for row in told]
    elsewhere = {"log_loss_mean", "log_loss_floor", "miscalibration", "discrimination"}  # the table's foot, a figure
    for (_, markup), row in zip(rows, told, strict=True):
        values = [float(value) for value in re.findall(r'<data value="(.+?)">', markup)]
        named = [*(name for name in SCORES if name not in elsewhere), "seconds", "p_mean", "p_best"]
        assert sorted(values) == sorted(row[name] for name in named if row[name] is not None)
        assert f">{row['verdict']}</span>" in markup


def test_the_six_runs_are_told_apart(six_runs: Path, tmp_path: Path) -> None:
    told = run(Compare(runs=six_runs, out=tmp_path / "report.html", gallery=4)).to_json()["runs"]
    verdicts = {row["name"]: row["verdict"] for row in told}
    assert verdicts["lgbm-bce-image+text"] == "USEFUL"
    assert verdicts["mlp-mse-image"] == verdicts["mean"] == "COLLAPSED"
    assert verdicts["ridge-bce-statistics"] == "NO SIGNAL"
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count(f"↑ 100{chr(160)}%") == 2  # the two constants are bars cut off at the scale's end


def test_a_verdict_of_many_runs_is_cut_short(write_run: Write, tmp_path: Path) -> None:
    for i in range(9):
        write_run(f"run-{i}", name=f"run {i}", verdict=VERDICTS["USEFUL"])
    run(Compare(runs=tmp_path / "runs", out=tmp_path / "report.html", gallery=0))
    head = (tmp_path / "report.html").read_text(encoding="utf-8").partition("<main>")[0]
    assert "and 3 more" in head
    assert head.partition("<ul")[2].count('class="chip"') == 6
