"""Fit one setup on some of the posts: scale → sample or weigh → tune → fit, on the rows given and no others.

Fits run beside each other in threads. What they share (bins; of a training part its principal components and its
overdispersion) is made once. Sampling is under a lock, since warnings are caught for the whole process.
"""

import threading
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regress.calibration import fit_calibration
from regress.choices import NOTHING, Choice
from regress.dispersion import fit_prior, intra_class_correlation
from regress.features import Features
from regress.fitted import Fitted
from regress.foldfile import digest
from regress.linear import COMPONENTS, Projection, leave_out
from regress.losses import Loss
from regress.memo import Memo
from regress.metrics import clip, cross_entropy
from regress.models import Model, Training, model_class
from regress.sampling import Part, resample, row_weights
from regress.scaling import Scaler
from regress.settings import spelt
from regress.tuning import tune

Rows = NDArray[np.int64]
Array = NDArray[np.float64]
VALIDATION_SHARE = 0.15  # of the training part, for models that stop early
INNER_FOLDS = 3  # of the training part, for --tune
KEPT = 2**29  # bytes of rows in components: 25 training parts of 20,000 posts, 256 components each


@dataclass(frozen=True)
class Setup:
    """What is fitted: everything but the posts and the folds, which all setups of one call share."""

    model: str
    loss: Loss
    oversample: Choice
    calibration: str
    seed: int
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the model, those that are not the default
    tune: int = 0  # how many settings are tried on inner folds
    members: tuple["Setup", ...] = ()  # of a stack
    rarity: str = "raw"  # or "shrunken": posts are rare by rates drawn to the mean, the more the fewer their trials

    @property
    def text(self) -> str:
        """The model with its settings, and whether they are tuned, as part of a run's name."""
        tuned = f"tune={self.tune}" if self.tune else ""
        settings = ",".join(filter(None, [spelt(self.settings), tuned]))
        return f"{self.model}:{settings}" if settings else self.model

    def identity(self) -> dict[str, Any]:
        """What its predictions depend on, before they are calibrated."""
        parts = {"model": self.text, "loss": self.loss.name, "oversample": self.oversample.text, "seed": self.seed}
        parts |= {"rarity": self.rarity}
        return {**parts, "calibration": self.calibration if self.tune else "none"}  # tuning looks at calibrated ones


@dataclass(frozen=True)
class Components:
    """Rows scaled and in principal components, as every loss, seed and model sees them."""

    scaler: Scaler
    projection: Projection
    scores: NDArray[np.float32]  # (m, k) not yet centred

    @property
    def nbytes(self) -> int:
        return self.scores.nbytes + self.projection.axes.nbytes


