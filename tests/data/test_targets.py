"""Counts to rates: what cannot be right is told in one line, what is left is exact."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from data.config import InputError
from data.posts import METADATA_KEY, Posts, PostsOptions, open_posts
from data.targets import Target, label_entropy, read_target

GOOD = [(10 + i, i % 7) for i in range(30)]  # (view, like)


def table(folder: Path, rows: list[tuple[Any, ...]], header: str = "view,like") -> Posts:
    path = folder / "t.csv"
    lines = [",".join(map(str, row)) for row in rows]
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return open_posts(PostsOptions(posts=path))


def frame(folder: Path, columns: dict[str, Any], metadata: str = "{}") -> Posts:
    path = folder / "t.parquet"
    pq.write_table(pa.table(columns).replace_schema_metadata({METADATA_KEY: metadata}), path)
    return open_posts(PostsOptions(posts=path))


def refusal(posts: Posts, *arguments: Any) -> str:
    with pytest.raises(InputError) as error:
        read_target(posts, *arguments)
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(str(posts.path))


def test_rates(tmp_path: Path) -> None:
    target = read_target(table(tmp_path, GOOD), "like")
    assert (target.name, target.trials_name, target.min_trials, target.dropped) == ("like / view", "view", 1, 0)
    assert target.rows.dtype == np.int64
    np.testing.assert_array_equal(target.rows, np.arange(30))
    np.testing.assert_array_equal(target.trials, [view for view, _ in GOOD])
    np.testing.assert_array_equal(target.y, [like / view for view, like in GOOD])


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=30, max_size=60), st.integers(1, 5))
def test_kept_rows_are_those_with_enough_trials(pairs: list[tuple[int, int]], least: int) -> None:
    rows = [(max(pair), min(pair)) for pair in pairs] + [(100, i) for i in range(20)]
    with tempfile.TemporaryDirectory() as folder:
        target = read_target(table(Path(folder), rows), "like", "view", least)
    expected = [(i, like / view) for i, (view, like) in enumerate(rows) if view >= least]
    assert list(zip(target.rows, target.y, strict=True)) == expected
    assert target.trials.min() >= least
    assert 0 <= target.y.min() <= target.y.max() <= 1


def test_posts_without_trials_are_left_out(tmp_path: Path) -> None:
    target = read_target(table(tmp_path, [(0, 0), *GOOD, (0, 0)]), "like")
    np.testing.assert_array_equal(target.rows, np.arange(1, 31))
    assert target.dropped == 0


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ((31, 40), "like=40 exceeds view=31"),
        ((0, 1), "like=1 exceeds view=0"),
        (("", 3), "view is missing"),
        ((5, "NaN"), "like is missing"),
        (("5.5", 3), "view='5.5' is not a whole number"),
        ((5, "many"), "like='many' is not a whole number"),
        ((5, "1_0"), "like='1_0' is not a whole number"),
        (("inf", 3), "view='inf' is not a whole number"),
        ((-3, 0), "view=-3 is negative"),
        ((5, -1), "like=-1 is negative"),
        ((5, "9" * 400), f"like='{'9' * 40}' is not a whole number"),  # beyond float64
    ],
)
def test_counts_that_cannot_be_right(row: tuple[Any, Any], said: str, tmp_path: Path) -> None:
    line = refusal(table(tmp_path, [*GOOD[:11], row, *GOOD[11:], row, row]), "like")
    assert line == f"row 12: {said}; 3 rows like this: fix them or pass --drop-invalid"


def test_the_line_of_the_style_guide(tmp_path: Path) -> None:
    rows = [(i, 100, i % 5) for i in range(811)] + [("5512", 31, 40), ("5513", 1, 2), ("5514", 1, 2)]
    line = refusal(table(tmp_path, rows, "id,view,open_photo"), "open_photo")
    assert (
        line == "row 812 (id '5512'): open_photo=40 exceeds view=31; 3 rows like this: fix them or pass --drop-invalid"
    )


def test_all_problems_are_told_in_one_line(tmp_path: Path) -> None:
    bad = [("", 1), (3, "x"), (3, -2), (3, 4), ("", "y")]
    line = refusal(table(tmp_path, [*bad, *GOOD]), "like")
    assert line == (
        "row 1: view is missing; 2 rows like this; "
        "row 2: like='x' is not a whole number; 2 rows like this; "
        "row 3: like=-2 is negative; 1 row like this; "
        "row 4: like=4 exceeds view=3; 1 row like this: fix them or pass --drop-invalid"
    )


def test_invalid_rows_can_be_dropped(tmp_path: Path) -> None:
    bad = [("", 1), (3, "x"), (3, -2), (3, 4), ("", "y")]
    target = read_target(table(tmp_path, [*bad, *GOOD]), "like", drop_invalid=True)
    assert target.dropped == 5
    np.testing.assert_array_equal(target.rows, np.arange(5, 35))


def test_counts_in_any_notation(tmp_path: Path) -> None:
    """pandas writes whole numbers of a column with gaps as 31.0; Parquet has floats, decimals and booleans."""
    target = read_target(table(tmp_path, [("31.0", " 3 "), ("1e2", "-0"), *GOOD]), "like")
    np.testing.assert_array_equal(target.trials[:2], [31, 100])
    np.testing.assert_array_equal(target.y[:2], [3 / 31, 0])
    from decimal import Decimal

    clicked = [i % 3 == 0 for i in range(30)]
    for views in (
        pa.array([5.0] * 30),
        pa.array([Decimal(5)] * 30),
        pa.array(["5"] * 30),
        pa.array([5] * 30, pa.uint8()),
    ):
        target = read_target(frame(tmp_path, {"view": views, "like": clicked}), "like")
        np.testing.assert_array_equal(target.y, np.array(clicked) / 5)


def test_dates_are_no_counts(tmp_path: Path) -> None:
    dates = pa.array([pd.Timestamp("2024-10-01")] * 30)
    assert "is not a whole number; 30 rows" in refusal(frame(tmp_path, {"view": dates, "like": [1] * 30}), "like")


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    posts = table(tmp_path, [(1, "a", "x", 5)], "id,photo,text,open_photo")
    assert refusal(posts, "open_photo") == (
        " has no column 'view' (found id, photo, text, open_photo): rename it or pass --trials NAME"
    )
    assert refusal(table(tmp_path, GOOD), "likes") == (
        " has no column 'likes' (found view, like): did you mean 'like'? rename it or pass --target NAME"
    )


def test_without_a_target_the_activities_are_listed(tmp_path: Path) -> None:
    said = "no target: pass --target NAME, one of "
    origin = table(tmp_path, [(i, 9, 1, 2, 3) for i in range(30)], "id,view,open_photo,like,other")
    assert refusal(origin) == said + "like, open_photo"
    rows = [(i, 9, 1, "2.5", "word", i) for i in range(30)]
    others = table(tmp_path, rows, "id,seen,clicks,score,word,buys")
    assert refusal(others, None, "seen") == said + "clicks, buys"
    none = table(tmp_path, [(9, "x")] * 30, "view,text")
    assert refusal(none).endswith("has no column of counts beside 'view': pass --target NAME")


def test_what_the_table_declares_is_the_default(tmp_path: Path) -> None:
    columns = {"seen": [3, 4, *[10] * 28], "clicks": [0, 1, *range(4), *[5] * 24], "buys": [0] * 29 + [1]}
    metadata = '{"trials": "seen", "target": "clicks", "activities": ["clicks", "buys"], "min_trials": 4}'
    posts = frame(tmp_path, columns, metadata)
    target = read_target(posts)
    assert (target.name, target.min_trials, len(target.y)) == ("clicks / seen", 4, 29)
    assert read_target(posts, "buys", "seen", 1).name == "buys / seen"
    assert len(read_target(posts, min_trials=1).y) == 30
    undecided = frame(tmp_path, columns, metadata.replace('"target": "clicks",', ""))
    assert refusal(undecided) == "no target: pass --target NAME, one of clicks, buys"


def test_too_few_posts(tmp_path: Path) -> None:
    posts = table(tmp_path, GOOD)
    assert refusal(posts, "like", None, 30) == (
        " has 10 posts with at least 30 view, of 30: expected 20 or more: pass more posts or a lower --min-trials"
    )
    assert len(read_target(posts, "like", None, 20).y) == 20


def test_a_constant_target(tmp_path: Path) -> None:
    assert refusal(table(tmp_path, [(10 + i, 0) for i in range(30)]), "like") == (
        "like / view is 0 for all 30 posts: nothing to learn: pass another --target"
    )
    assert refusal(table(tmp_path, GOOD), "view") == (
        "view / view is 1 for all 30 posts: nothing to learn: pass another --target"
    )


@pytest.mark.parametrize("least", [0, -5])
def test_a_rate_needs_a_trial(least: int, tmp_path: Path) -> None:
    assert refusal(table(tmp_path, GOOD), "like", None, least).startswith(f"--min-trials {least}: expected 1 or more")


def test_label_entropy_golden() -> None:
    np.testing.assert_allclose(
        label_entropy(np.array([0, 1, 0.5, 0.25])), [0, 0, np.log(2), 0.5623351446188083], rtol=1e-15
    )


@given(hnp.arrays(np.float64, st.integers(0, 20), elements=st.floats(0, 1)))
def test_label_entropy_is_symmetric_and_bounded(y: np.ndarray) -> None:
    entropy = label_entropy(y)
    assert entropy.dtype == np.float64
    assert ((entropy >= 0) & (entropy <= np.log(2) + 1e-15)).all()
    np.testing.assert_allclose(entropy, label_entropy(1 - y), atol=1e-12)


@given(st.floats(0, 1), st.floats(1e-9, 1 - 1e-9))
def test_label_entropy_is_the_floor_of_the_log_loss(y: float, p: float) -> None:
    loss = -(y * np.log(p) + (1 - y) * np.log1p(-p))
    assert label_entropy(np.array([y]))[0] <= loss + 1e-12


def test_the_demo_posts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    target: Target = read_target(open_posts(PostsOptions()))
    assert target.name == "negative / occurrences"
    assert len(target.y) == 751
    assert np.mean(target.y == 0) == pytest.approx(0.245, abs=5e-4)
    assert pd.Series(target.y).skew() == pytest.approx(1.73, abs=0.01)
