"""Texts that break readers go through the whole extraction, and the other texts' rows stay as they are."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from data.text import clean
from embed.extract import Extract, run
from embed.requests import EncoderOptions, build
from embed.statistics import FEATURE_NAMES, Statistics

GOOD = [f"an ordinary post number {number}" for number in range(8)]
BLANK = ["", " \t\n ", "\x07\x00", "<br><br>", "\u2028\u3000", None]
HOSTILE = [
    "a NUL \x00 inside",
    "right to left \u202eevil\u202c, \u0645\u0631\u062d\u0628\u0627",
    "zero\u200bwidth\u200d\ufeff",
    "a" + "\u0301" * 10_000,
    "word " * 200_000,  # 1 MB
    "x" * 1_000_000,
    "<script>alert(1)</script><b>bold</b> &lt;b&gt; &#0; &bogus;",
    "<" * 100_000,
    "\U0001f468\u200d" * 3000,
    "=cmd|' /C calc'!A0",
    "\ufdfa" * 1000,  # one character that NFKC makes 18 of
    "\U0010ffff\ufffe\uffff",
]


def extract(folder: Path) -> dict[str, Any]:
    """With the statistics alone: an encoder of pictures is named and finds none, so it is never loaded."""
    posts, cache = folder / "posts.parquet", folder / "cache.h5"
    return run(Extract(posts=posts, cache=cache, image=("test_resnet",), device="cpu")).to_json()


def rows(folder: Path) -> dict[bytes, bytes]:
    """Content key → the bytes of its vector."""
    with h5py.File(folder / "cache.h5") as file:
        space = file["text_statistics"]
        return {k.tobytes(): v.tobytes() for k, v in zip(space["key"][:], space["embedding"][:], strict=True)}


def test_all_have_statistics_and_leave_the_others_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    plain, mixed = tmp_path / "plain", tmp_path / "mixed"
    for folder, texts in ((plain, GOOD), (mixed, [*HOSTILE, *GOOD[::-1], *BLANK])):
        folder.mkdir()
        pd.DataFrame({"text": texts, "photo": None}).to_parquet(folder / "posts.parquet")
        report = extract(folder)
    assert report["unread"]["text"] == {"missing": len(BLANK)}
    counts = report["encoders"]["text_statistics"]
    assert (counts["embedded"], counts["failed"]) == (len(GOOD) + len(HOSTILE), 0)
    assert rows(plain).items() <= rows(mixed).items()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("text", [*HOSTILE, "\ud800 lone \udfff", "\ud83d"])
def test_the_statistics_of_a_cleaned_text_are_finite_counts(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode()  # nothing is left that UTF-8 cannot hold, so every text has a key
    (request,) = (one for one in build(EncoderOptions(device="cpu")) if one.name == "text_statistics")
    row = Statistics(request).prepare(cleaned, bytes(32))
    assert row.shape == (len(FEATURE_NAMES["text"]),)
    assert np.isfinite(row).all()
    assert row[0] == len(cleaned)
