"""One seed, one result: the same bytes, of predictions and of models, on one core and on two."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from regress.models import MODELS
from regress.run import load_run
from tests.regress.crash.posts import make_posts

ROOT = Path(__file__).parents[2]
EXTRAS = ("xgboost", "catboost")
SHORT = "epochs=2,trees=20,max_iter=10,stack.members=ridge+mlp"
CORES = sorted(os.sched_getaffinity(0))[:2]


def fitted(folder: Path, cores: list[int]) -> dict[str, dict[str, str]]:
    """Name of a run → SHA-256 of its files, predictions and model, fitted on these cores only."""
    models = ",".join(name for name in MODELS if name not in EXTRAS or find_spec(name))
    flags = ["--target", "like", "--folds", "3", "--model", models, "--set", SHORT, "--json"]
    place = [str(folder / "posts.csv"), "--cache", str(folder / "cache.h5"), "--out", str(folder / str(len(cores)))]
    done = subprocess.run(
        [sys.executable, "-m", "regress.fit", *place, *flags],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": str(len(cores)), "OPENBLAS_NUM_THREADS": str(len(cores))},
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    runs = [load_run(Path(run["folder"])) for run in json.loads(done.stdout)["runs"]]
    assert len(runs) == len(models.split(","))
    return {run.folder.name: run.manifest["files"] for run in runs}


@pytest.mark.skipif(len(CORES) < 2, reason="one core")
def test_one_core_and_two_give_the_same_bytes(tmp_path: Path) -> None:
    make_posts(tmp_path, n=300, dim=128)
    one = fitted(tmp_path, CORES[:1])
    for kept in tmp_path.glob("cache.h5.bins*"):
        kept.rename(tmp_path / "bins-of-one")  # two make their own
    assert fitted(tmp_path, CORES) == one
