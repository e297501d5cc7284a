"""Several models as one: their logits added up, with weights that are not negative (Breiman 1996; van der Laan 2007).

The weights come from out-of-fold predictions, those of each fold from the other folds, as calibration does it: a model
that learnt its training part by heart gains nothing by it. Members are fitted as they are alone, so a stack of runs
that are there already costs no fit of a fold.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from data.names import pick
from regress.fitted import Fitted
from regress.losses import Loss, sigmoid
from regress.metrics import clip
from regress.models import MODELS, Model, Training

Array = NDArray[np.float64]
FILE, NAMES = "stack.safetensors", "members.txt"
TIE = 1e-6  # pull towards equal weights: members that say the same share; far below what differs between them


def logits(P: Array) -> Array:
    """Predictions (…) → ln p/(1 − p), p clipped as for the log loss."""
    p = clip(P)
    return np.asarray(np.log(p) - np.log1p(-p))


def fit_weights(S: Array, y: Array) -> Array:
    """Weights of members and, last, the intercept, float64 (members + 1,), from logits S (n, members) and rates y (n,).

    Minimises the mean cross-entropy of sigmoid(S b + c) over b ≥ 0 and c: convex. Without rows all weigh alike.
    """
    from scipy.optimize import minimize

    n, members = S.shape
    equal = np.append(np.full(members, 1 / members), 0.0)
    if n == 0:
        return equal

    def objective(theta: Array) -> tuple[float, Array]:
        score, off = S @ theta[:-1] + theta[-1], theta[:-1] - 1 / members
        slope = sigmoid(score) - y
        value = float(np.mean(np.logaddexp(0.0, score) - y * score) + TIE * off @ off / 2)
        return value, np.append(S.T @ slope / n + TIE * off, slope.mean())

    bounds = [(0.0, None)] * members + [(None, None)]
    options = {"maxiter": 500, "ftol": 1e-14, "gtol": 1e-9}
    found = minimize(objective, equal, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return np.asarray(found.x, dtype=np.float64)


@dataclass(kw_only=True, eq=False)
class Stack(Model):
    """Fitted members with their weights. It is put together by `of`: what its weights need, no training part has."""

    representation: ClassVar[Literal["raw", "scaled"]] = "raw"

    members: tuple[str, ...] = ("mlp", "lgbm", "ridge")
    members_: list[Fitted] = field(init=False, repr=False)
    weights_: Array = field(init=False, repr=False)  # (members + 1,), the intercept last

    def __post_init__(self) -> None:
        for name in self.members:
            pick(MODELS, name, "model")
        if {"mean", "stack"} & set(self.members) or len(set(self.members)) < max(len(self.members), 2):
            shown = "+".join(self.members)
            raise ValueError(f"members={shown}: expected two or more different models, not mean and not stack")

    @classmethod
    def of(cls, members: Sequence[str], fitted: Sequence[Fitted], weights: Array) -> Self:
        """The stack of fitted members (their names beside them) with `fit_weights`'s weights."""
        stack = cls(members=tuple(members))
        stack.members_ = list(fitted)
        stack.weights_ = weights
        return stack

    @staticmethod
    def combine(S: Array, weights: Array) -> Array:
        """Logits (n, members) → predictions (n,)."""
        return sigmoid(S @ weights[:-1] + weights[-1])

    def fit(self, training: Training, loss: Loss, seed: int, shared: object) -> None:  # noqa: ARG002
        """Raises TypeError: see `of`."""
        raise TypeError("a stack is put together from fitted members: see Stack.of and regress.crossval")

    def predict(self, X: NDArray[np.float32]) -> Array:
        return self.combine(logits(np.stack([each.predict(X) for each in self.members_], axis=1)), self.weights_)

    def save(self, folder: Path) -> None:
        """A folder for each member, the weights and the members' names beside them."""
        for name, fitted in zip(self.members, self.members_, strict=True):
            (folder / name).mkdir()
            fitted.save(folder / name)
        save_file({"weights": self.weights_}, folder / FILE)
        (folder / NAMES).write_text("\n".join(self.members), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        names = (folder / NAMES).read_text(encoding="utf-8").splitlines()
        weights = load_file(folder / FILE)["weights"]
        return cls.of(names, [Fitted.load(folder / name, name) for name in names], weights)
