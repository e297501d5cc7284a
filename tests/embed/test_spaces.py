"""What a cache says about a space: names, and what is refused before anything is written."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data.config import InputError
from embed.spaces import SpaceInfo, damaged, is_group_name

INFO = SpaceInfo(
    "hf-hub:timm/x", "f" * 64, "", {"weights": "9f3c", "crop": [224, 224]}, 768, "float16", {"timm": "1.0"}
)


def test_json_round_trip() -> None:
    assert SpaceInfo.from_json(INFO.to_json()) == INFO


def test_a_slash_does_not_nest_groups() -> None:
    assert INFO.group == "hf-hub:timm--x"
    assert is_group_name(INFO.group)


@pytest.mark.parametrize(("dtype", "size"), [("float16", 1536), ("float32", 3072)])
def test_row_bytes(dtype: Any, size: int) -> None:
    assert replace(INFO, dtype=dtype).row_bytes == size


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"request": "r"}, True),
        ({"provenance": {}}, True),
        ({"fingerprint": "e" * 64}, False),
        ({"dim": 5}, False),
        ({"dtype": "float32"}, False),
    ],
)
def test_rows_are_interchangeable_by_fingerprint_and_shape(change: dict[str, Any], same: bool) -> None:
    assert replace(INFO, **change).same_rows(INFO) is same


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": "."},
        {"name": "a\0b"},
        {"dim": 0},
        {"dim": 1 << 21},
        {"dim": "5"},
        {"dtype": "float64"},
        {"spec": []},
        {"fingerprint": None},
        {"spec": {"mean": float("nan")}},
        {"spec": {"x": "y" * (1 << 20)}},
        {"spec": {"x": object()}},
        {"name": "\ud800"},
    ],
)
def test_what_a_cache_cannot_hold_is_one_line(change: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        replace(INFO, **change).check()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", ["name", "dim", "dtype", "spec", "provenance", "request", "fingerprint"])
def test_from_json_wants_every_field(missing: str) -> None:
    value = INFO.to_json()
    del value[missing]
    with pytest.raises(ValueError, match=missing if missing != "dtype" else "None"):
        SpaceInfo.from_json(value)


def test_damaged_names_the_file_and_the_way_on() -> None:
    line = str(damaged(Path("cache.h5"), "cut short"))
    assert line == "cache.h5: cut short: restore it, or delete it and run python -m embed.extract again"
