"""CPU-seconds of the samplers beside the bare matrix product they cannot beat, and imbalanced-learn's SMOTE.

    python tests/benchmarks/oversampling.py [ROWS] [COLUMNS]

One thread, best of five interleaved rounds; 60 % zeros + Beta(0.7, 20), and the box plot's 23 % rare rows. The floor is
the symmetric product of the rare rows: NumPy computes half of A Aᵀ. SMOTE has no continuous targets: it is given rare
or normal as classes, the same number of new rows and the same neighbours, and leaves the targets out. Target: SMOTER
within 1.5 × the floor. Below, what the search costs where rows are equal or equally far, and no bound can tell them
apart. `oversampling_rivals.py` has the other packages, `oversampling_hdf5.py` a million rows.
"""

import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from imblearn.over_sampling import SMOTE
from threadpoolctl import threadpool_limits

from oversample import SAMPLERS, SMOTER, RandomOversampler
from oversample.neighbors import nearest

ROUNDS = 5
SETTINGS: dict[str, Any] = {"relevance": "extremes", "random_state": 0}


def data(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, d), dtype=np.float32), np.where(rng.random(n) < 0.6, 0.0, rng.beta(0.7, 20, n))


def contestants(X: np.ndarray, y: np.ndarray) -> dict[str, Callable[[], object]]:
    sampler = SMOTER(**SETTINGS).fit(X, y)
    block, sizes = X[sampler.rare_], sampler.sampling_strategy_
    classes = {int(bump.rare): sizes[number] for number, bump in enumerate(sampler.bumps_)}
    return {
        "symmetric product of the rare rows": lambda: block @ block.T,
        "nearest neighbours alone": lambda: nearest(block, 5),
        "RandomOversampler": lambda: RandomOversampler(**SETTINGS).fit_resample(X, y),
        "SMOTER": lambda: SMOTER(**SETTINGS).fit_resample(X, y),
        "imbalanced-learn SMOTE": lambda: SMOTE(sampling_strategy=classes, random_state=0).fit_resample(
            X, sampler.rare_.astype(int)
        ),
    }


def hard_inputs(n: int, d: int) -> dict[str, tuple[np.ndarray, int]]:
    """Rows, and how many neighbours to look for."""
    rng = np.random.default_rng(1)
    return {
        "all rows equal": (np.ones((n, d), dtype=np.float32), 5),
        "every row 20 times": (np.resize(rng.standard_normal((-(-n // 20), d), dtype=np.float32), (n, d)), 5),
        "one-hot rows, all apart equally far": (np.eye(d, dtype=np.float32)[rng.integers(d, size=n)], 3 * n // d),
        "two values a column": (rng.integers(0, 2, size=(n, d)).astype(np.float32), 5),
    }


def cpu_seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def peak_bytes(run: Callable[[], object]) -> int:
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def main(n: int = 25_000, d: int = 768) -> None:
    X, y = data(n, d)
    runs = contestants(X, y)
    with threadpool_limits(1):
        rounds = [{name: cpu_seconds(run) for name, run in runs.items()} for _ in range(ROUNDS)]
        memory = {name: peak_bytes(run) for name, run in runs.items()}
    best = {name: min(times[name] for times in rounds) for name in runs}
    floor = next(iter(best))
    rare = int(SMOTER(**SETTINGS).fit(X, y).rare_.sum())
    print(f"{n:,} × {d}, {rare:,} rare ({rare / n:.1%}), input {X.nbytes / 2**20:,.0f} MiB")
    print(f"{'':36}{'CPU-s':>8}{'× floor':>9}{'peak MiB':>10}")
    for name, seconds in best.items():
        print(f"{name:36}{seconds:8.3f}{seconds / best[floor]:9.2f}{memory[name] / 2**20:10,.0f}")
    print("the rest of the family, once each")
    for sampler in SAMPLERS.values():
        if sampler not in (RandomOversampler, SMOTER):
            with threadpool_limits(1), warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                seconds = cpu_seconds(lambda sampler=sampler: sampler(**SETTINGS).fit_resample(X, y))
            print(f"    {sampler.__name__:32}{seconds:8.3f}{seconds / best[floor]:9.2f}")
    print(f"nearest neighbours of {rare:,} × {d} where")
    for name, (block, k) in hard_inputs(rare, d).items():
        with threadpool_limits(1):
            seconds = min(cpu_seconds(lambda block=block, k=k: nearest(block, k)) for _ in range(3))
        print(f"    {name:32}{seconds:8.3f}{seconds / best[floor]:9.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
