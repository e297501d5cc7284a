"""The page of data.explore in a browser: on a phone and in the dark, with hostile posts, for axe-core too."""

from pathlib import Path

import pytest

from data.explore import Explore, run
from tests.browser.conftest import Demo, Open
from tests.browser.test_access import violations
from tests.regress.conftest import HOSTILE


@pytest.fixture(scope="module")
def explored(demo: Demo) -> Path:
    """Of the hostile demo posts."""
    out = demo.folder / "explore.html"
    run(Explore(posts=demo.folder / "data" / "sample" / "posts.parquet", trials="occurrences", out=out))
    return out


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (1280, "dark"), (390, "light")])
def test_axe_finds_nothing(open_page: Open, explored: Path, width: int, theme: str) -> None:
    page = open_page(explored, viewport={"width": width, "height": 844}, color_scheme=theme).page
    page.get_by_text("The rule behind the findings").click()
    assert violations(page) == []


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_is_wider_than_the_window(open_page: Open, explored: Path, width: int) -> None:
    page = open_page(explored, viewport={"width": width, "height": 844}).page
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_names_are_not_spelled_down_a_column(open_page: Open, explored: Path) -> None:
    page = open_page(explored, viewport={"width": 390, "height": 844}).page
    heights = page.locator("tbody th").evaluate_all("cells => cells.map(cell => cell.offsetHeight)")
    assert max(heights) < 100


def test_hostile_columns_stay_text(open_page: Open, demo: Demo, tmp_path: Path) -> None:
    """That nothing runs or is fetched, the fixture checks."""
    import pandas as pd

    posts = pd.read_parquet(demo.folder / "data" / "sample" / "posts.parquet").rename(columns={"negative": HOSTILE})
    posts.to_parquet(tmp_path / "posts.parquet", index=False)
    flags = {"activities": (HOSTILE,), "trials": "occurrences"}
    run(Explore(posts=tmp_path / "posts.parquet", out=tmp_path / "x.html", **flags))
    page = open_page(tmp_path / "x.html").page
    assert "<script>alert(1)</script>" in page.inner_text("table.targets")
    assert page.evaluate("document.scripts.length") == 0
