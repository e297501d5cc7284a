"""Conversions equal NumPy's in every bit."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from embed.half import PIECE, all_finite, narrow, widen

FINITE = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
FINITE = FINITE[np.isfinite(FINITE)]


def bits(array: np.ndarray) -> np.ndarray:
    return array.view(f"u{array.itemsize}")


def test_every_finite_float16_is_widened_exactly() -> None:
    out = np.full(FINITE.shape, np.nan, np.float32)
    widen(FINITE, out)
    assert len(FINITE) == 63_488
    assert np.array_equal(bits(out), bits(FINITE.astype(np.float32)))  # the sign of zero, too


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (7, 5), (3, PIECE), (PIECE + 1, 1)])
def test_any_shape_is_widened(shape: tuple[int, int]) -> None:
    half = np.random.default_rng(0).choice(FINITE, shape)
    out = np.empty(shape, np.float32)
    widen(half, out)
    assert np.array_equal(out, half.astype(np.float32))


def around_every_float16() -> np.ndarray:
    """Each finite float16, the midpoints between neighbours, and the float32 numbers just beside all of these."""
    wide = np.unique(FINITE.astype(np.float32))
    points = np.concatenate([wide, (wide[1:] + wide[:-1]) / 2])
    return np.concatenate([points, np.nextafter(points, np.float32(np.inf)), np.nextafter(points, np.float32(-np.inf))])


NARROW = """
import sys, numpy as np
if sys.argv[1] == "torch":
    import torch
from embed.half import narrow
rows = np.load(sys.argv[2])
for writeable in (True, False):
    rows.flags.writeable = writeable
    assert np.array_equal(narrow(rows).view(np.uint16), rows.astype(np.float16).view(np.uint16))
assert np.array_equal(narrow(rows[::3, 1:]), rows[::3, 1:].astype(np.float16))
assert np.array_equal(narrow(rows.astype(np.float64)), rows.astype(np.float16))
assert np.array_equal(narrow(rows.astype(np.float16)), rows.astype(np.float16))
print("torch" in sys.modules)
"""


@pytest.mark.parametrize(("library", "imported"), [("torch", "True"), ("numpy", "False")])
def test_float32_is_rounded_as_numpy_rounds(tmp_path: Path, library: str, imported: str) -> None:
    points = around_every_float16()
    points = points[np.abs(points) <= 65504]
    np.save(tmp_path / "points.npy", points[: len(points) // 8 * 8].reshape(-1, 8))
    command = [sys.executable, "-c", NARROW, library, str(tmp_path / "points.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"{imported}\n", "")


def test_narrow_keeps_float16() -> None:
    assert narrow(FINITE) is FINITE


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_one_number_that_is_not_finite_is_seen(dtype: type) -> None:
    numbers = np.array([[65504, -65504, 0.0, -0.0, 6e-8]], dtype)
    assert all_finite(numbers)
    assert all_finite(numbers[:0])
    for value in (np.inf, -np.inf, np.nan, -np.nan):
        for position in range(5):
            changed = numbers.copy()
            changed[0, position] = value
            assert not all_finite(changed)
