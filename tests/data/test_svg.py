"""Axes and bins of the figures."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.svg import Histogram, RateAxis, svg, text


@given(st.floats(1e-9, 1))
def test_a_rate_axis_holds_its_highest_rate(highest: float) -> None:
    axis = RateAxis.up_to(highest)
    ticks = axis.ticks()
    assert highest * (1 - 1e-9) <= axis.top <= 1
    assert 0 <= axis.at(highest) <= 1
    assert ticks[0] == 0
    assert ticks == sorted(ticks)
    assert all(axis.at(b) - axis.at(a) >= 0.15 - 1e-9 for a, b in pairwise(ticks))


@given(st.lists(st.floats(-0.5, 1.5), min_size=1, max_size=50))
def test_a_histogram_counts_every_post_once(values: list[float]) -> None:
    bars = Histogram.of(np.array(values), RateAxis(1.0))
    assert bars.zero + bars.shares.sum() == pytest.approx(1)


def test_what_no_page_can_hold_is_made_visible_in_figures_too() -> None:
    drawn = svg(1, 1, "a\x1b[31m\ud800<b>", [text(0, 0, "c\x00<i>")])
    assert 'aria-label="a\ufffd[31m\ufffd&lt;b&gt;"' in drawn
    assert ">c\ufffd&lt;i&gt;</text>" in drawn
