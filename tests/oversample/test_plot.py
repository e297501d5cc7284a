"""The plot of relevance says what a sampler will do: the same rare rows, the same threshold, atoms apart."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import BarContainer

from oversample import SMOTER
from oversample.plot import plot_relevance

mpl.use("Agg")
RNG = np.random.default_rng(0)
ZEROS = np.append(np.zeros(1_200), RNG.beta(0.7, 20, 800))
NORMAL = RNG.normal(size=1_000)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


def bars(ax: Axes) -> tuple[np.ndarray, np.ndarray]:
    """Heights of the bars of normal and of rare rows."""
    normal, rare = (c for c in ax.containers if isinstance(c, BarContainer))
    return tuple(np.array([bar.get_height() for bar in group]) for group in (normal, rare))  # type: ignore[return-value]


def right(ax: Axes) -> Axes:
    return next(axes for axes in ax.figure.axes if axes is not ax)


def test_bars_are_the_rows_that_a_sampler_calls_rare() -> None:
    sampler = SMOTER(random_state=0).fit(ZEROS[:, None], ZEROS)
    ax = plot_relevance(sampler, ZEROS)
    normal, rare = bars(ax)
    assert rare.sum() == sampler.rare_.sum()
    assert normal.sum() == (~sampler.rare_ & (ZEROS > 0)).sum()
    assert ax.get_title() == f"2,000 targets, {100 * sampler.rare_.mean():.3g} % rare"


def test_an_atom_is_a_pin_and_no_bar() -> None:
    ax = plot_relevance("auto", ZEROS)
    assert sum(map(np.sum, bars(ax))) == 800
    assert [text.get_text() for text in right(ax).texts] == ["0: 60 %"]
    assert max(map(np.max, bars(ax))) < 300


def test_the_curve_is_the_relevance() -> None:
    ax = plot_relevance(lambda v: np.clip(v, 0, 1), NORMAL, threshold=0.7)
    curve, _, line = right(ax).lines
    x, phi = curve.get_data()
    np.testing.assert_array_equal(phi, np.clip(x, 0, 1))
    np.testing.assert_array_equal(line.get_ydata(), [0.7, 0.7])
    assert "threshold 0.7" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_the_rare_area_is_shaded() -> None:
    points = [(-1, 1), (0, 0), (1, 1)]
    ax = plot_relevance(SMOTER(relevance="range", control_points=points, threshold=0.9), NORMAL)
    (shade,) = right(ax).collections
    x = np.concatenate([path.vertices[:, 0] for path in shade.get_paths()])
    assert np.abs(x).min() == pytest.approx(0.8, abs=0.03)  # where two cubics reach 0.9


def test_a_threshold_of_ones_own_counts() -> None:
    sampler = SMOTER(threshold=0.9)
    assert (
        bars(plot_relevance(sampler, NORMAL))[1].sum() < bars(plot_relevance(sampler, NORMAL, threshold=0.5))[1].sum()
    )


def test_targets_far_away_are_counted_and_not_drawn() -> None:
    y = np.append(NORMAL, [1e9, -1e9, 1e12])
    ax = plot_relevance("extremes", y)
    assert ax.get_xlabel() == "target (3 lie beyond)"
    assert ax.get_xlim()[1] < 20
    assert plot_relevance("extremes", NORMAL).get_xlabel() == "target"


def test_counts_are_on_a_log_scale_where_one_bar_would_hide_the_others() -> None:
    assert plot_relevance("auto", RNG.gamma(0.05, size=20_000)).get_yscale() == "log"
    assert plot_relevance("auto", NORMAL).get_yscale() == "linear"


def test_it_draws_into_given_axes() -> None:
    _, (left, other) = plt.subplots(1, 2)
    assert plot_relevance("density", NORMAL, ax=other) is other
    assert not left.has_data()


@pytest.mark.parametrize(
    "y",
    [
        np.full(50, 0.3),
        np.zeros(9),
        np.array([3.0]),
        np.array([0.0, 3.0]),
        np.append(np.zeros(99), 1.0),
        np.append(np.zeros(64_000), RNG.beta(0.7, 20, 2_000)),
        np.repeat([1.0, 2.0, 3.0, 4.0, 5.0], [2, 2, 30, 60, 40]),
        RNG.standard_cauchy(2_000),
    ],
    ids=["constant", "zeros", "one row", "two rows", "all zero but one", "97 % zeros", "ratings", "heavy tails"],
)
@pytest.mark.parametrize("relevance", ["auto", "density"])
def test_any_target_can_be_drawn(y: np.ndarray, relevance: str, tmp_path: Path) -> None:
    ax = plot_relevance(relevance, y)
    ax.figure.savefig(tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 5_000
    low, high = ax.get_xlim()
    assert low < np.median(y) < high


@pytest.mark.parametrize(("source", "y"), [("auto", [np.nan, 1.0]), ("box", [0.0, 1.0]), ("auto", [])])
def test_what_cannot_be_drawn_is_refused(source: Any, y: list[float]) -> None:
    with pytest.raises(ValueError, match=r"expected|unknown relevance"):
        plot_relevance(source, np.array(y))
    assert not plt.get_fignums()


def test_importing_it_does_not_import_matplotlib() -> None:
    code = "import oversample.plot, sys; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
