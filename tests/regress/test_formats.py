"""Runs in JSON, CSV and Markdown: every number the same; names that are formulas or markup stay names.

Of all other parts, `test_records.py`.
"""

import csv
import html
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from data.config import DONE, FAILED, main
from regress.compare import Compare, run
from regress.formats import escaped, no_formula
from regress.intervals import post_intervals

Printed = Callable[..., str]
RNG = np.random.default_rng(0)
MEAN = 0.5 + 0.01 * RNG.normal(size=(4, 5))
# columns of numbers in Markdown: what they are in JSON, and their decimals in the terminal's table
RUN_COLUMNS = [
    *[("d2", 3), ("d2_low", 3), ("d2_high", 3), ("d2_trials", 3), ("p_mean", 3), ("p_best", 3), ("spearman", 2)],
    *[("lift", 2), ("bias", 2), ("log_loss", 4), ("log_loss_mean", 4), ("log_loss_floor", 4)],
    *[("log_loss_behind", 4), ("log_loss_behind_low", 4), ("log_loss_behind_high", 4), ("miscalibration", 4)],
    *[("discrimination", 4), ("mse", 4), ("mae", 4), ("mae_rare", 3), ("sera", 2), ("seconds", 1)],
]
OVERSAMPLING_COLUMNS = [
    (f"{name}_{score}{end}", digits)
    for score, digits in (("log_loss", 4), ("sera", 6))
    for name in ("nothing", "random")
    for end in ("", "_low", "_high")
]


@pytest.fixture
def printed(world: Any, capsys: pytest.CaptureFixture[str]) -> Printed:
    """Six runs, two with a sampler; `printed("--csv")` is what the command writes to standard output."""
    runs = world.folder / "runs"
    likes = {"none": 0.6, "random": 0.5, "smoter": 0.7}
    for shift, (sampler, skill) in enumerate(likes.items()):
        world.added = {"fold_losses": {"model": (MEAN - 0.02 * (shift + 1)).tolist(), "mean": MEAN.tolist()}}
        p = world.like(skill)
        world.added["intervals"] = post_intervals(world.y, p, world.trials)
        world.write(runs, "ridge", p, f"r-{sampler}", name=f"ridge-{sampler}", oversample=sampler)
    world.added = {}
    world.write(runs, "mean", world.mean)
    world.write(runs, "mlp", world.noise(), "noise", name="=cmd|'/c calc'!A1<b>\n")
    world.write(runs, "mlp", world.collapsed(), "old", name="old", metrics={"d2": None, "lift": None, "mae_rare": None})

    def call(*words: str) -> str:
        common = ["--runs", str(runs), "--out", str(world.folder / "report.html"), "--gallery", "0"]
        assert main(Compare, run, [*words, *common]) == DONE
        return capsys.readouterr().out

    return call


def flat(told: dict[str, Any]) -> list[dict[str, Any]]:
    """What JSON says of each run in one level: intervals under three names, findings on oversampling beside it."""

    def leaves(values: dict[str, Any], start: str = "") -> Iterator[tuple[str, Any]]:
        for name, value in values.items():
            if isinstance(value, list):
                yield from zip((f"{start}{name}_low", f"{start}{name}", f"{start}{name}_high"), value, strict=True)
            else:
                yield f"{start}{name}", value

    rows = []
    for one in told["runs"]:
        row = dict(leaves(one))
        for found in (found for found in told["oversampling"] if found["run"] == one["name"]):
            row |= {f"oversampling_{name}": found[name] for name in ("log_loss", "sera")}
            for baseline in ("nothing", "random"):
                row |= dict(leaves(found[baseline] or {}, f"{baseline}_"))
        rows.append({name: value for name, value in row.items() if value is not None})
    return rows


def table(text: str) -> list[list[str]]:
    """Cells of a Markdown table, its escapes undone, without its head."""
    lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines()]
    assert {len(line) for line in lines} == {len(lines[0])}
    return [[re.sub(r"\\(.)", r"\1", html.unescape(cell.strip())) for cell in line] for line in lines[2:]]


