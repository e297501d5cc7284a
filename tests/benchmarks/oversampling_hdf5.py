"""SMOTER from an HDF5 file to an HDF5 file: CPU-seconds, against the bare products, and the peak of memory.

    python tests/benchmarks/oversampling_hdf5.py [ROWS] [COLUMNS] [FOLDER]

One thread; float32, 60 % zeros + Beta(0.7, 20), 23 % rare rows. One million × 768 needs 7 GB of disk and some ten
minutes. The floor is the rare rows' symmetric product at the speed of 5,745 × 768 in the same run. Target: under 2 GB.
"VmHWM" is the process's peak of everything resident, interpreter and libraries and pages of files included; "RssAnon"
is without the latter.
"""

import sys
import tempfile
import threading
import time
from pathlib import Path

import h5py
import numpy as np
from threadpoolctl import threadpool_limits

from oversample import SMOTER
from oversample.hdf5 import resample

STEP = 8192


def write_source(path: Path, n: int, d: int) -> None:
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file["y"] = np.where(rng.random(n) < 0.6, 0.0, rng.beta(0.7, 20, n))
        X = file.create_dataset("X", (n, d), np.float32)
        for start in range(0, n, STEP):
            X[start : start + STEP] = rng.standard_normal((min(STEP, n - start), d), dtype=np.float32)


def symmetric_rate(d: int) -> float:
    """Pairs of rows a second in the symmetric product, the best of three."""
    block = np.random.default_rng(0).standard_normal((5745, d), dtype=np.float32)
    best = np.inf
    for _ in range(3):
        start = time.process_time()
        block @ block.T
        best = min(best, time.process_time() - start)
    return len(block) ** 2 / 2 / best


def resident(field: str) -> float:
    """MB of this process, by the name of a line in its status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1000 for line in lines if line.startswith(field))


class Peak(threading.Thread):
    """The largest RssAnon seen, twenty times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen, self.over = 0.0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.05):
            self.seen = max(self.seen, resident("RssAnon"))


def main(n: int = 1_000_000, d: int = 768, folder: str | None = None) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as scratch, threadpool_limits(1):
        source, destination = Path(scratch, "source.h5"), Path(scratch, "destination.h5")
        write_source(source, n, d)
        rate = symmetric_rate(d)
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        before, peak = resident("RssAnon"), Peak()
        peak.start()
        sampler = SMOTER(relevance="extremes", random_state=0)
        start, wall = time.process_time(), time.perf_counter()
        resample(source, destination, sampler)
        seconds, wall = time.process_time() - start, time.perf_counter() - wall
        peak.over.set()
        rare, size = int(sampler.rare_.sum()), destination.stat().st_size
        floor = rare**2 / 2 / rate
        print(
            f"{n:,} × {d} → {len(sampler.sample_indices_):,} rows, {size / 1e9:.2f} GB; {rare:,} rare ({rare / n:.1%})"
        )
        print(f"CPU {seconds:.1f} s, wall {wall:.1f} s; floor {floor:.1f} s: {seconds / floor:.2f} ×")
        print(
            f"VmHWM {resident('VmHWM'):,.0f} MB, RssAnon {peak.seen:,.0f} MB ({before:,.0f} before); target < 2,000 MB"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]), *sys.argv[3:])
