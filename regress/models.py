"""The table of models, and what each of them does: fit on rows, predict, save and load without pickle."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from data.names import pick
from regress.losses import Loss

if TYPE_CHECKING:
    from regress.linear import Projection

# name → where its class is; imported on use, so that a linear model needs no torch
MODELS = {
    "mean": "regress.mean:Mean",
    "ridge": "regress.ridge:Ridge",
    "binridge": "regress.ridge:BinomialRidge",
    "lgbm": "regress.lgbm:LightGBM",
    "lgbm-residual": "regress.residual:Residual",
    "hurdle": "regress.hurdle:Hurdle",
    "hgb": "regress.hgb:HistGradientBoosting",
    "xgboost": "regress.xgb:XGBoost",
    "catboost": "regress.cat:CatBoost",
    "knn": "regress.knn:Neighbors",
    "rff": "regress.rff:RandomFourier",
    "linear": "regress.heads:Linear",
    "mlp": "regress.heads:MLP",
    "gated": "regress.heads:Gated",
    "attention": "regress.heads:Attention",
    "stack": "regress.stack:Stack",
}


@dataclass(frozen=True)
class Training:
    """What a model is fitted on. m rows, d columns."""

    X: NDArray[np.float32]  # (m, d) in the model's representation
    y: NDArray[np.float64]  # (m,)
    weight: NDArray[np.float64]  # (m,) mean 1
    rows: NDArray[np.int64] | None  # which rows of the whole feature matrix these are; None if a sampler made some
    blocks: tuple[slice, ...]  # the columns of each encoder
    held: NDArray[np.bool_]  # (m,) rows that early stopping watches; all False for models that do not stop early
    groups: NDArray[np.int64] | None = None  # (m,) rows of one group share something and are left out together
    views: tuple[int, ...] = ()  # how many augmented copies lie side by side in each block; (): one in each
    projection: "Projection | None" = None  # what X has been through: it is then float32 (m, k), not yet centred


@dataclass(frozen=True)
class Search:
    """What `--tune` tries for one setting: numbers from `low` to `high` (whole where both are), or `choices`."""

    low: float = 0
    high: float = 0
    log: bool = False
    choices: tuple[str | bool, ...] = ()


class Model(Protocol):
    """One regressor. `raw` features have NaN rows where a block is absent; `scaled` ones are standardised.

    A model is a dataclass whose fields are its settings, what `--set` reaches; what is fitted ends in an underscore.
    Fits run beside each other in threads: no global random state, no more than one thread each.
    """

    representation: ClassVar[Literal["raw", "scaled"]]
    calibrate: ClassVar[bool] = True
    early_stopping: ClassVar[bool] = False
    torch: ClassVar[bool] = False  # whether it computes with torch
    losses: ClassVar[frozenset[str]] = frozenset({"mse", "bce", "wbce", "binomial"})
    search: ClassVar[Mapping[str, Search]] = {}

    @property
    def projecting(self) -> int | None:
        """How many principal components of the scaled features it is fitted on; None: on the features themselves."""
        return None

    @property
    def sharing(self) -> Hashable | None:
        """Models of which this is equal share what `shared` returns; None: there is nothing to share."""
        return None

    def shared(self, X: NDArray[np.float32], store: Path | None) -> object:  # noqa: ARG002 - unless a model says otherwise
        """What all fits on rows of one feature matrix share; `store`: a folder where it may be kept for next time."""
        return None

    def fit(self, training: Training, loss: Loss, seed: int, shared: object) -> None: ...

    def predict(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """float32 (n, d) → float64 (n,); in [0, 1] unless the loss is mse."""
        ...

    def save(self, folder: Path) -> None: ...

    @classmethod
    def load(cls, folder: Path) -> Self: ...


def expect(key: str, value: object, fine: bool, expected: str) -> None:
    """Raise ValueError for a setting that is not `fine`."""
    if not fine:
        raise ValueError(f"{key}={value}: expected {expected}")


def at_least_one(**settings: int) -> None:
    """Raise ValueError for a setting below 1."""
    for key, value in settings.items():
        expect(key, value, value >= 1, "a whole number from 1")


def model_class(name: str) -> type[Model]:
    """The class of a model by its name; `InputError` for an unknown one."""
    module, _, attribute = pick(MODELS, name, "model").partition(":")
    found: type[Model] = getattr(import_module(module), attribute)
    return found
