"""The contract of a sampler for continuous targets: imbalanced-learn's `fit_resample`, which itself refuses them.

Works in `imblearn.pipeline.Pipeline`, `clone` and `GridSearchCV`. Rows that are kept come first, in their order and bit
for bit, then the new rows; without `undersample` every row is kept. Beside the output, only blocks are in memory.
"""

import numbers
import warnings
from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from imblearn.base import SamplerMixin
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_X_y

from oversample.relevance import Relevance, fit_relevance
from oversample.strategy import Rows, Strategy, check_strategy, find_bumps, wanted

Array = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]
BLOCK = 512  # rows interpolated at a time: they stay in the processor's cache


class Draw(NamedTuple):
    """Who becomes the parents of some new rows: first + share · (second − first), or another recipe of a sampler."""

    first: Rows  # (c,) row numbers
    second: Rows  # (c,) the same as `first` where there is one parent
    share: Array  # (c,) λ, from 0 to 1
    made: NDArray[np.bool_]  # (c,) False for a copy of `first`

    @classmethod
    def copies(cls, rows: Rows) -> Self:
        """Rows as they are."""
        return cls(rows, rows, np.zeros(len(rows)), np.zeros(len(rows), dtype=bool))

    @classmethod
    def between(cls, first: Rows, second: Rows, share: Array) -> Self:
        """Points on the way from one row to another."""
        return cls(first, second, share, (first != second) & (share > 0))

    def only(self, mask: NDArray[np.bool_]) -> "Draw":
        """Those of a mask (c,)."""
        return Draw(self.first[mask], self.second[mask], self.share[mask], self.made[mask])


