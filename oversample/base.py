"""The contract of a sampler for continuous targets: imbalanced-learn's `fit_resample`, which itself refuses them.

Works in `imblearn.pipeline.Pipeline`, `clone` and `GridSearchCV`. Rows that are kept come first, in their order and bit
for bit, then the new rows; rows are left out only where that is asked for. Beside the output, blocks are in memory.
"""

import numbers
import warnings
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from imblearn.base import BaseSampler
from scipy.sparse import issparse
from sklearn.utils.validation import check_is_fitted, check_X_y

from oversample.arrays import check_bounds, floating, generator, like, one_column, take, target_like, weights
from oversample.blocks import find_blocks
from oversample.draw import Draw, Floats, Rows, between
from oversample.relevance import Relevance, fit_relevance
from oversample.report import Evidence, Report
from oversample.strategy import Bump, Strategy, check_strategy, find_bumps

BLOCK = 512  # output rows made at a time: they stay in the processor's cache


@dataclass(kw_only=True, eq=False, repr=False)
class RegressionSampler(BaseSampler):  # type: ignore[misc]
    """What all samplers share; `oversample.over` has the base of those that add rows.

    A subclass says how large each bump is to be (`_sizes`), chooses rows (`_choose`), and may make new ones its own way
    (`_make`).

    Parameters
    ----------
    sampling_strategy : "balance", "extreme", float or {bump: float}
        Targets fall into bumps: maximal runs, in their order, on one side of the threshold. "balance": a rare bump gets
        as many rows as a bump has on average. "extreme": the rarer a bump, the larger, the sizes turned upside down.
        A number: that many rare rows per normal row. A mapping: bumps, numbered from 0 by increasing target, to what
        their size is multiplied by. Rare bumps that have more already stay as they are; see `oversample.strategy`.
    relevance : "auto", "extremes", "hurdle", "density", "range" or a function of y
        Float64 (n,) → float64 (n,) from 0 to 1, fitted on y; see `oversample.relevance`.
    control_points : None or rows of (value, relevance[, slope])
        For relevance "range" only.
    threshold : float
        Rows with a relevance of at least this are rare. 0.5 as in UBL and smogn: 16 % of a skewed target's positives;
        papers that evaluate with 0.8 call about 10 % rare.
    blocks : None or {name: slice, column numbers, or column names of a frame}
        Columns that belong together, such as a picture's embedding.
    neighbors_by : None, a block's name or several
        The blocks that distances are taken in; all columns without.
    renormalize : bool
        Whether blocks of unit vectors (all of X without `blocks`) have norm 1 in new rows as well.
    target_bounds : None or (low, high)
        A target outside is refused, and no new one leaves them.
    random_state : None, int, numpy.random.Generator or RandomState
        The same int gives the same bytes.

    Attributes
    ----------
    sample_indices_ : int64 (m,)     the input row each output row is, or is first derived from
    parents_ : int64 (m, 2)          both parents; twice the same for a row that has one
    lambda_ : float64 (m,)           how far from the first parent towards the second
    synthetic_ : bool (m,)           False where the row is an input row, bit for bit, or a copy of one
    sample_weight_ : float64 (m,)    the weights that were passed (1 without), resampled along
    relevance_ : float64 (n,)        rare_ : bool (n,)     of the input rows
    bumps_ : list of Bump            sampling_strategy_ : {bump: rows it is to have}
    notes_ : list of str             what was warned about
    report_ : Report                 how new rows compare with real ones, in figures and words; see `oversample.report`
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {}

    sampling_strategy: Strategy = "balance"
    relevance: str | Relevance = "auto"
    control_points: Any = None
    threshold: float = 0.5
    blocks: Mapping[str, Any] | None = None
    neighbors_by: str | Sequence[str] | None = None
    renormalize: bool = False
    target_bounds: tuple[float, float] | None = None
    random_state: Any = None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.sampler_tags.sample_indices = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Check the data and plan the sizes of the bumps; sampling is `fit_resample`."""
        self.notes_: list[str] = []
        self._plan(*self._validate(X, y))
        return self

    def fit_resample(self, X: Any, y: Any, *, sample_weight: Any = None) -> tuple[Any, Any]:
        """X (n, d), y (n,) → X (m, d), y (m,); frames, series and lists stay what they are, with a new index.

        Copies keep any dtype; where rows are made, float32 and float64 stay and other or mixed numbers become floats.
        Weights follow as `sample_weight_`, other columns through `along`. Raises `ValueError` for NaN, infinities,
        sparse matrices and parameters out of range; warns, and returns the input, where nothing is to be sampled.
        """
        result = self._fit_resample(X, y, sample_weight=sample_weight)
        for note in self.notes_:
            warnings.warn(note, UserWarning, stacklevel=2)
        return result

    def along(self, values: Any, *, interpolate: bool = False) -> Any:
        """What goes with the input rows, (n,) or (n, k), as it goes with the output rows: groups, trials, identifiers.

        A new row has its first parent's, or with `interpolate` numbers between its parents' as its features are.
        """
        check_is_fitted(self, "sample_indices_")
        if len(values) != len(self.relevance_):
            raise ValueError(
                f"{len(values)} values: expected one for each of the {len(self.relevance_)} rows sampled from"
            )
        if not interpolate:
            return take(values, self.sample_indices_)
        draw = Draw.between(self.parents_[:, 0], self.parents_[:, 1], self.lambda_)
        return like(values, between(floating(values), draw))

    @property
    def report_(self) -> Report:
        """Figures and warnings about the last `fit_resample`; those that take seconds are computed on first access."""
        check_is_fitted(self, "_evidence")
        return self._evidence.report(self.notes_, getattr(self, "safe_share_", None))

    def _fit_resample(self, X: Any, y: Any, *, sample_weight: Any = None) -> tuple[Any, Any]:
        values, target = self._validate(X, y)
        weight = weights(sample_weight, len(target))
        rng = generator(self.random_state)
        draw = self._sample(values, target, rng)
        self.sample_weight_ = between(weight, draw)
        if not draw.made.any():
            return take(X, draw.first), take(target_like(y), draw.first)
        rows = np.empty((len(draw.first), values.shape[1]), values.dtype)
        targets = np.empty(len(rows), target.dtype)
        for part, made, new in self._output(values, target, draw, rng):
            rows[part], targets[part] = made, new
        return like(X, rows), like(y, targets)

    def _sample(self, X: Floats, y: Floats, rng: np.random.Generator) -> Draw:
        """Plan, and draw all output rows: what is kept, then what is new, bump by bump."""
        self.notes_ = []
        self._plan(X, y)
        kept, draws = self._choose(X, y, rng)
        if not draws and len(kept) == len(y):
            self._note_idle()
        draw = Draw.join([Draw.copies(np.sort(kept)), *draws])
        self.sample_indices_, self.parents_ = draw.first, np.stack([draw.first, draw.second], axis=1)
        self.lambda_, self.synthetic_ = draw.share, draw.made
        self._evidence = Evidence(X, draw, len(kept), self.rare_, self._blocks.named)
        return draw

    @abstractmethod
    def _choose(self, X: Floats, y: Floats, rng: np.random.Generator) -> tuple[Rows, list[Draw]]:
        """The rows that stay, in any order, and the draws of new ones, bump by bump."""

    def _output(
        self, X: Floats, y: Floats, draw: Draw, rng: np.random.Generator
    ) -> Iterator[tuple[slice, Floats, Floats]]:
        """The output a block of rows at a time: where it goes, X (b, d) and y (b,)."""
        for start in range(0, len(draw.first), BLOCK):
            block = slice(start, min(start + BLOCK, len(draw.first)))
            part = draw.take(block)
            rows, targets = X[part.first], y[part.first]
            if part.made.any():
                made, new = self._make(X, y, part.take(part.made), rng)
                self._blocks.renormalize(made)
                rows[part.made] = made
                targets[part.made] = new if self.target_bounds is None else np.clip(new, *self.target_bounds)
            self._evidence.keep(block, rows)
            yield block, rows, targets

    def _make(self, X: Floats, y: Floats, draw: Draw, rng: np.random.Generator) -> tuple[Floats, Floats]:  # noqa: ARG002
        """Features (b, d) and targets (b,) of a block of new rows that are no copies; blocks come in their order."""
        return between(X, draw), between(y, draw)

    def _check(self) -> None:
        check_strategy(self.sampling_strategy)
        if not isinstance(self.threshold, numbers.Real) or not 0 < float(self.threshold) <= 1:
            raise ValueError(f"threshold={self.threshold!r}: expected a number above 0 and up to 1")

    def _validate(self, X: Any, y: Any) -> tuple[Floats, Floats]:
        """Check everything; X (n, d) and y (n,) as floats."""
        self._check()
        if issparse(X):
            raise ValueError(f"X is a sparse matrix of shape {X.shape}: expected a dense one, pass X.toarray()")
        values, target = (floating(part) for part in check_X_y(X, one_column(y), y_numeric=True))
        self._accept(values, target, getattr(X, "columns", None))
        return values, target

    def _accept(self, values: Floats, target: Floats, names: Any = None) -> None:
        """Finite X (n, d) and y (n,) as floats, with the columns' names where X has them."""
        check_bounds(self.target_bounds, target)
        self.n_features_in_ = values.shape[1]
        if hasattr(self, "feature_names_in_"):
            delattr(self, "feature_names_in_")  # of another fit
        if names is not None and all(isinstance(name, str) for name in names):
            self.feature_names_in_ = np.asarray(names, dtype=object)
        self._blocks = find_blocks(values, names, self.blocks, self.neighbors_by, renormalize=self.renormalize)

    def _plan(self, X: Floats, y: Floats) -> None:  # noqa: ARG002 - a subclass may plan by neighbours
        """Relevance, bumps, and the size each bump is to have."""
        y64 = y.astype(np.float64)
        relevance = np.asarray(fit_relevance(self.relevance, y64, self.control_points)(y64), dtype=np.float64)
        if relevance.shape != y.shape or not ((relevance >= 0) & (relevance <= 1)).all():
            raise ValueError(f"relevance={self.relevance!r}: expected a number from 0 to 1 for every target")
        self.relevance_, self.rare_ = relevance, relevance >= self.threshold
        self.bumps_ = find_bumps(y64, self.rare_)
        self.sampling_strategy_ = dict(enumerate(self._sizes().tolist()))

    @abstractmethod
    def _sizes(self) -> Rows:
        """How many rows each bump is to have, int64 (bumps,)."""

    def _keep(self, bump: Bump, size: int, rng: np.random.Generator) -> Rows:
        """The rows that a bump keeps of those it has, which are as many or more."""
        return bump.rows if size == len(bump.rows) else rng.choice(bump.rows, size, replace=False)

    def _note(self, note: str) -> None:
        """Say something once."""
        if note not in self.notes_:
            self.notes_.append(note)

    def _note_idle(self) -> None:
        why = f"rare rows are already as many as sampling_strategy={self.sampling_strategy!r} asks for"
        if self.rare_.all() or not self.rare_.any():
            why = f"{'every' if self.rare_.all() else 'no'} row is rare at threshold {self.threshold}"
        self._note(f"{why}: nothing was sampled")
