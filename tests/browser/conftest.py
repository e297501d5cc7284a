"""Reports made by the real commands on demo posts, some of them hostile, and a headless Chromium that opens them.

Where no browser is found the tests are skipped with a reason, but fail where CI=true, which must not pass without
them: NO_BROWSER=1 leaves them out there too. SCREENSHOTS=FOLDER keeps the screenshots.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.regress.conftest import HOSTILE

ROOT = Path(__file__).parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chromium-headless-shell")
POSTS = 120
TEXTS = {
    3: f"{HOSTILE}&lt;img src=x onerror=alert(5)&gt;",  # reading a post takes tags out, not entities
    4: "\u202egnp.exe \u2067 isolated",  # an override and an isolate that nothing ends
    5: "long " * 200_000,  # a megabyte
    6: "'; alert(3); //\n</textarea><svg onload=alert(4)>\n\n&lt;b&gt;",
}


@dataclass
class Demo:
    """Folder of the reports, and what `--json` said of the runs."""

    folder: Path
    told: dict[str, Any]

    @property
    def report(self) -> Path:
        return self.folder / "report.html"

    @property
    def everything(self) -> Path:
        """A report whose gallery has every post."""
        return self.folder / "everything.html"


@dataclass
class Visit:
    """A page that is open, and what it asked for and complained about since."""

    page: Page
    requests: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # console errors and warnings, exceptions, blocked by the policy


Open = Callable[..., Visit]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The commands of `make demo` in short: 120 posts, eleven runs."""
    folder = tmp_path_factory.mktemp("demo")
    command(folder, "data.sample")
    path = folder / "data" / "sample" / "posts.parquet"
    posts = pd.read_parquet(path)
    posts = posts[posts["occurrences"] >= 5].sample(POSTS, random_state=0).reset_index(drop=True)
    for row, text in TEXTS.items():
        posts.loc[row, "text"] = text
    posts.loc[3, "id"] = HOSTILE
    posts.at[7, "photo"] = None
    posts.at[8, "photo"] = b"\xff\xd8\xff broken"
    posts.to_parquet(path, index=False)
    command(folder, "embed.extract", "--backend", "eager")
    fit = ("regress.fit", "--target", "negative", "--trials", "occurrences", "--folds", "3", "--model")
    command(folder, *fit, "mean,ridge,knn,lgbm", "--features", "image,text,all")
    command(folder, *fit, "ridge", "--features", "text", "--oversample", "random")
    told = json.loads(command(folder, "regress.compare", "--json"))
    command(folder, "regress.compare", "--gallery", "1000", "--out", "everything.html")
    return Demo(folder, told)


def command(folder: Path, module: str, *arguments: str) -> str:
    """Standard output of one of our commands."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")  # and not longer: while it runs, no other test can have an event loop
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        path = own if Path(own).exists() else next(filter(None, map(shutil.which, BROWSERS)), None)
        if path is None:
            why = "no Chromium: apt-get install chromium, or playwright install chromium"
            if os.environ.get("CI") == "true" and os.environ.get("NO_BROWSER") != "1":
                pytest.fail(f"{why}, or NO_BROWSER=1 to do without", pytrace=False)
            pytest.skip(why)
        yield playwright.chromium.launch(executable_path=path)


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """`open_page(path, **options of the context)`; what was fetched or complained about fails the test at its end.

    A test that wants complaints takes them out of `problems`.
    """
    visits: list[tuple[Visit, str]] = []

    def visit(path: Path, **options: Any) -> Visit:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
        context.add_init_script(
            "addEventListener('securitypolicyviolation', (e) => console.error('policy', e.blockedURI))"
        )
        context.set_default_timeout(10_000)  # ms
        made = Visit(context.new_page())
        visits.append((made, path.as_uri()))
        made.page.on("request", lambda request: made.requests.append(request.url))
        made.page.on("pageerror", lambda error: made.problems.append(str(error)))
        made.page.on("dialog", lambda dialog: made.problems.append(f"dialog {dialog.message}"))
        made.page.on("console", lambda m: made.problems.append(m.text) if m.type in ("error", "warning") else None)
        made.page.goto(path.as_uri())
        return made

    yield visit
    for made, address in visits:
        made.page.context.close()
        assert made.problems == []
        assert [url for url in made.requests if not url.startswith("data:")] == [address]


@pytest.fixture
def screenshot(tmp_path: Path) -> Callable[..., Path]:
    """`screenshot(page, name)` → a PNG of the whole page, or with `whole=False` of the window."""

    def take(page: Page, name: str, *, whole: bool = True) -> Path:
        folder = Path(os.environ.get("SCREENSHOTS") or tmp_path)
        page.screenshot(path=folder / f"{name}.png", full_page=whole)
        return folder / f"{name}.png"

    return take
