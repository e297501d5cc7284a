"""What all runs of one `regress.fit` call share: the posts kept, their target, their features, the folds."""

import contextlib
import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from data.config import InputError, canonical_json
from data.files import sha256_file
from data.posts import Posts, open_posts
from data.targets import ACTIVITIES, NothingToLearn, Target, read_target
from embed.content import KINDS, read_keys
from regress import manifest
from regress.crossval import CrossValidation
from regress.features import Features, read_features
from regress.foldfile import FoldFiles, digest
from regress.folds import Folds, make_folds, parse_folds, time_folds, without_common
from regress.metrics import d2
from regress.run import MANIFEST, Run, load_run, save_run
from regress.setups import Grid
from regress.trainer import Setup, Trainer

if TYPE_CHECKING:
    from regress.fit import Fit

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


def prepare(config: "Fit") -> list[Experiment]:
    """Read the posts, the targets and the features, and draw the folds; names are checked before anything is read.

    One experiment for each target: one, or with `--target all` every activity of the table that varies.

    Raises:
        InputError: a name is unknown, the table's counts cannot be right, or the cache lacks these posts.
    """
    grid = Grid.parse(config)
    n_folds, repeats = parse_folds(config.folds)
    posts = open_posts(config)
    targets, notes = _targets(posts, config)
    sha256, all_keys = sha256_file(posts.path), read_keys(posts)
    table = config.posts.as_posix() if config.posts else ""
    known: dict[bytes, tuple[list[Features], list[str]]] = {}  # targets that keep the same posts share features
    experiments, reading = [], 0.0
    for target in targets:
        keys = {kind: each.take(target.rows) for kind, each in all_keys.items()}
        rows = target.rows.tobytes()
        if rows not in known:
            start = time.perf_counter()
            known[rows] = read_features(config.cache, keys, config.features, table)
            reading = time.perf_counter() - start
            notes += [*_left_out(posts, target), *known[rows][1]]
        grid.check(known[rows][0])
        contents, common = without_common(np.stack([keys[kind].identities() for kind in KINDS], axis=1))
        groups = _groups(posts, config.group, target.rows)
        partitions, rivals = _partitions(config, posts, target, groups, contents, (n_folds, repeats))
        experiment = Experiment(
            config=config,
            posts=posts,
            posts_sha256=sha256,
            target=target,
            features=known[rows][0],
            grid=grid,
            clusters=_clusters(contents) if groups is None else groups,
            partitions=partitions,
            rivals=rivals,
            reading=reading,
        )
        experiments.append(experiment)
        if purged := experiment.folding["purged"]:
            note = f"{purged:,} training rows purged over all folds: their picture or text is also in the test part"
            notes += [] if note in notes else [note]
        if common:
            note = f"{_shared(common)} by more than a tenth of the posts: a habit, and neither purged nor a cluster"
            notes += [] if note in notes else [note]
    experiments[0].notes.extend(notes)
    return experiments


def _shared(n: int) -> str:
    return "1 picture or text is shared" if n == 1 else f"{n:,} pictures or texts are shared"


def _targets(posts: Posts, config: "Fit") -> tuple[list[Target], list[str]]:
    """The target, or with "all" those of the activities that vary, and notes on the others."""
    names = [config.target]
    if config.target == ALL and ALL not in posts.columns:
        names = [name for name in posts.declared.activities or ACTIVITIES if name in posts.columns]
        if not names:
            raise InputError(f"--target all: {posts.path} has none of {', '.join(ACTIVITIES)}: name a column")
    found, notes = [], []
    for name in names:
        try:
            found.append(read_target(posts, name, config.trials, config.min_trials, config.drop_invalid))
        except NothingToLearn as why:
            if len(names) == 1:
                raise
            notes.append(f"left out: {why}")
    if not found:
        raise InputError("--target all: none of the activities varies: nothing to learn")
    return found, notes


def _partitions(
    config: "Fit",
    posts: Posts,
    target: Target,
    groups: Rows | None,
    contents: Rows,
    folds: tuple[int, int],
) -> tuple[tuple[Folds, ...], dict[str, Folds]]:
    """The partitions that runs are fitted on, and for --leakage those that they are compared with."""
    n_folds, repeats = folds
    y, seed = target.y, config.seed
    times = _times(posts, config.time, target.rows)
    if times is not None and repeats > 1:
        raise InputError(f"--folds {config.folds} with --time: time runs once: name one number of folds")
    if times is None:
        main = make_folds(y, groups, contents, n_folds=n_folds, repeats=repeats, seed=seed)
    else:
        main = (time_folds(y, times, contents, n_folds=n_folds),)
    if not config.leakage:
        return main, {}
    ways = {"random": (None, contents[:, :0]), "purged": (None, contents), "grouped": (groups, contents)}
    if groups is None:
        del ways["grouped"]
    if times is None:
        del ways["purged" if groups is None else "grouped"]  # these are the runs' own folds
    return main, {kind: make_folds(y, *way, n_folds=n_folds, seed=seed)[0] for kind, way in ways.items()}


def _times(posts: Posts, column: str | None, rows: Rows) -> NDArray[np.float64] | None:
    """float64 (n,): numbers as they are, dates as seconds."""
    if column is None:
        return None
    import pandas as pd

    posts.require(column, "--time")
    values = posts.read(column)[column].iloc[rows]
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.isna().any():
        dates = pd.to_datetime(values, errors="coerce", utc=True, format="mixed")
        if dates.isna().any():
            first = int(rows[int(dates.isna().to_numpy().argmax())])
            raise InputError(
                f"--time {column}: {int(dates.isna().sum()):,} posts have no time, the first in row {first + 1}: "
                "expected numbers or dates such as 2024-10-31 18:00"
            )
        numbers = (dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
    return numbers.to_numpy(np.float64)


def _groups(posts: Posts, column: str | None, rows: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """int64 (n,): equal numbers are one group; a post without a group is a group of its own."""
    if column is None:
        return None
    import pandas as pd

    codes, names = pd.factorize(posts.read(column)[column].iloc[rows])
    alone = codes < 0
    codes = codes.astype(np.int64)
    codes[alone] = len(names) + np.arange(alone.sum())
    return codes


def _clusters(contents: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64 (n,): posts with the same picture, or without one but with the same text, are one cluster."""
    image, text = contents.T
    alone = np.arange(len(contents))
    n = len(contents)
    labels = np.where(image >= 0, image, np.where(text >= 0, n + text, 2 * n + alone))
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _left_out(posts: Posts, target: Target) -> list[str]:
    left = len(posts) - len(target.rows)
    return (
        [f"{left:,} of {len(posts):,} posts left out ({target.min_trials} {target.trials_name} or more are asked for)"]
        if left
        else []
    )
