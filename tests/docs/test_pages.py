"""The pages of documentation print what they say, and become a site without a warning."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import pytest

from tests.docs.pages import ROOT, check, matches, refresh

DOCS = ROOT / "docs"
PAGES = sorted(page for page in DOCS.glob("*.md") if re.search("```(python|console)", page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_prints_what_it_says(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mpl.use("Agg")
    check(page)


def test_the_three_pages_are_run() -> None:
    assert {"quickstart", "your-posts", "oversampling"} <= {page.stem for page in PAGES}


@pytest.mark.parametrize(
    ("said", "printed", "right"),
    [
        ("a 0.123 b", "a  0.9 b", True),
        ("a 0.123 b", "a 0.9 c", False),
        ("a\n…\nb", "a\nb", True),
        ("a\n…\nb", "a\nx\ny\nb", True),
        ("a\n…\nb", "a\nx\ny", False),
        ("a", "a\nb", False),
        ("USEFUL", "COLLAPSED", False),
        ("−0.5", "0.5", True),
    ],
)
def test_only_figures_may_differ(said: str, printed: str, right: bool) -> None:
    assert matches(said, printed) is right


def test_a_page_that_lies_is_found_and_can_be_refreshed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\nprint('one', 1)\n```\n\n```text\ntwo 1\n```\n\n```console\n$ echo three\nfour\n```\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError, match="two"):
        check(page)
    refresh(page)
    assert "one 1\n" in page.read_text()
    assert "$ echo three\nthree\n" in page.read_text()
    check(page)


def test_a_command_that_fails_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```console\n$ false\n…\n```\n")
    with pytest.raises(AssertionError, match="false"):
        check(page)


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    source = tmp_path / "docs"
    shutil.copytree(DOCS, source, ignore=shutil.ignore_patterns("_build"))
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-b",
        "html",
        str(source),
        str(tmp_path / "site"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    site = {file.stem: file.read_text(encoding="utf-8") for file in (tmp_path / "site").glob("*.html")}
    assert {page.stem for page in DOCS.glob("*.md")} <= set(site)
    assert "neighbors_by" in site["reference"]
