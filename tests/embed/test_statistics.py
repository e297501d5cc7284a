"""The hand-made statistics: definitions by example, emoji against the published list, and hostile texts."""

import time
from typing import Literal

import emoji
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.text import CLEANING_VERSION
from embed.images import DECODE_MODE, Picture
from embed.requests import Request
from embed.statistics import FEATURE_NAMES, VERSION, Statistics, text_statistics

KEY = bytes(32)
RGI = [sign for sign, entry in emoji.EMOJI_DATA.items() if entry["status"] == emoji.STATUS["fully_qualified"]]


def statistics(kind: Literal["image", "text"]) -> Statistics:
    return Statistics(Request(kind=kind, family="statistics", name=f"{kind}_statistics", storage_dtype="float32"))


def of(text: str) -> dict[str, float]:
    return dict(zip(FEATURE_NAMES["text"], text_statistics(text), strict=True))


def test_a_picture_s_numbers() -> None:
    encoder = statistics("image")
    wide = encoder.prepare(Picture(np.zeros((200, 300, 3), np.uint8), 70_001), KEY)
    tall = encoder.prepare(Picture(np.zeros((4, 1, 3), np.uint8), 16_777_217), KEY)
    rows = encoder.encode([wide, tall])
    assert rows.dtype == np.float32
    assert encoder.dim == len(FEATURE_NAMES["image"]) == 4
    assert np.array_equal(rows, np.array([[300, 200, 1.5, 70_001], [1, 4, 0.25, 16_777_217]], np.float32))


def test_a_post() -> None:
    text = (
        "НОВИНКА! Кофе «Кот-матроскин» за 199 ₽ 😻😻\nЖдём вас в @bonneville_cafe\n\n"
        "#кофе #2024 https://vk.cc/a?b=1 Идёте??"
    )
    words = "НОВИНКА Кофе Кот-матроскин за 199 Ждём вас в bonneville cafe кофе 2024 https vk cc a b 1 Идёте"
    assert of(text) == {
        "length": len(text),
        "words": words.count(" ") + 1,
        "capitals": 11,
        "emoji": 2,
        "hashtags": 1,
        "mentions": 1,
        "links": 1,
        "line_breaks": 3,
        "question_marks": 3,
        "digits": 8,
    }


def test_an_empty_text_is_all_zeros() -> None:
    assert not any(text_statistics(""))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("it's well-known", 2),
        ("Мама мыла раму", 3),
        ("— … !!", 0),
        ("3,14", 2),
        ("日本", 1),
        ("snake_case", 2),
        ("l’été", 1),
    ],
)
def test_words(text: str, words: int) -> None:
    assert of(text)["words"] == words


@pytest.mark.parametrize(
    ("text", "hashtags"),
    [("#кот", 1), ("#2024", 0), ("#2024год", 1), ("a#b", 0), ("##a", 1), ("#a#b", 1), ("# a", 0), ("(#a)", 1)],
)
def test_hashtags(text: str, hashtags: int) -> None:
    assert of(text)["hashtags"] == hashtags


@pytest.mark.parametrize(
    ("text", "mentions"), [("@anna, @ivan", 2), ("mail@example.org", 0), ("@ 5", 0), ("(@клуб)", 1)]
)
def test_mentions(text: str, mentions: int) -> None:
    assert of(text)["mentions"] == mentions


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("https://vk.com/wall-1_2", 1),
        ("http://a.ru http://b.ru", 2),
        ("www.example.org", 1),
        ("см. vk.com/club1, t.me/x", 2),
        ("HTTPS://A.RU", 1),
        ("https://a.ru/b.ru/c?u=http://d.ru", 1),
        ("и/или", 0),
        ("конец.Начало", 0),
        ("a@mail.ru/x", 0),
        ("24/7 1.5/2", 0),
    ],
)
def test_links(text: str, links: int) -> None:
    assert of(text)["links"] == links


def test_every_emoji_of_unicode_counts_once() -> None:
    assert len(RGI) > 3_000
    assert [sign for sign in RGI if of(sign)["emoji"] != 1] == []


@given(st.lists(st.sampled_from(RGI), max_size=8))
def test_emoji_add_up(signs: list[str]) -> None:
    assert of(" ".join(signs))["emoji"] == len(signs)


@pytest.mark.parametrize(
    ("text", "count"), [("🇷🇺🇫🇷", 2), ("👍🏽👍", 2), ("👩‍👩‍👧‍👦!", 1), ("❤", 1), ("❤️🔥", 2), ("5️⃣", 1), ("🏴󠁧󠁢󠁥󠁮󠁧󠁿", 1)]
)
def test_sequences(text: str, count: int) -> None:
    assert of(text)["emoji"] == count


@pytest.mark.parametrize("text", ["© ® ™", "12 # *", "→ ↔", "«№ € ₽»", "日本㊙", "\U0001f1f7", "абв ABC :)"])
def test_what_is_no_emoji(text: str) -> None:
    assert of(text)["emoji"] == 0


@given(st.text(), st.text())
def test_simple_counts_add_up(a: str, b: str) -> None:
    whole, left, right = of(a + b), of(a), of(b)
    for name in ("length", "capitals", "line_breaks", "question_marks", "digits"):
        assert whole[name] == left[name] + right[name]


@given(st.text())
def test_counts_are_bounded_by_the_length(text: str) -> None:
    values = of(text)
    assert all(0 <= value <= values["length"] for value in values.values())


@pytest.mark.parametrize(
    "unit", ["a.", "a-", "#1", "@", "www", "http", "\U0001f468\u200d", "\U0001f1e6", "1\ufe0f", "'a", "a/.", "#" * 9]
)
def test_no_text_takes_more_than_linear_time(unit: str) -> None:
    start = time.process_time()
    text_statistics(unit * (300_000 // len(unit)))
    assert time.process_time() - start < 5  # linear: 0.1 to 0.5 s; quadratic: an hour


def test_the_spec_names_what_the_columns_mean() -> None:
    picture, text = statistics("image").spec, statistics("text").spec
    assert picture.preprocessing == {
        "features": list(FEATURE_NAMES["image"]),
        "version": VERSION,
        "decode": DECODE_MODE,
    }
    assert text.preprocessing == {"features": list(FEATURE_NAMES["text"]), "version": VERSION}
    assert (picture.text_cleaning, text.text_cleaning) == (0, CLEANING_VERSION)
    assert {picture.storage_dtype, text.storage_dtype} == {"float32"}
    assert picture.weights == text.weights == ""
    assert picture.key != text.key


def test_batches() -> None:
    encoder = statistics("text")
    prepared = [encoder.prepare(text, KEY) for text in ("a", "Б?", "1\n2")]
    assert {encoder.bucket(row) for row in prepared} == {0}
    assert encoder.batch_rows(0) > 1
    assert np.array_equal(encoder.encode(prepared)[1:2], encoder.encode(prepared[1:2]))
