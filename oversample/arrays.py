"""Data as it comes in and goes out: pandas or NumPy, any numbers, weights, bounds and seeds, checked in plain words."""

from typing import Any

import numpy as np

from oversample.draw import Array, Floats, Rows


def floating(values: Any) -> Floats:
    """float32 or float64, whichever is needed to hold the numbers exactly."""
    array = np.asarray(values)
    return array.astype(np.result_type(array.dtype, np.float32), copy=False)


def check_bounds(bounds: Any, y: Floats) -> None:
    """Raise `ValueError` unless they are None, or (low, high) around all targets."""
    if bounds is None:
        return
    pair = np.asarray(bounds)
    if pair.shape != (2,) or pair.dtype.kind not in "fiu" or not pair[0] < pair[1]:
        raise ValueError(f"target_bounds={bounds!r}: expected (low, high) with low below high")
    outside = np.flatnonzero((y < pair[0]) | (y > pair[1]))
    if len(outside):
        what = f"{len(outside)} targets are outside target_bounds={bounds!r}"
        raise ValueError(f"{what}, the first is y[{outside[0]}]={float(y[outside[0]])!r}: widen them or fix y")


def weights(weight: Any, n: int) -> Array:
    """float64 (n,), 1 where none are given; `ValueError` unless there is a finite number for each row."""
    if weight is None:
        return np.ones(n)
    values = np.asarray(weight, dtype=np.float64)
    if values.shape != (n,) or not np.isfinite(values).all():
        raise ValueError(f"sample_weight of shape {values.shape}: expected a finite number for each of {n} rows")
    return values


def generator(random_state: Any) -> np.random.Generator:
    """A generator of its own for None and whole numbers; one that is passed is used, and moves on."""
    if isinstance(random_state, np.random.RandomState):
        random_state = random_state.randint(2**32, size=4, dtype=np.uint32)
    return np.random.default_rng(random_state)


def target_like(data: Any) -> Any:
    """A target as rows can be taken from it: a series, a frame or a list as it is, anything else as an array (n,)."""
    return data if hasattr(data, "iloc") or isinstance(data, list) else np.ravel(data)


def one_column(data: Any) -> Any:
    """A target; a frame of one column as its series, which is what it means."""
    return data.iloc[:, 0] if hasattr(data, "iloc") and np.ndim(data) > 1 and data.shape[1] == 1 else data


def take(data: Any, rows: Rows) -> Any:
    """Rows of a frame, a series, a list or an array, as they are."""
    if hasattr(data, "iloc"):
        return data.iloc[rows].reset_index(drop=True)
    return [data[row] for row in rows] if isinstance(data, list) else np.asarray(data)[rows]


def like(data: Any, values: Floats) -> Any:
    """Values (m, d) as a frame, (m,) as a series or a frame of one column, either as a list: what the input was."""
    if isinstance(data, list):
        return values.tolist()
    if not hasattr(data, "iloc"):
        return values
    if hasattr(data, "to_frame"):
        return type(data)(values, name=data.name)
    return type(data)(values.reshape(len(values), -1), columns=data.columns)
