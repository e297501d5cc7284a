"""Columns that belong together: one pair and one share for all blocks, neighbours by some, unit vectors kept unit."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from oversample import SMOTER, RandomOversampler
from oversample.neighbors import nearest

NAMES = [f"image{i}" for i in range(8)] + [f"text{i}" for i in range(6)]
BLOCKS = {"image": slice(0, 8), "text": slice(8, 14)}


def data(dtype: type = np.float64, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(n, 14))
    for columns in BLOCKS.values():
        X[:, columns] /= np.linalg.norm(X[:, columns], axis=1, keepdims=True)
    return X.astype(dtype), np.where(rng.random(n) < 0.6, 0.0, rng.beta(0.7, 20, n))


def sampled(**settings: Any) -> tuple[np.ndarray, SMOTER]:
    sampler = SMOTER(random_state=0, **settings)
    return sampler.fit_resample(*data())[0], sampler


def test_a_picture_and_its_text_take_one_partner_and_one_share() -> None:
    X_new, sampler = sampled(blocks=BLOCKS)
    X, new = data()[0], sampler.synthetic_
    (first, second), share = sampler.parents_[new].T, sampler.lambda_[new, None]
    for columns in BLOCKS.values():
        expected = X[first][:, columns] * (1 - share) + X[second][:, columns] * share
        np.testing.assert_allclose(X_new[new][:, columns], expected, atol=1e-12)


@pytest.mark.parametrize(
    ("by", "columns"),
    [("text", slice(8, 14)), (["image"], slice(0, 8)), (("image", "text"), slice(0, 14)), (None, slice(0, 14))],
)
def test_neighbours_are_those_of_the_chosen_blocks(by: Any, columns: slice) -> None:
    _, sampler = sampled(blocks=BLOCKS, neighbors_by=by)
    rare = np.flatnonzero(sampler.rare_)
    near = rare[nearest(data()[0][rare][:, columns], 5)]
    allowed = {(row, other) for row, others in zip(rare, near, strict=True) for other in others}
    assert {tuple(pair) for pair in sampler.parents_[sampler.synthetic_]} <= allowed


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("blocks", [BLOCKS, {"text": slice(8, 14)}])
def test_renormalised_blocks_have_norm_1_and_originals_stay(dtype: type, blocks: Mapping[str, slice]) -> None:
    X, y = data(dtype)
    plain = SMOTER(random_state=0).fit_resample(X, y)[0]
    sampler = SMOTER(random_state=0, blocks=blocks, renormalize=True)
    X_new, _ = sampler.fit_resample(X, y)
    assert X_new[: len(y)].tobytes() == X.tobytes()
    for name, columns in BLOCKS.items():
        norms = np.linalg.norm(X_new[sampler.synthetic_][:, columns], axis=1)
        if name in blocks:
            np.testing.assert_allclose(norms, 1, rtol=1e-6)
        else:
            assert norms.mean() < 0.9
            np.testing.assert_array_equal(X_new[:, columns], plain[:, columns])


def test_only_blocks_of_unit_vectors_are_renormalised() -> None:
    X, y = data()
    X[:, 8:] *= 3
    plain = SMOTER(random_state=0).fit_resample(X, y)[0]
    X_new = SMOTER(random_state=0, blocks=BLOCKS, renormalize=True).fit_resample(X, y)[0]
    np.testing.assert_array_equal(X_new[:, 8:], plain[:, 8:])
    assert not np.array_equal(X_new[:, :8], plain[:, :8])


def test_an_absent_picture_of_zeros_stays_absent() -> None:
    X, y = data()
    X[:, :8] = 0
    X_new, _ = SMOTER(random_state=0, blocks=BLOCKS, renormalize=True).fit_resample(X, y)
    assert (X_new[:, :8] == 0).all()
    np.testing.assert_allclose(np.linalg.norm(X_new[:, 8:], axis=1), 1, rtol=1e-9)


def test_without_blocks_all_of_x_is_renormalised() -> None:
    X, y = data()
    X_new, _ = SMOTER(random_state=0, renormalize=True).fit_resample(X / np.sqrt(2), y)
    np.testing.assert_allclose(np.linalg.norm(X_new, axis=1), 1, rtol=1e-9)


@pytest.mark.parametrize(
    "selection",
    [
        NAMES[8:],
        tuple(NAMES[8:]),
        pd.Index(NAMES[8:]),
        np.array(NAMES[8:]),
        range(8, 14),
        np.arange(8, 14),
        list(range(8, 14)),
        slice(-6, None),
    ],
    ids=["names", "tuple", "Index", "array of names", "range", "array", "list", "slice"],
)
def test_columns_are_named_in_any_way(selection: Any) -> None:
    """An index of names was refused: only lists and tuples were taken for names."""
    X, y = data()
    expected, _ = sampled(blocks=BLOCKS, neighbors_by="text")
    sampler = SMOTER(random_state=0, blocks={"text": selection}, neighbors_by="text")
    X_new, _ = sampler.fit_resample(pd.DataFrame(X, columns=NAMES), y)
    np.testing.assert_array_equal(X_new.to_numpy(), expected)


def test_one_name_is_one_column() -> None:
    """It was read letter by letter: "ab" meant the columns a and b."""
    X, y = data()
    frame = pd.DataFrame(X[:, :3], columns=["a", "b", "ab"])
    one, two = (
        SMOTER(random_state=0, blocks={"x": columns}, neighbors_by="x").fit_resample(frame, y)[0]
        for columns in ("ab", ["ab"])
    )
    pd.testing.assert_frame_equal(one, two)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"blocks": {}}, r"blocks={}: expected {name: slice, or columns}"),
        ({"blocks": ["image"]}, r"blocks=\['image'\]: expected {name: slice"),
        ({"blocks": {"image": slice(20, 30)}}, r"blocks\['image'\]=slice\(20, 30, None\): expected .* which has 14"),
        ({"blocks": {"image": [0, 14]}}, "which has 14"),
        ({"blocks": {"image": [-1]}}, "which has 14"),
        ({"blocks": {"image": []}}, "which has 14"),
        ({"blocks": {"image": 3}}, "which has 14"),
        ({"blocks": {"image": [0.5]}}, "which has 14"),
        ({"blocks": {"image": [True] * 14}}, "which has 14"),
        ({"blocks": {"image": [[0], [1, 2]]}}, "which has 14"),
        ({"blocks": {"image": ["image0"]}}, r"blocks\['image'\]=\['image0'\]"),
        ({"neighbors_by": "image"}, r"neighbors_by='image': expected names of blocks, which are \[\]"),
        ({"blocks": BLOCKS, "neighbors_by": "sound"}, r"neighbors_by='sound': .* which are \['image', 'text'\]"),
        ({"blocks": BLOCKS, "neighbors_by": []}, r"neighbors_by=\[\]"),
        ({"blocks": BLOCKS, "neighbors_by": 3}, "neighbors_by=3"),
        ({"blocks": {1: [0], "a": [1]}, "neighbors_by": "b"}, "neighbors_by='b'"),
        ({"renormalize": True}, "renormalize=True: expected a block whose rows have norm 1, found none"),
    ],
)
def test_what_cannot_be_a_block_is_one_clear_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        SMOTER(**settings).fit_resample(*data())
    assert "\n" not in str(caught.value)


def test_a_column_that_a_frame_lacks_is_named() -> None:
    X, y = data()
    with pytest.raises(ValueError, match=r"blocks\['text'\]=\['txt'\]: expected a slice or columns of X"):
        SMOTER(blocks={"text": ["txt"]}).fit_resample(pd.DataFrame(X, columns=NAMES), y)


def test_the_largest_numbers_are_no_unit_vectors_and_no_warning() -> None:
    X, y = data()
    with pytest.raises(ValueError, match="found none"):
        SMOTER(renormalize=True).fit_resample(X * 1e300, y)


def test_metadata_follows_rows() -> None:
    X, y = data()
    sampler = SMOTER(random_state=0)
    sampler.fit_resample(X, y)
    groups = pd.Series([f"user{i % 7}" for i in range(len(y))], name="user")
    along = sampler.along(groups)
    assert along.name == "user"
    assert along.tolist() == groups.iloc[sampler.sample_indices_].tolist()
    assert sampler.along(groups.tolist()) == along.tolist()
    trials = np.arange(len(y), dtype=float)
    (first, second), share = sampler.parents_.T, sampler.lambda_
    np.testing.assert_allclose(sampler.along(trials, interpolate=True), first * (1 - share) + second * share)
    pairs = sampler.along(pd.DataFrame({"a": trials, "b": -trials}), interpolate=True)
    np.testing.assert_allclose(pairs["a"], -pairs["b"])
    with pytest.raises(ValueError, match="3 values: expected one for each of the 300 rows"):
        sampler.along([1, 2, 3])


def test_metadata_before_sampling_is_refused() -> None:
    with pytest.raises(ValueError, match="not fitted"):
        RandomOversampler().along([1])
