"""`python -m data.explore` on tables whose every count is known; what the page, the JSON and the text say of them."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data.config import InputError
from data.explore import Explored
from data.posts import PostsOptions, open_posts
from data.targets import read_target
from tests.data.exploring import closed, known, page_of, table, written

Run = Callable[..., Explored]


@pytest.mark.parametrize("kind", ["parquet", "csv", "tsv"])
def test_every_count_is_told(explored: Run, kind: str) -> None:
    told = explored(known(), kind).to_json()
    pictures, texts, trials = told["pictures"], told["texts"], told["trials"]
    assert (told["posts"], told["columns"]) == (60, 6)
    assert (pictures["there"], pictures["missing"], pictures["unreadable"], pictures["cut"]) == (56, 2, 2, 1)
    assert sum(pictures["faults"].values()) == 2
    assert pictures["formats"] == {"PNG": 52, "JPEG": 4}
    assert pictures["modes"] == {"RGB": 56}
    assert pictures["sizes"] == {"40 × 30": 51, "30 × 60": 4, "100 × 10": 1}
    assert (pictures["width"]["lowest"], pictures["width"]["median"], pictures["width"]["highest"]) == (30, 40, 100)
    assert (pictures["aspect"]["lowest"], pictures["aspect"]["highest"]) == (0.5, 10)
    assert (pictures["copies"]["clusters"], pictures["copies"]["posts"]) == (2, 5)
    assert pictures["copies"]["largest"][0] == {"posts": 3, "first": ["p4", "p5", "p6"], "excerpt": None}
    assert (texts["there"], texts["missing"]) == (58, 2)
    assert texts["copies"]["largest"] == [{"posts": 4, "first": ["p10", "p11", "p12"], "excerpt": "All the same"}]
    assert texts["alphabets"] == {"Latin": 57, "Cyrillic": 1}
    assert texts["letters"]["Cyrillic"] == 9
    assert told["posts_sharing"] == 9
    assert (trials["unknown"], trials["zeros"], trials["below"], trials["enough"]) == (2, 3, 0, 55)
    assert [target["posts"] for target in told["targets"]] == [54, 54]
    assert [target["invalid"] for target in told["targets"]] == [3, 3]


def test_nbytes_are_those_of_the_pictures(explored: Run) -> None:
    posts = table()
    nbytes = explored(posts).to_json()["pictures"]["nbytes"]
    sizes = [len(data) for data in posts["photo"]]
    assert (nbytes["lowest"], nbytes["highest"], nbytes["mean"]) == (min(sizes), max(sizes), np.mean(sizes))


def test_rates_are_those_of_fit(explored: Run, tmp_path: Path) -> None:
    """The same posts, the same rates, the same lines about counts that cannot be right."""
    told = explored(known()).to_json()
    posts = open_posts(PostsOptions(posts=tmp_path / "posts.parquet"))
    for target in told["targets"]:
        fitted = read_target(posts, target["activity"], drop_invalid=True)
        assert (target["name"], target["posts"]) == (fitted.name, len(fitted.y))
        assert target["zeros"] == (fitted.y == 0).sum()
        assert target["mean"] == pytest.approx(fitted.y.mean(), rel=1e-12)
        assert target["spread"]["median"] == np.median(fitted.y)
        with pytest.raises(InputError) as refused:
            read_target(posts, target["activity"])
        lines = str(refused.value).removesuffix(": fix them or pass --drop-invalid").split("; row ")
        for line in [lines[0], *("row " + line for line in lines[1:])]:
            assert line in told["problems"]
    assert len(told["problems"]) == 4


def test_fewer_posts_with_more_trials(explored: Run) -> None:
    told = explored(known(), min_trials=8).to_json()
    assert (told["trials"]["least"], told["trials"]["below"], told["trials"]["enough"]) == (8, 1, 54)
    assert [target["posts"] for target in told["targets"]] == [53, 53]


def test_correlations_are_spearman_s(explored: Run) -> None:
    from scipy.stats import spearmanr

    posts = table()
    told = explored(posts).to_json()["correlations"]
    assert told["names"] == ["like", "comment", "view"]
    rates = {name: posts[name] / posts["view"] for name in ("like", "comment")} | {"view": posts["view"]}
    for row, a in zip(told["rows"], rates.values(), strict=True):
        assert row == pytest.approx([spearmanr(a, b).statistic for b in rates.values()])


def test_page_and_json_tell_the_same(explored: Run) -> None:
    done = explored(known())
    told, page = done.to_json(), page_of(done)
    for target in told["targets"]:
        row = page.row("targets", target["name"])
        r2, d2 = target["ceiling"]["r2"], target["ceiling"]["d2"]
        assert row[1] == f"{target['posts']:,}"
        assert row[2].endswith(f"|{target['zeros']:,}")
        assert row[3] == f"{100 * target['mean']:.{2 if target['mean'] < 0.01 else 1}f} %"
        shown = (f"{r2['value']:.3f}|{r2['low']:.3f} to {r2['high']:.3f}").replace("-", "−")
        assert row[4] == shown
        assert row[6].split("|")[0] == f"{d2['value']:.3f}".replace("-", "−")
        assert row[7].startswith(target["finding"])
    for name in ("width", "height", "bytes"):
        spread = told["pictures"]["nbytes" if name == "bytes" else name]
        keys = ("lowest", "p5", "quarter", "median", "three_quarters", "p95", "highest")
        assert page.row("pictures", name)[1:] == [f"{spread[key]:,.0f}" for key in keys]
    for size, times in told["pictures"]["sizes"].items():
        assert page.row("pictures", size)[1] == str(times)
    for alphabet, times in told["texts"]["letters"].items():
        assert page.row("texts", alphabet)[1] == f"{times:,}"
    names = told["correlations"]["names"]
    for name, row in zip(names, told["correlations"]["rows"], strict=True):
        shown = ["·" if i == names.index(name) else f"{r:.2f}".replace("-", "−") for i, r in enumerate(row)]
        assert page.row("correlations", name)[1:] == shown
    assert told["advice"] in page.text
    assert all(line in page.text for line in told["problems"])
    assert page.row("pictures", "3")[1].replace("\n", "") == "p4, p5, p6"
    assert page.row("texts", "4")[1:] == ["p10, p11, p12, …", "All the same"]


def test_page_and_json_tell_the_same_of_more_trials(explored: Run) -> None:
    posts = known()
    posts["view"] = np.geomspace(40, 4000, len(posts)).astype(int)
    done = explored(posts)
    rungs, page = done.to_json()["rungs"], page_of(done)
    assert len(rungs) > 2
    for rung in rungs:
        r2 = [f"{value:.2f}".replace("-", "−") for value in rung["r2"]]
        assert page.row("trials", f"{rung['least']:,}")[1:] == [f"{rung['posts']:,}", *r2]


def test_the_text_tells_it_in_lines_of_a_terminal(explored: Run) -> None:
    text = str(explored(known()))
    assert "pictures: 56 read, median 40 × 30 pixels; 2 missing, 2 unreadable, 5 copies in 2 clusters" in text
    assert "texts: 58, median" in text
    assert "view: 55 posts with 1 or more" in text
    assert "copies: 9 posts share a picture or a text" in text
    assert all(line.isprintable() for line in text.splitlines())


def test_the_histograms_hold_every_post(explored: Run) -> None:
    told = explored(known()).to_json()
    spreads = [target["spread"] for target in told["targets"]]
    spreads += [told["pictures"][name] for name in ("width", "height", "aspect", "nbytes")]
    spreads += [told["trials"]["spread"], told["texts"]["characters"], *(t["spread"] for t in told["texts"]["tokens"])]
    for spread in spreads:
        assert spread["chart"]["zero"] + sum(spread["chart"]["shares"]) == pytest.approx(1)


def test_as_a_command(tmp_path: Path) -> None:
    written(known(), tmp_path, "csv")
    line = [sys.executable, "-m", "data.explore", "posts.csv", "--languages", "--json"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    page = closed((tmp_path / told["page"]).read_text(encoding="utf-8"))
    assert sum(told["texts"]["languages"].values()) == told["texts"]["there"] == 58
    assert told["texts"]["languages"]["en"] > 20
    assert told["texts"]["languages"]["too short to tell"] >= 5
    assert page.row("texts", "en")[1] == str(told["texts"]["languages"]["en"])
