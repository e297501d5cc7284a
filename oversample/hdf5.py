"""Resample an HDF5 file into another one that need not fit into memory.

The source is mapped, neighbours are sought among the rare rows, and the output is written a block at a time: one
million × 768 float32 with 23 % rare rows, SMOTER, take 467 CPU-seconds and at most 1.16 GB of resident memory
(`tests/benchmarks/oversampling_hdf5.py`).
"""

import mmap
import os
import secrets
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from oversample.arrays import floating, generator
from oversample.base import RegressionSampler
from oversample.draw import Floats

STEP = 4096  # rows read or checked at a time
SCATTERED = 128  # rows read at a time that may lie anywhere: the kernel may map 2 MB around each
MOST_PACKED = 2000  # times that compression can shrink numbers: deflate makes 1,030 zeros one


def resample(
    source: str | Path,
    destination: str | Path,
    sampler: RegressionSampler,
    *,
    X: str = "X",
    y: str = "y",
    overwrite: bool = False,
) -> None:
    """Datasets `X` (n, d) and `y` (n,) of one file → the same names, (m, d) and (m,), in a new one.

    The bytes are those of `sampler.fit_resample(X, y)`, whose fitted attributes the sampler has afterwards; other
    columns follow by `sampler.along`. Contiguous float32 or float64 is read in place, anything else (chunks,
    compression, other numbers) is unpacked first into an unnamed file beside the destination. In memory: the rare rows
    of a bump, for samplers that seek neighbours, and about 100 bytes per output row.

    The destination appears whole or not at all. Raises `ValueError` if it exists (without `overwrite`), for datasets
    that are missing, lie in other files or have another shape, and for what `fit_resample` refuses.
    """
    source, destination = Path(source), Path(destination)
    sampler._check()
    _check_free(source, destination, overwrite=overwrite)
    with _open(source) as file:
        features, target = _dataset(file, X, 2), _dataset(file, y, 1)
        if len(features) != len(target) or 0 in features.shape:
            shapes = f"{X!r} {features.shape} and {y!r} {target.shape}"
            raise ValueError(f"{source} holds {shapes}: expected (n, d) and (n,), with n and d from 1")
        rows, targets = _rows(features, destination.parent), floating(target[:])
        _check_finite(rows, X)
        _check_finite(targets, y)
        sampler._accept(rows, targets)
        rng = generator(sampler.random_state)
        draw = sampler._sample(rows, targets, rng)
        sampler.sample_weight_ = np.ones(len(draw.first))
        made, m = draw.made.any(), len(draw.first)  # rows that are only copied keep any dtype
        with _whole(destination) as output:
            new_X = output.create_dataset(X, (m, rows.shape[1]), rows.dtype if made else features.dtype)
            new_y = output.create_dataset(y, (m,), targets.dtype if made else target.dtype)
            for part, block, values in sampler._output(rows, targets, draw, rng):
                new_X[part], new_y[part] = block, values
            output.flush()
            _check_free(source, destination, overwrite=overwrite)  # this may have taken hours
    for note in sampler.notes_:
        warnings.warn(note, UserWarning, stacklevel=2)


class Rows(np.memmap[Any, Any]):
    """Rows of a file as an array that forgets what was read: mapped pages count as memory until they are let go."""

    def __getitem__(self, index: Any) -> Any:
        self._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]
        if not (isinstance(index, np.ndarray) and index.ndim == 1 and index.dtype.kind == "i"):
            return np.asarray(super().__getitem__(index))
        result = np.empty((len(index), *self.shape[1:]), dtype=self.dtype)
        order = np.argsort(index, kind="stable")  # a disk reads forwards
        for start in range(0, len(order), SCATTERED):
            part = order[start : start + SCATTERED]
            result[part] = super().__getitem__(index[part])
            self._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]
        return result


def _rows(dataset: h5py.Dataset, folder: Path) -> Rows:
    """A dataset as float rows in a file, its own if it lies there as they are."""
    dtype = floating(np.empty(0, dataset.dtype)).dtype
    offset = dataset.id.get_offset()  # None for chunks
    if offset is not None and dataset.dtype == dtype:
        return Rows(dataset.file.filename, dtype=dtype, mode="r", offset=offset, shape=dataset.shape)
    _check_room(dataset, dtype.itemsize * dataset.size, folder)
    with tempfile.TemporaryFile(dir=folder) as file:
        for start in range(0, len(dataset), STEP):
            floating(dataset[start : start + STEP]).tofile(file)
        file.flush()
        return Rows(file, dtype=dtype, mode="r", shape=dataset.shape)


def _check_room(dataset: h5py.Dataset, size: int, folder: Path) -> None:
    """Numbers that are declared and stored nowhere are zeros without end: a file of 2 kB can ask for terabytes."""
    stored, free, name = dataset.id.get_storage_size(), shutil.disk_usage(folder).free, dataset.name.lstrip("/")
    if size > MOST_PACKED * stored:
        what = f"{name!r} declares {size:,} bytes and stores {stored:,}"
        raise ValueError(f"{dataset.file.filename}: {what}: expected a dataset that was written")
    if size > free:
        raise ValueError(f"{name!r} takes {size:,} bytes unpacked, {folder} has {free:,} free: pass another folder")


def _open(source: Path) -> h5py.File:
    try:
        return h5py.File(source, "r")
    except OSError as error:
        raise ValueError(f"{source}: expected an HDF5 file that can be read ({error})") from error


def _dataset(file: h5py.File, name: str, dimensions: int) -> h5py.Dataset:
    """A dataset of numbers that lies in the file itself."""
    found = file.get(name)
    where = f"{file.filename} holds"
    if not isinstance(found, h5py.Dataset):
        known = ", ".join(sorted(file))
        raise ValueError(f"{where} no dataset {name!r} (found {known}): pass X=NAME and y=NAME")
    if found.file.filename != file.filename or found.is_virtual or found.external:
        raise ValueError(f"{where} {name!r} only as a link to another file: pass that file, or copy the data into one")
    if found.ndim != dimensions or found.dtype.kind not in "fiu" or found.dtype.itemsize > 8:
        shape = "(n, d)" if dimensions == 2 else "(n,)"
        raise ValueError(f"{where} {name!r} as {found.dtype} {found.shape}: expected numbers of shape {shape}")
    return found


def _check_finite(values: Floats, name: str) -> None:
    for start in range(0, len(values), STEP):
        finite = np.isfinite(values[start : start + STEP]).reshape(-1, values[0].size).all(axis=1)
        if not finite.all():
            row = start + int(np.argmin(finite))
            raise ValueError(f"{name!r} holds NaN or an infinity, first in row {row}: drop such rows, or fill them in")


def _check_free(source: Path, destination: Path, *, overwrite: bool) -> None:
    if not destination.parent.is_dir():
        raise ValueError(f"{destination}: expected a folder that exists, {destination.parent} does not")
    if not destination.exists():
        return
    if source.exists() and destination.samefile(source):
        raise ValueError(f"{destination} is the source: expected another file")
    if not overwrite or not destination.is_file():
        raise ValueError(f"{destination} exists: remove it, or pass overwrite=True")


@contextmanager
def _whole(path: Path) -> Iterator[h5py.File]:
    """A new file that takes its name when it is complete and on disk; on any exception, Ctrl-C too, nothing stays."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with h5py.File(temporary, "x") as file:
            yield file
        _sync(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync(path.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
