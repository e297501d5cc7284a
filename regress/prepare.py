"""From a command's flags to experiments: the posts, the targets, the features and the folds, each read once."""

import time
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data.config import InputError
from data.files import sha256_file
from data.posts import Posts, open_posts
from data.targets import ACTIVITIES, NothingToLearn, Target, read_target
from embed.content import KINDS, read_keys
from regress.experiment import ALL, Experiment
from regress.features import Features, read_features
from regress.folds import Folds, Rows, make_folds, parse_folds, time_folds, without_common
from regress.setups import Grid

if TYPE_CHECKING:
    from regress.fit import Fit


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


def _groups(posts: Posts, column: str | None, rows: Rows) -> Rows | None:
    """int64 (n,): equal numbers are one group; a post without a group is a group of its own."""
    if column is None:
        return None
    import pandas as pd

    codes, names = pd.factorize(posts.read(column)[column].iloc[rows])
    alone = codes < 0
    codes = codes.astype(np.int64)
    codes[alone] = len(names) + np.arange(alone.sum())
    return codes


def _clusters(contents: Rows) -> Rows:
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
