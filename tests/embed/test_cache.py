"""The cache from outside: its two commands, what it survives, and two runs at once."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.config import main
from embed import cache as public
from embed.cache import CacheCommand, CacheWriter, SpaceInfo, open_cache, run

WEIGHTS = "9f3c" * 16
INFO = SpaceInfo("hub/tiny", "f" * 64, "r" * 64, {"kind": "image", "weights": WEIGHTS}, 4, "float16", {})


def key(i: int) -> bytes:
    return i.to_bytes(32, "big")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A cache of 5,000 rows and seven failures."""
    path = tmp_path / "cache.h5"
    with CacheWriter(path) as writer:
        writer.open(INFO)
        writer.append(INFO.name, [key(i) for i in range(5000)], np.arange(20_000).reshape(-1, 4) % 100)
        for i in range(7):
            writer.fail(INFO.name, key(6000 + i), "cut short" if i < 2 else f"reason {i}")
        writer.checkpoint()
    return path


def pend(path: Path) -> None:
    """Leave a segment behind, with a torn frame at its end."""
    with CacheWriter(path) as writer:
        writer.open(INFO)
        writer.append(INFO.name, [key(9001), key(9002)], np.zeros((2, 4)))
        writer.fail(INFO.name, key(9003), "bad")
    (segment,) = path.with_name(path.name + ".journal").glob("*.segment")
    with open(segment, "ab") as file:
        file.write(b"FRAM")


def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "embed.cache", *arguments], capture_output=True, text=True, check=False
    )


# --- the commands


def test_info_is_a_table(path: Path) -> None:
    lines = str(run(CacheCommand(action="info", cache=path))).splitlines()
    assert lines[0].split() == ["encoder", "kind", "rows", "dim", "dtype", "MB", "failed", "weights"]
    assert lines[1].split() == ["hub/tiny", "image", "5,000", "4", "float16", "0.0", "7", "9f3c9f3c"]
    assert lines[2] == "hub/tiny: 2 × cut short"
    assert [line.partition(": ")[2] for line in lines[3:8]] == [
        *(f"1 × reason {i}" for i in (2, 3, 4, 5)),
        "1 other reason",
    ]
    assert lines[-1].startswith(f"{path}: 0.2 MB, created 20")
    assert "pending" not in lines[-1]


def test_info_shows_what_is_pending(path: Path) -> None:
    pend(path)
    result = run(CacheCommand(action="info", cache=path))
    assert str(result).endswith("; pending: 1 journal segment with 2 rows, 1 failure, 4 bytes of torn frames")
    with CacheWriter(path) as writer:
        writer.open(INFO)
        pending = run(CacheCommand(action="info", cache=path)).pending
        assert (pending.segments, pending.live, pending.rows) == (2, 1, 2)
    assert run(CacheCommand(action="info", cache=path)).pending.segments == 1


def test_info_before_the_first_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "cache.h5"
    pend(path)
    assert str(run(CacheCommand(cache=path))).startswith(f"{path}: 0.0 MB, created not yet; pending: 1 journal segment")


def test_verify_is_one_line(path: Path) -> None:
    line = str(run(CacheCommand(action="verify", cache=path)))
    assert line == f"{path}: 1 encoder, 5,000 rows, 7 failures, 0.2 MB: every checksum is right"
    pend(path)
    assert str(run(CacheCommand(action="verify", cache=path))).startswith(line + "; pending: 1 journal segment")


