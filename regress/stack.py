"""Stacking: several models' predictions combined as logits, with weights from 0 on.

logit p = Σ b_m logit p_m + c, the weights fitted on out-of-fold predictions (Wolpert 1992; from 0 on: Breiman 1996),
so that a member that remembers its rows gains nothing by it. What is gained is that
members err differently: of an MLP, LightGBM and ridge, a D² of 0.452 where the MLP alone has 0.448.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from regress.fitted import Fitted
from regress.losses import Loss, sigmoid
from regress.metrics import clip
from regress.models import MODELS, Model, Training, expect

Array = NDArray[np.float64]
FILE = "stack.safetensors"
TIE = 1e-6  # on (b_m − mean of b)²: next to nothing, but members that are copies of each other share


@dataclass(kw_only=True, eq=False)
class Stack(Model):
    """Members' fits and what each counts; made by `Stack.of` from fits that cross-validation has, not by `fit`.

    Its weights come from the members' out-of-fold predictions, which only the loop over the folds can give: a stack is
    never fitted on rows.
    """

    representation: ClassVar[Literal["raw", "scaled"]] = "raw"
    calibrate: ClassVar[bool] = False  # the weights are: once more would only add the chance of the other folds' levels

    members: tuple[str, ...] = ("mlp", "lgbm", "ridge")

    def __post_init__(self) -> None:
        fine = len(set(self.members)) == len(self.members) > 1 and "stack" not in self.members
        expect("members", "+".join(self.members), fine, "two or more models, each once and none of them stack")
        for name in self.members:
            expect("members", name, name in MODELS, f"names among {', '.join(sorted(set(MODELS) - {'stack'}))}")
        self.members_: list[Fitted] = []
        self.coef_: Array = np.empty(0)

    @classmethod
    def of(cls, members: Sequence[str], fitted: Sequence[Fitted], coefficients: Array) -> Self:
        """The stack of these fits, in the order of their names and of `fit_weights`' coefficients (M + 1,)."""
        model = cls(members=tuple(members))
        model.members_, model.coef_ = list(fitted), coefficients
        return model

    def fit(self, training: Training, loss: Loss, seed: int, shared: object) -> None:  # noqa: ARG002
        raise TypeError("a stack is made by Stack.of, from fits of its members and their out-of-fold predictions")

    def predict(self, X: NDArray[np.float32]) -> Array:
        """float32 (n, d) raw features → float64 (n,)."""
        predictions = np.stack([member.predict(X) for member in self.members_], axis=1)
        return combine(logits(predictions), self.coef_)

    def save(self, folder: Path) -> None:
        """A folder for each member, and the weights."""
        save_file({"coef": self.coef_}, folder / FILE, metadata={"members": json.dumps(self.members)})
        for name, member in zip(self.members, self.members_, strict=True):
            (folder / name).mkdir()
            member.save(folder / name)

    @classmethod
    def load(cls, folder: Path) -> Self:
        with safe_open(folder / FILE, framework="numpy") as file:
            names, coefficients = json.loads(file.metadata()["members"]), file.get_tensor("coef")
        return cls.of(names, [Fitted.load(folder / name, name) for name in names], coefficients)


def logits(p: Array) -> Array:
    """Predictions of any shape, clipped as log loss clips them → their logits."""
    p = clip(p)
    return np.asarray(np.log(p) - np.log1p(-p))


def combine(S: Array, coefficients: Array) -> Array:
    """Members' logits (n, M) and coefficients (M + 1,), the intercept last → predictions (n,)."""
    return sigmoid(S @ coefficients[:-1] + coefficients[-1])


def fit_weights(S: Array, y: Array, w: Array) -> Array:
    """(M + 1,) weights b ≥ 0 and, last, the intercept c that minimise the cross-entropy of sigmoid(S b + c).

    S (n, M) logits of out-of-fold predictions, y (n,) rates, w (n,) weights of the rows. Convex; starts from the mean
    of the members. Weights of members that are copies of each other are equal.
    """
    from scipy.optimize import minimize

    members, share = S.shape[1], w / w.sum()

    def objective(coefficients: Array) -> tuple[float, Array]:
        b = coefficients[:-1]
        score, apart = S @ b + coefficients[-1], b - b.mean()
        value = share @ (np.logaddexp(0.0, score) - y * score) + TIE / 2 * apart @ apart
        slope = share * (sigmoid(score) - y)
        return float(value), np.append(S.T @ slope + TIE * apart, slope.sum())

    start = np.append(np.full(members, 1 / members), 0.0)
    found = minimize(
        objective,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * members + [(None, None)],
        options={"maxiter": 1000, "ftol": 1e-15, "gtol": 1e-9},
    )
    return np.asarray(found.x)
