"""Segments: what is committed is read back; what is torn or damaged is dropped, never accepted."""

import errno
import json
import subprocess
import sys
import tempfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.config import InputError
from embed import journal
from embed.journal import MAX_REASON, PREFIX, Header, Index, Segment, is_live, plain_reason, read_header, scan
from embed.spaces import SpaceInfo

INFO = SpaceInfo("x", "f" * 64, "r", {"kind": "text"}, 3, "float16", {})
few = settings(max_examples=60, deadline=None)


def key(i: int) -> bytes:
    return bytes([i % 256]) * 32


def rows_of(index: Index) -> np.ndarray:
    """The rows an index points to, read one by one."""
    data = index.path.read_bytes()
    item = index.info.row_bytes
    found = [np.frombuffer(data[o : o + item], index.info.dtype) for o in index.offsets.tolist()]
    return np.array(found, index.info.dtype).reshape(-1, index.info.dim)


def write(folder: Path, batches: list[int], failures: int = 0, info: SpaceInfo = INFO) -> tuple[Path, list[int]]:
    """A closed segment of batches of these sizes, then failures; and the file's size after each commit."""
    segment = Segment(folder, Header(info))
    ends, first = [segment.path.stat().st_size], 0
    for size in batches:
        values = np.arange(first, first + size).repeat(info.dim).reshape(size, info.dim).astype(info.dtype)
        segment.rows([key(i) for i in range(first, first + size)], values)
        ends.append(segment.path.stat().st_size)
        first += size
    for i in range(failures):
        segment.failure(key(200 + i), f"reason {i}")
        ends.append(segment.path.stat().st_size)
    segment.close()
    return segment.path, ends


