"""How many rows each bump of the target is to have: the arithmetic of `sampling_strategy`, without any rows.

The published strategies (Branco, Ribeiro, Torgo 2016) take rows away from the normal bumps as well; here that is asked
for with `undersample`, since a row that is thrown away costs more than a row that is weighed too little.
"""

import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oversample.draw import Array, Rows

Strategy = str | float | Mapping[int, float]


@dataclass(frozen=True, repr=False)
class Bump:
    """A maximal run of targets, in their order, on one side of the threshold."""

    rows: Rows  # row numbers, by increasing target
    low: float  # its smallest and largest target
    high: float
    rare: bool

    def __repr__(self) -> str:
        return f"{'rare' if self.rare else 'normal'} [{self.low:.4g}, {self.high:.4g}] × {len(self.rows)}"


def find_bumps(y: Array, rare: NDArray[np.bool_]) -> list[Bump]:
    """All bumps of the targets y (n,), rare ones and normal ones in turn, by increasing target."""
    order = np.argsort(y, kind="stable")
    edges = np.flatnonzero(np.diff(rare[order])) + 1
    runs = np.split(order, edges)
    return [Bump(run, float(y[run[0]]), float(y[run[-1]]), bool(rare[run[0]])) for run in runs]


def factors(sizes: Rows, rare: NDArray[np.bool_], strategy: Strategy) -> Array:
    """c_i float64 (bumps,): how often its rows each bump is to have, from the bumps' sizes n_i and their mean B.

    "balance": B / n_i. "extreme": the sizes turned upside down, (B² / n_i) · bumps · B / Σ (B² / n_j) / n_i. A number
    r: r rare rows per normal row, every rare bump grown alike. A mapping {bump: factor}: as it says, else 1.
    """
    mean = float(round(sizes.sum() / len(sizes)))
    if isinstance(strategy, Mapping):
        return np.array([float(strategy.get(bump, 1.0)) for bump in range(len(sizes))])
    if strategy == "balance":
        return np.asarray(mean / sizes)
    if strategy == "extreme":
        turned = mean**2 / sizes
        return np.asarray(turned * len(sizes) * mean / turned.sum() / sizes)
    rare_rows, normal_rows = sizes[rare].sum(), sizes[~rare].sum()
    return np.where(rare, float(strategy) * normal_rows / max(rare_rows, 1), 1.0)


def wanted(bumps: list[Bump], strategy: Strategy, *, undersample: bool) -> Rows:
    """int64 (bumps,): round(c_i n_i), but rare bumps never shrink, and normal ones never grow and shrink only if asked.

    What a mapping names is done as it says. Raises `ValueError` for a bump that is not there, and for a factor below 1
    without `undersample`.
    """
    sizes, rare = np.array([len(b.rows) for b in bumps]), np.array([b.rare for b in bumps])
    scaled: Rows = np.rint(factors(sizes, rare, strategy) * sizes).astype(np.int64)
    if isinstance(strategy, Mapping):
        _check_mapping(bumps, strategy, undersample=undersample)
        return scaled
    shrunk = np.minimum(scaled, sizes) if undersample else sizes
    return np.asarray(np.where(rare, np.maximum(scaled, sizes), shrunk))


def _check_mapping(bumps: list[Bump], strategy: Mapping[int, float], *, undersample: bool) -> None:
    strangers = [bump for bump in strategy if bump not in range(len(bumps))]
    if strangers:
        known = ", ".join(f"{number}: {bump}" for number, bump in enumerate(bumps[:20]))
        raise ValueError(f"sampling_strategy names bump {strangers[0]!r}: expected bumps of these targets, {{{known}}}")
    below = [bump for bump, factor in strategy.items() if factor < 1]
    if below and not undersample:
        what = f"sampling_strategy={dict(strategy)!r} takes rows away from bump {below[0]}"
        raise ValueError(f"{what}: expected factors from 1, or pass undersample=True")


def check_strategy(strategy: Any) -> None:
    """Raise `ValueError` unless it is one of the known names, a number above 0, or a mapping of bumps to such."""
    if isinstance(strategy, str):
        known = strategy in ("balance", "extreme")
    elif isinstance(strategy, Mapping):
        known = len(strategy) > 0 and all(map(_positive, strategy.values()))
    else:
        known = _positive(strategy)
    if not known:
        raise ValueError(
            f"sampling_strategy={strategy!r}: expected 'balance', 'extreme', a number above 0, "
            "or {bump: number above 0}"
        )


def _positive(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and 0 < float(value) < np.inf
