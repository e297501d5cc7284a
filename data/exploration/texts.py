"""A text's length in characters and tokens, the alphabets of its letters, and its language.

Tokens are estimated from letters unless there is a tokenizer. The ratios were measured on program messages and READMEs
(40,000 to 460,000 letters a language) with the vocabularies of MiniLM, which is that of English BERT, and of
multilingual E5, which is that of XLM-R. A piece holds 3.6 and 4.1 English letters, 2.1 to 2.9 and 3.2 to 4.0 of other
languages in Latin letters, 1.0 to 1.1 and 3.3 to 4.0 Cyrillic or Greek ones, 1.1 to 1.4 and 2.9 to 3.0 Arabic or
Devanagari ones. The constants below lean to too many tokens, for a limit the safer side, but for languages other than
English in Latin letters under an English vocabulary: up to 1.7 times as many. Other vocabularies differ by a third.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from data.config import InputError

LIMIT = 512  # tokens that BERT and its kin read
SPECIAL = 2  # tokens around a text
PIECES = {"English": (3.6, 1.0), "multilingual": (4.0, 3.0)}  # letters a piece: Latin, of other alphabets
IDEOGRAPHS = ("Han", "Hiragana", "Katakana", "Hangul")  # a piece each
DIGITS = 2.0  # a piece
TOLD = 20  # letters from which a language can be told
READ = 2000  # characters that are looked at for it
NO_LETTERS, TOO_SHORT = "no letters", "too short to tell"


@dataclass(frozen=True)
class Reading:
    """What one text is made of."""

    characters: int
    tokens: tuple[float, ...]  # estimates, one for each vocabulary of PIECES
    letters: Counter[str]  # by alphabet

    @property
    def alphabet(self) -> str:
        """That of most of its letters."""
        return max(self.letters, key=self.letters.__getitem__, default=NO_LETTERS)


def read_text(text: str) -> Reading:
    """Count a cleaned text's characters by what they are."""
    letters: Counter[str] = Counter()
    digits = others = 0
    for character, times in Counter(text).items():
        kind = _kind(character)
        if kind == "digit":
            digits += times
        elif kind == "other":
            others += times
        elif kind:
            letters[kind] += times
    latin, drawn = letters["Latin"], sum(letters[name] for name in IDEOGRAPHS)
    fixed = SPECIAL + drawn + others + digits / DIGITS
    rest = letters.total() - latin - drawn
    tokens = tuple(fixed + latin / a + rest / b for a, b in PIECES.values())
    return Reading(len(text), tokens, +letters)


@cache
def _kind(character: str) -> str:
    """ "Latin", "Cyrillic", … of a letter, "digit", "other", or "" of what makes no piece of its own.

    An alphabet is the first word of a character's name in Unicode: no table of scripts comes with Python.
    """
    category = unicodedata.category(character)
    if category[0] == "L" or category == "Mc":
        name = unicodedata.name(character, "other").split()[0]
        return "Han" if name == "CJK" else name.capitalize()
    if category[0] == "N":
        return "digit"
    return "" if category[0] in "ZCM" else "other"


def tokenizer(path: Path) -> Callable[[Sequence[str]], list[int]]:
    """A function that counts the tokens of texts, special ones too, by a `tokenizer.json`.

    Raises:
        InputError: the file cannot be read, or is no tokenizer.
    """
    from tokenizers import Tokenizer

    try:
        source = path.read_text(encoding="utf-8")
        found = Tokenizer.from_str(source)
    except OSError as why:
        raise InputError(
            f"--tokenizer {str(path)!r} cannot be read ({why.strerror}): pass a model's tokenizer.json"
        ) from None
    except Exception as why:  # the package raises bare Exception
        said = " ".join(str(why).split())[:120]
        raise InputError(f"--tokenizer {str(path)!r} is no tokenizer ({said}): pass a model's tokenizer.json") from None
    found.no_truncation()
    found.no_padding()
    return lambda texts: [len(encoding.ids) for encoding in found.encode_batch_fast(list(texts))]


def detector() -> Callable[[str], str]:
    """A function that names a text's language (ISO 639; zxx: none), by py3langid: 0.15 ms a text, and 4 MB of model.

    Raises:
        InputError: the package is not installed.
    """
    try:
        from py3langid.langid import classify
    except ImportError:
        raise InputError(
            "--languages needs the package py3langid: run pip install 'embed-regress[languages]'"
        ) from None
    return lambda text: str(classify(text[:READ])[0])
