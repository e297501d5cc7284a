"""The report in a browser: it sorts, filters, opens posts, prints, and asks nobody for anything."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Demo, Open

PAPER = {"light": (255, 255, 255), "dark": (18, 21, 26)}
COLUMNS = {  # head → its name in JSON, and the direction of the first click
    "D² 95 % interval": ("d2", "ascending"),  # it is sorted already
    "D² by trials": ("d2_trials", "descending"),
    "p ≠ mean": ("p_mean", "ascending"),
    "p ≠ leader": ("p_best", "ascending"),
    "Spearman order": ("spearman", "descending"),
    "Lift top 5 %": ("lift", "descending"),
    "Bias 1 is right": ("bias", "ascending"),
    "Log loss in nats": ("log_loss", "ascending"),
    "MSE": ("mse", "ascending"),
    "MAE": ("mae", "ascending"),
    "MAE rare posts": ("mae_rare", "ascending"),
    "SERA rare posts": ("sera", "ascending"),
    "Seconds": ("seconds", "ascending"),
}


def head(page: Page, title: str) -> Locator:
    return page.get_by_role("columnheader", name=title, exact=True)


def names(page: Page) -> list[str]:
    return page.locator(".sortable tbody .name").all_text_contents()


def shown(page: Page) -> list[str]:
    """Ids of the posts on the screen, in their order."""
    return page.locator(".card:visible h4").all_text_contents()


def in_order(runs: list[dict[str, Any]], key: str, direction: str) -> list[str]:
    """Names sorted as they should be: stable, missing numbers last."""
    known = [run for run in runs if run[key] is not None]
    known.sort(key=lambda run: run[key], reverse=direction == "descending")
    return [run["name"] for run in [*known, *(run for run in runs if run[key] is None)]]


def test_a_click_sorts_and_another_turns_it_round(open_page: Open, demo: Demo) -> None:
    page, runs = open_page(demo.report).page, demo.told["runs"]
    assert names(page) == [run["name"] for run in runs]
    expect(head(page, "D² 95 % interval")).to_have_attribute("aria-sort", "descending")
    for title, (key, first) in COLUMNS.items():
        second = "ascending" if first == "descending" else "descending"
        for direction in (first, second):
            head(page, title).get_by_role("button").click()
            order = names(page)
            assert order == in_order(runs, key, direction), title
            runs = sorted(runs, key=lambda run: order.index(run["name"]))
            expect(page.locator("[aria-sort]")).to_have_count(1)
            expect(head(page, title)).to_have_attribute("aria-sort", direction)
            expect(page.get_by_role("status").first).to_have_text(f"Sorted by {title}, {direction}")
        missing = [run["name"] for run in runs if run[key] is None]
        assert order[len(runs) - len(missing) :] == missing
        assert bool(missing) == key.startswith("p_"), title  # the mean is not tested against itself


def test_the_keyboard_sorts(open_page: Open, demo: Demo) -> None:
    page = open_page(demo.report).page
    page.locator(".scroll").first.focus()
    page.keyboard.press("Tab")
    expect(head(page, "Run").get_by_role("button")).to_be_focused()
    page.keyboard.press("Enter")
    ascending = names(page)
    assert ascending == sorted(ascending)
    page.keyboard.press("Space")
    assert names(page) == ascending[::-1]
    page.keyboard.press("Tab")
    expect(head(page, "D² 95 % interval").get_by_role("button")).to_be_focused()


def test_equal_values_keep_the_order_they_stood_in(open_page: Open, demo: Demo) -> None:
    page = open_page(demo.report).page
    head(page, "Seconds").get_by_role("button").click()
    before = names(page)
    page.evaluate("document.querySelectorAll('.sortable tbody td:nth-child(11) data').forEach((d) => (d.value = '1'))")
    for _ in range(2):
        head(page, "MSE").get_by_role("button").click()
        assert names(page) == before


def test_the_filter_says_how_many_are_shown(open_page: Open, demo: Demo) -> None:
    page = open_page(demo.report).page
    bar = page.get_by_role("search")
    everything = shown(page)
    assert len(everything) == 60
    expect(bar.get_by_role("status")).to_have_text("60 of 60 posts shown")
    bar.get_by_label("Kind").select_option("rarest")
    expect(bar.get_by_role("status")).to_have_text("12 of 60 posts shown")
    assert page.locator("section.gallery h3:visible").all_text_contents() == ["Rarest"]
    bar.get_by_label("Text or id").fill("FACE cat")
    cats = [text for text in page.locator(".card:visible .said").all_text_contents() if "cat" in text]
    assert len(cats) == len(shown(page)) <= 12
    bar.get_by_label("Text or id").fill("no such post")
    expect(bar.get_by_role("status")).to_have_text("No post matches")
    assert shown(page) == []
    bar.get_by_role("button", name="Show all").click()
    assert shown(page) == everything


def test_an_id_is_found(open_page: Open, demo: Demo) -> None:
    page = open_page(demo.report).page
    wanted = shown(page)[17]
    page.get_by_label("Text or id").press_sequentially(wanted.lower())
    assert wanted in shown(page)
    assert len(shown(page)) < 5


def test_posts_go_by_the_error_of_one_run(open_page: Open, demo: Demo) -> None:
    page = open_page(demo.report).page
    before = shown(page)
    last = demo.told["runs"][-1]["name"]
    page.get_by_label("Order by the error of").select_option(label=f"11 {last}")
    assert sorted(shown(page)) == sorted(before)
    assert shown(page) != before
    picked = page.locator(".card .picked")
    assert picked.count() == 60
    assert all(last in text for text in picked.all_text_contents())
    expect(picked.first).to_be_visible()  # although it is one of the "more runs"
    for kind in page.locator(".kind").all():
        truths = [float(t) for t in kind.locator(".rate data").evaluate_all("all => all.map((d) => d.value)")]
        guesses = [float(p) for p in kind.locator(".picked data").evaluate_all("all => all.map((d) => d.value)")]
        errors = [abs(p - y) for p, y in zip(guesses, truths, strict=True)]
        assert errors == sorted(errors, reverse=True)
    page.get_by_label("Order by the error of").select_option("")
    assert shown(page) == before


def test_a_post_opens_and_closes(open_page: Open, demo: Demo) -> None:
    page = open_page(demo.report).page
    card = page.locator(".card", has=page.locator("img")).first
    dialog, opener, name = page.get_by_role("dialog"), card.locator(".open"), card.locator("h4").text_content() or ""
    expect(opener).to_have_accessible_name(f"Open post {name}")
    opener.focus()
    page.keyboard.press("Enter")
    expect(dialog).to_be_visible()
    expect(dialog).to_have_accessible_name(name)
    expect(dialog.locator(".position")).to_have_text(f"{shown(page).index(name) + 1} of 60 · Best predicted")
    assert dialog.locator("tr").count() == len(demo.told["runs"])
    expect(dialog.locator("tr").last).to_be_visible()
    assert dialog.locator("img").bounding_box()["width"] > 250  # type: ignore[index]
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused()


def test_arrow_keys_go_round_the_posts_shown_and_focus_returns_to_the_last(open_page: Open, demo: Demo) -> None:
    page = open_page(demo.report).page
    page.get_by_label("Kind").select_option("random")
    ids, dialog = shown(page), page.get_by_role("dialog")
    page.locator(".card:visible .open").first.click()
    seen = []
    for _ in range(len(ids) + 1):
        seen.append(dialog.locator("h3").text_content())
        page.keyboard.press("ArrowRight")
    assert seen == [*ids, ids[0]]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(dialog).to_have_accessible_name(ids[-1])
    for _ in range(2):
        dialog.get_by_role("button", name="next post").click()
    dialog.get_by_role("button", name="close").click()
    expect(dialog).to_be_hidden()
    expect(page.locator(".card:visible .open").nth(1)).to_be_focused()


def test_a_click_beside_the_post_closes_it(open_page: Open, demo: Demo) -> None:
    page = open_page(demo.report).page
    page.locator(".card .open").nth(3).click()
    page.get_by_role("dialog").locator(".position").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.mouse.click(5, 5)
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_without_a_script_the_page_reads_the_same(open_page: Open, demo: Demo) -> None:
    plain = open_page(demo.report, java_script_enabled=False).page
    scripted = open_page(demo.report).page
    for part in ("header", ".sortable", ".cards"):
        texts = [page.locator(part).first.text_content() or "" for page in (plain, scripted)]
        assert texts[0].split() == texts[1].split()
    assert plain.locator("button:visible, input:visible, select:visible").count() == 0
    assert shown(plain) == shown(scripted)
    plain.locator(".card details summary").first.click()
    expect(plain.locator(".card details .strip").first).to_be_visible()


def test_another_script_is_not_run(open_page: Open, demo: Demo, tmp_path: Path) -> None:
    text = demo.report.read_text(encoding="utf-8")
    changed = tmp_path / "changed.html"
    changed.write_text(text.replace('"use strict";', '"use strict"; ', 1), encoding="utf-8")
    visit = open_page(changed)
    assert visit.page.locator("button:visible").count() == 0
    assert len(shown(visit.page)) == 60
    assert any("policy" in problem for problem in visit.problems)
    visit.problems.clear()


def test_an_address_in_the_page_is_not_fetched(open_page: Open, demo: Demo, tmp_path: Path) -> None:
    """The policy is what keeps the page alone, even where markup of a post came through."""
    text = demo.report.read_text(encoding="utf-8")
    changed = tmp_path / "changed.html"
    stray = (
        '<img src="http://127.0.0.1:9/a.png"><img src="x" onerror="document.title = 1"><iframe src="file:///"></iframe>'
    )
    changed.write_text(text.replace("</main>", f"{stray}</main>"), encoding="utf-8")
    visit = open_page(changed)
    visit.page.wait_for_load_state()
    assert len(visit.problems) >= 3
    assert visit.page.title() != "1"
    visit.problems.clear()
    visit.requests[:] = [url for url in visit.requests if url == changed.as_uri()]


def test_print_shows_everything(open_page: Open, demo: Demo, screenshot: Callable[..., Path]) -> None:
    page = open_page(demo.report).page
    page.get_by_label("Text or id").fill("no such post")
    assert shown(page) == []
    page.emulate_media(media="print")
    assert len(shown(page)) == 60
    assert page.locator(".card .strip tr:visible").count() == 60 * len(demo.told["runs"])
    closed = page.locator("details:not([open])")
    assert closed.count() > 60
    hidden = "all => all.filter((d) => !d.lastElementChild.checkVisibility({contentVisibilityAuto: true})).length"
    assert closed.evaluate_all(hidden) == 0
    assert page.locator(".filter:visible, dialog:visible").count() == 0
    page.set_viewport_size({"width": 718, "height": 1000})  # A4 less its margins
    assert page.evaluate("document.documentElement.scrollWidth") == 718
    screenshot(page, "report-print", whole=False)
    assert page.pdf().startswith(b"%PDF")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_themes_and_a_phone(
    open_page: Open, demo: Demo, screenshot: Callable[..., Path], theme: str, width: int
) -> None:
    size = {"width": width, "height": 844}
    page = open_page(demo.report, color_scheme=theme, viewport=size).page
    assert page.evaluate("document.documentElement.scrollWidth") == width  # nothing to scroll sideways
    board = page.locator(".scroll").first
    sizes = board.evaluate("(box) => [box.scrollWidth, box.clientWidth]")
    assert (sizes[0] > sizes[1]) == (width == 390)
    picture = Image.open(screenshot(page, f"report-{theme}-{width}", whole=width == 1280)).convert("RGB")
    assert picture.getpixel((2, 2)) == PAPER[theme]
    page.locator(".card .open").first.click()
    box = page.get_by_role("dialog").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert box["height"] <= 844
    screenshot(page, f"post-{theme}-{width}", whole=False)


def test_the_leaderboard_scrolls_by_keyboard_on_a_phone_and_names_stay(open_page: Open, demo: Demo) -> None:
    page = open_page(demo.report, viewport={"width": 390, "height": 844}).page
    page.locator(".scroll").first.focus()
    for _ in range(40):
        page.keyboard.press("ArrowRight")
    expect(head(page, "Seconds")).to_be_in_viewport()
    expect(page.locator(".sortable tbody .name").first).to_be_in_viewport()


def test_the_report_says_what_json_says(open_page: Open, demo: Demo) -> None:
    page = open_page(demo.report).page
    row = page.locator(".sortable tbody tr").first.inner_text()
    best = demo.told["runs"][0]
    assert f"{best['d2']:.3f}" in row
    assert f"{best['lift']:.2f}" in row
    assert re.search(rf"\b{best['mae_rare']:.3f}\b", row)
