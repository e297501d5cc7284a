"""The report: one file, well-formed, nothing from outside, nothing of a table or a run taken for markup."""

import base64
import hashlib
import html.parser
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.config import InputError
from data.svg import Histogram, RateAxis
from regress import figures, wording
from regress.compare import Compare, run
from regress.entry import read_entry
from regress.report import TEMPLATES
from regress.standing import Standing

Write = Callable[..., Path]
USEFUL = {"name": "USEFUL", "why": "Its loss is below the mean's."}
VOID = {"meta", "img", "br", "input"}
ADDRESSES = {"src", "href", "action", "data", "poster", "srcset", "xlink:href", "formaction", "background"}


class Page(html.parser.HTMLParser):
    """Elements in order, the text, every attribute; fails on a tag that is not closed where it was opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    @property
    def classes(self) -> list[str]:
        return [value for name, value in self.attributes if name == "class"]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def report(tmp_path: Path) -> Callable[..., str]:
    def make(gallery: int = 24) -> str:
        out = tmp_path / "report.html"
        run(Compare(runs=tmp_path / "runs", out=out, gallery=gallery))
        return out.read_text(encoding="utf-8")

    return make


def check_closed(page: Page, text: str) -> None:
    """Our script alone, no handler, no address but data: pictures, no url() in the styles."""
    assert not {"iframe", "object", "embed", "link", "form", "base"} & set(page.elements)
    (script,) = re.findall(r"<script[^>]*>(.*?)</script>", text, re.DOTALL)
    assert page.elements.count("script") == 1
    assert script == (TEMPLATES / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'; base-uri" in text
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    ids = {value for name, value in page.attributes if name == "id"}
    addresses = [value for name, value in page.attributes if name in ADDRESSES]
    assert all(value.startswith(("data:image/webp;base64,", "#")) for value in addresses)
    assert {value[1:] for value in addresses if value.startswith("#")} <= ids  # of sections that are there
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    inline = [value for name, value in page.attributes if name == "style"]
    safe = r"((--run:var\(--[a-z0-9]+\)|(left|width|--[xtlh]):\d{1,3}\.\d+%);?)+"
    assert all(re.fullmatch(safe, value) for value in inline)


def test_the_page_is_whole_and_closed(report: Any, three_runs: list[Path]) -> None:
    text = report()
    page = Page(text)
    check_closed(page, text)
    assert text.lstrip().startswith("<!DOCTYPE html>")
    policy = next(value for name, value in page.attributes if value.startswith("default-src"))
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "prefers-color-scheme: dark" in text
    assert "http://" not in text
    assert "https://" not in text


def test_every_run_is_named_judged_and_drawn(report: Any, three_runs: list[Path]) -> None:
    text = report()
    page = Page(text)
    for folder in three_runs:
        entry = read_entry(folder)
        assert entry.name in page.text
        assert entry.why in page.text
    assert page.text.count("COLLAPSED") >= 2
    assert "ridge-bce-a+b is really better than predicting the mean." in page.text
    figure_labels = [v for n, v in page.attributes if n == "aria-label" and "half of the predictions" in v]
    assert len(figure_labels) == 3
    assert "0.180 to 0.310" in page.text


def test_the_gallery_shows_picture_text_truth_and_every_prediction(report: Any, three_runs: list[Path]) -> None:
    page = Page(report())
    cards = page.classes.count("card")
    assert cards == 24
    assert page.text.count("95 % from ") == cards
    assert page.elements.count("img") >= cards - 2  # posts 4 and 5 have none
    assert len(re.findall(r"true: \d+ of [\d,]+ view", page.text)) == cards
    assert page.text.count("20.0\u00a0%") >= cards  # the mean's prediction
    assert page.text.count("21.0\u00a0%") >= cards  # the head's
    assert "bread" in page.text
    assert "picture of post post-" in " ".join(value for name, value in page.attributes if name == "alt")


def test_hostile_texts_and_names_stay_text(report: Any, write_run: Write, hostile: str) -> None:
    changes: dict[str, Any] = {
        "name": hostile,
        "model": hostile,
        "features": [hostile],
        "loss": hostile,
        "created": hostile,
        "verdict": {"name": hostile, "why": hostile},
        "target": {"name": hostile, "trials": hostile},
        "folds": {"group": hostile},
        "config": {"model": [hostile], "target": hostile},
        "environment": {hostile: hostile},
        "calibrator": {hostile: 1.0},
    }
    write_run("one", **changes)
    text = report()
    page = Page(text)
    check_closed(page, text)
    assert "<script>alert(1)</script>" in page.text  # shown, as text
    assert "{{ 7*7 }}" in page.text  # and not 49
    assert "\x1b" not in text
    assert page.elements.count("img") == sum(name == "src" for name, _ in page.attributes)


def test_the_script_parses_no_markup_and_makes_no_request() -> None:
    source = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    markup = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "createContextualFragment")
    code = ("eval(", "Function(", "setTimeout", "import(", "srcdoc", "javascript:", "onclick")
    network = ("fetch(", "XMLHttpRequest", "WebSocket", "EventSource", "sendBeacon", "http")
    assert not [word for word in (*markup, *code, *network) if word in source]
    assert source.startswith('"use strict";')
    assert not re.search(r"</script|<!--", source, re.IGNORECASE)  # the parser of HTML would end it there


def test_the_size_is_bounded(report: Any, write_run: Write) -> None:
    for i in range(10):
        write_run(f"run-{i}", name=f"run {i}", metrics={"d2": 0.1 + i / 100})
    text = report()
    assert len(text.encode()) < 500_000
    assert text.count("long ") < 2500  # the long text is cut
    assert Page(report(0)).classes.count("card") == 0


def test_posts_that_are_gone_or_changed_leave_a_note(report: Any, three_runs: list[Path], odd: Any) -> None:
    with open(odd.path, "ab") as file:
        file.write(b"x")
    page = Page(report())
    assert "posts.parquet has changed since the runs were fitted" in page.text
    assert "img" not in page.elements
    odd.path.unlink()
    assert "posts.parquet is not where it was" in Page(report()).text


def test_a_report_is_the_same_when_made_again(report: Any, three_runs: list[Path]) -> None:
    assert report() == report()


def test_only_the_mean(report: Any, write_run: Write) -> None:
    write_run("mean-1", 0.2, "mean")
    assert "There is nothing to compare with the mean yet." in Page(report()).text


def test_the_headline_does_not_praise_an_unproven_run(write_run: Write) -> None:
    unproven = {"name": "UNPROVEN", "why": "The interval spans 0."}
    entries = [read_entry(write_run("a", name="lucky", metrics={"d2": 0.4}, verdict=unproven))]
    assert wording.headline(entries, [Standing()]).title == "No run is proven better than predicting the mean."
    entries.append(read_entry(write_run("b", name="solid", verdict=USEFUL)))
    told = wording.headline(entries, [Standing()] * 2)
    assert told.title == "solid is really better than predicting the mean."
    assert told.notes == ["lucky has a higher D², but is UNPROVEN: The interval spans 0."]


def test_overlapping_intervals_are_said_to_be_unsettled(write_run: Write) -> None:
    best = read_entry(write_run("a", name="best", metrics={"d2": 0.25, "d2_low": 0.18}, verdict=USEFUL))
    near = read_entry(write_run("b", name="near", metrics={"d2": 0.2, "d2_high": 0.19}, verdict=USEFUL))
    far = read_entry(write_run("c", name="far", metrics={"d2": 0.1, "d2_high": 0.12}, verdict=USEFUL))
    untested = [Standing()] * 3
    assert wording.headline([best, near, far], untested).notes == [
        "Its interval overlaps that of near: their order is not settled."
    ]
    assert wording.headline([best, far], untested[:2]).notes == []
    tested = [Standing(p_mean=0.01), Standing(0.01, 0.04), Standing(0.01, 0.3)]  # tests decide where there are any
    assert wording.headline([best, near, far], tested).notes == [
        "Its folds do not tell it from far (p\u00a0≥\u00a00.30): their order is not settled."
    ]


def test_the_command_leaves_defaults_out() -> None:
    config = {"posts": "my posts.csv", "model": ["lgbm", "ridge"], "loss": ["bce"], "drop_invalid": True, "folds": 3}
    told = wording.command(config)
    assert told == "python -m regress.fit 'my posts.csv' --model lgbm,ridge --folds 3 --drop-invalid"


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=60))
def test_reliability_groups_hold_every_post_once(pairs: list[tuple[float, float]]) -> None:
    y, p = np.array(pairs).T
    groups = figures.reliability(y, p)
    assert sum(group.posts for group in groups) == len(y)
    assert sum(group.posts * group.observed for group in groups) == pytest.approx(y.sum())
    assert [group.predicted for group in groups] == sorted(group.predicted for group in groups)


def test_reliability_of_one_constant_is_one_group() -> None:
    assert len(figures.reliability(np.linspace(0, 1, 40), np.full(40, 0.3))) == 1


@given(st.lists(st.tuples(st.floats(-50, 1), st.floats(0, 1)), max_size=8))
def test_a_skill_axis_has_zero_on_it_and_is_not_flattened_by_a_bad_run(pairs: list[tuple[float, float]]) -> None:
    axis = figures.SkillAxis.of([(low, max(low, high)) for low, high in pairs])
    assert axis.low <= 0 < axis.high <= 1.05
    assert -axis.low <= axis.high
    assert any(abs(tick) < 1e-12 for tick in axis.ticks())


def test_a_run_off_the_scale_is_an_arrow() -> None:
    axis = figures.SkillAxis(-0.2, 0.2)
    assert "<circle" in figures.skill(0.1, 0.0, 0.15, axis)
    assert "<circle" not in figures.skill(-5.0, -6.0, -4.0, axis)
    assert "dot" in figures.skill(-5.0, -6.0, -4.0, axis)
    assert "dot" not in figures.skill(None, None, None, axis)


def test_a_figures_label_is_escaped() -> None:
    axis = RateAxis(1.0)
    bars = Histogram.of(np.array([0.0, 0.5]), axis)
    assert '"><script>' not in figures.distribution(bars, bars, axis, 0.6, '"><script>')


def test_a_run_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no run"):
        read_entry(tmp_path)