@dataclass(frozen=True)
class Trainer:
    """The posts that setups are fitted on: n rows of one feature matrix, with rates."""

    features: Features
    y: Array  # (n,) rates
    trials: Array  # (n,)
    groups: Rows  # (n,) what an inner split must not tear apart: posts of one group or picture
    store: Path | None = None  # a folder for what models keep of this feature matrix
    _shared: dict[Hashable, object] = field(default_factory=dict)
    _dispersions: Memo[float] = field(default_factory=Memo)
    _components: Memo[Components] = field(default_factory=lambda: Memo(KEPT, lambda made: made.nbytes))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fit(self, setup: Setup, rows: Rows) -> tuple[Fitted, list[str], dict[str, Any]]:
        """The model fitted on `rows`, the sampler's notes, and the settings that were found by tuning."""
        tuned = self._tune(setup, rows) if setup.tune else {}
        return *self._fit(replace(setup, settings={**setup.settings, **tuned}), rows), tuned

    def _fit(self, setup: Setup, rows: Rows) -> tuple[Fitted, list[str]]:
        model = model_class(setup.model)(**setup.settings)
        held = self._hold_out(rows, setup.seed) if model.early_stopping else np.zeros(len(rows), bool)
        rho = self._dispersion(rows) if setup.loss.kind == "binomial" else 0.0
        scaler: Scaler | None
        with self._lock:
            shared = self._share(model)
        if model.projecting is not None and not setup.oversample.samples:
            training, scaler, notes = self._projected(setup, rows, held, rho, model.projecting)
        else:
            with self._lock:
                scaled = model.representation == "scaled"
                training, scaler, notes = self._training(setup, rows, held, rho, scaled=scaled)
        model.fit(training, setup.loss, setup.seed, shared)
        return Fitted(model, scaler), notes

    def _share(self, model: Model) -> object:
        """What all fits of such models share, made once."""
        if model.sharing is None:
            return None
        if model.sharing not in self._shared:
            self._shared[model.sharing] = model.shared(self.features.X, self.store)
        return self._shared[model.sharing]

    def _projected(
        self, setup: Setup, rows: Rows, held: NDArray[np.bool_], rho: float, components: int
    ) -> tuple[Training, Scaler, list[str]]:
        """As `_training`, with the rows in components: by all of them, so that models which watch some share these."""
        made = self._in_components(rows, components)
        y, rarity = self.y[rows], self._rarity(setup, rows, held)
        weight = _weights(setup, y, held, (self.trials[rows], rho), rarity)
        training = Training(
            *(made.scores, y, weight, rows, self.features.slices, held, self.groups[rows], self.features.views),
            projection=made.projection,
        )
        return training, made.scaler, []

    def _in_components(self, rows: Rows, components: int = COMPONENTS) -> Components:
        def make() -> Components:
            X, slices = self.features.X[rows], self.features.slices
            scaler = Scaler.fit(X, slices)
            return Components(scaler, *Projection.of(scaler.transform(X), slices, components))

        return self._components.get((digest(rows), components), make)

    def _training(
        self, setup: Setup, rows: Rows, held: NDArray[np.bool_], rho: float, *, scaled: bool
    ) -> tuple[Training, Scaler | None, list[str]]:
        """What a model is fitted on, the scaling that it expects, and the sampler's notes."""
        part = Part(self.features, self.features.X[rows], self.y[rows], held, self._rarity(setup, rows, held))
        choice, slices = setup.oversample, self.features.slices
        scaler = Scaler.fit(part.X[~held], slices) if scaled or choice.samples else None
        if choice.samples and scaler is not None:
            new = resample(choice, part, scaler, setup.seed, scaled=scaled)
            parents = rows[new.parents]
            trials = self.trials[parents].mean(axis=1)  # a synthetic row is worth what its parents are
            weight = _weights(setup, new.y, new.held, (trials, rho))
            groups = self.groups[parents[:, 0]]
            training = Training(new.X, new.y, weight, None, slices, new.held, groups, self.features.views)
            return training, scaler if scaled else None, new.notes
        X = part.X if scaler is None else scaler.transform(part.X)
        weight = _weights(setup, part.y, held, (self.trials[rows], rho), part.rarity)
        training = Training(X, part.y, weight, rows, slices, held, self.groups[rows], self.features.views)
        return training, scaler, []

    def _rarity(self, setup: Setup, rows: Rows, held: NDArray[np.bool_]) -> Array | None:
        """float64 (m,): rates by which rows are rare, where those are not the rows' own.

        By raw rates half of the rarest are luck: the top 5 % of 25,000 simulated posts claim 0.289, in truth 0.156.
        Zeros stay zeros: they are the atom that a relevance looks for.
        """
        if setup.rarity == "raw" or setup.oversample == NOTHING:
            return None
        y, trials = self.y[rows], self.trials[rows]
        return np.where(y > 0, fit_prior(y[~held], trials[~held]).shrunken(y, trials), 0.0)

    def _hold_out(self, rows: Rows, seed: int) -> NDArray[np.bool_]:
        """bool (m,): the rows early stopping watches; whole groups, drawn until the share is reached."""
        groups, sizes = np.unique(self.groups[rows], return_counts=True)
        order = np.random.default_rng(seed).permutation(len(groups))
        before = np.cumsum(sizes[order]) - sizes[order]
        chosen = groups[order[:-1][before[:-1] < VALIDATION_SHARE * len(rows)]]  # one group always stays to train on
        return np.isin(self.groups[rows], chosen)

    def _dispersion(self, rows: Rows) -> float:
        """ρ of the rows' rates around what ridge says of each when it is left out; once for all setups of a fold."""

        def make() -> float:
            made, y, trials = self._in_components(rows), self.y[rows], self.trials[rows]
            nothing, slices = np.zeros(len(rows), bool), self.features.slices
            training = Training(
                *(made.scores, y, np.ones(len(rows)), rows, slices, nothing, self.groups[rows]),
                projection=made.projection,
            )
            _, p = leave_out(Projection.fit(training)[1], training, Loss.parse("mse"))
            p = clip(fit_calibration("beta", p, y).apply(p))
            return intra_class_correlation(y, p, trials)

        return self._dispersions.get(digest(rows), make)

    def _tune(self, setup: Setup, rows: Rows) -> dict[str, Any]:
        """The settings of least calibrated log loss on inner folds of `rows`."""
        from sklearn.model_selection import GroupKFold

        splitter = GroupKFold(INNER_FOLDS, shuffle=True, random_state=setup.seed)
        parts = list(splitter.split(rows, groups=self.groups[rows]))

        def loss_of(settings: dict[str, Any]) -> float:
            tried, raw = replace(setup, settings={**setup.settings, **settings}), np.empty(len(rows))
            for train, test in parts:
                raw[test] = self._fit(tried, rows[train])[0].predict(self.features.X[rows[test]])
            y, calibrates = self.y[rows], setup.calibration != "none"
            p = fit_calibration(setup.calibration, raw, y).apply(raw) if calibrates else raw
            return float(cross_entropy(y, p).mean())

        return tune(setup.model, loss_of, setup.tune, setup.seed)


def _weights(
    setup: Setup, y: Array, held: NDArray[np.bool_], trials: tuple[Array, float], rarity: Array | None = None
) -> Array:
    """float64 (m,): the loss's weights, times those of `--oversample`, of the rows trained on; mean 1.

    Rows that early stopping watches count alike: a few heavy ones among them stop a model by chance. On the demo's
    texts, with dense-weights:ess=0.5, D² is 0.100 with LightGBM and 0.133 with a head, and 0.018 and 0.099 where they
    are weighted.
    """
    weight, rest = np.ones(len(y)), ~held
    weight[rest] = setup.loss.weights(y[rest], trials[0][rest], trials[1])
    if setup.oversample.weighs:
        weight[rest] *= row_weights(setup.oversample, (y if rarity is None else rarity)[rest])
        weight[rest] /= weight[rest].mean()
    return weight
