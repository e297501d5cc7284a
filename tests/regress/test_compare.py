"""regress.compare as a command: JSON, table, errors and exit codes."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from data.config import DONE, FAILED, main
from data.files import sha256_file
from regress.compare import Compare, run

KEYS = [
    *("name", "model", "features", "loss", "oversample", "d2", "d2_low", "d2_high", "d2_trials", "log_loss"),
    *("log_loss_mean", "log_loss_floor", "miscalibration", "discrimination", "mse", "mae", "mae_rare", "sera"),
    *("spearman", "lift", "bias", "verdict", "seconds"),
    *("p_mean", "p_best", "log_loss_behind"),
]
PARTS = [
    *("runs", "oversampling", "pairs", "decomposition", "modalities", "strata", "intervals", "calibration", "leakage"),
    *("curves", "weaknesses", "advice"),
]
Write = Callable[..., Path]


@pytest.fixture
def compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command in this process: exit code, standard output, standard error."""

    def call(*words: object) -> tuple[int, str, str]:
        common = ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "report.html")]
        code = main(Compare, run, [*map(str, words), *common])
        return code, *capsys.readouterr()

    return call


def one_error(result: tuple[int, str, str]) -> str:
    """The error of a command that failed as it should: exit code 2, nothing on stdout, one line on stderr."""
    code, out, err = result
    assert (code, out) == (FAILED, "")
    assert err.startswith("error: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    return err


def rewrite(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Other predictions in a run, with the digest that belongs to them."""
    path = folder / "predictions.parquet"
    change(pd.read_parquet(path)).to_parquet(path, index=False)
    sign(folder)


def sign(folder: Path) -> None:
    made = json.loads((folder / "run.json").read_text())
    made["files"] = {name: sha256_file(folder / name) for name in made["files"]}
    (folder / "run.json").write_text(json.dumps(made))


def test_json_has_exactly_the_promised_keys_and_the_manifests_values(compare: Any, three_runs: list[Path]) -> None:
    code, out, err = compare("--json")
    assert (code, err) == (DONE, "")
    result = json.loads(out)
    assert list(result) == PARTS
    assert result["oversampling"] == []
    assert [list(row) for row in result["runs"]] == [KEYS] * 3
    assert [row["name"] for row in result["runs"]] == ["ridge-bce-a+b", "mean", "mlp-bce-a"]  # best D² first
    assert result["runs"][0] == {
        "name": "ridge-bce-a+b",
        "model": "ridge",
        "features": "a+b",
        "loss": "bce",
        "oversample": "none",
        "d2": 0.25,
        "d2_low": 0.18,
        "d2_high": 0.31,
        "d2_trials": 0.27,
        "log_loss": 0.41,
        "log_loss_mean": 0.47,
        "log_loss_floor": 0.35,
        "miscalibration": 0.01,
        "discrimination": 0.04,
        "mse": 0.012,
        "mae": 0.071,
        "mae_rare": 0.3,
        "sera": 1.5,
        "spearman": 0.52,
        "lift": 3.1,
        "bias": 1.01,
        "verdict": "USEFUL",
        "seconds": 3.25,
        "p_mean": None,  # fitted before fold losses were kept
        "p_best": None,
        "log_loss_behind": None,  # it leads
    }
    low, mean, high = result["runs"][2]["log_loss_behind"]
    assert low < mean < high
    assert result["runs"][1]["features"] == ""


def test_the_table_ends_with_the_reports_path(compare: Any, three_runs: list[Path], tmp_path: Path) -> None:
    code, out, _ = compare()
    lines = out.splitlines()
    assert code == DONE
    assert lines[-1] == f"report: {tmp_path / 'report.html'}"
    assert (tmp_path / "report.html").is_file()
    assert "0.250" in lines[1]
    assert "0.180 … 0.310" in lines[1]
    assert "USEFUL" in lines[1]
    assert lines[4].startswith("predicting the mean")
    assert "0.4700" in lines[4]
    assert "0.3500" in lines[5]


def test_no_line_is_wider_than_the_terminal_and_no_control_character_reaches_it(compare: Any, write_run: Write) -> None:
    write_run("long", name="ridge-bce-" + "x" * 300 + "\x1b[31m\nnew")
    _, out, _ = compare()
    lines = out.splitlines()
    assert len(lines) == 5
    assert max(len(line) for line in lines[:-1]) <= 120
    assert "\x1b" not in out


def test_named_runs_by_path_and_by_name(compare: Any, three_runs: list[Path]) -> None:
    _, out, _ = compare(three_runs[0], "mlp-1", "mlp-1", "--json")
    assert [row["name"] for row in json.loads(out)["runs"]] == ["mean", "mlp-bce-a"]


def test_runs_of_one_name_are_told_apart_by_their_folders(compare: Any, write_run: Write) -> None:
    write_run("ridge-1", metrics={"d2": 0.2})
    write_run("ridge-2", metrics={"d2": 0.1})
    _, out, _ = compare("--json")
    assert [row["name"] for row in json.loads(out)["runs"]] == ["ridge-1", "ridge-2"]


def test_undefined_scores_are_null_and_come_last(compare: Any, write_run: Write) -> None:
    write_run("a", name="undefined", metrics={"d2": None, "d2_low": None, "d2_high": None, "bias": None})
    write_run("b", name="negative", metrics={"d2": -2.0, "bias": 1.01})
    _, out, _ = compare("--json")
    rows = json.loads(out)["runs"]
    assert [(row["name"], row["d2"], row["bias"]) for row in rows] == [
        ("negative", -2.0, 1.01),
        ("undefined", None, None),
    ]


def test_only_the_newest_comparable_runs_are_taken(compare: Any, write_run: Write) -> None:
    write_run("old", name="old", target={"name": "negative / view"})
    write_run("new", name="new", created="2026-12-01T00:00:00+00:00")
    code, out, err = compare("--json")
    assert code == DONE
    assert [row["name"] for row in json.loads(out)["runs"]] == ["new"]
    note = "note: 1 run on other posts, targets or folds left out: name runs to compare those"
    assert err == f"{note}, or --target NAME (negative / view)\n"
    for target in ("negative", "negative / view"):
        _, out, err = compare("--json", "--target", target)
        assert [row["name"] for row in json.loads(out)["runs"]] == ["old"]
    assert "unknown target 'negativ': did you mean 'negative'?" in one_error(compare("--target", "negativ"))
    write_run("newest", name="newest", created="2026-12-02T00:00:00+00:00", folds={"digest": "e" * 64})
    assert compare()[2] == f"{note.replace('1 run', '2 runs')}, or --target NAME (negative / view)\n"


def test_no_runs(compare: Any, tmp_path: Path) -> None:
    assert "no runs in" in one_error(compare())
    (tmp_path / "runs" / ".half-written.tmp").mkdir(parents=True)
    error = one_error(compare())
    assert "no runs in" in error
    assert "python -m regress.fit" in error
    assert not (tmp_path / "report.html").exists()


def test_an_unknown_run_names_the_nearest(compare: Any, three_runs: list[Path]) -> None:
    assert "unknown run 'ridge1': did you mean 'ridge-1'? known runs are mean-1, mlp-1, ridge-1" in one_error(
        compare("ridge1")
    )


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"target": {"name": "negative / view"}}, "target (open_photo / view and negative / view)"),
        ({"target": {"min_trials": 1}}, "min-trials (5 and 1)"),
        ({"folds": {"digest": "e" * 64}}, "folds"),
        ({"posts": {"sha256": "f" * 64}}, "posts"),
    ],
)
def test_named_runs_on_unlike_ground(compare: Any, write_run: Write, changes: Any, difference: str) -> None:
    error = one_error(compare(write_run("one"), write_run("two", **changes)))
    assert "'one' and 'two' cannot be compared" in error
    assert difference in error


def test_a_claim_to_the_same_ground_with_other_posts_is_caught(compare: Any, write_run: Write, odd: Any) -> None:
    write_run("one", comparable="same")
    odd.y[10] = 1 - odd.y[10]
    write_run("two", comparable="same")
    assert "hold different posts" in one_error(compare())


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"format": 1}', '{"format": 9, "files": {}}', '{"format": 1, "files": {}}']
)
def test_a_broken_manifest(compare: Any, write_run: Write, text: str) -> None:
    (write_run("one") / "run.json").write_text(text)
    assert "fit again" in one_error(compare())


@pytest.mark.parametrize(
    "changes",
    [
        {"metrics": None},
        {"metrics": {"d2": "high"}},
        {"seconds": [1]},
        {"config": 5},
        {"environment": None},
        {"folds": []},
        {"target": {"zeros": "many"}},
        {"fold_losses": {"model": [[0.1, 0.2]], "mean": [[0.1]]}},
        {"fold_losses": {"model": [0.1], "mean": [0.1]}},
        {"intervals": {"rho": 0.1}},
    ],
)
def test_a_manifest_with_wrong_entries(compare: Any, write_run: Write, changes: Any) -> None:
    path = write_run("one") / "run.json"
    made = json.loads(path.read_text())
    for key, value in changes.items():
        made[key] = {**made.get(key, {}), **value} if isinstance(value, dict) else value
    path.write_text(json.dumps(made))
    assert "is damaged" in one_error(compare())


def test_a_changed_file_and_a_missing_one(compare: Any, write_run: Write) -> None:
    folder = write_run("one")
    with open(folder / "predictions.parquet", "ab") as file:
        file.write(b"x")
    assert "'predictions.parquet' is not the file that was written" in one_error(compare())
    (folder / "predictions.parquet").unlink()
    assert "is damaged" in one_error(compare())


@pytest.mark.parametrize("column", ["id", "row", "trials", "prediction"])
def test_predictions_without_a_column(compare: Any, write_run: Write, column: str) -> None:
    rewrite(write_run("one"), lambda table: table.drop(columns=[column]))
    assert "fit again" in one_error(compare())


def test_predictions_that_are_no_numbers(compare: Any, write_run: Write) -> None:
    rewrite(write_run("one"), lambda table: table.assign(prediction=float("nan")))
    assert "its predictions lack ids or numbers" in one_error(compare())


def test_predictions_that_are_no_parquet(compare: Any, write_run: Write) -> None:
    folder = write_run("one")
    (folder / "predictions.parquet").write_bytes(b"PAR1 and not more")
    sign(folder)
    assert "its predictions cannot be read" in one_error(compare())


def test_a_report_that_cannot_be_written(write_run: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = write_run("one").parent
    (tmp_path / "file").write_text("")
    for out, why in ((tmp_path, "is a folder"), (tmp_path / "file" / "report.html", "cannot be written")):
        code = main(Compare, run, ["--runs", str(runs), "--out", str(out)])
        assert why in one_error((code, *capsys.readouterr()))


def test_a_negative_gallery(compare: Any, three_runs: list[Path]) -> None:
    assert "--gallery -1" in one_error(compare("--gallery=-1"))


def test_help_needs_no_heavy_library() -> None:
    code = "import sys, regress.compare; print([m for m in ('numpy', 'pandas', 'torch', 'jinja2') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
