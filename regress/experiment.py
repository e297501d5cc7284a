"""What all runs of one `regress.fit` call share: the posts kept, their target, their features, the folds."""

import contextlib
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from data.config import InputError, canonical_json
from data.posts import Posts
from data.targets import Target
from regress import manifest
from regress.crossval import CrossValidation
from regress.features import Features
from regress.foldfile import FoldFiles, digest
from regress.folds import Folds
from regress.metrics import d2
from regress.run import MANIFEST, Run, load_run, save_run
from regress.trainer import Setup, Trainer

if TYPE_CHECKING:
    from regress.fit import Fit
    from regress.setups import Grid

LONGEST = 150  # characters of a run's name in its folder's: file systems allow 255 bytes, and the digest follows
ALL = "all"
FOLD_FILES = ".folds"  # hidden: not a run

Rows = NDArray[np.int64]
Step = Callable[[], object]


@dataclass(frozen=True)
class Experiment:
    """Posts with a target, feature sets of them, and folds; `fit` makes a run of one setup on one feature set."""

    config: "Fit"
    posts: Posts
    posts_sha256: str
    target: Target
    features: list[Features]
    grid: "Grid"
    # (n,) what no inner split tears apart and the bootstrap draws whole: groups, else posts with one picture or text
    clusters: Rows
    partitions: tuple[Folds, ...]
    rivals: dict[str, Folds]  # other ways to fold, by what they are called, that --leakage asks for
    notes: list[str] = field(default_factory=list)
    reading: float = 0.0  # seconds that the features took to be read from the cache, all sets of them
    _validations: dict[str, tuple[str, CrossValidation]] = field(default_factory=dict)

    def fits(self, setup: Setup) -> int:
        """How many models a run takes: on each fold's training part and on all posts, for each member of a stack."""
        folds = sum(each.n_folds for each in (*self.partitions, *self.rivals.values()))
        return max(1, len(setup.members)) * (folds + 1)

    def fit(self, setup: Setup, features: Features, step: Step = lambda: None) -> tuple[Run, bool]:
        """The run of a setup: read where it is kept already (True), else fitted, scored and written (False).

        `step` is called after each of its `fits`, by several threads.
        """
        folder = self._folder(setup, features)
        if not self.config.refit and (kept := _kept(folder, self.key(setup, features))):
            os.utime(folder / MANIFEST)  # what was asked for last is what regress.compare takes
            return kept, True
        validation = replace(self._validation(features)[1], step=step)
        outcome = validation.run(setup)
        described = manifest.describe(self, setup, features, outcome)
        described["leakage"] = self._leakage(validation, setup, described["metrics"]["d2"])
        return save_run(folder, described, manifest.table(self, outcome), outcome.fitted), False

    def key(self, setup: Setup, features: Features) -> str:
        """SHA-256 of what a run depends on."""
        return manifest.run_key(self, setup, features)

    def ground(self, features: Features) -> str:
        """SHA-256 of the numbers that a fit depends on."""
        return self._validation(features)[0]

    @cached_property
    def folding(self) -> dict[str, Any]:
        """How the posts are parted, as a run tells it."""
        config, parts = self.config, self.partitions
        digests = "".join(folds.digest for folds in parts).encode()
        return {
            "n": parts[0].n_folds - parts[0].forward,  # by time, the first only calibrates
            "repeats": len(parts),
            "seed": config.seed,
            "digest": parts[0].digest if len(parts) == 1 else hashlib.sha256(digests).hexdigest(),
            "purged": sum(folds.purged for folds in parts),
            "group": config.group,
            "time": config.time,
        }

    def _validation(self, features: Features) -> tuple[str, CrossValidation]:
        """The loop on one feature matrix, with the digest of its ground; one matrix in memory at a time."""
        if features.name not in self._validations:
            self._validations.clear()
            y, trials, cache = self.target.y, self.target.trials, self.config.cache
            columns = digest(features.X)
            ground = digest(y, trials, self.clusters) + columns
            store = cache.with_name(cache.name + ".bins") / columns[:32]
            trainer = Trainer(features, y, trials, self.clusters, store)
            files = FoldFiles(self.config.out / FOLD_FILES, ground)
            self._validations[features.name] = ground, CrossValidation(trainer, self.partitions, files)
        return self._validations[features.name]

    def _folder(self, setup: Setup, features: Features) -> Path:
        """Where the run of a setup belongs: one folder, however often it is fitted."""
        used = [] if setup.model == "mean" else features.names
        identity = {"comparable": manifest.comparable(self), "features": used, "calibration": setup.calibration}
        parts = {**identity, **setup.identity(), "members": [member.identity() for member in setup.members]}
        short = hashlib.sha256(canonical_json(parts).encode()).hexdigest()[:6]
        name = manifest.name(setup, features).replace("/", "--")[:LONGEST]
        activity = self.target.name.partition(" ")[0].replace("/", "--")
        return self.config.out / f"{activity + '-' if self.config.target == ALL else ''}{name}-{short}"

    def _leakage(self, validation: CrossValidation, setup: Setup, d2_here: float) -> dict[str, Any] | None:
        """D² on other folds beside that on these: what posts of one group, or later ones, give away."""
        if not self.rivals:
            return None
        found = {self.kind: {"d2": d2_here, "n": int(self.partitions[0].scored.sum())}}
        for kind, folds in self.rivals.items():
            each = validation.out_of_fold(setup, folds)
            rows = folds.scored
            score = d2(self.target.y[rows], each.prediction[rows], each.mean[rows])
            found[kind] = {"d2": score, "n": int(rows.sum())}
        return found

    @property
    def kind(self) -> str:
        """What the folds of the runs are called beside other ways to fold."""
        return "time" if self.config.time else "grouped" if self.config.group else "purged"


def _kept(folder: Path, key: str) -> Run | None:
    """The run in a folder, if it is whole and depends on the same; else it is fitted again."""
    with contextlib.suppress(InputError):
        run = load_run(folder)
        if run.manifest.get("key") == key:
            return run
    return None
