"""Pages: what may be in them, and how they write numbers and names."""

import base64
import hashlib
import re
from pathlib import Path

import pytest

from data import page


def rendered(folder: Path, main: str, script: str | None = None) -> str:
    """A page whose body is the Jinja source `main`."""
    (folder / "it.html").write_text('{% extends "page.html" %}{% block main %}' + main + "{% endblock %}")
    if script is not None:
        (folder / "it.js").write_text(script)
    return page.render(folder, "it.html", {"name": "<script>\x00\ud800"}, None if script is None else "it.js")


def test_text_stays_text(tmp_path: Path) -> None:
    assert "&lt;script&gt;\ufffd\ufffd" in rendered(tmp_path, "{{ name }}")


def test_a_page_without_a_script_allows_none(tmp_path: Path) -> None:
    html = rendered(tmp_path, "")
    assert "<script" not in html
    assert "script-src" not in html
    assert "default-src 'none'" in html


def test_only_the_pages_own_script_may_run(tmp_path: Path) -> None:
    html = rendered(tmp_path, "", "let less = 1 < 2 && 3;")
    inside = re.search(r"<script>(.*?)</script>", html, re.DOTALL)
    assert inside is not None
    assert inside[1] == "let less = 1 < 2 && 3;"
    digest = base64.b64encode(hashlib.sha256(inside[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in html


@pytest.mark.parametrize(
    ("rate", "shown"),
    [(0, "0.0\u00a0%"), (0.00123, "0.12\u00a0%"), (0.123, "12.3\u00a0%"), (1, "100\u00a0%"), (-0.05, "−5.0\u00a0%")],
)
def test_percent(rate: float, shown: str) -> None:
    assert page.percent(rate) == shown


@pytest.mark.parametrize(("value", "shown"), [(None, "–"), (-0.0001, "0.000"), (-0.27, "−0.270"), (0.6254, "0.625")])
def test_fixed_has_a_true_minus_and_no_negative_zero(value: float | None, shown: str) -> None:
    assert page.fixed(value, 3) == shown
