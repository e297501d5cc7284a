"""The model card: what the hub reads of it, and that no name of a table or a flag breaks out of it."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from huggingface_hub import ModelCard
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from data.lines import printable
from regress.card import CARD, METRICS, card, code, escaped
from regress.fit import Fit
from regress.fit import run as fit
from regress.run import MANIFEST, Run, load_run
from tests.regress.test_study import cache_of

HOSTILE = '"]\n---\nlicense: mit\n# `` <script>alert(1)</script> | {{ x }}'
N = 80


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Runs of the mean and of ridge on a table whose columns are called by anyone."""
    place, rng = tmp_path_factory.mktemp("card"), np.random.default_rng(1)
    signal, view = rng.normal(size=N), rng.integers(100, 900, N)
    clicks = rng.binomial(view, 1 / (1 + np.exp(3 - signal)))
    columns = {"text": [f"text {i}" for i in range(N)], "seen\n---": view, HOSTILE: clicks}
    pd.DataFrame(columns).to_parquet(place / "posts.parquet", index=False)
    cache = cache_of(place / "cache.h5", {"a|b`c": "text"}, signal)
    made = fit(
        Fit(
            posts=place / "posts.parquet",
            cache=cache,
            out=place / "runs",
            model=("mean", "ridge"),
            target=HOSTILE,
            trials="seen\n---",
            leakage=True,
        )
    )
    return {str(run.manifest["model"]): run for run in made.runs}


@pytest.mark.parametrize("model", ["mean", "ridge"])
def test_the_hub_reads_the_scores_of_the_run(runs: dict[str, Run], model: str) -> None:
    run = runs[model]
    loaded = ModelCard.load(run.folder / CARD)
    kept = json.loads((run.folder / MANIFEST).read_text(encoding="utf-8"))
    results = {result.metric_type: result for result in loaded.data.eval_results}
    expected = {name: value for name, value in kept["metrics"].items() if name in results}
    assert {name: result.metric_value for name, result in results.items()} == expected
    assert {"d2", "log_loss", "log_loss_mean", "mse", "bias"} <= set(results)
    assert results["d2"].metric_args == {"low": kept["metrics"]["d2_low"], "high": kept["metrics"]["d2_high"]}
    assert results["d2"].dataset_revision == kept["posts"]["sha256"]
    assert loaded.data.library_name == "embed-regress"
    assert loaded.data.model_name == kept["name"]
    assert "license" not in loaded.data.to_dict()
    assert f"**{kept['verdict']['name']}**" in loaded.text


def test_the_text_says_what_was_fitted_on_what(runs: dict[str, Run]) -> None:
    text, kept = card(runs["ridge"].manifest), runs["ridge"].manifest
    assert kept["posts"]["sha256"] in text
    assert "| log loss |" in text
    assert f"{kept['metrics']['d2']:.4f}" in text
    assert "X float32 (n, 6)" in text
    assert "D² on random folds" in text
    assert "do not use them" not in text
    assert "do not use them" in card(runs["mean"].manifest)
    assert str(runs["ridge"].folder.parents[1]) not in text  # no path of the machine


def test_it_is_written_with_the_run_and_may_be_changed(runs: dict[str, Run]) -> None:
    run = runs["ridge"]
    assert (run.folder / CARD).read_text(encoding="utf-8") == card(run.manifest)
    assert CARD not in run.manifest["files"]
    (run.folder / CARD).write_text("---\nlicense: mit\n---\n", encoding="utf-8")
    assert load_run(run.folder).manifest == run.manifest
    (run.folder / CARD).unlink()
    load_run(run.folder)


TEXT = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from([HOSTILE, "`", "``", "", "\r\n---\r\n"])


@settings(max_examples=150)
@given(TEXT, TEXT, TEXT, TEXT)
def test_no_name_breaks_out(name: str, target: str, column: str, encoder: str) -> None:
    """The front matter ends where it should and says what was told; every heading of the text is ours."""
    text = card(_named(name, target, column, encoder))
    front, end, body = text.removeprefix("---\n").partition("\n---\n")
    assert end
    found = yaml.safe_load(front)
    assert found["model-index"][0]["name"] == printable(name)
    assert found["model-index"][0]["results"][0]["dataset"]["args"]["target"] == printable(target)
    assert ModelCard(text).data.to_dict()["library_name"] == "embed-regress"
    heads = [line for line in body.splitlines() if line.startswith(("#", "---", "===", "<"))]
    assert heads == [f"# {code(name)}", "## Use", "## Scores", "## Training data", "## How it was made", "## Limits"]
    lines = body.splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert all(line.count("|") == 3 for line in table)


def _named(name: str, target: str, column: str, encoder: str) -> dict[str, Any]:
    info = {"spec": {"kind": "text", "weights": "ab" * 32}, "dim": 6}
    return {
        "name": name,
        "posts": {"path": f"posts/{column.replace('/', '')}.csv", "sha256": "cd" * 32, "n": 9},
        "target": {"name": target, "trials": column, "min_trials": 1, "n": 9, "zeros": 2},
        "features": [encoder],
        "encoders": {encoder: info},
        "model": "ridge",
        "loss": "bce",
        "oversample": "none",
        "calibration": "beta",
        "settings": {"alpha": 1e-05},
        "folds": {"n": 5, "repeats": 2, "seed": 0, "purged": 0, "group": column, "time": None},
        "metrics": {"d2": 1e-05, "d2_low": -0.1, "d2_high": 0.2, "spearman": None},
        "leakage": None,
        "intervals": {"level": 0.9},
        "verdict": {"name": "USEFUL", "why": target},
        "notes": [target],
        "environment": {"python": "3.11"},
    }


def test_numbers_stay_numbers() -> None:
    """YAML 1.1 takes 1e-05 for a text."""
    (result,) = ModelCard(card(_named("a", "b", "c", "d"))).data.eval_results
    assert result.metric_value == 1e-05


def rendered(text: str) -> list[tuple[str, str]]:
    """Kind and content of what a line of Markdown is made of, by a parser that lets HTML through."""
    inline = next(token for token in MarkdownIt("commonmark").parse(text) if token.type == "inline")
    return [(child.type, child.content) for child in inline.children or ()]


@given(TEXT)
def test_a_code_span_holds_any_name(text: str) -> None:
    assert rendered(f"x: {code(text)}, y") == [
        ("text", "x: "),
        ("code_inline", printable(text).strip() or "–"),
        ("text", ", y"),
    ]


@given(TEXT)
def test_prose_has_no_markup(text: str) -> None:
    parts = rendered(f"x: {escaped(text)}.")
    assert {kind for kind, _ in parts} <= {"text", "text_special"}
    assert "".join(content for _, content in parts) == f"x: {printable(text)}."


def test_every_metric_of_the_card_is_one_of_the_manifest(runs: dict[str, Run]) -> None:
    assert set(METRICS) <= set(runs["ridge"].manifest["metrics"])
