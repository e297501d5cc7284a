"""The cache's costs beside what they cannot beat by much: an h5py flush, np.load, np.memmap, `cp` and fsync.

    python tests/benchmarks/cache.py [--rows 200000] [--dim 768] [--folder DIR]

Each figure is the median of interleaved rounds with its baseline, real random rows, the page cache warm. `--folder`
chooses the disk. PyTorch is imported first, as an extraction has done before its first commit.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import torch  # noqa: F401 - commits convert with it when it is there

from embed.cache import CacheWriter, SpaceInfo, open_cache

BATCH = 32
COMMITS = 400
GATHERED = 16_384


class Clock:
    """Wall and CPU seconds of a call, children's included."""

    def __init__(self, call: Callable[[], object]) -> None:
        wall, cpu = time.perf_counter(), self._cpu()
        call()
        self.wall, self.cpu = time.perf_counter() - wall, self._cpu() - cpu

    @staticmethod
    def _cpu() -> float:
        usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(one.ru_utime + one.ru_stime for one in usage)


def race(rounds: int, *calls: Callable[[], object], prepare: Callable[[], object] = lambda: None) -> list[Clock]:
    """The round of median wall time of each call; `prepare` is run before each and is not timed."""
    times: list[list[Clock]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, clocks in zip(calls, times, strict=True):
            prepare()
            clocks.append(Clock(call))
    return [sorted(clocks, key=lambda clock: clock.wall)[rounds // 2] for clocks in times]


def show(what: str, ours: str, theirs: str, ratio: str, target: str) -> None:
    print(f"{what:34}  {ours:>22}  {theirs:>22}  {ratio:>14}  {target}", flush=True)


def blocks(rows: int, dim: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(0)
    for start in range(0, rows, 4096):
        yield rng.standard_normal((min(4096, rows - start), dim), dtype=np.float32)


def keys(n: int) -> list[bytes]:
    data = os.urandom(32 * n)
    return [data[at : at + 32] for at in range(0, 32 * n, 32)]


def commits(folder: Path, dim: int) -> None:
    """Batches into the journal, and into growing HDF5 datasets with a flush: float16, and encoders' float32."""
    info = SpaceInfo("x", "f" * 64, "", {}, dim, "float16", {})
    single = [(keys(BATCH), rows[:BATCH]) for rows in blocks(4096 * 20, dim)]
    half = [(names, rows.astype(np.float16)) for names, rows in single]
    with CacheWriter(folder / "commits.h5") as writer, h5py.File(folder / "flushed.h5", "w") as file:
        writer.open(info)
        grown = [
            file.create_dataset(name, (0, width), dtype, maxshape=(None, width), chunks=(1024, width))
            for name, width, dtype in (("x", dim, np.float16), ("key", 32, np.uint8))
        ]

        def flush(names: list[bytes], rows: np.ndarray) -> None:
            for dataset, data in zip(
                grown, (rows, np.frombuffer(b"".join(names), np.uint8).reshape(-1, 32)), strict=True
            ):
                dataset.resize(len(dataset) + BATCH, axis=0)
                dataset[-BATCH:] = data
            file.flush()

        for kind, batches in (("float16", half), ("float32", single)):
            ours, theirs = [], []
            for _ in range(COMMITS // len(batches)):  # turn by turn, each undisturbed by the other's traces
                ours += [Clock(partial(writer.append, "x", *batch)) for batch in batches]
                theirs += [Clock(partial(flush, *batch)) for batch in batches]
            a, b = (statistics.median(clock.wall for clock in clocks) * 1e3 for clocks in (ours, theirs))
            what = f"commit of {BATCH} rows, {kind}"
            show(what, f"{a:.3f} ms", f"h5py flush {b:.3f} ms", f"{a / b:.2f}", "<= 0.20")
        steady = Clock(lambda: [writer.append("x", *batches[i % len(batches)]) for i in range(4 * COMMITS)])
    share = steady.cpu / (4 * COMMITS * BATCH) * 10_000
    show("writer at 10,000 rows/s, float32", f"{share:.1%} of a core", "", f"{share:.1%}", "<= 2.0%")


def make_journal(path: Path, rows: int, dim: int) -> Path:
    """A dead segment of so many rows in batches of 32; returns a second name of it, which survives a checkpoint."""
    with CacheWriter(path) as writer:
        writer.open(SpaceInfo("x", "f" * 64, "", {}, dim, "float16", {}))
        for block in blocks(rows, dim):
            half = block.astype(np.float16)
            for start in range(0, len(half), BATCH):
                writer.append("x", keys(len(half[start : start + BATCH])), half[start : start + BATCH])
    (segment,) = path.with_name(path.name + ".journal").glob("*.segment")
    kept = path.with_name("kept")
    os.link(segment, kept)
    return kept


def checkpoints(folder: Path, rows: int, dim: int, rounds: int) -> Path:
    """A checkpoint of a whole journal beside a copy of its result. Returns the cache."""
    path, copy, source = folder / "cache.h5", folder / "copy.h5", folder / "source.h5"
    kept = make_journal(path, rows, dim)

    def prepare() -> None:
        """A journal and no cache; nothing of an earlier round is still on its way to the disk."""
        for old in (path, copy):
            old.unlink(missing_ok=True)
        journal = path.with_name(path.name + ".journal")
        journal.mkdir(exist_ok=True)
        (journal / "1.segment").unlink(missing_ok=True)
        os.link(kept, journal / "1.segment")
        os.sync()

    def checkpoint() -> None:
        with CacheWriter(path) as writer:
            writer.checkpoint()

    def cp() -> None:
        subprocess.run(["cp", "--reflink=never", str(source), str(copy)], check=True)
        with open(copy, "rb") as file:
            os.fsync(file.fileno())

    prepare()
    checkpoint()
    shutil.copy(path, source)
    ours, theirs = race(rounds, checkpoint, cp, prepare=prepare)
    texts = [f"{clock.wall:.2f} s, CPU {clock.cpu:.2f}" for clock in (ours, theirs)]
    size = f"{source.stat().st_size / 1e6:.0f} MB"
    ratios = f"{ours.wall / theirs.wall:.2f}, CPU {ours.cpu / theirs.cpu:.2f}"
    show(f"checkpoint of {size}", texts[0], f"cp {texts[1]}", ratios, "<= 1.5")
    return source


def loads(path: Path, rounds: int) -> None:
    """Everything into memory: as it is stored, and as float32."""
    plain = path.with_name("plain.npy")
    with open_cache(path) as cache:
        space = cache.spaces["x"]
        np.save(plain, space.embedding)
        size, rows = space.embedding.nbytes, space.rows

    def load() -> None:
        with open_cache(path) as cache:
            np.array(cache.spaces["x"].embedding)

    def load32(out: np.ndarray | None = None) -> None:
        with open_cache(path) as cache:
            cache.spaces["x"].read(out=out)

    def astype() -> None:
        with h5py.File(path) as file:
            file["x/embedding"].astype(np.float32)[:]

    def direct(out: np.ndarray) -> None:
        with h5py.File(path) as file:
            file["x/embedding"].read_direct(out)

    ours, theirs = race(rounds, load, lambda: np.load(plain))
    rates = [size / clock.wall / 1e9 for clock in (ours, theirs)]
    texts = [f"{rate:.2f} GB/s" for rate in rates]
    show("load as float16", texts[0], f"np.load {texts[1]}", f"{rates[0] / rates[1]:.2f}", ">= 0.95")
    ours, theirs = race(rounds, load32, astype)
    texts = [f"{2 * size / clock.wall / 1e9:.2f} GB/s" for clock in (ours, theirs)]
    show("load as float32", texts[0], f"h5py {texts[1]}", f"{theirs.wall / ours.wall:.1f}", ">= 10")
    ready = np.ones((rows, space.info.dim), np.float32)
    ours, theirs = race(rounds, lambda: load32(ready), lambda: direct(ready))
    texts = [f"{2 * size / clock.wall / 1e9:.2f} GB/s" for clock in (ours, theirs)]
    show("... into a ready array", texts[0], f"h5py {texts[1]}", f"{theirs.wall / ours.wall:.1f}", ">= 10")
    gathers(path, np.random.default_rng(1).integers(0, rows, GATHERED), rounds)


def gathers(path: Path, wanted: np.ndarray, rounds: int) -> None:
    with h5py.File(path) as file:
        data = file["x/embedding"]
        mapped = np.memmap(path, data.dtype, "r", data.id.get_offset(), data.shape)
    with open_cache(path) as cache:
        space = cache.spaces["x"]
        calls = (lambda: space.read(wanted), lambda: mapped[wanted].astype(np.float32), lambda: mapped[wanted])
        ours, same, bare = race(3 * rounds, *calls)
    texts = [f"{clock.wall * 1e3:.1f} ms" for clock in (ours, same, bare)]
    what = f"{len(wanted):,} random rows"
    show(f"{what} as float32", texts[0], f"memmap {texts[1]}", f"{ours.wall / same.wall:.2f}", "<= 1.3")
    show(f"{what}, unconverted base", texts[0], f"memmap {texts[2]}", f"{ours.wall / bare.wall:.2f}", "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="a folder on the disk to measure")
    config = parser.parse_args()
    show("", "this cache", "baseline", "ratio", "target")
    with tempfile.TemporaryDirectory(dir=config.folder) as name:
        folder = Path(name)
        commits(folder, config.dim)
        loads(checkpoints(folder, config.rows, config.dim, config.rounds), config.rounds)


if __name__ == "__main__":
    main()