class RegressionSampler(SamplerMixin, BaseEstimator):  # type: ignore[misc]
    """Base of the samplers. A subclass draws the parents of new rows (`_draw`) and may make them its own way (`_make`).

    Parameters
    ----------
    sampling_strategy : "balance", "extreme", float or {bump: float}
        Targets fall into bumps: maximal runs, in their order, on one side of the threshold. "balance": a rare bump gets
        as many rows as a bump has on average. "extreme": the rarer a bump, the larger, the sizes turned upside down.
        A number: that many rare rows per normal row. A mapping: bumps, numbered from 0 by increasing target, to what
        their size is multiplied by. Rare bumps that have more already stay as they are; see `oversample.strategy`.
    undersample : bool
        Whether normal bumps that are to have fewer rows lose some, drawn at random, as the literature has it.
    relevance : "auto", "extremes", "hurdle", "range" or a function of y
        Float64 (n,) → float64 (n,) from 0 to 1, fitted on y; see `oversample.relevance`.
    control_points : None or rows of (value, relevance[, slope])
        For relevance "range" only.
    threshold : float
        Rows with a relevance of at least this are rare. 0.5 as in UBL and smogn: 16 % of a skewed target's positives;
        papers that evaluate with 0.8 call about 10 % rare.
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
    """

    _sampling_type = "over-sampling"
    _parameter_constraints: ClassVar[dict[str, Any]] = {}
    feature_names_in_: NDArray[np.object_]  # where X is a frame with names

    def __init__(  # noqa: PLR0913 - an estimator takes its settings one by one
        self,
        *,
        sampling_strategy: Strategy = "balance",
        undersample: bool = False,
        relevance: str | Relevance = "auto",
        control_points: Any = None,
        threshold: float = 0.5,
        target_bounds: tuple[float, float] | None = None,
        random_state: Any = None,
    ) -> None:
        self.sampling_strategy = sampling_strategy
        self.undersample = undersample
        self.relevance = relevance
        self.control_points = control_points
        self.threshold = threshold
        self.target_bounds = target_bounds
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Check the data and plan the sizes of the bumps; sampling is `fit_resample`."""
        self._plan(*self._validate(X, y))
        return self

    def fit_resample(self, X: Any, y: Any, *, sample_weight: Any = None) -> tuple[Any, Any]:
        """X (n, d), y (n,) → X (m, d), y (m,); pandas in, pandas out, with a new index.

        Copies keep any dtype; where rows are made, float32 and float64 stay and other or mixed numbers become floats.
        Weights, trials or groups follow as `sample_weight_` or by `sample_indices_`. Raises `ValueError` for NaN,
        infinities, sparse matrices and parameters out of range; warns, and returns the input, where nothing is to be
        sampled.
        """
        return self._fit_resample(X, y, sample_weight=sample_weight)

    def _fit_resample(self, X: Any, y: Any, *, sample_weight: Any = None) -> tuple[Any, Any]:
        values, target = self._validate(X, y)
        weight = _weights(sample_weight, len(target))
        self._plan(values, target)
        rng = _generator(self.random_state)
        kept, draws = [], []
        for bump, size in zip(self.bumps_, self.sampling_strategy_.values(), strict=True):
            extra = size - len(bump.rows)
            kept.append(bump.rows if extra >= 0 else rng.choice(bump.rows, size, replace=False))
            if extra > 0:
                draws.append(self._draw(values, target, bump.rows, extra, rng))
        if not draws and sum(map(len, kept)) == len(target):
            self._warn_idle()
        draws.insert(0, Draw.copies(np.sort(np.concatenate(kept))))
        draw = Draw(*map(np.concatenate, zip(*draws, strict=True)))
        self.sample_indices_, self.parents_ = draw.first, np.stack([draw.first, draw.second], axis=1)
        self.lambda_, self.synthetic_ = draw.share, draw.made
        self.sample_weight_ = weight[draw.first] + draw.share * (weight[draw.second] - weight[draw.first])
        if not draw.made.any():
            return _take(X, draw.first), _take(y if _is_series(y) else np.ravel(y), draw.first)
        return self._mix(X, y, (values, target), draw, rng)

    def _mix(
        self, X: Any, y: Any, arrays: tuple[Floats, Floats], draw: Draw, rng: np.random.Generator
    ) -> tuple[Any, Any]:
        """Copied rows and made rows in one container, of the kind the input came in."""
        values, target = arrays
        rows, targets = values[draw.first], target[draw.first]
        made = draw.only(draw.made)
        rows[draw.made], new = self._make(values, target, made, rng)
        targets[draw.made] = new if self.target_bounds is None else np.clip(new, *self.target_bounds)
        return _like(X, rows), _like(y, targets)

    @abstractmethod
    def _draw(self, X: Floats, y: Floats, rows: Rows, count: int, rng: np.random.Generator) -> Draw:
        """The parents of `count` new rows of the bump that holds `rows` of X."""

    def _make(self, X: Floats, y: Floats, draw: Draw, rng: np.random.Generator) -> tuple[Floats, Floats]:  # noqa: ARG002
        """Features (c, d) and targets (c,) of the new rows that are no copies; samplers that add noise use `rng`."""
        return _between(X, draw), _between(y[:, None], draw)[:, 0]

    def _check(self) -> None:
        check_strategy(self.sampling_strategy)
        if not isinstance(self.threshold, numbers.Real) or not 0 < float(self.threshold) <= 1:
            raise ValueError(f"threshold={self.threshold!r}: expected a number above 0 and up to 1")

    def _validate(self, X: Any, y: Any) -> tuple[Floats, Floats]:
        """Check everything; X (n, d) and y (n,) as floats."""
        self._check()
        if issparse(X):
            raise ValueError(f"X is a sparse matrix of shape {X.shape}: expected a dense one, pass X.toarray()")
        values, target = (_floating(np.asarray(part)) for part in check_X_y(X, y, y_numeric=True))
        _check_bounds(self.target_bounds, target)
        self.n_features_in_ = values.shape[1]
        names = getattr(X, "columns", (None,))
        if hasattr(self, "feature_names_in_"):
            del self.feature_names_in_  # of another fit
        if all(isinstance(name, str) for name in names):
            self.feature_names_in_ = np.asarray(names, dtype=object)
        return values, target

    def _plan(self, X: Floats, y: Floats) -> None:  # noqa: ARG002 - ADASYN's plan depends on neighbours
        """Relevance, bumps, and the size each bump is to have."""
        y64 = y.astype(np.float64)
        relevance = np.asarray(fit_relevance(self.relevance, y64, self.control_points)(y64), dtype=np.float64)
        if relevance.shape != y.shape or not ((relevance >= 0) & (relevance <= 1)).all():
            raise ValueError(f"relevance={self.relevance!r}: expected a number from 0 to 1 for every target")
        self.relevance_, self.rare_ = relevance, relevance >= self.threshold
        self.bumps_ = find_bumps(y64, self.rare_)
        sizes = wanted(self.bumps_, self.sampling_strategy, undersample=self.undersample)
        self.sampling_strategy_ = dict(enumerate(sizes.tolist()))

    def _warn_idle(self) -> None:
        why = f"rare rows are already as many as sampling_strategy={self.sampling_strategy!r} asks for"
        if self.rare_.all() or not self.rare_.any():
            why = f"{'every' if self.rare_.all() else 'no'} row is rare at threshold {self.threshold}"
        warnings.warn(f"{why}: nothing was sampled", UserWarning, stacklevel=4)


def _between(values: Floats, draw: Draw) -> Floats:
    """(1 − share) a + share b of rows a and b of values (n, d), never beyond either by rounding; a block at a time."""
    made = np.empty((len(draw.first), values.shape[1]), dtype=values.dtype)
    for start in range(0, len(made), BLOCK):
        part = slice(start, start + BLOCK)
        a, b, share = values[draw.first[part]], values[draw.second[part]], draw.share[part, None].astype(values.dtype)
        np.clip((1 - share) * a + share * b, np.minimum(a, b), np.maximum(a, b), out=made[part])
    return made


def _floating(values: NDArray[Any]) -> Floats:
    """float32 or float64, whichever is needed to hold the numbers exactly."""
    return values.astype(np.result_type(values.dtype, np.float32), copy=False)


def _check_bounds(bounds: Any, y: Floats) -> None:
    if bounds is None:
        return
    pair = np.asarray(bounds)
    if pair.shape != (2,) or pair.dtype.kind not in "fiu" or not pair[0] < pair[1]:
        raise ValueError(f"target_bounds={bounds!r}: expected (low, high) with low below high")
    outside = np.flatnonzero((y < pair[0]) | (y > pair[1]))
    if len(outside):
        what = f"{len(outside)} targets are outside target_bounds={bounds!r}"
        raise ValueError(f"{what}, the first is y[{outside[0]}]={float(y[outside[0]])!r}: widen them or fix y")


def _weights(weight: Any, n: int) -> Array:
    if weight is None:
        return np.ones(n)
    values = np.asarray(weight, dtype=np.float64)
    if values.shape != (n,) or not np.isfinite(values).all():
        raise ValueError(f"sample_weight of shape {values.shape}: expected a finite number for each of {n} rows")
    return values


def _generator(random_state: Any) -> np.random.Generator:
    """A generator of its own for None and whole numbers; one that is passed is used, and moves on."""
    if isinstance(random_state, np.random.RandomState):
        random_state = random_state.randint(2**32, size=4, dtype=np.uint32)
    return np.random.default_rng(random_state)


def _is_series(data: Any) -> bool:
    return hasattr(data, "iloc") and hasattr(data, "to_frame")


def _take(data: Any, rows: Rows) -> Any:
    """Rows of a frame, a series or an array, as they are."""
    return data.iloc[rows].reset_index(drop=True) if hasattr(data, "iloc") else np.asarray(data)[rows]


def _like(data: Any, values: Floats) -> Any:
    """Values (m, d) as a frame, values (m,) as a series, where the input was one."""
    if values.ndim > 1:
        return type(data)(values, columns=data.columns) if hasattr(data, "iloc") else values
    return type(data)(values, name=data.name) if _is_series(data) else values
