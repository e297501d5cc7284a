"""The contract of a sampler for continuous targets: imbalanced-learn's `fit_resample`, which itself refuses them.

Works in `imblearn.pipeline.Pipeline`, `clone` and `GridSearchCV`. No original row is ever dropped or changed: the
originals come first, in their order and bit for bit, then the new rows.
"""

import numbers
import warnings
from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from imblearn.base import SamplerMixin
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_X_y

from oversample.relevance import Relevance, fit_relevance

Array = NDArray[np.float64]
Rows = NDArray[np.int64]


class RegressionSampler(SamplerMixin, BaseEstimator):  # type: ignore[misc]
    """Base of the samplers. A subclass says how a new row is made from a bump of rare rows.

    Parameters
    ----------
    sampling_strategy : "balance" or float
        How many rare rows there are per normal row afterwards; "balance" is 1.0. Every bump (a run of rare targets
        with no normal one between them) is filled up to round(ratio × normal rows / bumps) rows; one that has more
        stays as it is, for no row is ever thrown away.
    relevance : "auto", "extremes", "hurdle", "range" or a function of y
        Float64 (n,) → float64 (n,) from 0 to 1, fitted on y; see `oversample.relevance`.
    control_points : None or rows of (value, relevance[, slope])
        For relevance "range" only.
    threshold : float
        Rows with a relevance of at least this are rare. At 0.5 about 16 % of a skewed target's positives are;
        the literature uses 0.5 to 0.8.
    k_neighbors : int
        Neighbours a new row may be drawn towards; fewer where a bump has fewer rows.
    target_bounds : None or (low, high)
        A target outside is refused, and no new one leaves them.
    random_state : None, int or RandomState
        The same int gives the same bytes.

    Attributes
    ----------
    sample_indices_ : int64 (m,)   the original row each output row is, or is first derived from
    parents_ : int64 (m, 2)        both parents; twice the same for a copy
    synthetic_ : bool (m,)         False where the row is an original or a copy of one, bit for bit
    relevance_ : float64 (n,)      rare_ : bool (n,)      of the original rows
    """

    _sampling_type = "over-sampling"
    _parameter_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(  # noqa: PLR0913 - an estimator takes its settings one by one
        self,
        *,
        sampling_strategy: str | float = "balance",
        relevance: str | Relevance = "auto",
        control_points: Any = None,
        threshold: float = 0.5,
        k_neighbors: int = 5,
        target_bounds: tuple[float, float] | None = None,
        random_state: Any = None,
    ) -> None:
        self.sampling_strategy = sampling_strategy
        self.relevance = relevance
        self.control_points = control_points
        self.threshold = threshold
        self.k_neighbors = k_neighbors
        self.target_bounds = target_bounds
        self.random_state = random_state

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        """X (n, d), y (n,) → X (m, d), y (m,), m ≥ n, of the same floating dtypes (anything else becomes float64).

        pandas in, pandas out, with a new index. Weights and groups follow by `sample_indices_`. Raises `ValueError` for
        NaN, infinities, or parameters out of range; warns and returns the data as they are where no row is rare.
        """
        return self._fit_resample(X, y)

    def _fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        self._check()
        values, target = check_X_y(X, y, y_numeric=True, dtype=[np.float64, np.float32])
        y64 = np.asarray(target, dtype=np.float64)
        self._check_bounds(y64)
        self.relevance_ = self._relevance(y64)
        self.rare_ = self.relevance_ >= self.threshold
        rng = check_random_state(self.random_state)
        self.n_features_in_ = values.shape[1]
        first, second, share = [np.arange(len(y64))], [np.arange(len(y64))], [np.zeros(len(y64))]
        for bump, count in self._counts(y64):
            i, j, lam = self._draw(values, bump, count, rng)
            first, second, share = [*first, i], [*second, j], [*share, lam]
        target = target if target.dtype.kind == "f" else y64
        return self._finish(
            X, y, values, target, (np.concatenate(first), np.concatenate(second), np.concatenate(share))
        )

    def fit(self, X: Any, y: Any) -> "RegressionSampler":
        """Only checks the parameters and the data; sampling is `fit_resample`."""
        self._check()
        values, target = check_X_y(X, y, y_numeric=True, dtype=[np.float64, np.float32])
        self._check_bounds(np.asarray(target, dtype=np.float64))
        self.n_features_in_ = values.shape[1]
        return self

    @abstractmethod
    def _draw(self, X: NDArray[Any], bump: Rows, count: int, rng: np.random.RandomState) -> tuple[Rows, Rows, Array]:
        """Rows i and j of `count` new rows of one bump, and λ: a new row is x_i + λ (x_j − x_i)."""

    def _check(self) -> None:
        strategy, threshold, k = self.sampling_strategy, self.threshold, self.k_neighbors
        if strategy != "balance" and not (isinstance(strategy, numbers.Real) and 0 < float(strategy) < np.inf):
            raise ValueError(f"sampling_strategy={strategy!r}: expected 'balance' or a number above 0")
        if not (isinstance(threshold, numbers.Real) and 0 < float(threshold) <= 1):
            raise ValueError(f"threshold={threshold!r}: expected a number above 0 and up to 1")
        if not isinstance(k, numbers.Integral) or k < 1:
            raise ValueError(f"k_neighbors={k!r}: expected a whole number from 1")

    def _check_bounds(self, y: Array) -> None:
        if self.target_bounds is None:
            return
        bounds = np.asarray(self.target_bounds)
        if bounds.shape != (2,) or bounds.dtype.kind not in "fiu" or not bounds[0] < bounds[1]:
            raise ValueError(f"target_bounds={self.target_bounds!r}: expected (low, high) with low below high")
        outside = np.flatnonzero((y < bounds[0]) | (y > bounds[1]))
        if len(outside):
            what = f"{len(outside)} targets are outside target_bounds={self.target_bounds!r}"
            raise ValueError(f"{what}, the first is y[{outside[0]}]={float(y[outside[0]])!r}: widen them or fix y")

    def _relevance(self, y: Array) -> Array:
        relevance = np.asarray(fit_relevance(self.relevance, y, self.control_points)(y), dtype=np.float64)
        if relevance.shape != y.shape or not ((relevance >= 0) & (relevance <= 1)).all():
            raise ValueError(f"relevance={self.relevance!r}: expected a number from 0 to 1 for every target")
        return relevance

    def _counts(self, y: Array) -> list[tuple[Rows, int]]:
        """Each bump's rows and how many new ones it gets."""
        groups = bumps(y, self.rare_)
        if not groups or self.rare_.all():
            what = "no row is rare" if not groups else "every row is rare"
            warnings.warn(f"{what} at threshold {self.threshold}: nothing was sampled", UserWarning, stacklevel=4)
            return []
        ratio = 1.0 if self.sampling_strategy == "balance" else float(self.sampling_strategy)
        wanted = round(ratio * int((~self.rare_).sum()) / len(groups))
        return [(bump, wanted - len(bump)) for bump in groups if wanted > len(bump)]

    def _finish(
        self, X: Any, y: Any, values: NDArray[Any], target: NDArray[Any], drawn: tuple[Rows, Rows, Array]
    ) -> tuple[Any, Any]:
        """Make the new rows, keep who their parents are, and give pandas back what was pandas."""
        i, j, share = drawn
        self.sample_indices_, self.parents_, self.synthetic_ = i, np.stack([i, j], axis=1), (share > 0) & (i != j)
        new = np.flatnonzero(self.synthetic_)
        rows, targets = values[i], target[i]
        rows[new] = _between(rows[new], values[j[new]], share[new, None].astype(rows.dtype))
        targets[new] = _between(target[i[new]].astype(np.float64), target[j[new]].astype(np.float64), share[new])
        frame = type(X)(rows, columns=X.columns) if hasattr(X, "iloc") else rows
        series = type(y)(targets, name=y.name) if hasattr(y, "iloc") and hasattr(y, "to_frame") else targets
        return frame, series


def _between(a: NDArray[Any], b: NDArray[Any], share: NDArray[Any]) -> NDArray[Any]:
    """a + share (b − a), never beyond either by rounding; (1 − share) a + share b, which cannot overflow."""
    mixed: NDArray[Any] = np.clip((1 - share) * a + share * b, np.minimum(a, b), np.maximum(a, b))
    return mixed


def bumps(y: Array, rare: NDArray[np.bool_]) -> list[Rows]:
    """Maximal runs of rare rows in the order of y, as arrays of row numbers."""
    order = np.argsort(y, kind="stable")
    edges = np.flatnonzero(np.diff(rare[order].astype(np.int8))) + 1
    return [run for run in np.split(order, edges) if len(run) and rare[run[0]]]
