"""All that `--json` says is in `--csv-all` and in `--markdown`, and nothing else: the JSON is walked as it comes."""

import csv
import html
import io
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from data.files import sha256_file
from data.lines import printable
from regress.compare import Compare, Comparison, run
from regress.formats import as_tidy_csv, no_formula
from regress.intervals import post_intervals
from regress.metrics import cross_entropy
from tests.regress.told import Cell, Leaf, by, cells, leaves, spaced, strings, tables, unmatched

HOSTILE = "=cmd|'/c calc'!A1<b>@x\n| a | `b`"
ENCODERS = {
    "eff": {"spec": {"kind": "image", "family": "timm"}},
    "bert": {"spec": {"kind": "text", "family": "transformers"}},
}


@pytest.fixture
def write(world: Any) -> Callable[..., Path]:
    """A run that keeps all that runs keep, with so many epochs."""

    def write(name: str, p: Any, features: str = "bert", epochs: int = 4, model: str = "mlp", **changes: Any) -> Path:
        runs = world.folder / "runs"
        folder_name = f"run-{len(list(runs.iterdir()))}"
        rows = [world.fold == k for k in range(5)]
        both = {"model": cross_entropy(world.y, p), "mean": cross_entropy(world.y, world.mean)}
        world.added = {
            "encoders": ENCODERS,
            "fold_losses": {what: [[float(loss[row].mean()) for row in rows]] for what, loss in both.items()},
            "intervals": post_intervals(world.y, p, world.trials),
            "leakage": {"purged": {"d2": 0.2, "n": 9}, "random": {"d2": 0.35, "n": 9}, HOSTILE: {"d2": 0.1, "n": 9}},
        }
        changes = {"features": features.split("+"), **changes}
        folder: Path = world.write(runs, model, p, folder_name, name=name, **changes)
        table = pd.read_parquet(folder / "predictions.parquet")
        table.assign(raw=0.9 * p).to_parquet(folder / "predictions.parquet", index=False)
        save_file({"history": world.random.uniform(0.2, 0.5, (epochs, 2))}, folder / "model.safetensors")
        made = json.loads((folder / "run.json").read_text())
        made["files"] = {f.name: sha256_file(f) for f in sorted(folder.iterdir()) if f.name != "run.json"}
        (folder / "run.json").write_text(json.dumps(made))
        return folder

    return write


@pytest.fixture
def compared(world: Any, write: Callable[..., Path]) -> Comparison:
    """Runs of which every part of the JSON has something to say."""
    world.write(world.folder / "runs", "mean", world.mean)
    for epochs, features in ((2, "eff"), (3, "bert"), (5, "eff+bert")):
        write(f"mlp-{features}", world.like(0.4 + 0.1 * epochs), features, epochs)
    write("mlp-random", world.like(0.5), oversample="random")
    write("mlp-smoter", world.like(0.6), oversample="smoter", metrics={"d2_trials": None, "lift": None})
    write(HOSTILE, world.noise(), "eff", model="knn")
    return run(Compare(runs=world.folder / "runs", out=world.folder / "report.html", gallery=0))


def lines_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text), strict=True))


def test_every_part_of_the_json_is_there_to_be_compared(compared: Comparison) -> None:
    assert [part for part, content in compared.to_json().items() if not content] == []


def test_markdown_has_every_number_of_the_json_and_no_other(compared: Comparison) -> None:
    numbers, shown = leaves(compared.to_json()), list(cells(str(replace(compared, form="markdown"))))
    told, printed = (by(lambda each: (each.part, each.name), each) for each in (numbers, shown))
    assert {key: len(each) for key, each in told.items()} == {key: len(each) for key, each in printed.items()}

    def fits(leaf: Leaf, cell: Cell) -> bool:
        return cell.texts <= leaf.texts and cell.places <= set(leaf.places) and cell.is_rounded(leaf.value)

    for key in told:
        assert unmatched(told[key], printed[key], fits) == []


def test_markdown_says_every_sentence(compared: Comparison) -> None:
    told, text = compared.to_json(), str(replace(compared, form="markdown"))
    plain = re.sub(r"\\(.)", r"\1", html.unescape(text))
    for said in [*told["weaknesses"], *(each[name] for each in told["advice"] for name in ("what", "why"))]:
        assert spaced(said) in plain
    for each in told["advice"]:
        assert f"`{printable(each['command'])}`" in text
    assert any("\u00a0" in said for said in told["weaknesses"])


def test_markdown_has_no_title_without_a_table(world: Any) -> None:
    world.write(world.folder / "runs", "mean", world.mean)
    lone = run(Compare(runs=world.folder / "runs", out=world.folder / "report.html", gallery=0))
    text = str(replace(lone, form="markdown"))
    titles = re.findall("^### (.*)$", text, flags=re.MULTILINE)
    assert titles[:2] == ["Runs", "Log loss, nats"]
    assert not {"Every run against every run", "Does oversampling help?", "Loss by epoch"} & set(titles)
    assert all(part.partition("\n")[2].strip() for part in text.split("### ")[1:])


