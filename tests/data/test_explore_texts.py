"""What is told of texts: characters, tokens, alphabets and languages."""

import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.config import InputError
from data.exploration.texts import PIECES, SPECIAL, detector, read_text, tokenizer
from data.text import clean
from embed import packaged

TEXTS = [
    "a photo of a cat on a mat",
    "Кофе утром, скидка 20 % до 12.05.2024!",
    "猫在桌子上。 東京タワー",
    "😺 see https://example.org/?a=b&c=d @somebody #tag",
    "supercalifragilisticexpialidocious " * 200,
    "\u202eright to left\u202c and e\u0301 composed",
    ".",
]


@pytest.fixture(scope="module")
def vocabulary() -> Path:
    """MiniLM's tokenizer.json."""
    folder = packaged.find(packaged.TEXT)
    assert folder is not None
    return folder / "tokenizer.json"


def test_tokens_are_those_that_transformers_counts(vocabulary: Path) -> None:
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(vocabulary.parent)
    expected = [len(theirs(text, truncation=False, verbose=False)["input_ids"]) for text in TEXTS]
    count = tokenizer(vocabulary)
    assert count(TEXTS) == expected
    assert max(expected) > 512  # neither cut nor padded
    assert count([]) == []


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("content", [b"", b"{}", b"[1, 2]", b"\x80\xff", b"not json", b'{"model": 5}' * 100_000])
def test_what_is_no_tokenizer_is_named_in_one_line(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InputError, match=r"^--tokenizer '.*x\.json' is no tokenizer \(.*\): pass a model's tokenizer"):
        tokenizer(write(tmp_path / "x.json", content))


def test_a_tokenizer_that_is_not_there_or_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(InputError, match=r"cannot be read .*: pass a model's tokenizer\.json"):
            tokenizer(path)


ENGLISH = (
    "The variance of the noise is estimated without bias, so that what is left of the variance of the rates is "
    "that of the true rates. More posts make the estimate better, and more views of each post make it higher."
)
RUSSIAN = "Завтра в старом городе открывается новое кафе: скидка 20% на все завтраки, приходите с друзьями до полудня!"


@pytest.mark.parametrize("text", [ENGLISH, RUSSIAN], ids=["English", "Russian"])
def test_estimates_are_near_the_exact_count(vocabulary: Path, text: str) -> None:
    """And rather above it, as they say."""
    (exact,) = tokenizer(vocabulary)([text])
    estimate = read_text(text).tokens[list(PIECES).index("English")]
    assert exact <= estimate < 1.5 * exact


def test_alphabets_are_counted_by_letter() -> None:
    reading = read_text("abcé где 猫かカ한 12 !?")
    expected = {"Latin": 4, "Cyrillic": 3, "Han": 1, "Hiragana": 1, "Katakana": 1, "Hangul": 1}
    assert dict(reading.letters) == expected
    assert reading.alphabet == "Latin"
    assert reading.characters == 19
    # each ideograph and each sign a piece, a number half a piece a digit
    english, _ = reading.tokens
    assert english == pytest.approx(SPECIAL + 4 + 2 + 2 / 2 + 4 / 3.6 + 3)


@pytest.mark.parametrize("text", ["12345", "!!!", "😺😺", "\u0301"])
def test_a_text_without_letters_has_no_alphabet(text: str) -> None:
    assert read_text(text).alphabet == "no letters"


@given(st.text(st.characters(exclude_categories=[]), max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    cleaned = clean(text)
    reading = read_text(cleaned)
    assert reading.characters == len(cleaned)
    assert all(tokens >= SPECIAL for tokens in reading.tokens)
    letters = sum(unicodedata.category(c)[0] == "L" or unicodedata.category(c) == "Mc" for c in cleaned)
    assert reading.letters.total() == letters
    assert all(times > 0 for times in reading.letters.values())


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The quick brown fox jumps over the lazy dog, and nobody was surprised by it.", "en"),
        ("Сегодня утром мы открыли новую кофейню в самом центре города, приходите!", "ru"),
        ("Der schnelle braune Fuchs springt über den faulen Hund, und niemand war überrascht.", "de"),
    ],
)
def test_languages_are_named(text: str, language: str) -> None:
    assert detector()(text) == language


@given(st.text(max_size=300))
def test_any_text_is_given_some_language(text: str) -> None:
    assert re.fullmatch("[a-z]{2,3}", detector()(text))
