"""Fits of single folds on disk: what is killed goes on where it was, and what was fitted once is not fitted again.

One safetensors file for each fit, written whole or not at all, named by the SHA-256 of all that its predictions depend
on: features, rates, rows, settings, seed, code. Five folds of 25,000 posts are 200 kB.
"""

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from data.config import canonical_json
from data.files import atomic_write, sha256_file

NUMERICS = ("numpy", "scipy", "scikit-learn", "imbalanced-learn", "lightgbm", "torch", "xgboost", "catboost", "optuna")
CODE = ("regress", "oversample")


@dataclass(frozen=True)
class FoldFit:
    """What is kept of the fit of a fold: the predictions of the rows it tests, not the model."""

    raw: NDArray[np.float64]  # (test rows,)
    notes: list[str] = field(default_factory=list)  # of the sampler
    tuned: dict[str, Any] = field(default_factory=dict)  # settings that --tune chose
    seconds: float = 0.0


@dataclass(frozen=True)
class FoldFiles:
    """A folder of fits on one ground: the same features, rates, trials and groups."""

    folder: Path
    ground: str

    def path(self, identity: Mapping[str, Any], train: NDArray[np.int64], test: NDArray[np.int64]) -> Path:
        """Where the fit of a setup of this identity on `train`, tested on `test`, belongs."""
        key = {"ground": self.ground, "code": code_version(), **identity, "train": digest(train), "test": digest(test)}
        return self.folder / f"{hashlib.sha256(canonical_json(key).encode()).hexdigest()}.safetensors"

    @staticmethod
    def read(path: Path) -> FoldFit | None:
        """The fit, or None where there is none, or no whole one: it is fitted again then."""
        try:
            with safe_open(path, framework="numpy") as file:
                raw, about = file.get_tensor("raw"), json.loads(file.metadata()["fit"])
            fit = FoldFit(raw, about["notes"], about["tuned"], about["seconds"])
            return fit if about["sha256"] == digest(raw) else None
        except (FileNotFoundError, SafetensorError, KeyError, TypeError, ValueError):
            return None

    @staticmethod
    def write(path: Path, fit: FoldFit) -> None:
        about = {"notes": fit.notes, "tuned": fit.tuned, "seconds": fit.seconds, "sha256": digest(fit.raw)}
        with atomic_write(path) as file:
            file.write(save({"raw": fit.raw}, metadata={"fit": json.dumps(about, ensure_ascii=False)}))


def digest(*arrays: NDArray[Any]) -> str:
    """SHA-256 of arrays' types, shapes and bytes."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype.str}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


@cache
def code_version() -> str:
    """SHA-256 of the code that fits, and of the versions of the libraries it calls."""
    root = Path(__file__).parents[1]
    sources = sorted(path for package in CODE for path in (root / package).rglob("*.py"))
    versions = {}
    for name in NUMERICS:
        with contextlib.suppress(PackageNotFoundError):  # an extra that is not installed
            versions[name] = version(name)
    known = {path.relative_to(root).as_posix(): sha256_file(path) for path in sources}
    return hashlib.sha256(canonical_json({**known, **versions}).encode()).hexdigest()
