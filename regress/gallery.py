"""Choose the posts that a report shows, and read their pictures and texts.

Equal shares of the best and the worst predicted, the most disputed and the rarest posts, and of posts drawn at random:
by a seed that the runs' common ground gives (posts, target, folds), so that a report can be made again and reports on
one ground show the same ones. Rates are first drawn towards the mean by their trials: of the raw top 5 % half are luck.
A picture is kept as a WebP of at most 320 pixels and 16 kB, so that 60 of them are below 1.4 MB whatever they show.
"""

import base64
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from data.config import InputError
from data.files import sha256_file
from data.posts import Fault, Posts, PostsOptions, open_posts
from data.progress import bar
from embed.encoder import UnreadableContent
from embed.images import decode
from regress.dispersion import fit_prior
from regress.entry import Entry
from regress.metrics import cross_entropy
from regress.runs import Predictions, leader

Array = NDArray[np.float64]
SIDE = 320  # pixels
QUALITIES = (80, 60, 40, 20, 5)  # of WebP: the first that is small enough
LARGEST = 16_384  # bytes of a picture
LEVEL = 0.95
OPINIONS = ("USEFUL", "MISCALIBRATED", "UNPROVEN")  # runs whose predictions say something about a post
RANDOM = "random"
KINDS = {
    "best predicted": "where the leading run gains most over predicting the mean",
    "worst predicted": "where the leading run loses most against predicting the mean",
    "most disputed": "where the runs that order posts better than chance are furthest apart",
    "rarest": "the highest rates, after drawing each towards the mean by its trials",
    RANDOM: "drawn by chance before the others are chosen; the same ones for all runs on these posts and folds",
}


@dataclass(frozen=True)
class Pick:
    """A post to show: its place in the predictions, and why it was chosen."""

    index: int
    kind: str


@dataclass(frozen=True)
class Content:
    """What a post looks like: text and picture (a data URI), or why there is none."""

    text: str | None
    picture: str | None
    why: str  # "" when there is a picture


@dataclass(frozen=True)
class Contents:
    """Contents by place in the predictions; empty with a note when the table is not what it was."""

    posts: dict[int, Content]
    note: str


@dataclass(frozen=True)
class Gallery:
    """The posts that a report shows, and what they look like."""

    picks: Sequence[Pick]
    contents: Contents


def choose_posts(entries: Sequence[Entry], predictions: Predictions, count: int) -> list[Pick]:
    """At most `count` posts, by kind and then by how strongly they are of it; posts of one cluster only once."""
    y, trials = predictions.y, predictions.trials
    likely = fit_prior(y, trials).shrunken(y, trials)
    first = leader(entries)
    marks = {"rarest": likely}
    if not entries[first].is_reference:
        gain = cross_entropy(likely, predictions.mean) - cross_entropy(likely, predictions.p[first])
        marks |= {"best predicted": gain, "worst predicted": -gain}
    opinions = [i for i, entry in enumerate(entries) if entry.verdict in OPINIONS]
    if len(opinions) > 1:
        marks["most disputed"] = np.ptp(np.sqrt(np.clip(predictions.p[opinions], 0, 1)), axis=0)
    marks[RANDOM] = np.random.default_rng(seed(entries[first].comparable)).random(len(y))
    return _take(marks, predictions, count)


def seed(ground: str) -> int:
    """What random posts are drawn by: 64 bits of the SHA-256 of the digest that comparable runs share."""
    return int.from_bytes(hashlib.sha256(ground.encode()).digest()[:8], "big")


