"""Explorations of tables with nothing, or with anything, in them: told, never raised, and never taken for markup."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.config import InputError, main
from data.exploration.advice import EVENTS, Judged, judge, recommend
from data.exploration.ceiling import Ceiling, Interval
from data.explore import Explore, Explored, run
from embed import packaged
from tests.data.exploring import known, page_of, picture, table, written
from tests.regress.conftest import HOSTILE

Run = Callable[..., Explored]
RTL = "\u202eabc\u202c\u2066\u200f"
CONTROLS = "a\x00b\x1b]0;title\x07\x9b31m\x7f\u2028c"


def finding(done: Explored, activity: str) -> str:
    return next(str(t["finding"]) for t in done.to_json()["targets"] if t["activity"] == activity)


def test_without_pictures(explored: Run) -> None:
    done = explored(table().drop(columns="photo"))
    assert done.to_json()["pictures"]["column"] is None
    assert "name it with --image-column NAME" in page_of(done).text
    assert "pictures: no column of pictures" in str(done)


def test_without_texts(explored: Run) -> None:
    done = explored(table().drop(columns="text"))
    assert done.to_json()["texts"]["column"] is None
    assert "name it with --text-column NAME" in page_of(done).text


@pytest.mark.parametrize("columns", [["view"], ["like", "comment"], ["view", "like", "comment"]])
def test_without_counts(explored: Run, columns: list[str]) -> None:
    done = explored(table().drop(columns=columns))
    told = done.to_json()
    assert (told["targets"], told["recommended"], told["correlations"]) == ([], None, None)
    assert "60 posts without rates" in page_of(done).text
    assert ("--trials NAME" if "view" in columns else "--activities NAME") in told["notes"][0]


@pytest.mark.parametrize("rows", [1, 2, 3, 19])
def test_few_rows(explored: Run, rows: int) -> None:
    done = explored(table().head(rows))
    assert done.to_json()["posts"] == rows
    assert finding(done, "like") == "too few posts"
    assert done.to_json()["recommended"] is None


@pytest.mark.parametrize(("counts", "expected"), [(0, "constant"), (10, "constant"), (100, "constant")])
def test_constants(explored: Run, counts: int, expected: str) -> None:
    posts = table().assign(view=100, like=counts, comment=counts)
    done = explored(posts)
    assert finding(done, "like") == expected
    assert done.to_json()["targets"][0]["zeros"] == (0 if counts else 60)
    assert done.to_json()["targets"][0]["ceiling"]["r2"] is None
    assert done.to_json()["correlations"]["rows"] == [[None] * 3] * 3


def test_nobody_saw_any(explored: Run) -> None:
    done = explored(table().assign(view=0, like=0, comment=0))
    assert done.to_json()["trials"]["zeros"] == 60
    assert [target["posts"] for target in done.to_json()["targets"]] == [0, 0]
    assert finding(done, "like") == "too few posts"


def test_all_counts_are_missing_or_wrong(explored: Run) -> None:
    posts = table().assign(view=np.nan, like=np.inf)
    done = explored(posts)
    assert done.to_json()["trials"]["unknown"] == 60
    assert [target["posts"] for target in done.to_json()["targets"]] == [0, 0]


def test_all_were_seen_once(explored: Run) -> None:
    done = explored(table().assign(view=1, like=[0, 1] * 30, comment=0))
    assert finding(done, "like") == "one trial each"


def test_no_picture_and_no_text_in_any_row(explored: Run) -> None:
    done = explored(table().assign(photo=None, text=None))
    told = done.to_json()
    assert (told["pictures"]["missing"], told["texts"]["missing"], told["posts_sharing"]) == (60, 60, 0)


def test_no_picture_can_be_read(explored: Run) -> None:
    told = explored(table().assign(photo=b"")).to_json()
    assert told["pictures"]["faults"] == {"empty file": 60}
    assert told["posts_sharing"] == 0  # what cannot be read gives nothing away


def test_all_are_copies(explored: Run) -> None:
    told = explored(table().assign(photo=[picture(1)] * 60, text="the same")).to_json()
    assert told["posts_sharing"] == 60
    assert told["texts"]["copies"]["largest"][0]["posts"] == 60


def test_huge_counts(explored: Run) -> None:
    told = explored(table().assign(view=[2.0**53] * 30 + [1e308] * 30, like=1.0)).to_json()
    assert told["trials"]["unknown"] == 30
    assert told["problems"] == ["row 31 (id 'p30'): view='1e+308' is larger than any count; 30 rows like this"]


def test_activities_that_add_up_to_the_trials(explored: Run) -> None:
    posts = table()
    done = explored(posts.assign(comment=posts["view"] - posts["like"]))
    assert "add up to the trials in every post" in page_of(done).text


def test_a_column_of_other_numbers_is_no_activity(explored: Run) -> None:
    posts = table().drop(columns="comment").rename(columns={"like": "clicks"}).assign(author=range(10**6, 10**6 + 60))
    told = explored(posts).to_json()
    assert [target["activity"] for target in told["targets"]] == ["clicks"]
    assert told["notes"] == ["'author' is no activity: most of its counts cannot be right"]


def test_more_activities_than_fit_on_a_page(explored: Run) -> None:
    posts, names = table(), tuple(f"a{i}" for i in range(20))
    told = explored(posts.assign(**dict.fromkeys(names, posts["like"])), activities=names).to_json()
    assert len(told["targets"]) == 16
    assert told["notes"] == ["the first 16 of 20 columns of counts: --activities NAME,… picks"]


@pytest.mark.parametrize("name", [HOSTILE, RTL, CONTROLS, "</svg><svg onload=x>", "x" * 5000], ids=range(5))
def test_hostile_names_texts_and_ids_stay_text(explored: Run, name: str) -> None:
    posts = known()
    ids, texts = list(posts["id"]), list(posts["text"])
    ids[4] = ids[10] = name
    ids[10] += "!"
    texts[10:14] = [name + " text"] * 4
    posts["id"], posts["text"] = ids, texts
    posts = posts.rename(columns={"like": name, "view": name + "?"})
    done = explored(posts, trials=name + "?", activities=(name, "comment"))
    page = page_of(done)
    assert {"svg", "table", "html"} < set(page.elements)
    assert all(line.isprintable() for line in str(done).splitlines())
    if name == HOSTILE:
        assert page.text.count("<script>alert(1)</script>") > 3
        assert "{{ 7*7 }}" in page.text
        assert "49" not in {cell for row in page.rows["targets"] for cell in row}


def test_a_name_does_not_turn_the_words_after_it(explored: Run) -> None:
    """U+202E in a column's name has a browser show the rest of a sentence backwards."""
    posts = known()
    posts.loc[3, "like"] = 10**6
    told = explored(posts.rename(columns={"like": RTL}), activities=(RTL,)).found
    assert "exceeds" in " ".join(told.problems)
    for text in (told.headline, told.advice, *told.problems, *(each.name for each in told.conversions)):
        assert not set("\u202e\u202c\u2066\u200f") & set(text)
    assert [each.activity for each in told.conversions] == [RTL]


