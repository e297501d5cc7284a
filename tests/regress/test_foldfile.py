"""Fits of folds on disk: what is read is what was written, for exactly these numbers; whatever else is fitted again."""

import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from regress import foldfile
from regress.choices import NOTHING
from regress.crossval import CrossValidation
from regress.features import Block, Features
from regress.foldfile import FoldFiles, FoldFit
from regress.folds import make_folds
from regress.losses import Loss
from regress.trainer import Setup, Trainer

N = 40
RIDGE = Setup("ridge", Loss.parse("bce"), NOTHING, "beta", 0)
FIT = FoldFit(np.array([0.25, 1.0, np.nan]), ["ноль rows"], {"leaves": 7}, 1.5)


@given(st.lists(st.floats(width=64), max_size=20), st.lists(st.text(max_size=9), max_size=2), st.floats(0, 1e6))
def test_what_is_written_is_read(values: list[float], notes: list[str], seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.safetensors"
        FoldFiles.write(path, FoldFit(np.array(values), notes, {"a": 1}, seconds))
        found = FoldFiles.read(path)
        assert found is not None
        assert found.raw.tobytes() == np.array(values).tobytes()
        assert (found.notes, found.tuned, found.seconds) == (notes, {"a": 1}, seconds)


def test_a_damaged_file_is_none_at_every_byte(tmp_path: Path) -> None:
    """Cut off anywhere, or with one bit of the predictions turned."""
    path = tmp_path / "x.safetensors"
    FoldFiles.write(path, FIT)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        assert FoldFiles.read(path) is None
    for place in range(len(whole) - FIT.raw.nbytes, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert FoldFiles.read(path) is None


def test_a_foreign_file_is_none(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    assert FoldFiles.read(path) is None
    for metadata in (None, {"fit": "no JSON"}, {"fit": "{}"}, {"fit": "[]"}, {"other": "{}"}):
        save_file({"raw": FIT.raw}, path, metadata=metadata)
        assert FoldFiles.read(path) is None
    save_file({"other": FIT.raw}, path, metadata={"fit": "{}"})
    assert FoldFiles.read(path) is None


def test_a_key_is_of_everything_a_fit_depends_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = np.arange(30), np.arange(30, 40)
    files = FoldFiles(tmp_path, "ground")
    setups = [
        RIDGE,
        replace(RIDGE, model="lgbm"),
        replace(RIDGE, loss=Loss.parse("mse")),
        replace(RIDGE, settings={"penalties": 3}),
        replace(RIDGE, seed=1),
        replace(RIDGE, tune=5),
    ]
    paths = [files.path(setup.identity(), train, test) for setup in setups]
    paths += [FoldFiles(tmp_path, "other ground").path(RIDGE.identity(), train, test)]
    paths += [files.path(RIDGE.identity(), train[1:], test), files.path(RIDGE.identity(), train, test[1:])]
    assert files.path(replace(RIDGE, calibration="none").identity(), train, test) == paths[0]  # not what is fitted
    monkeypatch.setattr(foldfile, "code_version", lambda: "another")
    paths.append(files.path(RIDGE.identity(), train, test))
    assert len(set(paths)) == len(paths)


@pytest.fixture
def validation(tmp_path: Path) -> CrossValidation:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 4)).astype(np.float32)
    y = 1 / (1 + np.exp(2 - X[:, 0].astype(np.float64)))
    trainer = Trainer(Features("all", (Block("a", "f", X),)), y, np.full(N, 100.0), np.arange(N))
    return CrossValidation(trainer, make_folds(y, None, np.empty((N, 0), np.int64), n_folds=3), FoldFiles(tmp_path, ""))


def test_only_what_is_not_whole_is_fitted_again(validation: CrossValidation, tmp_path: Path) -> None:
    before = validation.out_of_fold(RIDGE, validation.partitions[0]).raw
    damaged, shorter, kept = sorted(tmp_path.glob("*.safetensors"))
    whole = {path: path.read_bytes() for path in (damaged, shorter, kept)}
    damaged.write_bytes(b"")
    FoldFiles.write(shorter, FIT)  # another number of rows
    inode = kept.stat().st_ino
    again = validation.out_of_fold(RIDGE, validation.partitions[0]).raw
    assert again.tobytes() == before.tobytes()
    assert kept.stat().st_ino == inode
    found = {path: FoldFiles.read(path) for path in whole}
    assert all(fit is not None and len(fit.raw) in (13, 14) for fit in found.values())


def test_two_writers_of_one_file_leave_one_whole(tmp_path: Path) -> None:
    path, wrong = tmp_path / "x.safetensors", []
    FoldFiles.write(path, FIT)

    def work() -> None:
        for _ in range(20):
            FoldFiles.write(path, FIT)
            found = FoldFiles.read(path)
            if found is None or found.raw.tobytes() != FIT.raw.tobytes():
                wrong.append(found)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert list(tmp_path.iterdir()) == [path]
