"""Views depend on the seed, their number and the content's key alone, and show what they say."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embed import augment
from embed.augment import JITTER, Views
from embed.images import Picture

CONFIG: dict[str, Any] = {"input_size": (3, 64, 64), "interpolation": "bicubic"}


def ramp(height: int = 120, width: int = 160) -> Picture:
    """Red grows to the right, green downwards: a pixel's colour says where it comes from."""
    pixels = np.full((height, width, 3), 90, np.uint8)
    pixels[..., 0] = np.linspace(20, 220, width)
    pixels[..., 1] = np.linspace(20, 220, height)[:, None]
    return Picture(pixels, 1)


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return len(a) == len(b) and all(map(torch.equal, a, b))


def test_the_same_views_whatever_happened_before() -> None:
    views = Views(4, seed=3)
    first = views(ramp(), CONFIG, b"key")
    torch.manual_seed(99)
    views(ramp(50, 50), CONFIG, b"other")
    assert same(views(ramp(), CONFIG, b"key"), first)
    assert same(Views(2, seed=3)(ramp(), CONFIG, b"key"), first[:2])  # more views later leave the first ones


def test_the_same_views_from_many_threads() -> None:
    views = Views(2, seed=0)
    keys = [bytes([number]) for number in range(40)]
    alone = [views(ramp(), CONFIG, key) for key in keys]
    with ThreadPoolExecutor(8, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        assert all(map(same, pool.map(lambda key: views(ramp(), CONFIG, key), keys), alone))


def test_these_very_views() -> None:
    """Numbers that a cache somewhere was made with: if they change, raise VERSION."""
    chances = augment._chances(7, 1, b"content")
    digest = hashlib.sha256(b"7 1 content").digest()
    assert [round(chance * 2**32) for chance in chances] == [*np.frombuffer(digest, "<u4")]
    assert augment._part(300, 400, [0.5, 0.5, 0.5, 0.5]) == (8, 58, 285, 285)
    view = torch.tensor([[[200]], [[100]], [[50]]], dtype=torch.uint8)
    assert augment._jittered(view, 1.2, 0.8, 1.25).flatten().tolist() == [240, 120, 60]  # by hand: grey is 124


def test_another_seed_number_or_key_is_another_view() -> None:
    views = [*Views(3, 0)(ramp(), CONFIG, b"a"), *Views(3, 1)(ramp(), CONFIG, b"a"), *Views(3, 0)(ramp(), CONFIG, b"b")]
    assert len({view.numpy().tobytes() for view in views}) == 9


def test_half_of_the_views_are_flipped_and_none_is_upside_down() -> None:
    views = Views(400, seed=1)(ramp(), {**CONFIG, "input_size": (3, 8, 8)}, b"key")
    flipped = sum(int(view[0, 4, 0]) > int(view[0, 4, -1]) for view in views)
    assert 160 < flipped < 240
    assert all(int(view[1, 0, 4]) < int(view[1, -1, 4]) for view in views)


def test_parts_have_the_areas_and_ratios_they_should() -> None:
    parts = np.array([augment._part(1000, 1000, augment._chances(0, number, b"")[:4]) for number in range(2000)])
    top, left, height, width = parts.T
    area, ratio = height * width / 1e6, width / height
    assert (top + height).max() <= 1000
    assert (left + width).max() <= 1000
    assert area.min() >= 0.34
    assert area.mean() == pytest.approx(0.67, abs=0.02)
    assert ratio.min() >= 0.74
    assert ratio.max() <= 1.35
    assert np.median(ratio) == pytest.approx(1, abs=0.02)
    room = height < 1000
    assert (top[room] / (1000 - height[room])).mean() == pytest.approx(0.5, abs=0.03)


def test_colours_without_jitter_stay_and_with_it_move_a_little() -> None:
    view = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(augment._jittered(view, 1, 1, 1), view)
    brighter = augment._jittered(view // 2, 1 + JITTER, 1, 1)
    assert (brighter.float() - view.div(2, rounding_mode="floor") * (1 + JITTER)).abs().max() <= 0.51
    grey = augment._jittered(view, 1, 1, 0)
    assert torch.equal(grey[0], grey[1])
    flat = augment._jittered(view, 1, 0, 1)
    assert int(flat.max()) - int(flat.min()) <= 1


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    mode=st.sampled_from(["bicubic", "bilinear", "lanczos"]),
    key=st.binary(max_size=40),
)
def test_any_picture_has_views(height: int, width: int, size: tuple[int, int], mode: str, key: bytes) -> None:
    white = Picture(np.full((height, width, 3), 255, np.uint8), 1)
    for view in Views(2, 0)(white, {"input_size": (3, *size), "interpolation": mode}, key):
        assert (view.dtype, tuple(view.shape)) == (torch.uint8, (3, *size))
        assert len(view.unique()) == 1


def test_a_long_strip_costs_no_more_than_its_middle() -> None:
    (view,) = Views(1, 0)(ramp(1, 50_000), CONFIG, b"key")
    assert view.shape == (3, 64, 64)


def test_the_description_is_json_and_tells_recipes_apart() -> None:
    described = [Views(k, seed).describe() for k, seed in ((1, 0), (2, 0), (1, 1))]
    assert [json.loads(json.dumps(one)) for one in described] == described
    assert len({json.dumps(one) for one in described}) == 3