def test_lone_surrogates_of_a_command_line_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no column"):
        run(Explore(posts=written(table(), tmp_path, "csv"), out=tmp_path / "x.html", trials="\udc80"))


def test_a_file_whose_name_is_markup_and_no_utf8(tmp_path: Path) -> None:
    path = written(table(), tmp_path, "csv").rename(tmp_path / "<b onclick=x>\udcff\x1b.csv")
    done = run(Explore(posts=path, out=tmp_path / "x.html"))
    assert "<b onclick=x>\ufffd\ufffd.csv" in page_of(done).text
    assert all(line.isprintable() for line in str(done).splitlines())
    path = written(table(), tmp_path, "parquet").rename(tmp_path / "\udcff.parquet")
    with pytest.raises(InputError, match="name is not UTF-8: rename it"):  # pyarrow opens no such file
        run(Explore(posts=path, out=tmp_path / "x.html"))


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_counts_are_told(explored: Run, draw: st.DataObject) -> None:
    cells = st.one_of(
        st.integers(-3, 30), st.none(), st.floats(), st.sampled_from(["", "nan", "1e400", "x", HOSTILE, "0x10", "٣"])
    )
    n = draw.draw(st.integers(1, 30))
    columns = {name: draw.draw(st.lists(cells, min_size=n, max_size=n)) for name in ("view", "like", "comment")}
    done = explored(pd.DataFrame({name: [str(c) for c in column] for name, column in columns.items()}), "csv")
    told = done.to_json()
    for target in told["targets"]:
        assert target["posts"] <= told["trials"]["enough"] <= n
    trials = told["trials"]
    assert trials["unknown"] + trials["zeros"] + trials["below"] + trials["enough"] == n


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "activities": ({"activities": ("like", "likes")}, "has no column 'likes'"),
    "trials": ({"trials": "seen"}, "has no column 'seen'"),
    "min_trials": ({"min_trials": 0}, "--min-trials 0: expected 1 or more"),
    "text": ({"text_column": "words"}, "has no column 'words'"),
    "tokenizer": ({"tokenizer": Path("none.json")}, "cannot be read"),
    "folder": ({"out": Path("folder")}, "is a folder: name a file"),
    "parent": ({"out": Path("posts.csv/explore.html")}, "cannot be written"),
    "device": ({"out": Path("/proc/explore.html")}, "cannot be written"),
    "table": ({"posts": Path("none.csv")}, "no such file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_told_in_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written(table(), tmp_path, "csv")
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    flags, expected = REFUSED[name]
    flags = {"posts": Path("posts.csv"), **flags}
    line = [str(flags.pop("posts"))]
    for flag, value in flags.items():
        line += ["--" + flag.replace("_", "-"), ",".join(value) if isinstance(value, tuple) else str(value)]
    assert main(Explore, run, line) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert expected in told.err
    assert told.err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_an_older_page_stays_when_the_new_one_fails(tmp_path: Path) -> None:
    out = tmp_path / "explore.html"
    out.write_text("older", encoding="utf-8")
    with pytest.raises(InputError):
        run(Explore(posts=written(table(), tmp_path, "csv"), out=out, trials="none"))
    assert out.read_text(encoding="utf-8") == "older"
    run(Explore(posts=tmp_path / "posts.csv", out=out))
    assert out.read_text(encoding="utf-8") != "older"


def test_exact_tokens_are_told_as_such(explored: Run) -> None:
    folder = packaged.find(packaged.TEXT)
    assert folder is not None
    posts = table()
    posts["text"] = ["cat " * 600, *posts["text"][1:]]
    done = explored(posts, tokenizer=folder / "tokenizer.json")
    (tokens,) = done.to_json()["texts"]["tokens"]
    assert (tokens["vocabulary"], tokens["over"], tokens["spread"]["highest"]) == ("exact", 1, 602)
    assert "over 512 tokens (counted): 1 exact" in str(done)
    assert "Tokens, exact" in page_of(done).text


def ceiling(low: float, value: float | None = None) -> Ceiling:
    middle = low + 0.1 if value is None else value
    return Ceiling(1000, Interval(middle, low, middle + 0.1), None)


CASES: list[tuple[dict[str, Any], str]] = [
    ({"posts": 19, "zeros": 0}, "too few posts"),
    ({"varies": False}, "constant"),
    ({"ceiling": Ceiling(0, None, None)}, "one trial each"),
    ({"ceiling": ceiling(-0.5)}, "too even"),
    ({"ceiling": ceiling(-0.1)}, "mostly luck"),
    ({"ceiling": ceiling(0.049)}, "mostly luck"),
    ({"ceiling": ceiling(0.05)}, "worth trying"),
    ({"zeros": 1000 - EVENTS + 1}, "few events"),
    ({"zeros": 1000 - EVENTS}, "mostly zeros"),
    ({"zeros": 751}, "mostly zeros"),
    ({"zeros": 750}, "worth trying"),
    ({}, "worth trying"),
]


@pytest.mark.parametrize(("changes", "expected"), CASES)
def test_the_first_finding_that_holds(changes: dict[str, Any], expected: str) -> None:
    case: dict[str, Any] = {"posts": 1000, "zeros": 100, "varies": True, "ceiling": ceiling(0.5)} | changes
    assert judge("a", case["posts"], case["zeros"], case["varies"], case["ceiling"]).finding == expected


def judged(name: str, zeros: int, low: float) -> Judged:
    return judge(name, 1000, zeros, True, ceiling(low))


@pytest.mark.parametrize(
    ("targets", "picked"),
    [
        ([judged("a", 500, 0.9), judged("b", 100, 0.86), judged("c", 0, 0.84)], "b"),  # c's is not within 0.05
        ([judged("a", 800, 0.95), judged("b", 600, 0.2)], "b"),  # mostly zeros come second
        ([judged("a", 800, 0.95), judged("b", 850, 0.99)], "a"),
        ([judged("a", 100, 0.01), judged("b", 990, 0.5)], None),
        ([judged("a", 100, 0.5), judged("b", 100, 0.5)], "a"),
        ([], None),
    ],
)
def test_the_rule_picks(targets: list[Judged], picked: str | None) -> None:
    found = recommend(targets)
    assert (found.name if found else None) == picked


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        (0.01, "The table itself names comment / view (mostly luck): at most R² "),
        (0.0, "The table itself names comment / view (constant): all posts have the same rate."),
    ],
)
def test_what_a_table_declares_is_weighed_against_the_pick(tmp_path: Path, rate: float, said: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(1)
    view = np.full(400, 500)
    columns = {"view": view, "like": rng.binomial(view, rng.beta(2, 8, 400)), "comment": rng.binomial(view, rate)}
    declared = json.dumps({"trials": "view", "target": "comment", "activities": ["like", "comment"], "min_trials": 5})
    posts = pa.Table.from_pandas(pd.DataFrame(columns)).replace_schema_metadata({"embed_regress": declared})
    pq.write_table(posts, tmp_path / "posts.parquet")
    told = run(Explore(posts=tmp_path / "posts.parquet", out=tmp_path / "x.html")).to_json()
    assert told["recommended"] == "like / view"
    assert said in told["advice"]
    assert told["trials"]["least"] == 5
