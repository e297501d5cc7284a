"""Finding rows by key and gathering them."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embed.spaces import SpaceInfo
from embed.store import ABSENT, FAILED, GATHER, as_void, locate, open_cache, sorted_once
from embed.writer import CacheWriter

KEYS = st.binary(min_size=32, max_size=32)


def table(keys: "list[bytes] | set[bytes]") -> np.ndarray:
    return np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 32)


@given(st.sets(KEYS, max_size=30))
def test_void_keys_sort_like_bytes(keys: set[bytes]) -> None:
    assert np.sort(as_void(table(keys))).tolist() == sorted(keys)


# few distinct bytes, zeros among them: neighbours that differ late, and keys that end in zeros
ALIKE = st.lists(st.sampled_from([0, 1, 255]), min_size=32, max_size=32).map(bytes)


@given(st.sets(ALIKE | KEYS, max_size=30), st.lists(ALIKE | KEYS, max_size=30))
def test_locate_agrees_with_a_dict(held: set[bytes], asked: list[bytes]) -> None:
    order = {key: row for row, key in enumerate(sorted(held))}
    wanted = [*asked, *held]
    assert locate(table(sorted(held)), table(wanted)).tolist() == [order.get(key, ABSENT) for key in wanted]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "cache.h5"
    with CacheWriter(path) as writer:
        for name, dtype in (("half", "float16"), ("single", "float32")):
            writer.open(SpaceInfo(name, name * 8, "", {}, 3, dtype, {}))  # type: ignore[arg-type]
            rows = np.arange(3 * GATHER * 2 + 3, dtype=np.float32).reshape(-1, 3) / 8
            writer.append(name, [i.to_bytes(32, "big") for i in range(len(rows))], rows)
            writer.fail(name, b"\xff" * 32, "bad")
        writer.open(SpaceInfo("none", "n", "", {}, 4, "float16", {}))
        writer.fail("none", b"\0" * 32, "bad")
        writer.checkpoint()
    return path


@pytest.mark.parametrize("name", ["half", "single"])
def test_a_gather_gives_the_rows_asked_for_as_float32(cache: Path, name: str) -> None:
    space = open_cache(cache).spaces[name]
    n = space.rows
    rows = np.random.default_rng(0).integers(0, n, 3 * GATHER)
    expected = (np.arange(n * 3, dtype=np.float32).reshape(n, 3) / 8).astype(space.info.dtype)
    read = space.read(rows)
    assert read.dtype == np.float32
    assert np.array_equal(read, expected[rows].astype(np.float32))
    assert np.array_equal(space.read(np.arange(n)), expected.astype(np.float32))


def test_read_is_a_copy(cache: Path) -> None:
    space = open_cache(cache).spaces["single"]
    space.read(np.arange(2))[:] = -1
    assert space.read(np.arange(2)).min() == 0


@pytest.mark.parametrize("name", ["half", "single"])
def test_rows_are_read_into_a_ready_array(cache: Path, name: str) -> None:
    space = open_cache(cache).spaces[name]
    out = np.full((space.rows, 3), np.nan, np.float32)
    assert space.read(out=out) is out
    assert np.array_equal(out, space.read())
    rows = np.array([5, 0, 5])
    assert np.array_equal(space.read(rows, out[1:4]), out[1:4])
    assert np.array_equal(out[1:4], space.read(rows))


@pytest.mark.parametrize(
    "out", [np.empty((2, 3)), np.empty((3, 3), np.float32), np.empty((3, 2), np.float32).T, np.empty(6, np.float32)]
)
def test_an_array_that_does_not_fit_is_not_written(cache: Path, out: np.ndarray) -> None:
    with pytest.raises(ValueError, match="do not go into"):
        open_cache(cache).spaces["half"].read(np.arange(2), out)


def test_find_tells_absent_from_failed(cache: Path) -> None:
    space = open_cache(cache).spaces["half"]
    asked = table([(5).to_bytes(32, "big"), b"\xff" * 32, b"\xfe" * 32, (5).to_bytes(32, "big")])
    assert space.find(asked).tolist() == [5, FAILED, ABSENT, 5]
    assert space.find(table([])).tolist() == []


def test_a_space_of_failures_only(cache: Path) -> None:
    space = open_cache(cache).spaces["none"]
    assert (space.rows, space.keys.shape, space.embedding.shape) == (0, (0, 32), (0, 4))
    assert space.find(table([b"\0" * 32, b"\1" * 32])).tolist() == [FAILED, ABSENT]
    assert space.read(np.zeros(0, np.int64)).shape == (0, 4)
    assert list(space.faults()) == []


@pytest.mark.parametrize("row", [ABSENT, FAILED, 2 * GATHER + 1])
def test_a_row_that_is_not_there_is_never_read(cache: Path, row: int) -> None:
    space = open_cache(cache).spaces["half"]
    with pytest.raises(IndexError, match=str(row)):
        space.read(np.array([0, row]))


def test_arrays_outlive_the_cache_and_cannot_be_written(cache: Path) -> None:
    with open_cache(cache) as opened:
        keys = opened.spaces["half"].keys
    assert opened.spaces == {}
    assert keys[3].tobytes() == (3).to_bytes(32, "big")
    with pytest.raises(ValueError, match="read-only"):
        keys[0] = 0


@settings(max_examples=25, deadline=None)
@given(values=st.lists(st.floats(-65504, 65504, width=16), min_size=1, max_size=50))
def test_every_float16_comes_back_exactly(values: list[float]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cache.h5"
        with CacheWriter(path) as writer:
            writer.open(SpaceInfo("x", "f", "", {}, 1, "float16", {}))
            writer.append("x", [i.to_bytes(32, "big") for i in range(len(values))], np.array(values)[:, None])
            writer.checkpoint()
        space = open_cache(path).spaces["x"]
        assert space.read(np.arange(len(values)))[:, 0].tolist() == values


@given(st.lists(ALIKE | KEYS, max_size=40))
def test_sorted_once_agrees_with_numpys_unique(keys: list[bytes]) -> None:
    _, first = np.unique(as_void(table(keys)), return_index=True)
    assert sorted_once(table(keys)).tolist() == first.tolist()
