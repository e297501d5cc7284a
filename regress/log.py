"""`--log mlflow`: each run once more in MLflow, where its numbers stand beside those of other projects.

An optional extra. MLflow's own variables say where to: MLFLOW_TRACKING_URI (else mlflow.db in the working directory),
MLFLOW_EXPERIMENT_NAME (else "embed-regress"). A run is known by its key, so that a call that is repeated logs nothing
twice. 0.1 s a run into a local file. MLflow's reports of its use to its makers are off unless
MLFLOW_DISABLE_TELEMETRY says otherwise.
"""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from datetime import datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Self

from data.config import InputError
from regress.card import CARD
from regress.run import MANIFEST, Run

if TYPE_CHECKING:
    from mlflow import MlflowClient

PACKAGES = ("mlflow", "sqlalchemy", "alembic")  # the small MLflow brings no database of its own
EXPERIMENT = "embed-regress"
KEY = "embed_regress.key"
LONGEST = 500  # characters of a value that MLflow's older stores take
CHATTY = ("mlflow", "alembic")


class MlflowLog:
    """An experiment in MLflow that runs are added to."""

    def __init__(self, client: "MlflowClient", experiment: str) -> None:
        self._client = client
        self._experiment = experiment

    @classmethod
    def open(cls) -> Self:
        """Connect to MLflow and make the experiment if it is not there.

        Raises:
            InputError: MLflow is not installed, or cannot be written to.
        """
        missing = [name for name in PACKAGES if find_spec(name) is None]
        if missing:
            raise InputError(f"--log mlflow needs {', '.join(missing)}: pip install 'embed-regress[mlflow]'")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        with _plain():
            from mlflow import MlflowClient

            client, name = MlflowClient(), os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
            found = client.get_experiment_by_name(name)
            if found is not None and found.lifecycle_stage != "active":
                raise InputError(f"--log mlflow: experiment {name!r} was deleted: restore it, or name another one")
            return cls(client, str(found.experiment_id if found else client.create_experiment(name)))

    def add(self, run: Run) -> bool:
        """Log a run: parameters, scores with their intervals, run.json and the card. False where it was there.

        Raises:
            InputError: MLflow refuses it; the run's own folder is complete all the same.
        """
        with _plain():
            from mlflow.entities import Metric, Param, RunTag

            known = self._known(run.manifest["key"])
            if known is not None and known.info.status == "FINISHED":
                return False
            made = known or self._client.create_run(self._experiment, run_name=run.name)  # or go on with one cut short
            logged, moment = made.info.run_id, _milliseconds(run.manifest["created"])
            self._client.log_batch(
                logged,
                metrics=[Metric(name, value, moment, 0) for name, value in _metrics(run.manifest).items()],
                params=[Param(name, value[:LONGEST]) for name, value in _params(run.manifest).items() if value],
                tags=[RunTag(name, value) for name, value in _tags(run.manifest).items()],
            )
            for file in (MANIFEST, CARD):
                self._client.log_artifact(logged, str(run.folder / file))
            self._client.set_terminated(logged)
        return True

    def _known(self, key: str) -> Any:
        """The run of this key that MLflow has: a finished one before one that was cut short; None where it has none."""
        found = self._client.search_runs([self._experiment], f"tags.`{KEY}` = '{key}'")
        return min(found, key=lambda run: run.info.status != "FINISHED", default=None)


def _params(m: dict[str, Any]) -> dict[str, str]:
    """What was chosen, as texts."""
    target, folds = m["target"], m["folds"]
    chosen = {
        **{name: m[name] for name in ("model", "loss", "oversample", "rarity", "calibration")},
        "features": "+".join(m["features"]),
        "members": ",".join(m["members"]),
        **{f"set.{name}": value for name, value in m["settings"].items()},
        "target": target["name"],
        **{name: target[name] for name in ("trials", "min_trials")},
        "posts": target["n"],
        "posts_sha256": m["posts"]["sha256"],
        "folds": folds["n"],
        **{name: folds[name] for name in ("repeats", "seed", "group", "time")},
    }
    return {name: str(value) for name, value in chosen.items() if value is not None}


def _metrics(m: dict[str, Any]) -> dict[str, float]:
    """Scores, the ends of the interval of D² among them; D² on other folds; seconds."""
    found = {name: value for name, value in m["metrics"].items() if value is not None}
    found |= {f"d2_{kind}_folds": each["d2"] for kind, each in (m["leakage"] or {}).items()}
    return {name: float(value) for name, value in {**found, "seconds": m["seconds"]["total"]}.items()}


def _tags(m: dict[str, Any]) -> dict[str, str]:
    """The last is what MLflow shows as the run's description."""
    verdict = m["verdict"]
    return {KEY: m["key"], "verdict": verdict["name"], "mlflow.note.content": f"{verdict['name']}: {verdict['why']}"}


def _milliseconds(created: str) -> int:
    return int(datetime.fromisoformat(created).timestamp() * 1000)


@contextlib.contextmanager
def _plain() -> Iterator[None]:
    """What MLflow raises as one line, and only its errors on standard error."""
    loggers = [logging.getLogger(name) for name in CHATTY]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        for logger in loggers:  # importing it sets its own
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    except (MlflowException, SQLAlchemyError, OSError) as why:
        told = " ".join(str(why).split())[:300]
        raise InputError(
            f"--log mlflow: MLflow refuses ({told}): check MLFLOW_TRACKING_URI, or leave --log out"
        ) from None
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