@few
@given(
    batches=st.lists(st.integers(1, 9), max_size=6),
    failures=st.integers(0, 3),
    dim=st.integers(1, 9),
    dtype=st.sampled_from(["float16", "float32"]),
)
def test_what_is_committed_is_read_back(batches: list[int], failures: int, dim: int, dtype: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, _ = write(Path(folder), batches, failures, replace(INFO, dim=dim, dtype=dtype))
        index = scan(path)
        assert index is not None
        n = sum(batches)
        assert [k.tobytes() for k in index.keys] == [key(i) for i in range(n)]
        assert (rows_of(index) == np.arange(n)[:, None]).all()
        assert (index.offsets % np.dtype(dtype).itemsize == 0).all()
        assert index.failures == {key(200 + i): f"reason {i}" for i in range(failures)}
        assert len(index) == n + failures
        assert index.dropped == 0


def test_a_segment_cut_at_any_byte_loses_only_incomplete_frames(tmp_path: Path) -> None:
    path, ends = write(tmp_path, [3, 1, 4], failures=2)
    data = path.read_bytes()
    cut = tmp_path / "cut"
    for size in range(len(data) + 1):
        cut.write_bytes(data[:size])
        index = scan(cut)
        if size < ends[0]:
            assert index is None
            continue
        assert index is not None
        whole = sum(end <= size for end in ends[1:])
        assert len(index.keys) == sum([3, 1, 4][:whole])
        assert len(index.failures) == max(0, whole - 3)
        assert index.dropped == size - ends[whole]


def test_any_flipped_byte_is_detected_and_never_accepted(tmp_path: Path) -> None:
    path, ends = write(tmp_path, [3, 2], failures=1, info=replace(INFO, dim=5))
    data = path.read_bytes()
    good = scan(path)
    assert good is not None
    expected = rows_of(good)
    bad = tmp_path / "bad"
    for position in range(len(data)):
        flipped = bytearray(data)
        flipped[position] ^= 1 << (position % 8)
        bad.write_bytes(flipped)
        index = scan(bad)
        if position < ends[0]:
            assert index is None, position
            continue
        assert index is not None
        before = sum(end <= position for end in ends[1:])
        n = sum([3, 2][:before])
        assert np.array_equal(index.keys, good.keys[:n]), position
        assert np.array_equal(rows_of(index), expected[:n]), position
        assert not index.failures, position
        assert index.dropped == len(data) - ends[before]


@few
@given(garbage=st.binary(max_size=200))
def test_garbage_after_the_frames_or_instead_of_a_segment_is_dropped(garbage: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, _ = write(Path(folder), [2])
        with open(path, "ab") as file:
            file.write(garbage)
        index = scan(path)
        assert index is not None
        assert (len(index.keys), index.dropped) == (2, len(garbage))
        path.write_bytes(garbage)
        assert scan(path) is None


def signed(value: Any) -> bytes:
    """A header with a right checksum and any content."""
    text = json.dumps(value).encode()
    return PREFIX.pack(journal.MAGIC, len(text), zlib.crc32(text)) + text


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"version": "x"},
        {"version": 1, "replaces": ""},
        {"version": 1, "info": 5, "replaces": ""},
        {"version": 1, "info": {**INFO.to_json(), "dim": -1}, "replaces": ""},
        {"version": 1, "info": INFO.to_json()},
    ],
)
def test_a_signed_header_of_nonsense_is_no_header(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "x"
    path.write_bytes(signed(value))
    assert read_header(path) is None


def test_a_newer_version_is_not_thrown_away(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(signed({"version": 2, "info": INFO.to_json(), "replaces": ""}))
    with pytest.raises(InputError, match="newer version"):
        scan(path)


def test_header_round_trip(tmp_path: Path) -> None:
    header = Header(replace(INFO, name="späße/ü", spec={"mean": [0.5, 1]}), replaces="e" * 64)
    path = tmp_path / "x"
    path.write_bytes(header.to_bytes())
    assert read_header(path) == header
    assert len(header.to_bytes()) % 8 == 0


def test_the_first_reason_of_a_key_stays(tmp_path: Path) -> None:
    segment = Segment(tmp_path, Header(INFO))
    segment.failure(key(1), "first")
    segment.failure(key(1), "second")
    segment.close()
    index = scan(segment.path)
    assert index is not None
    assert index.failures == {key(1): "first"}


@given(st.text())
def test_a_reason_is_one_short_line(why: str) -> None:
    kept = plain_reason(why)
    assert kept
    assert len(kept.splitlines()) == 1
    assert "\0" not in kept
    assert len(kept.encode()) <= MAX_REASON
    assert plain_reason(kept) == kept.strip()


def test_long_reasons_are_cut_between_characters() -> None:
    assert plain_reason("a" + "ß" * 300) == "a" + "ß" * 149
    assert plain_reason("\ud800") == "?"


def test_a_write_that_comes_out_short_is_rolled_back(tmp_path: Path) -> None:
    """A file-size limit makes the real pwritev write half a frame, like a full disk does."""
    code = """
import resource, sys, numpy as np
from pathlib import Path
from embed.journal import Header, Segment
from embed.spaces import SpaceInfo
info = SpaceInfo("x", "f" * 64, "r", {}, 100, "float32", {})
segment = Segment(Path(sys.argv[1]), Header(info))
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
done = 0
try:
    while True:
        segment.rows([bytes([done]) * 32] * 7, np.full((7, 100), done, np.float32))
        done += 7
except OSError as error:
    print(done, error.errno, flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
segment.rows([b"z" * 32], np.zeros((1, 100), np.float32))
segment.close()
"""
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    done, number = map(int, run.stdout.split())
    assert number in (errno.ENOSPC, errno.EFBIG)
    index = scan(next(tmp_path.iterdir()))
    assert index is not None
    assert (len(index.keys), index.dropped) == (done + 1, 0)
    assert index.keys[-1].tobytes() == b"z" * 32


def test_a_segment_is_live_until_it_is_closed(tmp_path: Path) -> None:
    segment = Segment(tmp_path, Header(INFO))
    assert is_live(segment.path)
    segment.close()
    assert not is_live(segment.path)
    segment.close()


def test_a_segment_of_a_killed_process_is_dead(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from embed.journal import *; from embed.spaces import SpaceInfo;"
        "s = Segment(Path(sys.argv[1]), Header(SpaceInfo('x', 'f', '', {}, 3, 'float16', {})));"
        "print('ready', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        path = next(tmp_path.iterdir())
        assert is_live(path)
        child.kill()
        child.wait()
    assert not is_live(path)


def test_a_segment_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Segment(tmp_path / "missing", Header(INFO))
    assert not list(tmp_path.iterdir())
