"""What all runs of one `regress.fit` call share: the posts kept, their target, their features, the folds."""

import hashlib
import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from data.config import InputError, as_json, canonical_json
from data.files import sha256_file
from data.names import pick
from data.posts import Posts, open_posts
from data.targets import Target, read_target
from embed.content import KINDS, read_keys
from regress.choices import NOTHING, Choice, parse_choices
from regress.crossval import CrossValidation, Outcome, Setup
from regress.features import Features, read_features
from regress.folds import Folds, make_folds
from regress.inference import bootstrap, verdict
from regress.losses import KNOWN, Loss
from regress.metrics import scores
from regress.models import MODELS
from regress.run import Run, save_run
from regress.sampling import neighbors_by

if TYPE_CHECKING:
    from regress.fit import Fit

PACKAGES = ("embed-regress", "numpy", "scikit-learn", "lightgbm", "torch", "timm", "transformers", "h5py")
LONGEST = 150  # characters of a run's name in its folder's: file systems allow 255 bytes, and the digest follows


@dataclass(frozen=True)
class Experiment:
    """Posts with a target, feature sets of them, and folds; `fit` makes a run of one setup on one feature set."""

    config: "Fit"
    posts: Posts
    posts_sha256: str
    target: Target
    features: list[Features]
    losses: list[Loss]
    choices: list[Choice]
    clusters: NDArray[
        np.int64
    ]  # (n,) what no inner split tears apart and the bootstrap draws whole: groups, else posts with one picture or text
    folds: Folds
    notes: list[str] = field(default_factory=list)
    _validations: dict[str, CrossValidation] = field(default_factory=dict)

    def setups(self) -> Iterator[tuple[Setup, Features]]:
        """Every combination asked for. The mean knows neither features nor losses nor samplers: once is enough."""
        config, seen_mean = self.config, False
        for features, model, loss, choice in product(self.features, config.model, self.losses, self.choices):
            if model == "mean":
                if not seen_mean:
                    yield Setup(model, loss, NOTHING, "none", config.seed), features
                seen_mean = True
            else:
                yield Setup(model, loss, choice, config.calibration, config.seed), features

    def fit(self, setup: Setup, features: Features) -> Run:
        """Cross-validate, score, refit on all posts and write the run's folder."""
        if features.name not in self._validations:
            self._validations.clear()  # one feature matrix and its bins in memory at a time
            self._validations[features.name] = CrossValidation(features, self.target.y, self.clusters, self.folds)
        outcome = self._validations[features.name].run(setup)
        manifest = self._manifest(setup, features, outcome)
        identity = {
            key: manifest[key] for key in ("comparable", "features", "model", "loss", "oversample", "calibration")
        }
        digest = hashlib.sha256(canonical_json({**identity, "seed": setup.seed}).encode()).hexdigest()
        folder = self.config.out / f"{manifest['name'].replace('/', '--')[:LONGEST]}-{digest[:6]}"
        return save_run(folder, manifest, self._predictions(outcome), outcome.fitted)

    def _manifest(self, setup: Setup, features: Features, outcome: Outcome) -> dict[str, Any]:
        y, target, config = self.target.y, self.target, self.config
        parts = [setup.model] if setup.model == "mean" else [setup.model, setup.loss.name, features.name]
        parts += [] if setup.oversample == NOTHING else [setup.oversample.text]
        table = {"path": self.posts.path.as_posix(), "sha256": self.posts_sha256, "n": len(self.posts)}
        about = {
            "name": target.name,
            "trials": target.trials_name,
            "min_trials": target.min_trials,
            "n": len(y),
            "zeros": int((y == 0).sum()),
        }
        comparable = {"posts": self.posts_sha256, "target": about, "folds": self.folds.digest}
        interval = bootstrap(y, outcome.prediction, outcome.mean, self.clusters, seed=config.seed)
        judged = verdict(y, outcome.prediction, outcome.mean, self.clusters, interval=interval)
        measured = scores(y, outcome.prediction, outcome.mean, target.trials)
        return {
            "name": "-".join(parts),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "posts": table,
            "target": about,
            "cache": config.cache.as_posix(),
            "features": [] if setup.model == "mean" else features.names,
            "fingerprints": {block.name: block.fingerprint for block in features.blocks},
            "model": setup.model,
            "loss": setup.loss.name,
            "oversample": setup.oversample.text,
            "calibration": setup.calibration,
            "folds": {
                "n": self.folds.n_folds,
                "seed": config.seed,
                "digest": self.folds.digest,
                "purged": self.folds.purged,
                "group": config.group,
            },
            "config": as_json(config),
            "comparable": hashlib.sha256(canonical_json(comparable).encode()).hexdigest(),
            "metrics": {**measured.to_json(), "d2_low": interval.d2_low, "d2_high": interval.d2_high},
            "verdict": {"name": judged.name, "why": judged.why},
            "calibrator": outcome.calibrator.to_json() if outcome.calibrator else None,
            "notes": outcome.notes,
            "seconds": outcome.seconds,
            "environment": environment(),
        }

    def _predictions(self, outcome: Outcome) -> Any:
        import pandas as pd

        ids = self.posts.ids()
        return pd.DataFrame(
            {
                "id": [ids[row] for row in self.target.rows],
                "row": self.target.rows,
                "fold": self.folds.assignment,
                "y": self.target.y,
                "trials": self.target.trials,
                "mean": outcome.mean,
                "raw": outcome.raw,
                "prediction": outcome.prediction,
                "cluster": self.clusters,
            }
        )


def prepare(config: "Fit") -> Experiment:
    """Read the posts, the target and the features, and draw the folds; names are checked before anything is read."""
    if not config.model:
        raise InputError(f"--model names nothing: expected one or more of {', '.join(MODELS)}")
    if not config.loss:
        raise InputError(f"--loss names nothing: expected one or more of {', '.join(KNOWN)}")
    for model in config.model:
        pick(MODELS, model, "model")
    choices = parse_choices(config.oversample)
    losses = [Loss.parse(text) for text in config.loss]
    posts = open_posts(config)
    target = read_target(posts, config.target, config.trials, config.min_trials, config.drop_invalid)
    groups = _groups(posts, config.group, target.rows)
    keys = {kind: table.take(target.rows) for kind, table in read_keys(posts).items()}
    table_argument = config.posts.as_posix() if config.posts else ""
    features, notes = read_features(config.cache, keys, config.features, table_argument)
    _check_blocks(choices, features)
    contents = np.stack([keys[kind].identities() for kind in KINDS], axis=1)
    folds = make_folds(target.y, groups, contents, n_folds=config.folds, seed=config.seed)[0]
    if folds.purged:
        notes.append(
            f"{folds.purged:,} training rows purged over all folds: their picture or text is also in the test part"
        )
    return Experiment(
        config=config,
        posts=posts,
        posts_sha256=sha256_file(posts.path),
        target=target,
        features=features,
        losses=losses,
        choices=choices,
        clusters=_clusters(contents) if groups is None else groups,
        folds=folds,
        notes=[*_left_out(posts, target), *notes],
    )


def _check_blocks(choices: list[Choice], features: list[Features]) -> None:
    """Raise `InputError` where a sampler is to find neighbours by a block that a feature set does not have."""
    for choice, each in product(choices, features):
        try:
            each.named(neighbors_by(choice))
        except InputError as why:
            raise InputError(f"--oversample {choice.text}: {why}") from None


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


def environment() -> dict[str, str]:
    """Versions that a reader needs to repeat a run. No names of hosts or users."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
