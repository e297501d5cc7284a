"""What the boosted trees of every library have in common: which targets and settings they take, and which rows."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from data.config import InputError
from regress.losses import Loss
from regress.models import Training, expect


def expect_ranges(model: object, whole: dict[str, int], least: dict[str, float], shares: tuple[str, ...]) -> None:
    """Check settings: whole numbers and numbers from a least one on, shares above 0 and up to 1."""
    for key, low in whole.items():
        expect(key, getattr(model, key), getattr(model, key) >= low, f"a whole number from {low}")
    for key, bound in least.items():
        expect(key, getattr(model, key), getattr(model, key) >= bound, f"a number from {bound:g}")
    for key in shares:
        expect(key, getattr(model, key), 0 < getattr(model, key) <= 1, "a number above 0, up to 1")


def check_targets(y: NDArray[np.float64], loss: Loss) -> None:
    """Raise `InputError` for targets that cross-entropy is not defined on; the libraries differ in what they let by."""
    if not loss.squared and not ((y >= 0) & (y <= 1)).all():
        raise InputError(f"loss {loss.name} needs targets from 0 to 1, found {y.min():g} … {y.max():g}: use mse")


def only(training: Training, mask: NDArray[np.bool_]) -> Training:
    """The training rows of a mask (m,)."""
    return replace(
        training,
        X=training.X[mask],
        y=training.y[mask],
        weight=training.weight[mask],
        rows=None if training.rows is None else training.rows[mask],
        held=training.held[mask],
        groups=None if training.groups is None else training.groups[mask],
    )


def may_refit(training: Training) -> bool:
    """Whether the held-out rows can be fitted on too, once they have said how many trees.

    Not under a weighted loss or a sampler: the rows that are watched count alike and are not sampled, and would be
    fitted as such.
    """
    return training.rows is not None and bool(training.held.any()) and float(np.ptp(training.weight)) == 0


def require(package: str) -> None:
    """Raise `InputError` where an optional package is missing; before any post is read, and without loading it."""
    if find_spec(package) is None:
        raise InputError(
            f"model {package} needs a package that is not installed: pip install 'embed-regress[{package}]'"
        )
