"""Figures of any page: what is drawn is what was counted, and no label leaves the figure or meets another."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.figures import histogram, interval
from data.svg import Histogram, LogAxis, RateAxis, number, percent

CHARACTER = 6.2  # pixels, of the page's font at the size of labels
WIDTH, HEIGHT = 340, 186


def drawn(values: "np.ndarray[tuple[int], np.dtype[np.float64]]", log: bool) -> str:
    axis = LogAxis.over(values[values > 0]) if log else RateAxis.up_to(float(values.max()))
    return str(histogram(Histogram.of(values, axis), axis, "posts", number if log else percent))


def labels(figure: str) -> list[tuple[float, float, float, str]]:
    """Left, right, baseline and text of each label."""
    found = []
    pattern = r'<text x="([-\d.]+)" y="([-\d.]+)" class="\w*" text-anchor="(\w+)">([^<]*)</text>'
    for x, y, anchor, text in re.findall(pattern, figure):
        wide = CHARACTER * len(text)
        left = float(x) - {"start": 0, "middle": wide / 2, "end": wide}[anchor]
        found.append((left, left + wide, float(y), text))
    assert len(found) == figure.count("<text")
    return found


numbers = st.lists(st.floats(1, 1e7), min_size=1, max_size=30)
rates = st.lists(st.one_of(st.just(0.0), st.floats(1e-4, 1)), min_size=1, max_size=30)


@given(st.one_of(st.tuples(numbers, st.just(True)), st.tuples(rates, st.just(False))))
def test_labels_stay_inside_and_apart(case: tuple[list[float], bool]) -> None:
    values, log = case
    figure = drawn(np.array(values), log)
    told = labels(figure)
    assert all(left >= -1 and right <= WIDTH + 1 and 0 < y <= HEIGHT for left, right, y, _ in told), told
    ticks = sorted(label for label in told if label[2] > 170)
    assert all(a[1] <= b[0] + 1 for a, b in itertools.pairwise(ticks)), ticks


def test_bars_are_as_high_as_their_shares() -> None:
    values = np.array([0.0] * 2 + [0.01] * 6 + [1.0] * 4)
    path = re.search(r'class="fill" d="([^"]+)"', drawn(values, log=False))
    assert path is not None
    tops = [float(top) for top in re.findall(r"V([\d.]+)H[\d.]+V158z", path[1])]
    shares = [(158 - top) for top in tops]
    assert np.array(shares) / sum(shares) == pytest.approx([2 / 12, 6 / 12, 4 / 12], abs=0.002)


def test_a_bar_of_zeros_that_flattens_the_rest_is_cut_and_says_so() -> None:
    values = np.append(np.zeros(1000), np.linspace(0.01, 1, 50))
    assert "↑ 95.2\u00a0%" in drawn(values, log=False)


@given(st.floats(-100, 1), st.floats(0, 100), st.floats(0, 100))
def test_an_interval_is_drawn_inside_its_figure(value: float, below: float, above: float) -> None:
    figure = str(interval(value, value - below, value + above))
    places = [float(x) for x in re.findall(r"[ML](-?[\d.]+) 15", figure)]
    assert all(0 <= x <= 170 for x in places)
    assert ("M0 " in figure) == (value < 0)