def test_long_tables_are_folded_but_not_that_of_the_runs(compared: Comparison) -> None:
    text = str(replace(compared, form="markdown"))
    folded = re.findall(r"^### (.*)\n\n<details><summary>(\d+) rows</summary>\n\n\|", text, flags=re.MULTILINE)
    assert ("Every run against every run", "21") in folded
    assert not {"Runs", "Bins of the trials"} & {title for title, _ in folded}
    assert text.count("<details>") == text.count("\n\n</details>") == len(folded)


def test_tidy_csv_has_every_number_of_the_json_and_no_other(compared: Comparison) -> None:
    numbers, lines = leaves(compared.to_json()), lines_of(str(replace(compared, form="csv_all")))
    lines = [line for line in lines if line["value"]]
    told = by(lambda leaf: (leaf.part, leaf.item, float(leaf.value)), numbers)
    printed = by(lambda line: (line["part"], int(line["item"]), float(line["value"])), lines)
    assert {key: len(each) for key, each in told.items()} == {key: len(each) for key, each in printed.items()}

    def fits(leaf: Leaf, line: dict[str, str]) -> bool:
        names = {line[name].removeprefix("'") for name in ("run", "against") if line[name]}
        places = {int(line["place"])} if line["place"] else set()
        inside = places <= set(leaf.places) and len(places) == len(leaf.places)
        return names <= leaf.texts and inside and re.search(rf"(^|_){leaf.name}(_|$)", line["what"]) is not None

    for key in told:
        assert unmatched(told[key], printed[key], fits) == []


def test_tidy_csv_has_every_text_of_the_json_and_no_other(compared: Comparison) -> None:
    lines = lines_of(str(replace(compared, form="csv_all")))
    told = {line[name].removeprefix("'") for line in lines for name in ("run", "against", "text")}
    assert told - {""} == strings(compared.to_json()) - {""}


def test_of_two_runs_it_is_clear_which_is_better(compared: Comparison) -> None:
    told = compared.to_json()
    pairs = [(each["first"], each["second"]) for each in told["pairs"]]
    gains = [(each["to"], each["from"]) for way in told["modalities"] for each in way["additions"]]
    lines = lines_of(str(replace(compared, form="csv_all")))
    for start, expected in (("log_loss_low", pairs), ("additions_d2_low", gains)):
        found = [(line["run"], line["against"]) for line in lines if line["what"] == start and line["against"]]
        safe = [tuple(no_formula(printable(name)) for name in names) for names in expected]
        assert found == safe
    shown = dict(tables(str(replace(compared, form="markdown"))))
    for title, expected in (("Every run against every run", pairs), ("Which modality helps?", gains)):
        head, _, *rows = shown[title]
        run_, against = head.index("run"), head.index("against")
        plain = [tuple(map(printable, names)) for names in expected]
        assert [(row[run_], row[against]) for row in rows] == plain


def test_pandas_reads_the_tidy_csv_as_one_table(compared: Comparison) -> None:
    told, text = compared.to_json(), str(replace(compared, form="csv_all"))
    table = pd.read_csv(io.StringIO(text))
    assert table["value"].dtype == np.float64
    assert table["item"].dtype == np.int64
    assert len(table) == len(text.splitlines()) - 1
    assert not (table["value"].notna() & table["text"].notna()).any()
    wide = table[table["part"] == "runs"].pivot(index="item", columns="what", values="value")
    assert wide["d2"].tolist() == [each["d2"] for each in told["runs"]]
    assert wide["log_loss_behind_low"].isna().sum() == 1


def test_hostile_names_stay_names_everywhere(compared: Comparison) -> None:
    text = str(replace(compared, form="csv_all"))
    assert sum("cmd" in line for line in text.splitlines()) > 50
    for row in csv.reader(io.StringIO(text)):
        assert not [cell for cell in row if re.match(r"\s*[=+@]|\s*-(?!\d)", cell)]
    shown = str(replace(compared, form="markdown"))
    assert shown.count("cmd") > 20
    outside = re.sub(r"`[^`]*`", "", shown.replace("<details><summary>", "").replace("</summary>", ""))
    assert "<" not in outside.replace("</details>", "")


numbers = st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.text(max_size=5) | numbers
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(numbers, min_size=2, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "runs", "trained", "d2"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["runs", "pairs", "new"]), values, max_size=3))
def test_no_number_of_any_json_is_lost(told: dict[str, Any]) -> None:
    def count(value: Any) -> Counter[float]:
        if isinstance(value, (dict, list)):
            inner = value.values() if isinstance(value, dict) else value
            return sum(map(count, inner), Counter[float]())
        return Counter([float(value)]) if isinstance(value, (int, float)) else Counter()

    lines = lines_of(as_tidy_csv(told))
    assert Counter(float(line["value"]) for line in lines if line["value"]) == count(told)
