"""Hand-made statistics of a picture or a text as two more encoders: no model, no GPU, microseconds a post.

They were part of the best model others built on posts like these, next to embeddings that took 0.2 s a post. The
picture's four numbers need no pixels, yet it is decoded first: a post has its statistics only if it can be read.
"""

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from data.text import CLEANING_VERSION
from embed.encoder import Spec
from embed.images import Picture, decode_mode

if TYPE_CHECKING:
    from embed.requests import Request

VERSION = 1  # part of the Spec: raise it with any change of what a column means
ROWS = 256

FEATURE_NAMES = {
    "image": ("width", "height", "aspect_ratio", "bytes"),
    "text": (
        "length",
        "words",
        "capitals",
        "emoji",
        "hashtags",
        "mentions",
        "links",
        "line_breaks",
        "question_marks",
        "digits",
    ),
}

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_HASHTAG = re.compile(r"(?<!\w)#\d*[^\W\d]")  # "#1" is a number, not a topic
_MENTION = re.compile(r"(?<!\w)@\w")  # not the middle of an e-mail address
# With a scheme, with www., or a bare domain with a path, such as vk.com/club1. The bounds keep the search linear.
_LINK = re.compile(r"(?:https?://|www\.|(?<![\w@/.-])[\w-][\w.-]{0,80}\.[a-z]{2,10}/)\S*", re.IGNORECASE)

# Unicode's emoji sequences (UTS #51, ED-17), but over whole blocks in place of its table of 1,400 code points: a few
# decorations in those blocks, such as ★, count too. Elsewhere a character counts if VARIATION SELECTOR-16 asks for
# its emoji form, so © and ™ do not.
_BLOCKS = (
    r"[\U0001f000-\U0001f1e5\U0001f200-\U0001f3fa\U0001f400-\U0001faff"
    r"\u2600-\u27bf\u231a\u231b\u23e9-\u23f3\u25fd\u25fe\u2b1b\u2b1c\u2b50\u2b55]"
)
_TONE = r"[\U0001f3fb-\U0001f3ff]"
_ELEMENT = rf"(?:{_BLOCKS}|[\u00a9\u00ae\u203c-\u3299](?=\ufe0f))\ufe0f?{_TONE}?[\U000e0020-\U000e007f]*"
_FLAG, _KEYCAP = r"[\U0001f1e6-\U0001f1ff]{2}", r"[0-9#*]\ufe0f?\u20e3"
_EMOJI = re.compile(rf"{_FLAG}|{_KEYCAP}|{_ELEMENT}(?:\u200d{_ELEMENT})*|{_TONE}")


def image_statistics(picture: Picture) -> tuple[float, ...]:
    """The `FEATURE_NAMES["image"]` of a picture: pixels as shown, width over height, and the size of the file."""
    return picture.width, picture.height, picture.width / picture.height, picture.nbytes


def text_statistics(text: str) -> tuple[float, ...]:
    """The `FEATURE_NAMES["text"]` of a cleaned text: its length in characters, then counts of what is in it.

    A word is a run of letters and digits with hyphens and apostrophes inside. An emoji counts once, whatever it is
    made of: a flag, a family, a thumb and its skin colour. A mention is an `@name`, as cleaning leaves it.
    """
    return (
        len(text),
        _count(_WORD, text),
        sum(map(str.isupper, text)),
        _count(_EMOJI, text),
        _count(_HASHTAG, text),
        _count(_MENTION, text),
        _count(_LINK, text),
        text.count("\n"),
        text.count("?"),
        sum(map(str.isdecimal, text)),
    )


def _count(pattern: "re.Pattern[str]", text: str) -> int:
    return sum(1 for _ in pattern.finditer(text))


class Statistics:
    """The statistics of one kind of content as an encoder; float32, since a file may have more than 65,504 bytes."""

    parallel, window = 1, 0

    def __init__(self, request: "Request") -> None:
        self.race: dict[str, float | str] = {}
        self._measure: Any = {"image": image_statistics, "text": text_statistics}[request.kind]
        names = FEATURE_NAMES[request.kind]
        decode = {"decode": decode_mode(request.decode)} if request.kind == "image" else {}
        self.dim = len(names)
        self.spec = Spec(
            kind=request.kind,
            family="statistics",
            name=request.name,
            weights="",
            preprocessing={"features": list(names), "version": VERSION, **decode},
            text_cleaning=CLEANING_VERSION if request.kind == "text" else 0,
            compute_dtype="float32",
            storage_dtype="float32",
        )

    def prepare(self, content: Picture | str, _key: bytes) -> np.ndarray:
        """float32 (dim,)."""
        return np.array(self._measure(content), np.float32)

    def bucket(self, _prepared: np.ndarray) -> int:
        return 0

    def batch_rows(self, _bucket: int) -> int:
        return ROWS

    def encode(self, prepared: list[np.ndarray]) -> np.ndarray:
        """float32 (n, dim)."""
        return np.stack(prepared)
