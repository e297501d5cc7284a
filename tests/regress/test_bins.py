"""Bins kept beside the cache: read and not made again, replaced where they are damaged, shared by threads."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
from numpy.typing import NDArray

from regress import bins
from regress.bins import shared_bins
from regress.lgbm import LightGBM
from regress.losses import Loss
from regress.models import Training

Matrix = NDArray[np.float32]
N = 300


def features() -> Matrix:
    X = np.random.default_rng(0).normal(size=(N, 8)).astype(np.float32)
    X[:40, :4] = np.nan
    X[:, 7] = 1
    return X


def trees(shared: Any, rows: NDArray[np.int64]) -> str:
    """The text of a model fitted on some rows in these bins."""
    X, y = features(), np.random.default_rng(1).beta(1, 9, N)
    model = LightGBM(trees=30)
    training = Training(X[rows], y[rows], np.ones(len(rows)), rows, (slice(0, 8),), np.arange(len(rows)) % 5 == 0)
    model.fit(training, Loss.parse("bce"), 0, shared)
    return str(model.booster_.model_to_string())


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """max_bin of every binning that is made."""
    counted: list[int] = []
    make = bins._make

    def count(X: Matrix, parameters: dict[str, Any]) -> lightgbm.Dataset:
        counted.append(parameters["max_bin"])
        return make(X, parameters)

    monkeypatch.setattr(bins, "_make", count)
    return counted


def kept(store: Path) -> tuple[Path, Path]:
    """The file of bins and its digest."""
    return next(store.glob("*.bin")), next(store.glob("*.sha256"))


def test_the_second_call_reads_and_fits_the_same(tmp_path: Path, made: list[int]) -> None:
    store, rows = tmp_path / "bins", np.arange(0, N, 2)
    fresh = [trees(shared_bins(features(), 63, where), rows) for where in (None, store)]
    assert made == [63, 63]
    assert trees(shared_bins(features(), 63, store), rows) == fresh[0] == fresh[1]
    assert made == [63, 63]
    assert {path.suffix for path in store.iterdir()} == {".bin", ".sha256"}


def test_other_parameters_are_another_file(tmp_path: Path, made: list[int]) -> None:
    for max_bin in (63, 15, 63, 15):
        shared_bins(features(), max_bin, tmp_path)
    assert made == [63, 15]
    assert len(list(tmp_path.glob("*.bin"))) == 2


@pytest.mark.parametrize("damage", ["truncated", "flipped", "gone", "no digest", "half a digest", "other parameters"])
def test_a_damaged_file_is_made_again(damage: str, tmp_path: Path, made: list[int]) -> None:
    expected = trees(shared_bins(features(), 63, tmp_path), np.arange(N))
    path, digest = kept(tmp_path)
    whole = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(whole[:-100])
    if damage == "flipped":
        path.write_bytes(whole[:500] + bytes([whole[500] ^ 1]) + whole[501:])
    if damage == "gone":
        path.unlink()
    if damage == "no digest":
        digest.unlink()
    if damage == "half a digest":
        digest.write_bytes(digest.read_bytes()[:20])
    if damage == "other parameters":
        shared_bins(features(), 15, tmp_path / "other")
        path.write_bytes(kept(tmp_path / "other")[0].read_bytes())
    made.clear()
    assert trees(shared_bins(features(), 63, tmp_path), np.arange(N)) == expected
    assert made == [63]
    assert path.read_bytes() == whole
    shared_bins(features(), 63, tmp_path)
    assert made == [63]


def test_bins_of_a_matrix_of_another_shape_are_not_taken(tmp_path: Path, made: list[int]) -> None:
    shared_bins(features()[:, :5], 63, tmp_path)
    found = shared_bins(features(), 63, tmp_path)
    assert (found.num_data(), found.num_feature()) == (N, 8)
    assert made == [63, 63]


def test_threads_may_take_rows_of_one_dataset_at_once(tmp_path: Path) -> None:
    """Folds are fitted beside each other: what a thread fits must be what it fits alone."""
    parts = [np.flatnonzero(np.arange(N) % 5 != k) for k in range(5)]
    alone = [trees(shared_bins(features(), 63, None), rows) for rows in parts]
    shared_bins(features(), 63, tmp_path)
    shared = shared_bins(features(), 63, tmp_path)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda rows: trees(shared, rows), parts * 3)) == alone * 3
