"""XGBoost, for those who know it: an optional extra, set up like `lgbm`.

Its bins cannot be shared by rows, so every fold bins anew, and a tree on few columns costs as much as one on all: on
25,000 × 1,536 simulated posts 1,000 trees of 8 leaves at a rate of 0.1 took 90 CPU-seconds for a D² of 0.220, `lgbm`
2.4 for 0.230. So the defaults are fewer trees and larger steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from regress.boosting import check_targets, expect_ranges, may_refit, only, require
from regress.losses import Loss
from regress.metrics import clip
from regress.models import Model, Search, Training, expect

if TYPE_CHECKING:
    import xgboost

FILE = "model.ubj"
LEARNING = ("learning_rate", "max_leaves", "max_depth", "min_child_weight", "gamma", "subsample", "max_bin")
SAMPLING = ("colsample_bytree", "colsample_bynode", "reg_lambda", "reg_alpha")


@dataclass(kw_only=True, eq=False)
class XGBoost(Model):
    """Histogram trees grown leaf by leaf; `binary:logistic` takes rates as they are. Settings have XGBoost's names."""

    representation: ClassVar[Literal["raw", "scaled"]] = "raw"
    early_stopping: ClassVar[bool] = True
    search: ClassVar[Mapping[str, Search]] = {
        "max_leaves": Search(4, 31, log=True),
        "learning_rate": Search(0.03, 0.3, log=True),
        "min_child_weight": Search(0.1, 20.0, log=True),
        "reg_lambda": Search(0.1, 100.0, log=True),
        "colsample_bytree": Search(0.01, 0.3, log=True),
    }

    trees: int = 300  # at most
    patience: int = 30  # trees without an improvement on held-out rows
    refit: bool = True  # on all rows, with the number of trees found
    learning_rate: float = 0.2
    max_leaves: int = 8
    max_depth: int = 0  # none
    min_child_weight: float = 1.0
    gamma: float = 0.0
    subsample: float = 1.0
    colsample_bytree: float = 0.05
    colsample_bynode: float = 1.0
    reg_lambda: float = 5.0
    reg_alpha: float = 0.0
    max_bin: int = 63

    def __post_init__(self) -> None:
        require("xgboost")
        whole = {"trees": 1, "patience": 1, "max_leaves": 0, "max_depth": 0}
        least = dict.fromkeys(("min_child_weight", "gamma", "reg_lambda", "reg_alpha"), 0.0)
        expect_ranges(self, whole, least, ("learning_rate", "subsample", "colsample_bytree", "colsample_bynode"))
        expect("max_bin", self.max_bin, 2 <= self.max_bin <= 65535, "a whole number from 2 to 65535")

    def fit(self, training: Training, loss: Loss, seed: int, shared: object) -> None:  # noqa: ARG002
        """Boost until the held-out rows stop improving."""
        import xgboost

        check_targets(training.y, loss)
        part = only(training, ~training.held)
        bins = self._bins(part, None)
        if not training.held.any():
            self.booster_ = xgboost.train(self._parameters(part, loss, seed), bins, self.trees)
            return
        held = [(self._bins(only(training, training.held), bins), "held")]
        stop = xgboost.callback.EarlyStopping(rounds=self.patience, save_best=True)
        parameters = self._parameters(part, loss, seed)
        self.booster_ = xgboost.train(parameters, bins, self.trees, evals=held, callbacks=[stop], verbose_eval=False)
        if self.refit and may_refit(training):
            found = self.booster_.num_boosted_rounds()
            parameters = self._parameters(training, loss, seed)
            self.booster_ = xgboost.train(parameters, self._bins(training, None), found)

    def _bins(self, training: Training, like: "xgboost.QuantileDMatrix | None") -> "xgboost.QuantileDMatrix":
        import xgboost

        X, y, w = training.X, training.y, training.weight
        return xgboost.QuantileDMatrix(X, y, weight=w, max_bin=self.max_bin, nthread=1, ref=like)

    def _parameters(self, training: Training, loss: Loss, seed: int) -> dict[str, Any]:
        level = np.average(training.y, weights=training.weight, keepdims=True)
        return {
            **{name: getattr(self, name) for name in (*LEARNING, *SAMPLING)},
            "objective": "reg:squarederror" if loss.squared else "binary:logistic",
            "base_score": float(level[0] if loss.squared else clip(level)[0]),
            "tree_method": "hist",
            "grow_policy": "lossguide",
            "seed": seed,
            "nthread": 1,
            "verbosity": 0,
        }

    def predict(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.asarray(self.booster_.inplace_predict(X), dtype=np.float64)

    def save(self, folder: Path) -> None:
        self.booster_.save_model(folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        import xgboost

        model = cls()
        model.booster_ = xgboost.Booster({"nthread": 1}, model_file=folder / FILE)
        return model
