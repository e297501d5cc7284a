"""Bounds of the squared distances between rows, from one float32 matrix product per pair of blocks, on CPU or GPU.

The product of two blocks of *factors* is at most the squared distance, and less by at most both rows' margins. That
holds for any order of summation, so for every BLAS, GPU, block size and number of threads; see `Space`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oversample.draw import Array, Floats, Mask, Rows

UNIT = float(np.finfo(np.float32).eps) / 2  # relative error of one rounding to float32
TINY = float(np.finfo(np.float32).tiny)
FAR = float(np.finfo(np.float32).max)  # above every finite bound; what is further is a row itself
STEP = 2**17  # numbers measured in float64 at a time: 1 MB, and as much for each of three steps


class Part(NamedTuple):
    """A block of rows: where it is, its factors (b, d + 2) on the device, and its margins float32 (b,)."""

    at: slice
    factors: Any  # (x, 1, s) of each row x, or (−2x, s, 1) once turned
    margin: NDArray[np.float32]


class Space:
    """Rows of X (n, d), scaled and centred, as factors; exact distances where these do not decide.

    With s a little less than |x|², (−2x, s, 1)·(y, 1, s') is at most |x − y|². A product of length d + 2 in any order,
    x and s rounded to float32, is off by less than (2d + 16) UNIT (|x|² + |y|²) (Higham 2002, section 3.1); a row's
    margin is twice its share of that.
    """

    def __init__(self, X: Floats, device: "Device") -> None:
        self.X, self.device = X, device
        # a power of two rounds nothing, and squares of numbers below 1 fit into float32
        power = -int(np.frexp(max(X.max(), -X.min()))[1])
        self.scale = X.dtype.type(np.ldexp(1.0, min(power, np.finfo(X.dtype).maxexp - 2)))
        # distances do not depend on the origin, their errors do; a median, since one outlier moves a mean anywhere
        self.center = np.median(X[:: max(1, len(X) // 256)] * self.scale, axis=0).astype(X.dtype)

    def part(self, at: slice, rows: Rows | None = None) -> Part:
        """Factors and margins of rows `at` of X, or of the rows that a block of row numbers names."""
        scaled = self.X[at if rows is None else rows[at]] * self.scale
        d = scaled.shape[1]
        factors = np.empty((len(scaled), d + 2), dtype=np.float32)
        values = factors[:, :d]
        np.subtract(scaled, self.center, out=values, casting="same_kind")
        squares = np.einsum("ij,ij->i", values, values, dtype=np.float64)
        error = UNIT * (2 * d + 16) / (1 - UNIT * (2 * d + 16))
        factors[:, d], factors[:, d + 1] = 1, squares * (1 - error)
        return Part(at, self.device.put(factors), (2 * error * squares + d * TINY).astype(np.float32))

    def distances(self, a: Rows, b: Rows, touching: Mask) -> Array:
        """Squared distances, float64, of pairs of rows. `touching` are those that may be 0: duplicates, maybe many."""
        result, label = np.zeros(len(a)), np.arange(len(self.X))
        seen: dict[bytes, int] = {}
        for row in np.union1d(a[touching], b[touching]):  # identical rows are told by their bytes
            label[row] = seen.setdefault(self.X[row].tobytes(), row)
        apart = np.flatnonzero(label[a] != label[b])
        # pairs of the same two rows are measured once
        code, place = np.unique(label[a[apart]] * len(self.X) + label[b[apart]], return_inverse=True)
        result[apart] = self._measured(*np.divmod(code, len(self.X)))[place]
        return result

    def _measured(self, a: Rows, b: Rows) -> Array:
        """Squared distances of pairs of rows, float64."""
        result = np.empty(len(a))
        step = max(1, STEP // self.X.shape[1])
        for start in range(0, len(a), step):
            part = slice(start, start + step)
            # of one order in memory, so that the sum has one order whatever that of X is
            first, second = ((self.X[rows[part]] * self.scale).astype(np.float64, order="C") for rows in (a, b))
            first -= second
            result[part] = np.einsum("ij,ij->i", first, first)
        return result


def turned(part: Part) -> Part:
    """A block as the left side of products."""
    left = -2 * part.factors
    left[:, -2], left[:, -1] = part.factors[:, -1], 1
    return part._replace(factors=left)


def bounds_inside(part: Part) -> Any:
    """Bounds (b, b) of a block's rows among themselves, on the device: half of the arithmetic, by symmetry."""
    values, squares = part.factors[:, :-2], part.factors[:, -1]
    bounds = values @ values.T
    bounds *= -2
    bounds += squares
    bounds += squares[:, None]
    return bounds


class Device:
    """Where products are computed; this one is NumPy's. Results of `within` and `fetch` are NumPy's everywhere."""

    def put(self, values: NDArray[Any]) -> Any:
        """An array on the device."""
        return values

    def fetch(self, values: Any) -> NDArray[Any]:
        """An array from the device."""
        return np.asarray(values)

    def within(self, bounds: Any, limit: NDArray[np.float32]) -> tuple[Rows, Rows, NDArray[np.float32]]:
        """Rows, columns and values of the bounds (a, b) up to a limit, (a, 1) or (b,)."""
        i, j = np.divmod(np.flatnonzero(bounds <= limit), bounds.shape[1])  # several times as fast as np.nonzero
        return i, j, bounds[i, j]


class TorchDevice(Device):
    """A device of PyTorch. Only the few pairs within a limit leave it."""

    def __init__(self, name: str) -> None:
        import torch

        self.torch, self.name = torch, name

    def put(self, values: NDArray[Any]) -> Any:
        return self.torch.from_numpy(values).to(self.name)

    def fetch(self, values: Any) -> NDArray[Any]:
        return np.asarray(values.cpu().numpy())

    def within(self, bounds: Any, limit: NDArray[np.float32]) -> tuple[Rows, Rows, NDArray[np.float32]]:
        i, j = (bounds <= self.put(limit)).nonzero(as_tuple=True)
        return self.fetch(i), self.fetch(j), self.fetch(bounds[i, j])


def check_device(name: str) -> None:
    """Raise `ValueError` unless rows can be put there."""
    if name == "cpu":
        return
    expected = "expected 'cpu', or the name of a device of PyTorch's"
    if not isinstance(name, str):
        raise ValueError(f"device={name!r} cannot be used: {expected}")
    try:
        TorchDevice(name).put(np.zeros(1, dtype=np.float32))
    except ImportError as why:
        raise ValueError(f"device={name!r} needs PyTorch, which is not installed: pip install torch") from why
    except (RuntimeError, AssertionError) as why:  # no such device, none of its kind, a torch without it
        reason = str(why).splitlines()[0] if str(why) else type(why).__name__
        raise ValueError(
            f"device={name!r} cannot be used ({reason}): expected 'cpu', or a device of PyTorch's"
        ) from why


@contextmanager
def open_device(name: str) -> Iterator[Device]:
    """NumPy for "cpu"; otherwise PyTorch's device of that name, at full float32 precision: TF32 would break bounds."""
    if name == "cpu":
        yield Device()
        return
    device = TorchDevice(name)
    before = device.torch.get_float32_matmul_precision()
    device.torch.set_float32_matmul_precision("highest")
    try:
        yield device
    finally:
        device.torch.set_float32_matmul_precision(before)
