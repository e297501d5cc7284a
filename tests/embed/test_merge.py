"""Folding segments into the file when the file, the segments, the disk or the fold itself is not whole."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from data.config import InputError
from embed.merge import SYNC_SECONDS, _written_early
from embed.store import open_cache
from embed.writer import CacheWriter


def flip_embedding(runs: Any, path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(next(iter(runs.held(path).values())))] ^= 1
    path.write_bytes(data)


def test_damaged_rows_are_not_given_a_fresh_checksum(runs: Any, path: Path) -> None:
    runs.extract(path, *range(50))
    flip_embedding(runs, path)
    with CacheWriter(path) as writer:
        writer.open(runs.info)
        runs.add(writer, 60)
        with pytest.raises(InputError, match="rows 0 and following of 'x' do not match their checksum: restore it"):
            writer.checkpoint()
    assert open_cache(path).spaces["x"].damaged_blocks() == [0]
    path.unlink()
    runs.extract(path)
    assert runs.held(path) == runs.expected(60)  # the journal was kept


def test_torn_and_damaged_segments_give_what_is_whole(runs: Any, path: Path) -> None:
    runs.extract(path, 1, 2, fold=False)
    runs.extract(path, 3, fold=False)
    runs.extract(path, 4, fold=False)
    first, second, third = runs.journal(path)
    first.write_bytes(first.read_bytes()[:-5])
    second.write_bytes(b"\0" * 500)
    third.write_bytes(b"")
    with CacheWriter(path) as writer:
        assert len(writer.done("x")) == 1
        writer.checkpoint()
    assert runs.held(path) == runs.expected(1)
    assert runs.journal(path) == []


def test_what_a_killed_checkpoint_left_is_cleared_away(runs: Any, path: Path) -> None:
    runs.extract(path, 1)
    left, other = path.with_name(".cache.h5.abcd_123.tmp"), path.with_name(".cache.h5.old.abcd_123.tmp")
    left.write_bytes(b"half a file")
    other.write_bytes(b"of another cache")
    runs.extract(path, 2)
    assert not left.exists()
    assert other.exists()


def test_a_checkpoint_killed_before_it_removed_the_segments_is_repeated(runs: Any, path: Path) -> None:
    runs.extract(path, 1, 2, fold=False)
    kept = {segment: segment.read_bytes() for segment in runs.journal(path)}
    runs.extract(path, 3)
    for segment, data in kept.items():
        segment.parent.mkdir(exist_ok=True)
        segment.write_bytes(data)
    runs.extract(path)
    assert runs.held(path) == runs.expected(1, 2, 3)
    assert runs.journal(path) == []


FULL = """
import resource, sys, numpy as np
from pathlib import Path
from data.config import InputError
from embed.spaces import SpaceInfo
from embed.merge import SYNC_SECONDS, _written_early
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


def test_what_the_disk_refuses_early_is_not_lost() -> None:
    """A pipe cannot be synced: the system refuses it as it would report a failing disk, and once only."""
    read, write = os.pipe()
    with open(read, "rb"), open(write, "wb"), pytest.raises(OSError, match="Invalid argument"), _written_early(write):
        time.sleep(10 * SYNC_SECONDS)
