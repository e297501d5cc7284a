"""From file to file: the bytes of `fit_resample`, whatever the layout of the source; whole, or not there at all."""

import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from oversample import SAMPLERS, SMOTER, RandomOversampler
from oversample.hdf5 import resample


def data(n: int = 900, d: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.where(rng.random(n) < 0.6, 0.0, rng.beta(0.7, 20, n))
    return rng.normal(size=(n, d)).astype(np.float32), y


def write(path: Path, X: np.ndarray, y: np.ndarray, **layout: Any) -> Path:
    with h5py.File(path, "w") as file:
        file.create_dataset("X", data=X, **layout)
        file["y"] = y
    return path


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with h5py.File(path) as file:
        return file["X"][:], file["y"][:]


def check_same(actual: tuple[np.ndarray, np.ndarray], expected: tuple[np.ndarray, np.ndarray]) -> None:
    for one, other in zip(actual, expected, strict=True):
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in which no temporary file is left."""
    yield tmp_path
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_bytes_of_fit_resample(folder: Path, name: str) -> None:
    X, y = data()
    settings: dict[str, Any] = {"random_state": 3}
    if "undersample" in SAMPLERS[name]().get_params():
        settings["undersample"] = True
    sampler, streamed = SAMPLERS[name](**settings), SAMPLERS[name](**settings)
    expected = sampler.fit_resample(X, y)
    resample(write(folder / "a.h5", X, y), folder / "b.h5", streamed)
    check_same(read(folder / "b.h5"), expected)
    for attribute in ("sample_indices_", "parents_", "lambda_", "synthetic_", "sample_weight_"):
        np.testing.assert_array_equal(getattr(streamed, attribute), getattr(sampler, attribute))
    np.testing.assert_array_equal(streamed.along(y), sampler.along(y))


@pytest.mark.parametrize(
    "layout",
    [{"chunks": (64, 3)}, {"chunks": (100, 6), "compression": "gzip"}, {"dtype": ">f4"}, {"dtype": "f8"}],
    ids=str,
)
def test_any_layout(folder: Path, layout: dict[str, Any]) -> None:
    X, y = data()
    expected = SMOTER(random_state=0).fit_resample(X.astype(np.dtype(layout.get("dtype", "f4")).newbyteorder("=")), y)
    resample(write(folder / "a.h5", X, y, **layout), folder / "b.h5", SMOTER(random_state=0))
    check_same(read(folder / "b.h5"), expected)


@pytest.mark.parametrize("dtype", [np.float16, np.int64, np.uint8])
@pytest.mark.parametrize("name", ["smoter", "random"])
def test_other_numbers(folder: Path, name: str, dtype: type) -> None:
    X, y = data()
    X = (20 + 3 * X).astype(dtype)
    expected = SAMPLERS[name](random_state=0).fit_resample(X, y)
    resample(write(folder / "a.h5", X, y), folder / "b.h5", SAMPLERS[name](random_state=0))
    check_same(read(folder / "b.h5"), expected)


def test_groups_and_a_user_block(folder: Path) -> None:
    X, y = data()
    with h5py.File(folder / "a.h5", "w", userblock_size=512) as file:
        file["image/features"], file["rate"] = X, y
    resample(folder / "a.h5", folder / "b.h5", SMOTER(random_state=0), X="image/features", y="rate")
    with h5py.File(folder / "b.h5") as file:
        check_same((file["image/features"][:], file["rate"][:]), SMOTER(random_state=0).fit_resample(X, y))


def test_memory_is_a_few_blocks(folder: Path) -> None:
    X, y = data(20_000, 512)
    write(folder / "a.h5", X, y)
    size = X.nbytes
    del X
    resample(folder / "a.h5", folder / "b.h5", RandomOversampler(random_state=0))  # imports, pools of h5py
    tracemalloc.start()
    resample(folder / "a.h5", folder / "b.h5", RandomOversampler(random_state=0), overwrite=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size / 2  # 41 MB


def test_warnings_come_through(folder: Path) -> None:
    X, y = data()
    write(folder / "a.h5", X, np.zeros_like(y))
    with pytest.warns(UserWarning, match="nothing was sampled"):
        resample(folder / "a.h5", folder / "b.h5", SMOTER())
    check_same(read(folder / "b.h5"), (X, np.zeros_like(y)))


def linked(folder: Path) -> None:
    with h5py.File(folder / "a.h5", "a") as file:
        write(folder / "elsewhere.h5", *data())
        del file["X"]
        file["X"] = h5py.ExternalLink("elsewhere.h5", "X")


def virtual(folder: Path) -> None:
    with h5py.File(folder / "a.h5", "a") as file:
        file.move("X", "real")
        layout = h5py.VirtualLayout(file["real"].shape, file["real"].dtype)
        layout[:] = h5py.VirtualSource(file["real"])
        file.create_virtual_dataset("X", layout)


def external(folder: Path) -> None:
    X, _ = data()
    X.tofile(folder / "raw")
    with h5py.File(folder / "a.h5", "a") as file:
        del file["X"]
        file.create_dataset("X", X.shape, X.dtype, external=[(str(folder / "raw"), 0, X.nbytes)])


def replaced(name: str, values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        with h5py.File(folder / "a.h5", "a") as file:
            del file[name]
            file[name] = values

    return change


def spoiled(name: str, index: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        with h5py.File(folder / "a.h5", "a") as file:
            file[name][index] = np.nan

    return change


def dropped(folder: Path) -> None:
    with h5py.File(folder / "a.h5", "a") as file:
        file.move("y", "target")


def not_hdf5(folder: Path) -> None:
    (folder / "a.h5").write_text("id,y\n")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (linked, "'X' only as a link to another file"),
        (virtual, "'X' only as a link to another file"),
        (external, "'X' only as a link to another file"),
        (replaced("X", np.zeros((3, 2, 2))), r"'X' as float64 \(3, 2, 2\): expected numbers of shape \(n, d\)"),
        (replaced("X", np.zeros((899, 2))), r"'X' \(899, 2\) and 'y' \(900,\)"),
        (replaced("X", np.zeros((900, 0))), r"'X' \(900, 0\)"),
        (replaced("y", np.zeros((900, 1))), r"'y' as float64 \(900, 1\): expected numbers of shape \(n,\)"),
        (replaced("y", ["a"] * 900), "'y' as object"),
        (spoiled("X", (812, 3)), "'X' holds NaN or an infinity, first in row 812"),
        (spoiled("y", 7), "'y' holds NaN or an infinity, first in row 7"),
        (dropped, r"no dataset 'y' \(found X, target\)"),
        (not_hdf5, "expected an HDF5 file"),
    ],
)
def test_refused(folder: Path, change: Callable[[Path], None], match: str) -> None:
    write(folder / "a.h5", *data())
    change(folder)
    with pytest.raises(ValueError, match=match):
        resample(folder / "a.h5", folder / "b.h5", SMOTER())
    assert not (folder / "b.h5").exists()


def test_settings_are_checked_first(folder: Path) -> None:
    with pytest.raises(ValueError, match="threshold=2"):
        resample(folder / "missing.h5", folder / "b.h5", SMOTER(threshold=2))
    write(folder / "a.h5", *data())
    with pytest.raises(ValueError, match="outside target_bounds"):
        resample(folder / "a.h5", folder / "b.h5", SMOTER(target_bounds=(0.5, 1)))


def test_nothing_is_overwritten_unasked(folder: Path) -> None:
    write(folder / "a.h5", *data())
    (folder / "b.h5").write_text("mine")
    with pytest.raises(ValueError, match="exists: remove it, or pass overwrite=True"):
        resample(folder / "a.h5", folder / "b.h5", SMOTER(random_state=0))
    assert (folder / "b.h5").read_text() == "mine"
    with pytest.raises(ValueError, match="is the source"):
        resample(folder / "a.h5", folder / "a.h5", SMOTER(), overwrite=True)
    with pytest.raises(ValueError, match="expected a folder that exists"):
        resample(folder / "a.h5", folder / "no" / "b.h5", SMOTER())
    resample(folder / "a.h5", folder / "b.h5", SMOTER(random_state=0), overwrite=True)
    check_same(read(folder / "b.h5"), SMOTER(random_state=0).fit_resample(*data()))


class Appears(SMOTER):
    """While it works, somebody else writes the destination."""

    where: Path

    def _make(self, *arguments: Any) -> Any:
        self.where.write_text("theirs")
        return super()._make(*arguments)


def test_a_destination_that_appears_in_the_meantime_stays(folder: Path) -> None:
    sampler = Appears(random_state=0)
    sampler.where = folder / "b.h5"
    with pytest.raises(ValueError, match="exists"):
        resample(write(folder / "a.h5", *data()), folder / "b.h5", sampler)
    assert (folder / "b.h5").read_text() == "theirs"


class Interrupted(SMOTER):
    def _make(self, *arguments: Any) -> Any:
        raise KeyboardInterrupt


def test_what_is_interrupted_leaves_no_trace(folder: Path) -> None:
    write(folder / "a.h5", *data())
    (folder / "b.h5").write_text("older")
    with pytest.raises(KeyboardInterrupt):
        resample(folder / "a.h5", folder / "b.h5", Interrupted(), overwrite=True)
    assert sorted(path.name for path in folder.iterdir()) == ["a.h5", "b.h5"]
    assert (folder / "b.h5").read_text() == "older"


@pytest.mark.parametrize("shape", [(1 << 40, 8), (4, 1 << 36)], ids=["tall", "wide"])
@pytest.mark.parametrize("chunks", [(1, 8), None], ids=["chunks", "contiguous"])
def test_what_is_declared_and_not_stored_is_not_unpacked(
    tmp_path: Path, shape: tuple[int, int], chunks: tuple[int, int] | None
) -> None:
    """A file of 2 kB that declares terabytes of zeros would fill the disk."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("X", shape, "f4", chunks=chunks)
        file.create_dataset("y", shape[:1], "f4", chunks=chunks and chunks[:1])
    with pytest.raises(ValueError, match=r"'X' declares [\d,]+ bytes and stores 0") as caught:
        resample(tmp_path / "a.h5", tmp_path / "b.h5", SMOTER())
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def test_what_no_disk_has_room_for_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("X", data=np.random.default_rng(0).normal(size=(50, 4)), chunks=(8, 4))
        file["y"] = np.zeros(50)
    usage = shutil.disk_usage(tmp_path)._replace(free=1599)
    monkeypatch.setattr("oversample.hdf5.shutil.disk_usage", lambda _: usage)
    with pytest.raises(ValueError, match=r"takes 1,600 bytes unpacked, .* has 1,599 free"):
        resample(tmp_path / "a.h5", tmp_path / "b.h5", SMOTER())
