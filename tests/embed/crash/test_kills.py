"""kill -9, one writer and four: twenty each; `long.py` makes it three hundred."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).with_name("kills.py")
KILLS = 20


@pytest.mark.parametrize("writers", [1, 4])
def test_kills_lose_nothing_and_cost_a_batch_at_most(writers: int) -> None:
    """The harness checks after every kill, and exits with 1 at the first breach."""
    command = [sys.executable, str(HARNESS), str(KILLS), str(writers)]
    done = subprocess.run(command, cwd=HARNESS.parents[3], capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["kills"] == KILLS
    assert report["inside"] >= KILLS // 4  # they wait for a checkpoint; the machine's load decides the rest
    assert report["twice"] > 0  # they hit writers at work


HASTY = """
import sys
sys.path[:0] = sys.argv[1:]
import kills
from embed.writer import CacheWriter

append, checkpoint, waiting = CacheWriter.append, CacheWriter.checkpoint, {}

def append_later(writer, name, *batch):
    if name in waiting:
        append(writer, name, *waiting[name])
    waiting[name] = batch

def checkpoint_all(writer):
    for name in list(waiting):
        append(writer, name, *waiting.pop(name))
    checkpoint(writer)

CacheWriter.append, CacheWriter.checkpoint = append_later, checkpoint_all
kills.main(20, 4)
"""


def test_the_harness_finds_a_writer_that_acknowledges_before_it_writes() -> None:
    command = [sys.executable, "-c", HASTY, str(HARNESS.parent), str(HARNESS.parents[3])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 1
    assert "AssertionError" in done.stderr
    assert "embeddings are lost" in done.stderr