def numbers(cells: list[str], columns: list[tuple[str, int]]) -> dict[str, str]:
    """By their names in JSON: an interval is two numbers in one cell, a missing one a dash."""
    found, places = {}, iter(columns)
    for cell in cells:
        name, _ = next(places)
        names = [name, next(places)[0]] if name.endswith("_low") else [name]
        parts = ["–"] * len(names) if cell == "–" else cell.split(" … ")
        found |= dict(zip(names, parts, strict=True))
    assert next(places, None) is None
    return {name: value for name, value in found.items() if value != "–"}


def test_csv_has_every_value_of_the_json(printed: Printed) -> None:
    rows = flat(json.loads(printed("--json")))
    lines = list(csv.DictReader(io.StringIO(printed("--csv"))))
    assert len(lines) == len(rows) == 6
    for line, row in zip(lines, rows, strict=True):
        told = {name: value for name, value in line.items() if value != "" or name == "features"}
        assert set(told) == set(row)
        for name, value in row.items():
            if isinstance(value, float):
                assert float(told[name]) == value, name  # every digit
        texts = {name: value for name, value in row.items() if isinstance(value, str) and "cmd" not in value}
        assert texts == {name: told[name] for name in texts}
    assert sum("nothing_sera_low" in row for row in rows) == 2
    assert sum("random_log_loss_high" in row for row in rows) == 1


def test_markdown_has_every_number_of_the_json_rounded(printed: Printed) -> None:
    rows = flat(json.loads(printed("--json")))
    runs, oversampling = (part.partition("\n\n")[2] for part in printed("--markdown").split("\n\n### ")[:2])
    judged = [row for row in rows if "oversampling_sera" in row]
    seen: set[tuple[str, str]] = set()
    for part, told, columns in ((runs, rows, RUN_COLUMNS), (oversampling, judged, OVERSAMPLING_COLUMNS)):
        for cells, row in zip(table(part), told, strict=True):
            found = numbers(cells[3:], columns)
            assert set(found) == {name for name, _ in columns if name in row}
            for name, digits in columns:
                if found.get(name) == "<0.001":
                    assert row[name] < 0.0005
                elif name in found:
                    assert abs(float(found[name]) - row[name]) <= 0.5 * 10.0**-digits + 1e-12, name
            seen |= {(row["name"], name) for name in found}
    assert seen == {(row["name"], name) for row in rows for name, value in row.items() if isinstance(value, float)}


def test_markdown_says_a_small_p_as_the_terminal_does(printed: Printed) -> None:
    assert "| &lt;0.001 |" in printed("--markdown")
    assert "<0.001" in printed()


def test_a_name_that_is_a_formula_or_markup_is_neither(printed: Printed) -> None:
    lines = printed("--csv").splitlines()
    assert len(lines) == 7  # the line break in a name is none here
    (cell,) = [line.split(",")[0] for line in lines if "cmd" in line]
    assert cell == "\"'=cmd|'/c calc'!A1<b>�\""
    assert "=cmd\\|'/c calc'!A1&lt;b&gt;�" in printed("--markdown")


@pytest.mark.parametrize("asked", [["--json", "--csv"], ["--csv", "--csv-all"], ["--json", "--csv-all", "--markdown"]])
def test_two_at_once(asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(Compare, run, [*asked, "--out", str(tmp_path / "report.html")]) == FAILED
    out, err = capsys.readouterr()
    why = f"{' and '.join(asked)}: expected one of them, each is printed instead of the table"
    assert err == f"error: {why}\n"
    assert out == (json.dumps({"error": why}) + "\n" if "--json" in asked else "")
    assert not (tmp_path / "report.html").exists()


@given(st.text())
@example("=1+1")
@example(" @SUM(A1)")
@example("'=1")
def test_no_text_is_a_formula_and_dropping_the_apostrophe_gives_it_back(text: str) -> None:
    safe = no_formula(text)
    assert not safe.lstrip().startswith(("=", "+", "-", "@"))
    assert (safe.removeprefix("'")) == text


@given(st.text())
@example("a|b\\|c")
@example("<img src=x onerror=alert(1)>&lt;")
@example("[x](http://example.org) ![y](z) `a` *b* __c__ ~d~ $e$")
def test_escaped_markdown_is_one_cell_without_markup(text: str) -> None:
    cell = escaped(text)
    assert len(cell.splitlines()) == 1
    assert "<" not in cell
    assert not re.search(r"(?<!\\)(\\\\)*[|*_`\[\]~$]", cell)
