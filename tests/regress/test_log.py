"""`--log mlflow` into a real MLflow on disk: what a run says there, once."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from data.config import FAILED, InputError, main
from regress import study
from regress.card import CARD
from regress.fit import Fit
from regress.fit import run as fit
from regress.log import EXPERIMENT, KEY, MlflowLog
from regress.run import MANIFEST
from tests.regress.test_study import cache_of

N = 80
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of MLflow's own use of SQLAlchemy


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: posts.parquet and cache.h5; MLflow keeps its files here too."""
    rng = np.random.default_rng(1)
    signal, view = rng.normal(size=N), rng.integers(100, 900, N)
    clicks = rng.binomial(view, 1 / (1 + np.exp(3 - signal)))
    columns = {"text": [f"text {i}" for i in range(N)], "view": view, "like": clicks}
    pd.DataFrame(columns).to_parquet(tmp_path / "posts.parquet", index=False)
    cache_of(tmp_path / "cache.h5", {"MiniLM": "text"}, signal)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/tracked.db")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    return tmp_path


def config(**more: Any) -> Fit:
    named: dict[str, Any] = {"model": ("mean", "ridge"), "target": "like", "log": "mlflow", "leakage": True, **more}
    return Fit(posts=Path("posts.parquet"), cache=Path("cache.h5"), **named)


def logged(experiment: str = EXPERIMENT) -> list[Any]:
    client = MlflowClient()
    found = client.get_experiment_by_name(experiment)
    return list(client.search_runs([found.experiment_id])) if found else []


def test_a_run_is_logged_as_its_manifest_says(place: Path) -> None:
    made = {run.name: run for run in fit(config()).runs}
    there = {run.info.run_name: run for run in logged()}
    assert set(there) == set(made) == {"mean", "ridge-bce-all"}
    for name, run in there.items():
        manifest = made[name].manifest
        assert run.info.status == "FINISHED"
        for score, value in manifest["metrics"].items():
            assert run.data.metrics.get(score) == value  # None: not defined, not logged
        assert {"d2_low", "d2_high", "d2_random_folds", "seconds"} <= set(run.data.metrics)
        assert run.data.params["model"] == manifest["model"]
        assert run.data.params["target"] == "like / view"
        assert run.data.params["posts_sha256"] == manifest["posts"]["sha256"]
        assert run.data.tags[KEY] == manifest["key"]
        assert run.data.tags["verdict"] == manifest["verdict"]["name"]
        artifacts = Path(run.info.artifact_uri.removeprefix("file://"))
        for file in (MANIFEST, CARD):
            assert (artifacts / file).read_bytes() == (made[name].folder / file).read_bytes()


def test_a_call_that_is_repeated_logs_nothing_twice(place: Path) -> None:
    fit(config())
    before = {(run.info.run_id, run.info.end_time) for run in logged()}
    assert fit(config()).skipped == 2
    fit(config(refit=True))
    assert {(run.info.run_id, run.info.end_time) for run in logged()} == before
    fit(config(seed=1))
    assert len(logged()) == 4


def test_runs_that_are_kept_already_are_logged_when_asked_for(place: Path) -> None:
    fit(config(log=None))
    assert logged() == []
    assert fit(config()).skipped == 2
    assert len(logged()) == 2


def test_one_that_was_cut_short_is_gone_on_with(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after the numbers, before the files."""
    (run,) = fit(config(model=("ridge",), log=None)).runs
    log = MlflowLog.open()
    with monkeypatch.context() as patch:

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(MlflowClient, "log_artifact", killed)
        with pytest.raises(KeyboardInterrupt):
            log.add(run)
    assert [each.info.status for each in logged()] == ["RUNNING"]
    assert log.add(run)
    assert [each.info.status for each in logged()] == ["FINISHED"]
    assert not log.add(run)


def test_the_experiment_is_the_one_of_mlflows_variable(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "posts' rates")
    fit(config(model=("mean",)))
    assert len(logged("posts' rates")) == 1
    assert logged() == []


def test_long_values_are_cut_and_odd_ones_kept(place: Path) -> None:
    """A column may be called anything."""
    table = pd.read_parquet("posts.parquet")
    odd = "'\n`; -- " + "x" * 600
    table.rename(columns={"like": odd}).to_parquet("posts.parquet", index=False)
    fit(config(model=("mean",), target=odd))
    (run,) = logged()
    assert run.data.params["target"] == f"{odd} / view"[:500]


def test_a_study_logs_its_fits(place: Path) -> None:
    text = 'posts = "posts.parquet"\ntarget = "like"\nlog = "mlflow"\n[[fits]]\nmodel = ["mean", "ridge"]\n'
    Path("study.toml").write_text(text, encoding="utf-8")
    study.run(study.Study(study=Path("study.toml")))
    assert len(logged()) == 2


def test_a_missing_package_is_one_line_before_anything_is_read(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("regress.log.find_spec", lambda name: None if name == "mlflow" else sys)
    arguments = ["none.csv", "--target", "like", "--log", "mlflow", "--json"]
    assert main(Fit, fit, arguments) == FAILED
    said = capsys.readouterr()
    assert said.err == "error: --log mlflow needs mlflow: pip install 'embed-regress[mlflow]'\n"
    assert json.loads(said.out)["error"] in said.err
    assert not (place / "runs").exists()


@pytest.mark.parametrize("where", ["nonsense://x", "sqlite:////dev/null/x.db"])
def test_a_place_that_cannot_be_written_is_one_line_before_anything_is_fitted(
    place: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", where)
    with pytest.raises(InputError, match=r"--log mlflow: .*MLFLOW_TRACKING_URI") as caught:
        fit(config())
    assert "\n" not in str(caught.value)
    assert not (place / "runs").exists()


def test_a_deleted_experiment_is_not_written_to(place: Path) -> None:
    client = MlflowClient()
    client.delete_experiment(client.create_experiment(EXPERIMENT))
    with pytest.raises(InputError, match="experiment 'embed-regress' was deleted"):
        fit(config())


def test_mlflows_chatter_is_kept_off_the_terminal(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(Fit, fit, ["posts.parquet", "--target", "like", "--model", "mean", "--log", "mlflow"]) == 0
    assert capfd.readouterr().err == ""
