"""Kill `regress.fit` with signal 9 again and again, start it again until it is through, compare with one left alone.

    python tests/regress/crash/fits.py KILLS [SEED]

Children are forked with the libraries already imported, so that kills fall within the work. Half of them fall at any
time of it, half as soon as a file is being written. Prints one JSON object; any breach is an AssertionError.
"""

import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from posts import make_posts

from data.config import main as command
from regress.fit import Fit
from regress.fit import run as fit
from regress.foldfile import FoldFiles
from regress.run import Run, load_run
from regress.runs import choose

MODELS = "mean,ridge,lgbm,mlp"
COLUMNS = ["raw", "prediction", "mean"]
FOLDS = 3
PER_FIT = 7  # kills of one fit, at most; then it is left alone to its end
PATIENCE = 60  # seconds that a child may take

Seen = dict[str, tuple[int, int]]  # name of a fold file → inode, time of its last change


@dataclass
class Report:
    """What happened."""

    kills: int = 0
    writing: int = 0  # kills that left temporary files behind
    resumed: int = 0  # starts that found fits of an earlier one
    finished: int = 0  # fits that came to their end after kills
    kept: int = 0  # fold files that an end found as a start had left them
    seconds: float = 0.0
    alone: float = 0.0  # seconds of a fit that is left alone
    modes: dict[str, int] = field(default_factory=dict)


class Campaign:
    """One table of posts, one fit of it left alone, and fits that are killed."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._chance = folder, random.Random(seed)
        self.report = Report()
        make_posts(folder, n=90, dim=24)
        _import_all()
        self._reap(self._start("first"))  # keeps bins beside the cache, as every one after it finds them
        start = time.monotonic()
        self._reap(self._start("alone"))
        self.report.alone = round(time.monotonic() - start, 3)
        self._expected = self._contents("alone")

    def run(self, kills: int) -> Report:
        start = time.monotonic()
        while self.report.kills < kills:
            self._until_finished(f"killed-{self.report.finished}", kills)
        self.report.seconds = round(time.monotonic() - start, 1)
        return self.report

    def _until_finished(self, out: str, kills: int) -> None:
        """Kill, look, start again; the last start is left alone."""
        seen: Seen = {}
        last = min(kills, self.report.kills + self._chance.randint(1, PER_FIT))
        while True:
            spare = self.report.kills >= last
            child = self._start(out)
            self.report.resumed += bool(seen)
            if spare or not self._kill(child, out):
                break
            self.report.kills += 1
            seen = self._look(out, seen)
        if spare:
            self._reap(child)
        assert self._look(out, seen).keys() >= seen.keys()
        self._check_end(out)
        self.report.kept += len(seen)
        self.report.finished += 1

    def _start(self, out: str) -> int:
        """A child that does what `python -m regress.fit` does."""
        pid = os.fork()
        if pid:
            return pid
        with contextlib.suppress(BaseException), open(self._folder / f"{out}.log", "w") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            os.chdir(self._folder)
            line = f"posts.csv --model {MODELS} --target like --folds {FOLDS} --set epochs=3,trees=20 --out {out}"
            os._exit(command(Fit, fit, line.split()))
        os._exit(70)

    def _kill(self, child: int, out: str) -> bool:
        """Kill a child at some moment; False when it came to its end before."""
        mode = self._chance.choice(["any time", "writing"])
        begin, moment = time.monotonic(), self._chance.random() * self.report.alone
        before = _temporary(self._folder)  # of earlier kills
        late = self._chance.random() * 0.002
        while True:
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                assert status == 0, (self._folder / f"{out}.log").read_text()
                return False
            since = time.monotonic() - begin
            due = since >= moment
            if due and (mode == "any time" or _temporary(self._folder) - before):
                time.sleep(late if mode == "writing" else 0)
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                self.report.writing += bool(_temporary(self._folder) - before)
                self.report.modes[mode] = self.report.modes.get(mode, 0) + 1
                return True
            assert since < PATIENCE, "a fit hangs"
            time.sleep(0 if due else 0.001)

    def _reap(self, child: int) -> None:
        status = os.waitpid(child, 0)[1]
        assert status == 0, "".join(path.read_text() for path in self._folder.glob("*.log"))

    def _look(self, out: str, before: Seen) -> Seen:
        """What a kill left: fold files and runs that are whole, and those of before untouched."""
        place = self._folder / out
        seen: Seen = {}
        for path in sorted((place / ".folds").glob("*.safetensors")):
            assert FoldFiles.read(path) is not None, f"{path} is not whole"
            about = path.stat()
            seen[path.name] = (about.st_ino, about.st_mtime_ns)
        assert before.items() <= seen.items(), "a fit that was kept was lost, or made again"
        for path in _shown(place):
            assert _same(load_run(path), self._expected[path.name]), f"{path}: other predictions"
        if _shown(place):
            listed, others = choose((), place)
            assert {entry.run.folder.name for entry in listed} == {path.name for path in _shown(place)}
            assert others == []
        return seen

    def _check_end(self, out: str) -> None:
        found = self._contents(out)
        assert found.keys() == self._expected.keys()
        for name, run in found.items():
            assert _same(run, self._expected[name]), f"{name}: other predictions"
            assert run.manifest["files"] == self._expected[name].manifest["files"], f"{name}: another model"
        names = [sorted(path.name for path in (self._folder / each / ".folds").iterdir()) for each in ("alone", out)]
        assert names[0] == names[1], f"fold files differ: {set(names[0]) ^ set(names[1])}"
        assert not (left := _temporary(self._folder)), f"left over: {left}"

    def _contents(self, out: str) -> dict[str, Run]:
        return {path.name: load_run(path) for path in _shown(self._folder / out)}


def _import_all() -> None:
    """What a fit imports, without a computation: threads do not outlive a fork."""
    import lightgbm  # noqa: F401
    import sklearn.model_selection  # noqa: F401
    import threadpoolctl  # noqa: F401

    import regress.experiment
    import regress.heads
    import regress.lgbm  # noqa: F401


def _shown(out: Path) -> list[Path]:
    """Run folders as `regress.compare` lists them."""
    return sorted(path for path in out.glob("*") if not path.name.startswith(".")) if out.is_dir() else []


def _temporary(folder: Path) -> set[str]:
    """Files and folders that are being written, or were when their writer was killed."""
    found = set()
    for base, folders, files in os.walk(folder):
        hidden = [name for name in [*folders, *files] if name.startswith(".") and name != ".folds"]
        found |= {os.path.join(base, name) for name in hidden}  # noqa: PTH118 - polled: fast
    return found


def _same(run: Run, expected: Run) -> bool:
    """Byte-equal out-of-fold predictions."""
    tables: list[Any] = [pd.DataFrame(each.predictions()[COLUMNS]) for each in (run, expected)]
    return tables[0].to_numpy().tobytes() == tables[1].to_numpy().tobytes()


def main(kills: int, seed: int = 0) -> None:
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(asdict(Campaign(Path(folder), seed).run(kills))), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
