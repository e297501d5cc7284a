"""Nearest neighbours: the answer of plain float64, whatever the block, the scale or the ties."""

import tracemalloc
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from oversample import SAMPLERS
from oversample.bounds import Device, Space, bounds_inside, open_device, turned
from oversample.neighbors import nearest, nearest_among


def plain(X: np.ndarray, k: int) -> np.ndarray:
    X = X.astype(np.float64)
    distance = ((X[:, None] - X[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distance, np.inf)
    return np.sort(np.argsort(distance, axis=1, kind="stable")[:, : min(k, len(X) - 1)], axis=1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 5, 30])
def test_equals_plain_float64(dtype: type, k: int) -> None:
    X = np.random.default_rng(k).normal(size=(200, 24)).astype(dtype)
    np.testing.assert_array_equal(nearest(X, k), plain(X, k))


@pytest.mark.parametrize("block", [1, 7, 64, 299, 300, 5000])
def test_the_block_size_changes_nothing(block: int) -> None:
    X = np.random.default_rng(0).normal(size=(300, 40)).astype(np.float32)
    X[100:180] = X[:80]  # ties
    np.testing.assert_array_equal(nearest(X, 5, block=block), nearest(X, 5))


@pytest.mark.parametrize("pending", [0, 500, 20_000])
def test_dropping_candidates_on_the_way_changes_nothing(pending: int) -> None:
    X = np.random.default_rng(0).integers(0, 3, size=(400, 5)).astype(np.float32)  # a tie everywhere
    np.testing.assert_array_equal(nearest(X, 5, block=64, pending=pending), plain(X, 5))


def hard(kind: str, n: int = 260) -> np.ndarray:
    rng = np.random.default_rng(11)
    return {
        "one outlier": np.append(rng.normal(size=(n, 6)), np.full((1, 6), 1e9), axis=0),
        "heavy tails": rng.standard_cauchy(size=(n, 6)) ** 3,
        "tight clusters far apart": rng.integers(0, 4, size=(n, 1)) * 1e3 + 1e-3 * rng.normal(size=(n, 6)),
        "far from the origin": 1e6 + rng.normal(size=(n, 6)),
        "one column": rng.normal(size=(n, 1)),
        "columns of unlike scale": rng.normal(size=(n, 6)) * 10.0 ** np.arange(-9, 9, 3),
        "duplicates": np.repeat(rng.normal(size=(n // 20, 6)), 20, axis=0),
        "one bit": rng.integers(0, 2, size=(n, 12)).astype(float),
    }[kind]


HARD = [
    "one outlier",
    "heavy tails",
    "tight clusters far apart",
    "far from the origin",
    "one column",
    "columns of unlike scale",
    "duplicates",
    "one bit",
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", HARD)
def test_hard_data(kind: str, dtype: type) -> None:
    X = hard(kind).astype(dtype)
    expected = plain(X, 5)
    for block in (48, 131, 1024):
        np.testing.assert_array_equal(nearest(X, 5, block=block), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", HARD)
def test_some_rows_among_all(kind: str, dtype: type) -> None:
    X = hard(kind).astype(dtype)
    queries = np.random.default_rng(1).permutation(len(X))[:90]
    expected = plain(X, 5)[queries]
    for block in (7, 48, 1024):
        np.testing.assert_array_equal(nearest_among(X, 5, queries, block=block), expected)
    np.testing.assert_array_equal(nearest_among(X, 5, queries, block=48, pending=0), expected)


@pytest.mark.parametrize("kind", HARD)
def test_every_distance_lies_within_its_bounds(kind: str) -> None:
    X = hard(kind)
    space = Space(X, Device())
    left, right = space.part(slice(0, 100)), space.part(slice(100, len(X)))
    among, across = bounds_inside(left), turned(left).factors @ right.factors.T
    low = np.concatenate([among, across], axis=1).astype(np.float64)
    margin = left.margin[:, None] + np.concatenate([left.margin, right.margin]).astype(np.float64)
    exact = (((X[:100, None] - X) * space.scale) ** 2).sum(axis=2)
    assert (low <= exact).all()
    assert (exact <= low + margin).all()


@pytest.mark.parametrize("kind", HARD)
def test_torch_finds_the_same(kind: str) -> None:
    X = hard(kind)  # "cpu:0" is PyTorch's name of what "cpu" means as well
    np.testing.assert_array_equal(nearest(X, 5, block=64, device="cpu:0"), plain(X, 5))
    queries = np.arange(3, len(X), 4)
    np.testing.assert_array_equal(nearest_among(X, 5, queries, block=64, device="cpu:0"), plain(X, 5)[queries])


def test_torch_multiplies_in_full_precision_and_leaves_the_setting_as_it_was() -> None:
    torch = pytest.importorskip("torch")
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with open_device("cpu:0"):
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def test_embeddings_need_few_distances_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []
    original = Space.distances

    def counted(self: Space, a: np.ndarray, b: np.ndarray, touching: np.ndarray) -> np.ndarray:
        measured.append(len(a))
        return original(self, a, b, touching)

    monkeypatch.setattr(Space, "distances", counted)
    nearest(np.random.default_rng(0).normal(size=(1500, 384)).astype(np.float32), 5)
    assert sum(measured) < 0.002 * 1500**2


def test_memory_is_a_few_blocks() -> None:
    X = np.random.default_rng(0).normal(size=(3000, 1024)).astype(np.float32)
    tracemalloc.start()
    nearest(X, 5, block=64, pending=50_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < X.nbytes  # 12 MB: no second copy; blocks are 2 MB, candidate pairs up to 5


def test_memory_does_not_grow_with_the_number_of_ties() -> None:
    X = np.zeros((2000, 2), dtype=np.float32)
    tracemalloc.start()
    near = nearest(X, 5, block=128, pending=50_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(near[-1], np.arange(5))
    assert peak < 20e6  # all pairs would be 80 MB


def test_more_equal_rows_than_candidates_are_ranked_by_number() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 24)).astype(np.float32)
    equal = np.sort(rng.permutation(400)[:150])
    X[equal] = X[equal[0]]
    near = nearest(X, 4)
    np.testing.assert_array_equal(near[equal[-1]], equal[:4])
    np.testing.assert_array_equal(near[equal[0]], equal[1:5])
    np.testing.assert_array_equal(near, plain(X, 4))


def test_differences_too_small_for_float32_are_seen() -> None:
    X = np.random.default_rng(3).normal(size=(120, 3))
    X[:60] = X[0] + 1e-10 * np.random.default_rng(4).normal(size=(60, 3))  # one point in float32
    np.testing.assert_array_equal(nearest(X, 5), plain(X, 5))


@pytest.mark.parametrize("shift", [0.0, 1e6])
@pytest.mark.parametrize("scale", [1e-290, 1e-30, 1.0, 1e30, 1e290])
def test_shift_and_scale(shift: float, scale: float) -> None:
    X = np.random.default_rng(5).normal(size=(80, 6))
    np.testing.assert_array_equal(nearest((X + shift) * scale, 3), plain(X + shift, 3))


def test_the_smallest_numbers_of_float32() -> None:
    X = np.random.default_rng(5).integers(0, 99, size=(80, 3)).astype(np.float32)
    np.testing.assert_array_equal(nearest(X * np.float32(1e-45), 3), plain(X, 3))


def test_too_few_rows() -> None:
    assert nearest(np.zeros((0, 3)), 5).shape == (0, 0)
    assert nearest(np.zeros((1, 3)), 5).shape == (1, 0)
    np.testing.assert_array_equal(nearest(np.eye(2), 5), [[1], [0]])
    assert nearest(np.eye(3), 5).shape == (3, 2)


def test_too_few_rows_among_all() -> None:
    assert nearest_among(np.zeros((1, 3)), 5, np.array([0])).shape == (1, 0)
    assert nearest_among(np.eye(3), 5, np.array([], dtype=int)).shape == (0, 2)
    np.testing.assert_array_equal(nearest_among(np.eye(3), 5, [2]), [[0, 1]])


def test_a_query_named_twice_is_answered_twice() -> None:
    X = np.random.default_rng(0).normal(size=(40, 3))
    np.testing.assert_array_equal(nearest_among(X, 4, np.array([7, 1, 7])), plain(X, 4)[[7, 1, 7]])


def test_all_equal_rows_never_name_themselves() -> None:
    near = nearest(np.ones((50, 4), dtype=np.float32), 5)
    assert not (near == np.arange(50)[:, None]).any()


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float64, st.tuples(st.integers(2, 40), st.integers(1, 4)), elements=st.integers(-3, 3)), st.integers(1, 6)
)
def test_small_grids_full_of_ties(X: np.ndarray, k: int) -> None:
    np.testing.assert_array_equal(nearest(X, k, block=3), plain(X, k))
    queries = np.arange(len(X))[::2]
    np.testing.assert_array_equal(nearest_among(X, k, queries, block=3), plain(X, k)[queries])


@pytest.mark.parametrize("name", ["smoter", "smogn", "adasyn", "gsmote", "vae"])
def test_samplers_give_the_same_bytes_by_way_of_torch(name: str) -> None:
    """ "cpu:0" is PyTorch's own name of the processor: the way to a GPU, walked without one."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(600, 8)).astype(np.float32), np.where(rng.random(600) < 0.5, 0.0, rng.beta(0.7, 20, 600))
    outputs = set()
    for device in ("cpu", "cpu:0"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            X_new, _ = SAMPLERS[name](random_state=0, device=device).fit_resample(X, y)
        outputs.add(X_new.tobytes())
    assert len(outputs) == 1


@pytest.mark.parametrize("device", ["nowhere", "cuda:99", 3, None])
def test_a_device_that_is_not_there_is_one_line(device: Any) -> None:
    with pytest.raises(ValueError, match=f"device={device!r} cannot be used") as caught:
        SAMPLERS["smoter"](device=device).fit(np.zeros((9, 2)), np.arange(9.0))
    assert "\n" not in str(caught.value)
