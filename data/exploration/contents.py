"""One pass over a table's texts and pictures: what each is, and which are the same.

Of a post some 300 bytes are kept. What 25,000 posts with 2.9 GB of pictures take, 0.5 GB, is libraries (0.2 GB) and
the row groups that pyarrow reads (58 MB each).
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from data.exploration.texts import NO_LETTERS, PIECES, TOLD, TOO_SHORT, read_text
from data.headers import Header, read_header
from data.pictures import Fault
from data.posts import Posts
from data.progress import bar

EXCERPT = 200  # characters
BATCH = 128  # posts: two are in memory at once

Tokens = Callable[[Sequence[str]], list[int]]
Language = Callable[[str], str]


@dataclass
class Identities:
    """Equal contents get equal numbers, by their SHA-256; −1 is no content."""

    numbers: NDArray[np.int64]  # (n,)
    _known: dict[bytes, int] = field(default_factory=dict, repr=False)

    def add(self, row: int, content: bytes) -> None:
        self.numbers[row] = self._known.setdefault(hashlib.sha256(content).digest(), len(self._known))


@dataclass
class Pictures:
    """The table's pictures, in its order."""

    identities: Identities
    headers: list[Header] = field(default_factory=list)
    missing: int = 0
    faults: Counter[str] = field(default_factory=Counter)  # reason → posts


@dataclass
class Texts:
    """The table's texts, in its order."""

    identities: Identities
    characters: list[int] = field(default_factory=list)
    tokens: dict[str, list[float]] = field(default_factory=dict)  # by vocabulary
    missing: int = 0
    letters: Counter[str] = field(default_factory=Counter)  # alphabet → letters of all texts
    alphabets: Counter[str] = field(default_factory=Counter)  # alphabet → texts that are mostly in it
    languages: Counter[str] = field(default_factory=Counter)  # language → texts
    excerpts: dict[int, str] = field(default_factory=dict)  # identity → the start of a text that is there twice


def read_contents(posts: Posts, count: Tokens | None, name: Language | None) -> tuple[Pictures, Texts]:
    """Read every text and the header of every picture; `count` and `name`, if given, tell tokens and languages."""
    n = len(posts)
    pictures = Pictures(Identities(np.full(n, -1)))
    texts = Texts(Identities(np.full(n, -1)), tokens={kind: [] for kind in (PIECES if count is None else ["exact"])})
    with bar(n, "exploring") as shown:
        for batch in posts.batches(BATCH):
            for row, picture in enumerate(batch.images, start=batch.start):
                _add_picture(pictures, row, picture)
            for row, text in enumerate(batch.texts, start=batch.start):
                _add_text(texts, row, text, estimate=count is None, name=name)
            if count is not None:
                texts.tokens["exact"] += count([text for text in batch.texts if text])
            shown.update(len(batch.ids))
    return pictures, texts


def _add_picture(pictures: Pictures, row: int, picture: bytes | Fault | None) -> None:
    if picture is None:
        pictures.missing += 1
        return
    if isinstance(picture, Fault):
        pictures.faults[picture.reason] += 1
        return
    header = read_header(picture)
    if isinstance(header, Header):
        pictures.identities.add(row, picture)  # what cannot be read gives nothing away
        pictures.headers.append(header)
    else:
        pictures.faults[header] += 1


def _add_text(texts: Texts, row: int, text: str | None, *, estimate: bool, name: Language | None) -> None:
    if not text:
        texts.missing += 1
        return
    known = len(texts.identities._known)
    texts.identities.add(row, text.encode())
    number = int(texts.identities.numbers[row])
    if number < known:
        texts.excerpts.setdefault(number, text[:EXCERPT])
    reading = read_text(text)
    texts.characters.append(reading.characters)
    texts.letters += reading.letters
    texts.alphabets[reading.alphabet] += 1
    if estimate:
        for kind, tokens in zip(PIECES, reading.tokens, strict=True):
            texts.tokens[kind].append(tokens)
    if name is not None:
        letters = reading.letters.total()
        texts.languages[NO_LETTERS if not letters else TOO_SHORT if letters < TOLD else name(text)] += 1
