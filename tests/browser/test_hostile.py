"""Posts and runs that try to be markup or script: in a browser they are text, also where the script puts them."""

import json
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect

from data.text import clean
from regress.compare import Compare
from regress.compare import run as compare
from tests.browser.conftest import TEXTS, Demo, Open
from tests.regress.conftest import HOSTILE

LONGEST = 6000  # characters of a text in the report


def as_shown(text: str) -> str:
    """A post's text as it is read, its end cut off."""
    return clean(text)[:LONGEST]


def test_a_hostile_post_opens_as_text(open_page: Open, demo: Demo) -> None:
    page = open_page(demo.everything).page
    dialog = page.get_by_role("dialog")
    for row, text in TEXTS.items():
        card = page.locator(".card", has=page.locator(f'h4[title="row {row + 1} of the table"]'))
        card.locator(".open").click()
        assert dialog.locator(".whole").text_content() == as_shown(text)
        assert dialog.locator("script, svg, textarea, iframe, a").count() == 0
        assert dialog.locator("img").count() == 1  # the post's own
        if row == 3:
            assert "<img src=x onerror=alert(5)>" in as_shown(text)
            assert (dialog.locator("h3").text_content() or "").startswith("<script>alert(1)</script>")
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
    assert page.locator("script").count() == 1
    assert page.locator("img:not([src^='data:image/webp;base64,'])").count() == 0


def test_a_hostile_text_is_found_and_nothing_runs(open_page: Open, demo: Demo) -> None:
    page = open_page(demo.everything).page
    page.get_by_label("Text or id").fill("<SCRIPT>alert(1)")
    expect(page.locator(".card:visible")).to_have_count(1)
    page.get_by_label("Text or id").fill("<img src=x onerror=alert(5)>")
    expect(page.locator(".card:visible")).to_have_count(1)
    expect(page.get_by_role("search").get_by_role("status")).to_have_text("1 of 120 posts shown")


def test_an_override_of_the_writing_direction_ends_with_its_post(open_page: Open, demo: Demo) -> None:
    page = open_page(demo.everything).page
    card = page.locator(".card", has=page.locator('h4[title="row 5 of the table"]'))
    assert card.locator(".said p").evaluate("(p) => getComputedStyle(p).unicodeBidi") == "isolate"
    card.locator(".open").click()
    text = page.get_by_role("dialog").locator(".whole")
    assert text.evaluate("(p) => getComputedStyle(p).unicodeBidi") == "isolate"


def test_missing_and_broken_pictures_say_why(open_page: Open, demo: Demo) -> None:
    page = open_page(demo.everything).page
    for row, why in ((7, "no picture"), (8, "damaged|truncated|not an image")):
        card = page.locator(".card", has=page.locator(f'h4[title="row {row + 1} of the table"]'))
        card.locator(".open").click()
        said = page.get_by_role("dialog").locator(".thumb.missing").text_content() or ""
        assert any(word in said for word in why.split("|"))
        page.keyboard.press("Escape")


def test_hostile_names_of_runs(open_page: Open, demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(demo.folder / "runs", tmp_path / "runs")
    for place, path in enumerate(sorted((tmp_path / "runs").glob("*/run.json"))):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        manifest["name"] = [f"{place}\n{HOSTILE}", f"\u202e{place}", "x" * 5000, f"={place}"][place % 4] + str(place)
        path.write_text(json.dumps(manifest), encoding="utf-8")
    monkeypatch.chdir(demo.folder)  # where the posts are
    compare(Compare(runs=tmp_path / "runs", out=tmp_path / "report.html", gallery=8))
    page = open_page(tmp_path / "report.html").page
    assert page.evaluate("document.documentElement.scrollWidth") == 1280
    page.get_by_role("columnheader", name="Run", exact=True).get_by_role("button").click()
    page.get_by_label("Order by the error of").select_option("0")
    page.locator(".card .open").first.click()
    assert "<script>alert(1)</script>" in (page.get_by_role("dialog").text_content() or "")
    assert page.locator("script").count() == 1
    assert page.locator("img").count() <= 9  # the posts' own, and the opened one
