"""scikit-learn's histogram gradient boosting, for those who know it; LightGBM on a shared binning is the faster one.

It has no cross-entropy for rates, but a rate y is y successes and 1 − y failures: each row is given twice, as 1 with
the weight y and as 0 with 1 − y, and the classifier's log loss is then exactly ours.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from regress.boosting import check_targets, expect_ranges
from regress.losses import Loss
from regress.models import Model, Search, Training, expect

Array = NDArray[np.float64]
FILE = "model.safetensors"
FIELDS = ("value", "feature_idx", "num_threshold", "missing_go_to_left", "left", "right", "is_leaf")


@dataclass(kw_only=True, eq=False)
class HistGradientBoosting(Model):
    """`HistGradientBoostingClassifier` on doubled rows for cross-entropy, the regressor for `mse`; NaN is a value.

    The settings have scikit-learn's names.
    """

    representation: ClassVar[Literal["raw", "scaled"]] = "raw"
    early_stopping: ClassVar[bool] = True
    search: ClassVar[Mapping[str, Search]] = {
        "learning_rate": Search(0.02, 0.3, log=True),
        "max_leaf_nodes": Search(4, 63, log=True),
        "min_samples_leaf": Search(5, 200, log=True),
        "l2_regularization": Search(1e-3, 100.0, log=True),
        "max_features": Search(0.02, 0.5, log=True),
    }

    learning_rate: float = 0.05
    max_iter: int = 600
    max_leaf_nodes: int = 15
    max_depth: int | None = None
    min_samples_leaf: int = 20
    l2_regularization: float = 0.0
    max_features: float = 0.1  # of the columns, drawn anew for every node
    max_bins: int = 63
    n_iter_no_change: int = 30
    tol: float = 1e-7

    def __post_init__(self) -> None:
        whole = {"max_iter": 1, "max_leaf_nodes": 2, "min_samples_leaf": 1, "n_iter_no_change": 1}
        expect_ranges(self, whole, {"l2_regularization": 0.0, "tol": 0.0}, ("learning_rate", "max_features"))
        expect("max_bins", self.max_bins, 2 <= self.max_bins <= 255, "a whole number from 2 to 255")
        depth = self.max_depth
        expect("max_depth", depth, depth is None or depth >= 1, "none, or a whole number from 1")

    def fit(self, training: Training, loss: Loss, seed: int, shared: object) -> None:  # noqa: ARG002
        """Boost until the held-out rows stop improving, at most `max_iter` trees."""
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        check_targets(training.y, loss)
        kind = HistGradientBoostingRegressor if loss.squared else HistGradientBoostingClassifier
        rows, held = _given(training, ~training.held, loss), _given(training, training.held, loss)
        stops = len(np.unique(held[1])) > 1 or (loss.squared and len(held[1]) > 0)
        model = kind(**asdict(self), early_stopping=stops, random_state=seed)
        watched = {"X_val": held[0], "y_val": held[1], "sample_weight_val": held[2]} if stops else {}
        model.fit(rows[0], rows[1], sample_weight=rows[2], **watched)
        self.squared_ = loss.squared
        self._keep(model)

    def _keep(self, model: Any) -> None:
        """The trees as plain arrays, so that no pickle is needed: one table of nodes, and where each tree begins."""
        trees = [tree[0].nodes for tree in model._predictors]
        self.nodes_ = {name: np.concatenate([nodes[name] for nodes in trees]) for name in FIELDS}
        self.starts_ = np.cumsum([0, *map(len, trees)], dtype=np.int64)[:-1]
        self.base_ = float(np.ravel(model._baseline_prediction)[0])

    def predict(self, X: NDArray[np.float32]) -> Array:
        loss = Loss("mse", squared=True) if self.squared_ else Loss("bce")
        return loss.predict(np.full(len(X), self.base_) + sum(self._tree(X, start) for start in self.starts_))

    def _tree(self, X: NDArray[np.float32], start: int) -> Array:
        """float64 (n,): the value of the leaf that each row falls into, all rows one level down at a time."""
        nodes = {name: values[start:] for name, values in self.nodes_.items()}
        place = np.zeros(len(X), dtype=np.int64)
        moving = np.flatnonzero(nodes["is_leaf"][place] == 0)
        while len(moving):
            at = place[moving]
            value = X[moving, nodes["feature_idx"][at]]
            low = value <= nodes["num_threshold"][at]
            left = np.where(np.isnan(value), nodes["missing_go_to_left"][at] > 0, low)
            place[moving] = np.where(left, nodes["left"][at], nodes["right"][at])
            moving = moving[nodes["is_leaf"][place[moving]] == 0]
        return np.asarray(nodes["value"][place])

    def save(self, folder: Path) -> None:
        extra = {"starts": self.starts_, "base": np.array([self.base_]), "squared": np.array([self.squared_])}
        save_file({**self.nodes_, **extra}, folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        arrays = load_file(folder / FILE)
        model = cls()
        model.starts_, model.base_ = arrays.pop("starts"), float(arrays.pop("base")[0])
        model.squared_ = bool(arrays.pop("squared")[0])
        model.nodes_ = arrays
        return model


def _given(
    training: Training, part: NDArray[np.bool_], loss: Loss
) -> tuple[NDArray[np.float32], Array, NDArray[np.float64]]:
    """X, y and weights as scikit-learn takes them: for cross-entropy each row as a 1 and as a 0, where it weighs."""
    X, y, w = training.X[part], training.y[part], training.weight[part]
    if loss.squared:
        return X, y, w
    ones, zeros = np.flatnonzero(w * y > 0), np.flatnonzero(w * (1 - y) > 0)
    rows = np.concatenate([ones, zeros])
    labels = np.repeat([1.0, 0.0], [len(ones), len(zeros)])
    return X[rows], labels, np.concatenate([(w * y)[ones], (w * (1 - y))[zeros]])
