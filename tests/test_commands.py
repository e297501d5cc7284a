"""What a program that drives the commands may rely on, and what a person sees: the same for every command."""

import contextlib
import importlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data import progress
from data.config import main
from embed.extract import Extract
from embed.extract import run as extract
from regress.fit import Fit
from regress.fit import run as fit

ROOT = Path(__file__).parents[1]
COMMANDS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for package in ("data", "embed", "oversample", "regress")
    for path in (ROOT / package).glob("*.py")
    if 'if __name__ == "__main__"' in path.read_text(encoding="utf-8")
)
N = 60
CALLS = {
    "data.explore": ["posts.csv", "--out", "explore.html"],
    "data.sample": ["--out", "sample.parquet"],
    "embed.cache": ["verify", "cache.h5"],
    "embed.extract": ["more.csv", "--text", "all-MiniLM-L6-v2", "--backend", "eager", "--cache", "fresh.h5"],
    "regress.compare": ["--out", "report.html", "--runs", "runs"],
    "regress.fit": ["posts.csv", "--model", "mean,ridge", "--target", "like", "--out", "fitted", "--refit"],
    "regress.predict": ["ridge", "posts.csv", "--out", "predictions.csv"],
    "regress.study": ["study.toml"],
}
BARS = {
    "data.explore": ["counting", "reading", "exploring", " posts/s"],
    "embed.cache": ["checking", " rows/s"],
    "embed.extract": ["counting", "embedding", " posts/s", "writing", " rows/s"],
    "regress.compare": ["gallery", " posts/s"],
    "regress.fit": ["hashing", " posts/s", "fitting", " fits"],
    "regress.predict": ["hashing", " posts/s"],
    "regress.study": ["hashing", "fitting", " fits"],
}
BAD = {
    "data.sample": ["--out", "/dev/null/x.parquet"],
    "embed.cache": ["info", "none.h5"],
    "regress.compare": ["none", "--runs", "runs"],
    "regress.predict": ["none", "posts.csv"],
    "regress.study": ["none.toml"],
}  # else a table that is not there


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """posts.csv, its cache.h5 and runs; more.csv; study.toml."""
    place, rng = tmp_path_factory.mktemp("commands"), np.random.default_rng(0)
    view = rng.integers(200, 900, N)
    columns = {"view": view, "like": rng.binomial(view, 0.1), "text": [f"a cat sleeps {i}" for i in range(N)]}
    pd.DataFrame(columns).to_csv(place / "posts.csv", index=False)
    pd.DataFrame({"text": ["one\u2028line", "another"]}).to_csv(place / "more.csv", index=False)
    posts, cache = place / "posts.csv", place / "cache.h5"
    extract(Extract(posts=posts, cache=cache, text=("all-MiniLM-L6-v2",), backend="eager"))
    for made in fit(Fit(posts=posts, cache=cache, out=place / "runs", model=("mean", "ridge"), target="like")).runs:
        made.folder.rename(made.folder.with_name(str(made.manifest["model"])))
    study = 'posts = "posts.csv"\ntarget = "like"\nout = "studied"\nrefit = true\n[[fits]]\nmodel = "ridge"\n'
    (place / "study.toml").write_text(study, encoding="utf-8")
    return place


def call(folder: Path, command: str, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", command, *arguments]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_json_is_the_last_line_and_the_only_one(folder: Path, command: str) -> None:
    done = call(folder, command, [*CALLS[command], "--json"])
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert isinstance(json.loads(done.stdout), dict)
    assert done.stdout.isascii()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("how", ["input", "flag"])
def test_json_tells_an_error_too(folder: Path, command: str, how: str) -> None:
    """In place of the results; the line for people is where it always is."""
    wrong = ["--nonsense"] if how == "flag" else BAD.get(command, ["none.csv"])
    done = call(folder, command, [*wrong, "--json"])
    assert done.returncode == 2
    (line,) = done.stdout.splitlines()
    assert done.stderr == f"error: {json.loads(line)['error']}\n"
    assert call(folder, command, wrong).stdout == ""


class Terminal(io.StringIO):
    """Standard error as a person sees it."""

    def isatty(self) -> bool:
        return True


def watched(command: str, arguments: list[str], patch: pytest.MonkeyPatch) -> str:
    """What a command writes on a terminal, the bars of work that takes no second too."""
    module: Any = importlib.import_module(command)
    config = next(value for value in vars(module).values() if getattr(value, "__module__", "") == command and
                  hasattr(value, "__dataclass_fields__") and "json" in value.__dataclass_fields__)  # fmt: skip
    patch.setattr(progress, "DELAY", 0)
    with contextlib.redirect_stderr(Terminal()) as shown:
        assert main(config, module.run, arguments) == 0, shown.getvalue()
    return shown.getvalue()


@pytest.mark.parametrize("command", COMMANDS)
def test_bars_on_a_terminal_unless_it_is_to_be_quiet(
    folder: Path, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    (folder / "fresh.h5").unlink(missing_ok=True)
    shown = watched(command, CALLS[command], monkeypatch)
    for words in BARS.get(command, []):
        assert words in shown
    assert capsys.readouterr().out
    assert watched(command, [*CALLS[command], "--quiet"], monkeypatch) == ""
    assert capsys.readouterr().out  # the results are no noise