def _take(marks: dict[str, Array], predictions: Predictions, count: int) -> list[Pick]:
    """A share of random posts, then turn by turn the best post left of each kind; equal marks by rate, then row."""
    queues = {
        kind: iter(np.lexsort((predictions.rows, -predictions.y, -mark)).tolist()) for kind, mark in marks.items()
    }
    count = min(count, len(np.unique(predictions.clusters)))
    share = count // len(marks)
    others = [kind for kind in marks if kind != RANDOM]
    turns = [RANDOM] * share + [others[turn % len(others)] for turn in range(count - share)]
    seen: set[int] = set()
    taken: dict[str, list[Pick]] = {kind: [] for kind in queues}
    for kind in turns:
        index = next((i for i in queues[kind] if predictions.clusters[i] not in seen), None)
        if index is not None:
            seen.add(predictions.clusters[index])
            taken[kind].append(Pick(index, kind))
    return [pick for kind in KINDS for pick in taken.get(kind, [])]


def truth_interval(y: Array, trials: Array) -> tuple[Array, Array]:
    """Ends (n,) of 95 % intervals of the rates behind y (n,) of so many trials (Jeffreys; Brown, Cai, DasGupta 2001).

    The trials of one post are taken as independent. The lower end is 0 where y is, the upper 1 likewise.
    """
    from scipy.special import betaincinv

    hits, misses, tail = y * trials, (1 - y) * trials, (1 - LEVEL) / 2
    low = np.where(y <= 0, 0.0, betaincinv(hits + 0.5, misses + 0.5, tail))
    high = np.where(y >= 1, 1.0, betaincinv(hits + 0.5, misses + 0.5, 1 - tail))
    return low, high


def read_contents(entry: Entry, predictions: Predictions, picks: Sequence[Pick]) -> Contents:
    """Texts and pictures of the picks from the table that the runs were fitted on, if it is still the same."""
    if not picks:
        return Contents({}, "")
    path = Path(entry.ground.path)
    if not path.is_file():
        return Contents({}, f"{path.name} is not where it was when the runs were fitted: no pictures and texts.")
    if sha256_file(path) != entry.ground.sha256:
        return Contents({}, f"{path.name} has changed since the runs were fitted: no pictures and texts.")
    try:
        posts = open_posts(_options(path, entry.config))
        return Contents(_read(posts, {int(predictions.rows[pick.index]): pick.index for pick in picks}), "")
    except InputError as why:
        return Contents({}, f"{path.name} cannot be read ({why}): no pictures and texts.")


def _options(path: Path, config: dict[str, Any]) -> PostsOptions:
    root = config.get("image_root")
    return PostsOptions(
        posts=path,
        id_column=config.get("id_column"),
        text_column=config.get("text_column"),
        image_column=config.get("image_column"),
        image_root=Path(root) if root else None,
    )


def _read(posts: Posts, wanted: dict[int, int]) -> dict[int, Content]:
    """One pass over the table, up to the last row wanted."""
    contents: dict[int, Content] = {}
    last = max(wanted)
    with bar(last + 1, "gallery") as shown:
        for batch in posts.batches():
            for row in range(batch.start, batch.start + len(batch.ids)):
                if row in wanted:
                    text, image = batch.texts[row - batch.start], batch.images[row - batch.start]
                    contents[wanted[row]] = Content(text, *_picture(image))
            shown.update(len(batch.ids))
            if batch.start + len(batch.ids) > last:
                break
    return contents


def _picture(cell: bytes | Fault | None) -> tuple[str | None, str]:
    """A small data URI, or None and the reason."""
    if cell is None:
        return None, "no picture"
    if isinstance(cell, Fault):
        return None, cell.reason
    try:
        image = decode(cell).image
    except UnreadableContent as why:
        return None, why.reason
    image.thumbnail((SIDE, SIDE))
    return f"data:image/webp;base64,{base64.b64encode(_small(image)).decode()}", ""


def _small(image: Image) -> bytes:
    """A WebP of at most `LARGEST` bytes: as good as it can be, and smaller where even the worst is too large."""
    for quality in QUALITIES:
        file = io.BytesIO()
        image.save(file, "WEBP", quality=quality)
        if file.tell() <= LARGEST:
            return file.getvalue()
    return _small(image.resize((max(image.width // 2, 1), max(image.height // 2, 1))))
