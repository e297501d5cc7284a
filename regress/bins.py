"""LightGBM's bins of one feature matrix, made once for all folds and models, and kept beside the cache for next time.

Binning 25,000 × 1,536 takes 4 CPU-seconds; a fold's `subset` of it 0.04, and reading it back as little. Bin borders
come from the features alone, no target is seen. LightGBM aborts the process on a truncated file and stops on one with
other parameters, so the file's name says the parameters, its SHA-256 lies beside it, and one that does not match is
made again. They are for who made them: a cache that came from elsewhere should come without.
"""

import contextlib
import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from data.config import canonical_json
from data.files import atomic_write, sha256_file, temporary_folder
from regress.models import Training

if TYPE_CHECKING:
    import lightgbm


def binning(max_bin: int) -> dict[str, Any]:
    """LightGBM's parameters of a Dataset; borders of 63 bins from 5,000 rows are as good and take half the time."""
    # feature_pre_filter drops columns by a min_data_in_leaf that later fits may change
    fixed = {"bin_construct_sample_cnt": 5_000, "feature_pre_filter": False, "num_threads": 1, "verbosity": -1}
    return {"max_bin": max_bin, **fixed}


def shared_bins(X: NDArray[np.float32], max_bin: int, store: Path | None) -> "lightgbm.Dataset":
    """One Dataset of all rows (n, d), read from `store` where it is there and whole, else made and kept there.

    `store` belongs to exactly this matrix: nothing of X is compared but its shape. None: nothing is kept.
    """
    import lightgbm

    parameters = binning(max_bin)
    if store is None:
        return _make(X, parameters)
    path = store / f"{_name(parameters)}.bin"
    if _whole(path):
        found: lightgbm.Dataset = lightgbm.Dataset(path, params=parameters).construct()
        if (found.num_data(), found.num_feature()) == X.shape:
            return found
    made = _make(X, parameters)
    with contextlib.suppress(OSError):  # a folder that cannot be written, or a full disk, costs time and nothing else
        _keep(made, path)
    return made


def rows_of(training: Training, part: NDArray[np.int64], bins: "lightgbm.Dataset") -> "lightgbm.Dataset":
    """A Dataset (k rows) of the rows `part` of the training data, in the shared bins."""
    import lightgbm

    label, weight = training.y[part], training.weight[part]
    if training.rows is None:
        parameters = dict(bins.params or {})
        return lightgbm.Dataset(training.X[part], label, reference=bins, weight=weight, params=parameters).construct()
    order = row_order(training, part)  # subset() wants ascending rows
    subset = bins.subset(training.rows[part][order].tolist()).construct()
    # a label given before construct() is lost to the shared one's
    labelled: lightgbm.Dataset = subset.set_label(label[order]).set_weight(weight[order])
    return labelled


def row_order(training: Training, part: NDArray[np.int64]) -> NDArray[np.int64]:
    """(k,) the places within `part` in which `rows_of` has its rows."""
    return np.arange(len(part)) if training.rows is None else np.argsort(training.rows[part], kind="stable")


def _make(X: NDArray[np.float32], parameters: dict[str, Any]) -> "lightgbm.Dataset":
    import lightgbm

    return lightgbm.Dataset(X, np.zeros(len(X)), params=parameters).construct()


def _name(parameters: dict[str, Any]) -> str:
    """What else the bytes depend on: LightGBM's version and the parameters."""
    text = canonical_json({**parameters, "lightgbm": version("lightgbm")})
    return f"lightgbm-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _digest(path: Path) -> Path:
    """Where a file's SHA-256 is kept."""
    return path.with_suffix(".sha256")


def _whole(path: Path) -> bool:
    """Whether the file is the one that was written."""
    try:
        return _digest(path).read_bytes() == sha256_file(path).encode()
    except FileNotFoundError:
        return False


def _keep(bins: "lightgbm.Dataset", path: Path) -> None:
    """Write the Dataset, then its digest; between the two, the file counts as damaged."""
    with temporary_folder(path) as folder:
        written = folder / path.name
        bins.save_binary(written)
        digest = sha256_file(written)
        with atomic_write(path) as file, open(written, "rb") as source:
            while block := source.read(1 << 20):
                file.write(block)
    with atomic_write(_digest(path)) as file:
        file.write(digest.encode())
