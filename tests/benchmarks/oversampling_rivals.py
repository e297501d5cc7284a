"""SMOTER beside the packages of the field, each in an environment of its own, on the same data.

    python tests/benchmarks/oversampling_rivals.py [FOLDER [NAME…]]

Installs them from PyPI, with the NumPy and pandas they need, into two environments under FOLDER (a temporary one
without), and runs each in processes of its own at the sizes it can do. CPU-seconds of one thread without imports, the
best of up to three. Where 25,000 × 768 would take hours, a power law in rows and columns is fitted to what was
measured and extrapolated; those figures are marked "≈". Targets at that size: 10 × resreg, 1,000 × imbreg,
100,000 × smogn.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Size = tuple[int, int]
FULL: Size = 25_000, 768
PATIENCE = 900  # seconds for one run
ENOUGH = 5  # seconds, after which a run is not repeated


class Rival(NamedTuple):
    """A package, what to install for it, and the sizes it can do in minutes."""

    packages: tuple[str, ...]
    sizes: tuple[Size, ...]
    target: float | None = None


OLD = ("numpy==1.23.5", "pandas==1.5.3", "scikit-learn==1.2.2")  # what runs neither on NumPy 2 nor on pandas 2
FAST: tuple[Size, ...] = ((1000, 20), (2000, 64), (5000, 64), (5000, 256), FULL)
RIVALS = {
    "resreg": Rival(("resreg==0.2",), FAST, 10),
    "reg-resampler": Rival(("reg-resampler==2.1.1", "imbalanced-learn"), FAST),
    "imbreg": Rival(("imbreg==0.1.3",), ((5000, 64), (10_000, 64), (20_000, 64), (10_000, 256)), 1000),
    "ImbalancedLearningRegression": Rival(
        (*OLD, "ImbalancedLearningRegression==0.0.2"), ((300, 20), (600, 20), (1000, 20), (600, 64))
    ),
    "smogn": Rival((*OLD, "smogn==0.1.2"), ((300, 20), (600, 20), (1000, 20), (600, 64)), 100_000),
}


def data(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, d), dtype=np.float32), np.where(rng.random(n) < 0.6, 0.0, rng.beta(0.7, 20, n))


def call(name: str, X: np.ndarray, y: np.ndarray, phi: np.ndarray) -> Callable[[], Any]:
    """What a rival is timed at; its imports and its kind of table are ready before."""
    if name == "resreg":
        import resreg

        return lambda: resreg.smoter(X, y, phi, relevance_threshold=0.5, k=5, over="balance", random_state=0)
    import pandas as pd

    columns = [f"x{column}" for column in range(X.shape[1])]
    frame = pd.DataFrame(X.astype(float), columns=columns).assign(y=y)
    if name == "reg-resampler":
        import reg_resampler
        from imblearn.over_sampling import SMOTE

        def by_bins() -> None:
            sampler = reg_resampler.resampler()
            classes = sampler.fit(frame, target="y", bins=2, verbose=0)
            sampler.resample(SMOTE(random_state=0), frame, classes)

        return by_bins
    if name == "imbreg":
        import imbreg

        return lambda: imbreg.smogn_regress(frame, "y", thr_rel=0.5, k=5, seed=0)
    if name == "smogn":
        import smogn

        return lambda: smogn.smoter(frame, "y", k=5, rel_thres=0.5, under_samp=False)
    import ImbalancedLearningRegression

    return lambda: ImbalancedLearningRegression.smote(frame, "y", k=5, rel_thres=0.5)


def best_seconds(run: Callable[[], Any]) -> float:
    best, spent = np.inf, 0.0
    for _ in range(3):
        start = time.process_time()
        run()
        last = time.process_time() - start
        best, spent = min(best, last), spent + last
        if spent > ENOUGH:
            break
    return best


def worker(name: str, file: str) -> None:
    """Inside a rival's environment: time one size, and print the seconds as the last line."""
    with np.load(file) as arrays:
        run = call(name, arrays["X"], arrays["y"], arrays["phi"])
    print(f"\n{json.dumps(best_seconds(run))}")


