"""Tables of posts whose every count is known, and a page's tables read back."""

import base64
import io
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from data.explore import Explored
from tests.regress.test_report import ADDRESSES, Page

N = 60


class Told(Page):
    """A page's tables: rows of cells' texts under their section; and its facts."""

    def __init__(self, text: str) -> None:
        self.rows: dict[str, list[list[str]]] = {}
        self.sections: dict[str, str] = {}
        self._section = ""
        self._cell = False
        super().__init__(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        super().handle_starttag(tag, attrs)
        if tag == "section":
            self._section = str(dict(attrs)["aria-labelledby"])
        if tag == "tr":
            self.rows.setdefault(self._section, []).append([])
        if tag in ("td", "th"):
            self.rows[self._section][-1].append("")
        self._cell = tag in ("td", "th") or (self._cell and tag in ("small", "span", "svg"))

    def handle_data(self, data: str) -> None:
        super().handle_data(data)
        data = data.replace("\u00a0", " ")
        self.sections[self._section] = self.sections.get(self._section, "") + data
        if {"td", "th"} & set(self._open):
            self.rows[self._section][-1][-1] += ("|" if self._open[-1] == "small" else "") + data

    def row(self, section: str, first: str) -> list[str]:
        return next(row for row in self.rows[section] if row and row[0] == first)


def closed(text: str) -> Told:
    """The page, checked: well-formed, without a script, with nothing from outside."""
    page = Told(text)
    assert not {"script", "iframe", "object", "embed", "link", "form", "base", "img"} & set(page.elements)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ADDRESSES]
    assert "script-src" not in text
    assert any(value.startswith("default-src 'none'") for _, value in page.attributes)
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert not [c for c in text if ord(c) < 32 and c not in "\n\t"]
    assert [i for i in page.attributes if i[0] == "id"] == list(
        dict.fromkeys(i for i in page.attributes if i[0] == "id")
    )
    labels = {value for name, value in page.attributes if name == "aria-labelledby"}
    assert labels <= {value for name, value in page.attributes if name == "id"}
    return page


def picture(row: int, kind: str = "PNG", size: tuple[int, int] = (40, 30)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (row, 2 * row, 100)).save(file, kind)
    return file.getvalue()


def table(n: int = N, seed: int = 0) -> pd.DataFrame:
    """Posts without any fault: view, like and comment; a PNG of 40 × 30 and a text of their own."""
    rng = np.random.default_rng(seed)
    view = rng.integers(50, 200, n)
    like, comment = rng.binomial(view, rng.beta(2, 8, n)), rng.binomial(view, rng.beta(0.3, 20, n))
    texts = [f"post number {i} says something" for i in range(n)]
    photos = [picture(i) for i in range(n)]
    columns = {"id": [f"p{i}" for i in range(n)], "photo": photos, "text": texts, "view": view}
    return pd.DataFrame({**columns, "like": like, "comment": comment})


def known() -> pd.DataFrame:
    """The same with faults, all of them counted in the tests below."""
    posts = table()
    at = posts.columns.get_loc
    photos: list[bytes | None] = list(posts["photo"])
    photos[0] = photos[1] = None
    photos[2] = b"\x89PNG\r\n\x1a\n broken" * 100
    photos[3] = b"GIF89a" + bytes(1500)  # 0 × 0
    photos[5] = photos[6] = photos[4]
    photos[8] = photos[7]
    photos[9:13] = [picture(i, "JPEG", (30, 60)) for i in range(9, 13)]
    photos[13] = picture(13, "PNG", (100, 10))[:-12]  # without its end
    texts: list[str | None] = list(posts["text"])
    texts[0] = None
    texts[1] = "<b></b>"  # nothing is left of it
    texts[10:14] = ["All the same"] * 3 + ["<i>All the</i> same"]
    texts[20] = "привет, мир"
    posts["photo"], posts["text"] = photos, texts
    for column in ("view", "like", "comment"):
        posts[column] = posts[column].astype("Float64")
    posts.iloc[30:33, at("view")] = 0
    posts.iloc[30:33, at("like")] = posts.iloc[30:33, at("comment")] = 0
    posts.iloc[33, at("view")] = pd.NA
    posts.iloc[34, at("view")] = -1
    posts.iloc[35, at("like")] = 1000
    posts.iloc[36, at("comment")] = 1.5
    posts.iloc[37, at("view")] = 7
    posts.iloc[37, at("like")] = posts.iloc[37, at("comment")] = 0
    return posts


def written(posts: pd.DataFrame, folder: Path, kind: str) -> Path:
    """Parquet with bytes, CSV with base64, or TSV with paths."""
    path, posts = folder / f"posts.{kind}", posts.copy()
    if kind == "parquet":
        posts.to_parquet(path, index=False)
        return path
    if kind == "csv":
        if "photo" in posts:
            posts["photo"] = [None if data is None else base64.b64encode(data).decode() for data in posts["photo"]]
    else:
        (folder / "pictures").mkdir()
        for row, data in enumerate(posts["photo"]):
            if data is not None:
                (folder / "pictures" / str(row)).write_bytes(data)
        posts["photo"] = [None if data is None else f"pictures/{i}" for i, data in enumerate(posts["photo"])]
    posts.to_csv(path, index=False, sep="," if kind == "csv" else "\t")
    return path


def page_of(done: Explored) -> Told:
    return closed(done.out.read_text(encoding="utf-8"))
