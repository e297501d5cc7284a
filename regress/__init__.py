"""Features → folds → models → out-of-fold predictions → an honest comparison."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from regress.estimator import RunRegressor

__all__ = ["load"]


def load(folder: "str | Path") -> "RunRegressor":
    """A trained run as a scikit-learn estimator: `regress.load("runs/lgbm-…").predict(X)`.

    Raises:
        InputError: no run is there, it is damaged, or an earlier version wrote it.
    """
    from regress.estimator import RunRegressor  # here, so that `--help` of the commands stays light

    return RunRegressor.load(Path(folder))
