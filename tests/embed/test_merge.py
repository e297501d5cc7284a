"""Folding segments into the file when the file, the segments, the disk or the fold itself is not whole."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.config import InputError
from embed.spaces import SpaceInfo
from embed.store import open_cache
from embed.writer import CacheWriter

INFO = SpaceInfo("x", "f" * 64, "r" * 64, {"weights": "9f3c" * 16, "pooling": "mean"}, 3, "float16", {})
OTHER = replace(INFO, fingerprint="e" * 64, request="q" * 64, spec={"weights": "41ab" * 16, "pooling": "mean"})


def key(i: int) -> bytes:
    return bytes([i * 37 % 251, i % 256]) * 16


def row(i: int, dim: int = 3) -> np.ndarray:
    """The embedding of content i: a function of it, like a real one."""
    return np.random.default_rng(i).normal(size=(1, dim)).astype(np.float32)


def add(writer: CacheWriter, *numbers: int, name: str = "x") -> None:
    for i in numbers:
        writer.append(name, [key(i)], row(i))


def extract(path: Path, *numbers: int, info: SpaceInfo = INFO, fold: bool = True, rebuild: bool = False) -> None:
    """One run, which is cut off before its checkpoint unless `fold`."""
    with CacheWriter(path) as writer:
        writer.open(info, rebuild=rebuild)
        add(writer, *numbers, name=info.name)
        if fold:
            writer.checkpoint()


def held(path: Path, name: str = "x") -> dict[bytes, bytes]:
    space = open_cache(path).spaces[name]
    assert list(space.faults()) == []
    return {k.tobytes(): e.tobytes() for k, e in zip(space.keys, space.embedding, strict=True)}


def expected(*numbers: int) -> dict[bytes, bytes]:
    return {key(i): row(i).astype(np.float16).tobytes() for i in numbers}


def journal(path: Path) -> list[Path]:
    return sorted(path.with_name(path.name + ".journal").glob("*.segment"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache.h5"


def flip_embedding(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(next(iter(held(path).values())))] ^= 1
    path.write_bytes(data)


def test_damaged_rows_are_not_given_a_fresh_checksum(path: Path) -> None:
    extract(path, *range(50))
    flip_embedding(path)
    with CacheWriter(path) as writer:
        writer.open(INFO)
        add(writer, 60)
        with pytest.raises(InputError, match="rows 0 and following of 'x' do not match their checksum: restore it"):
            writer.checkpoint()
    assert open_cache(path).spaces["x"].damaged_blocks() == [0]
    path.unlink()
    extract(path)
    assert held(path) == expected(60)  # the journal was kept


def test_torn_and_damaged_segments_give_what_is_whole(path: Path) -> None:
    extract(path, 1, 2, fold=False)
    extract(path, 3, fold=False)
    extract(path, 4, fold=False)
    first, second, third = journal(path)
    first.write_bytes(first.read_bytes()[:-5])
    second.write_bytes(b"\0" * 500)
    third.write_bytes(b"")
    with CacheWriter(path) as writer:
        assert len(writer.done("x")) == 1
        writer.checkpoint()
    assert held(path) == expected(1)
    assert journal(path) == []


def test_what_a_killed_checkpoint_left_is_cleared_away(path: Path) -> None:
    extract(path, 1)
    left, other = path.with_name(".cache.h5.abcd_123.tmp"), path.with_name(".cache.h5.old.abcd_123.tmp")
    left.write_bytes(b"half a file")
    other.write_bytes(b"of another cache")
    extract(path, 2)
    assert not left.exists()
    assert other.exists()


def test_a_checkpoint_killed_before_it_removed_the_segments_is_repeated(path: Path) -> None:
    extract(path, 1, 2, fold=False)
    kept = {segment: segment.read_bytes() for segment in journal(path)}
    extract(path, 3)
    for segment, data in kept.items():
        segment.parent.mkdir(exist_ok=True)
        segment.write_bytes(data)
    extract(path)
    assert held(path) == expected(1, 2, 3)
    assert journal(path) == []


FULL = """
import resource, sys, numpy as np
from pathlib import Path
from data.config import InputError
from embed.spaces import SpaceInfo
from embed.store import open_cache
from embed.writer import CacheWriter
info = SpaceInfo("x", "f" * 64, "", {}, 500, "float32", {})
path, what, limit = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with CacheWriter(path) as writer:
    writer.open(info)
    writer.append("x", [bytes([200 + i]) * 32 for i in range(20)], np.ones((20, 500)))
    writer.checkpoint()
    before = path.read_bytes()
    if what == "append":
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    done = 0
    try:
        for done in range(20):
            writer.append("x", [bytes([done]) * 32], np.full((1, 500), done))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        writer.checkpoint()
    except InputError as error:
        print(error)
    assert path.read_bytes() == before
    assert not list(path.parent.glob(".*.tmp"))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
with CacheWriter(path) as writer:
    writer.checkpoint()
space = open_cache(path).spaces["x"]
assert not list(space.faults())
print(space.rows, 20 + done + (what == "checkpoint"))
"""


@pytest.mark.parametrize(("what", "limit"), [("append", 9_000), ("append", 300), ("checkpoint", 60_000)])
def test_a_full_disk_costs_nothing_committed(path: Path, what: str, limit: int) -> None:
    """A limit on the size of a file stops the real write half way, in the journal or in the new file."""
    command = [sys.executable, "-c", FULL, str(path), what, str(limit)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    line, _, counts = run.stdout.strip().partition("\n")
    assert line == f"disk full while writing {path}: nothing committed is lost; free some space and run again", (
        run.stderr
    )
    found, committed = counts.split()
    assert found == committed
