"""The report for those who do not see it, or use no mouse: names, headings, contrast, by axe-core and by hand."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.conftest import Demo, Open

CONTROLS = {"button", "combobox", "searchbox", "textbox", "link", "checkbox", "dialog", "table", "region", "search"}


def accessibility_tree(page: Page) -> list[dict[str, Any]]:
    """Nodes that assistive technology sees."""
    session = page.context.new_cdp_session(page)
    nodes: list[dict[str, Any]] = session.send("Accessibility.getFullAXTree")["nodes"]
    return [node for node in nodes if not node["ignored"]]


def violations(page: Page, inside: str | None = None, rules: Sequence[str] = ()) -> list[str]:
    """What axe-core finds by all rules, or some, a line each with the first place."""
    only = {"runOnly": list(rules)} if rules else {}
    found = Axe().run(page, inside, {"resultTypes": ["violations"]} | only).response["violations"]
    return [f"{one['id']}: {one['help']} ({len(one['nodes'])}) {one['nodes'][0]['html'][:200]}" for one in found]


@pytest.mark.parametrize(("theme", "rules"), [("light", ()), ("dark", ("color-contrast",))])
def test_axe_finds_nothing(open_page: Open, demo: Demo, theme: str, rules: tuple[str, ...]) -> None:
    page = open_page(demo.report, color_scheme=theme).page
    page.get_by_role("columnheader", name="MSE", exact=True).get_by_role("button").click()
    page.get_by_label("Order by the error of").select_option("0")
    page.get_by_label("Kind").select_option("random")  # twelve posts are like sixty, and axe is slow
    assert violations(page, rules=rules) == []
    page.locator(".card:visible .open").first.click()
    assert violations(page, ".viewer", rules) == []


def test_axe_finds_nothing_on_a_phone(open_page: Open, demo: Demo) -> None:
    page = open_page(demo.report, viewport={"width": 390, "height": 844}).page
    page.get_by_label("Kind").select_option("random")
    assert violations(page) == []


def test_axe_would_find_a_fault(open_page: Open, demo: Demo) -> None:
    page = open_page(demo.report).page
    assert violations(page, ".filter") == []
    page.evaluate(
        "document.querySelector('.filter select').parentElement.replaceWith(document.createElement('select'))"
    )
    assert any(one.startswith("select-name") for one in violations(page, ".filter"))


def test_every_control_has_a_name(open_page: Open, demo: Demo) -> None:
    page = open_page(demo.report).page
    for opened in (False, True):
        if opened:
            page.locator(".card .open").first.click()
        nodes = [node for node in accessibility_tree(page) if node["role"]["value"] in CONTROLS]
        assert [node for node in nodes if not node.get("name", {}).get("value", "").strip()] == []
        roles = [node["role"]["value"] for node in nodes]
        if opened:
            assert roles.count("dialog") == 1
            assert roles.count("button") == 3  # the rest of the page is out of reach
        else:
            assert roles.count("button") >= 60 + 14 + 1


def test_headings_skip_no_level(open_page: Open, demo: Demo) -> None:
    page = open_page(demo.report).page
    levels = page.locator("h1, h2, h3, h4, h5, h6").evaluate_all(
        "all => all.filter((h) => h.checkVisibility()).map((h) => Number(h.tagName[1]))"
    )
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(deeper <= level + 1 for level, deeper in pairwise(levels))