def install(folder: Path, packages: tuple[str, ...]) -> tuple[Path, str]:
    """An environment's interpreter, and why the packages could not be installed, or nothing."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    done = subprocess.run(
        [python, "-m", "pip", "install", "-q", *packages], capture_output=True, text=True, check=False
    )
    return python, "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no reason given"])[-1]


def measure(python: Path, name: str, file: Path) -> float | str:
    """CPU-seconds, or why there are none."""
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    settings.pop("PYTHONPATH", None)
    command = [python, __file__, "--worker", name, file]
    try:
        done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return f"more than {PATIENCE} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return float(done.stdout.splitlines()[-1])


class Ours:
    """Each size once: the data in a file for the rivals, and SMOTER's seconds."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.seconds = folder, dict[Size, float]()

    def file(self, size: Size) -> Path:
        from threadpoolctl import threadpool_limits

        from oversample import SMOTER

        path = self.folder / f"{size[0]}x{size[1]}.npz"
        if size not in self.seconds:
            X, y = data(*size)
            sampler = SMOTER(relevance="extremes", random_state=0)
            with threadpool_limits(1):
                self.seconds[size] = best_seconds(lambda: sampler.fit_resample(X, y))
            np.savez(path, X=X, y=y, phi=sampler.relevance_)
        return path


def grown(times: dict[Size, float]) -> tuple[float, float, float]:
    """Exponents of rows and columns, and seconds at `FULL`, by least squares of the logarithms, through the largest."""
    sizes = np.log(np.array(list(times), dtype=float))
    seconds = np.log(np.array(list(times.values())))
    rows, columns, _ = np.linalg.lstsq(np.column_stack([sizes, np.ones(len(sizes))]), seconds, rcond=None)[0]
    last = int(np.argmax(seconds))
    away = np.log(np.array(FULL, dtype=float)) - sizes[last]
    return float(rows), float(columns), float(np.exp(seconds[last] + away @ [rows, columns]))


def report(name: str, rival: Rival, times: dict[Size, float], ours: dict[Size, float]) -> None:
    for size, seconds in times.items():
        print(f"{name:30}{size[0]:>8,} × {size[1]:<4}{seconds:12.3f}{ours[size]:10.4f}{seconds / ours[size]:12,.0f} ×")
    if len(times) < 3:
        return
    rows, columns, full = grown(times)
    print(f"{'':30}grows with rows^{rows:.1f} columns^{columns:.1f}", end="")
    if FULL not in times:
        ratio = full / ours[FULL]
        print(f", ≈ {full:,.0f} s at {FULL[0]:,} × {FULL[1]} (extrapolated): ≈ {ratio:,.0f} ×", end="")
    print(f"; target ≥ {rival.target:,.0f} ×" if rival.target else "")


def main(folder: Path, *names: str) -> None:
    ours = Ours(folder)
    ours.file(FULL)
    print(f"{'':30}{'rows':>8}   {'cols':4}{'CPU-s':>12}{'ours':>10}{'ratio':>12}")
    for name in names or RIVALS:
        rival = RIVALS[name]
        python, problem = install(folder / ("old" if OLD[0] in rival.packages else "new"), rival.packages)
        times = {}
        for size in () if problem else rival.sizes:
            file = ours.file(size)
            seconds = measure(python, name, file)
            if isinstance(seconds, str):
                problem = f"{size[0]:,} × {size[1]}: {seconds}"
                break
            times[size] = seconds
        report(name, rival, times, ours.seconds)
        if problem:
            print(f"{name:30}{problem}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(*sys.argv[2:])
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(sys.argv[1] if len(sys.argv) > 1 else temporary), *sys.argv[2:])