def test_verify_names_what_is_damaged(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = open_cache(path).spaces[INFO.name]
    data = bytearray(path.read_bytes())
    position = data.index(space.keys[4500].tobytes())
    data[position + 3] ^= 4
    path.write_bytes(data)
    assert main(CacheCommand, run, ["verify", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        f"error: {path}: rows 4,096 to 4,999 of 'hub/tiny' do not match their checksum and 1 more fault: "
        "restore it, or delete it and run python -m embed.extract again\n"
    )
    assert main(CacheCommand, run, ["info", str(path)]) == 0  # does not read the rows


@pytest.mark.parametrize("action", ["info", "verify"])
def test_json(path: Path, action: str) -> None:
    pend(path)
    done = command(action, str(path), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    value = json.loads(done.stdout)
    assert value["spaces"] == [
        {
            "encoder": "hub/tiny",
            "kind": "image",
            "rows": 5000,
            "dim": 4,
            "dtype": "float16",
            "bytes": 40_000,
            "failed": 7,
            "weights": WEIGHTS,
            "fingerprint": "f" * 64,
            "reasons": {"cut short": 2, **{f"reason {i}": 1 for i in range(2, 7)}},
        }
    ]
    assert value["pending"] == {"segments": 1, "live": 0, "rows": 2, "failed": 1, "dropped": 4}
    assert (value["cache"], value["bytes"], value["verified"]) == (str(path), path.stat().st_size, action == "verify")


@pytest.mark.parametrize("action", ["info", "verify"])
def test_a_cache_that_is_not_there(tmp_path: Path, action: str) -> None:
    done = command(action, str(tmp_path / "no.h5"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: there is no cache")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_commands_change_nothing(path: Path) -> None:
    pend(path)
    before = {file: file.read_bytes() for file in sorted(path.parent.rglob("*")) if file.is_file()}
    for action in ("info", "verify"):
        run(CacheCommand(action=action, cache=path))
    assert {file: file.read_bytes() for file in sorted(path.parent.rglob("*")) if file.is_file()} == before


def test_the_module_is_light_until_it_is_used() -> None:
    code = (
        "import sys, embed.cache as c; print(sorted(set(sys.modules) & {'numpy', 'h5py'}));"
        "c.open_cache, c.CacheWriter; print(sorted(set(sys.modules) & {'numpy', 'h5py'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n['h5py', 'numpy']\n"


def test_every_public_name_is_there() -> None:
    assert all(getattr(public, name) is not None for name in public.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = public.nothing


# --- kills

RUN = """
import sys, time, numpy as np
from pathlib import Path
from embed.cache import CacheWriter, SpaceInfo

path, seed, slow, contents = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
rng = np.random.default_rng(seed)
spaces = {
    name: SpaceInfo(name, name * 9, "r", {}, dim, dtype, {})
    for name, dim, dtype in (("a", 33, "float16"), ("b/c", 64, "float32"))
}

def say(*words):
    print(*words, flush=True)

with CacheWriter(path) as writer:
    work = []
    for name, info in spaces.items():
        done = writer.done(name)
        left = [i for i in rng.permutation(contents).tolist() if not done.contains(i.to_bytes(32, "big"))]
        work += [(name, left[at : at + 16]) for at in range(0, len(left), 16)]
        writer.open(info)
    rng.shuffle(work)
    say("ready")
    for number, (name, batch) in enumerate(work):
        good = [i for i in batch if i % 50]
        rows = [np.random.default_rng(i).normal(size=spaces[name].dim) for i in good]
        writer.append(name, [i.to_bytes(32, "big") for i in good], np.array(rows).reshape(len(good), -1))
        for i in set(batch) - set(good):
            writer.fail(name, i.to_bytes(32, "big"), f"reason {i}")
        say("committed", name, *batch)
        time.sleep(slow * rng.random())
        if number % 5 == 4:
            say("checkpoint")
            writer.checkpoint()
    say("checkpoint")
    writer.checkpoint()
    say("finished")
"""


def start(path: Path, seed: int, slow: float = 0.0, contents: int = 2000) -> "subprocess.Popen[str]":
    arguments = [sys.executable, "-c", RUN, str(path), str(seed), str(slow), str(contents)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment)


def killed_run(path: Path, seed: int) -> tuple[bool, list[tuple[str, int]]]:
    """Kill a run at a random moment, every second one inside a checkpoint.

    Returns whether it had finished, and what it had said was committed.
    """
    rng = random.Random(seed)
    committed: list[tuple[str, int]] = []
    wait_for, skip = ("checkpoint", rng.randrange(2)) if seed % 2 else ("committed", rng.randrange(8))
    with start(path, seed, slow=0.004) as child:
        assert child.stdout is not None
        for line in child.stdout:
            word, *rest = line.split()
            committed += [(rest[0], int(i)) for i in rest[1:]] if word == "committed" else []
            skip -= word == wait_for
            if skip < 0:
                time.sleep(rng.random() * 0.006)
                child.send_signal(signal.SIGKILL)
                wait_for = "never"
                skip = 0
        code = child.wait()
    assert code in (0, -signal.SIGKILL)
    return code == 0, committed


def arrays(path: Path) -> dict[str, Any]:
    """Every array of a cache that has no fault, byte for byte."""
    found = {}
    for name, space in open_cache(path).spaces.items():
        assert list(space.faults()) == []
        found[name] = space.keys.tobytes(), space.embedding.tobytes(), space.failed_keys.tobytes(), space.failures
    return found


def test_kills_lose_nothing_and_leave_no_trace(tmp_path: Path) -> None:
    """About 20 SIGKILLs, half of them in a checkpoint; the arrays are those of a run that nobody disturbed."""
    calm, stormy = tmp_path / "calm" / "cache.h5", tmp_path / "stormy" / "cache.h5"
    with start(calm, seed=0) as child:
        assert child.wait() == 0
    seen: set[tuple[str, int]] = set()
    kills = 0
    for seed in range(1, 21):
        finished, committed = killed_run(stormy, seed)
        assert not seen & set(committed)  # nothing that was committed is asked for again
        seen |= set(committed)
        if stormy.exists():
            arrays(stormy)
        if finished:
            break
        kills += 1
    with CacheWriter(stormy) as writer:
        done = {name: writer.done(name) for name in ("a", "b/c")}
        assert all(done[name].contains(key(i)) for name, i in seen)
    with start(stormy, seed=99) as child:
        assert child.wait() == 0
    assert arrays(stormy) == arrays(calm)
    assert kills >= 5
    assert [file.name for file in stormy.parent.iterdir()] == ["cache.h5"]


def test_two_runs_at_once_share_a_cache(tmp_path: Path) -> None:
    calm, shared = tmp_path / "calm" / "cache.h5", tmp_path / "shared" / "cache.h5"
    with start(calm, seed=0, contents=500) as child:
        assert child.wait() == 0
    with start(shared, seed=1, contents=500) as one, start(shared, seed=2, contents=500) as two:
        assert (one.wait(), two.wait()) == (0, 0)
    assert arrays(shared) == arrays(calm)
    assert [file.name for file in shared.parent.iterdir()] == ["cache.h5"]
