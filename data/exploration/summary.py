"""What is told of a table of posts: one tree of dataclasses, which the page, the text and the JSON all read."""

import dataclasses
import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.exploration.ceiling import LEAST, Ceiling, ceilings, r2_ceiling
from data.exploration.contents import Pictures, Texts
from data.exploration.copies import Copies, copies, sharing
from data.exploration.rates import Rates
from data.exploration.texts import LIMIT
from data.lines import printable
from data.posts import Posts
from data.svg import Axis, Histogram, LogAxis, RateAxis
from data.targets import FEWEST_POSTS

Array = NDArray[np.float64]
LADDER = [step * 10**power for power in range(9) for step in (1, 2, 5)][1:]
DROP = 0.05  # of the posts, that the next least number of trials must leave out to be shown
RUNGS = 8


@dataclass(frozen=True)
class Chart:
    """A histogram and its axis."""

    axis: Axis
    bars: Histogram

    def to_json(self) -> dict[str, Any]:
        return {"zero": self.bars.zero, "edges": self.axis.edges().tolist(), "shares": self.bars.shares.tolist()}


@dataclass(frozen=True)
class Spread:
    """Quantiles of some numbers, and how they are spread on a scale that shows them."""

    lowest: float
    p5: float
    quarter: float
    median: float
    three_quarters: float
    p95: float
    highest: float
    mean: float
    chart: Chart

    @classmethod
    def of(cls, values: Array, axis: Axis | None = None, base: float = 10.0) -> "Spread | None":
        """None where there are no numbers. Without an axis, a logarithmic one at least a factor of `base` wide."""
        if not len(values):
            return None
        positive = values[values > 0]
        axis = axis or LogAxis.over(positive if len(positive) else np.ones(1), base)
        quantiles = np.quantile(values, (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)).tolist()
        named = zip(("lowest", "p5", "quarter", "median", "three_quarters", "p95", "highest"), quantiles, strict=True)
        return cls(**dict(named), mean=float(values.mean()), chart=Chart(axis, Histogram.of(values, axis)))


@dataclass(frozen=True)
class Trials:
    """How often the posts were seen, and how many are used."""

    name: str
    least: int
    spread: Spread | None
    unknown: int  # missing, or cannot be right
    zeros: int
    below: int  # seen, but fewer times than `least`
    enough: int


@dataclass(frozen=True)
class Conversion:
    """One rate, of the posts with enough trials."""

    name: str  # "open_photo / view", printable
    activity: str  # the column's own name
    posts: int
    zeros: int
    invalid: int
    mean: float | None
    spread: Spread | None
    ceiling: Ceiling


@dataclass(frozen=True)
class Rung:
    """What a higher least number of trials leaves: posts, and the ceiling of R² of each conversion."""

    least: int
    posts: int
    r2: tuple[float | None, ...]


@dataclass(frozen=True)
class Correlations:
    """Spearman's of every pair of conversions and of the trials; None where one of them is constant."""

    names: tuple[str, ...]
    rows: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class PictureSummary:
    """The pictures, by their headers."""

    column: str | None
    there: int  # with a header that can be read
    missing: int
    unreadable: int
    faults: dict[str, int]
    cut: int  # that end before their format's end
    formats: dict[str, int]
    modes: dict[str, int]
    sizes: dict[str, int]  # the most frequent
    width: Spread | None
    height: Spread | None
    aspect: Spread | None
    nbytes: Spread | None
    copies: Copies


@dataclass(frozen=True)
class TokenSummary:
    """Tokens of the texts: `vocabulary` is "exact", or the kind that they are estimated for."""

    vocabulary: str
    spread: Spread | None
    over: int  # texts of more than LIMIT


@dataclass(frozen=True)
class TextSummary:
    """The texts."""

    column: str | None
    there: int
    missing: int
    characters: Spread | None
    tokens: tuple[TokenSummary, ...]
    letters: dict[str, int]
    alphabets: dict[str, int]
    languages: dict[str, int]
    copies: Copies


def summarise_trials(rates: Rates) -> Trials:
    known = rates.trials[np.isfinite(rates.trials)]
    zeros, enough = int((known == 0).sum()), int(rates.enough.sum())
    return Trials(
        name=rates.trials_name,
        least=rates.least,
        spread=Spread.of(known),
        unknown=len(rates.trials) - len(known),
        zeros=zeros,
        below=len(known) - zeros - enough,
        enough=enough,
    )


def summarise_rates(rates: Rates) -> tuple[list[Conversion], list[Rung]]:
    """Each conversion with its ceiling, and the ceilings of R² where posts need more trials."""
    if not rates.y:
        return [], []
    y = np.stack(list(rates.y.values()), axis=1)
    used = np.where(rates.enough[:, None], y, np.nan)
    rows = [
        _conversion(rates, name, column[np.isfinite(column)], ceiling)
        for name, column, ceiling in zip(rates.y, used.T, ceilings(used, rates.trials), strict=True)
    ]
    return rows, _rungs(y, rates.trials)


def _conversion(rates: Rates, name: str, y: Array, ceiling: Ceiling) -> Conversion:
    axis = RateAxis.up_to(float(y.max())) if len(y) else None
    return Conversion(
        name=printable(f"{name} / {rates.trials_name}"),
        activity=name,
        posts=len(y),
        zeros=int((y == 0).sum()),
        invalid=rates.invalid[name],
        mean=float(y.mean()) if len(y) else None,
        spread=Spread.of(y, axis),
        ceiling=ceiling,
    )


def _rungs(y: Array, trials: Array) -> list[Rung]:
    rungs: list[Rung] = []
    for least in LADDER:
        kept = np.nan_to_num(trials) >= least
        if kept.sum() < FEWEST_POSTS or len(rungs) == RUNGS:
            break
        if rungs and kept.sum() > (1 - DROP) * rungs[-1].posts:
            continue
        rows = [kept & np.isfinite(column) for column in y.T]
        r2 = tuple(r2_ceiling(column[some], trials[some]) for column, some in zip(y.T, rows, strict=True))
        rungs.append(Rung(least if rungs else LEAST, int(kept.sum()), r2))
    return rungs


def correlate(rates: Rates) -> Correlations:
    """Over the posts with enough trials that both of a pair are known of."""
    columns = {**rates.y, rates.trials_name: rates.trials}
    table = [np.where(rates.enough, column, np.nan) for column in columns.values()]
    rows = tuple(tuple(_spearman(a, b) for b in table) for a in table)
    return Correlations(tuple(columns), rows)


def _spearman(a: Array, b: Array) -> float | None:
    from scipy.stats import rankdata

    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < 3 or np.ptp(a[both]) == 0 or np.ptp(b[both]) == 0:
        return None
    return float(np.corrcoef(rankdata(a[both]), rankdata(b[both]))[0, 1])


def summarise_pictures(posts: Posts, found: Pictures) -> PictureSummary:
    headers = found.headers
    width, height = (np.array([getattr(h, side) for h in headers], float) for side in ("width", "height"))
    return PictureSummary(
        column=posts.image_column,
        there=len(headers),
        missing=found.missing,
        unreadable=found.faults.total(),
        faults=dict(found.faults.most_common()),
        cut=sum(not header.whole for header in headers),
        formats=dict(Counter(header.format for header in headers).most_common()),
        modes=dict(Counter(header.mode for header in headers).most_common()),
        sizes=dict(Counter(f"{h.width} × {h.height}" for h in headers).most_common(5)),
        width=Spread.of(width),
        height=Spread.of(height),
        aspect=Spread.of(width / height, base=4.0),
        nbytes=Spread.of(np.array([header.nbytes for header in headers], float)),
        copies=copies(found.identities.numbers, posts.ids(), {}),
    )


def summarise_texts(posts: Posts, found: Texts) -> TextSummary:
    return TextSummary(
        column=posts.text_column,
        there=len(found.characters),
        missing=found.missing,
        characters=Spread.of(np.array(found.characters, float)),
        tokens=tuple(
            TokenSummary(kind, Spread.of(np.array(tokens, float)), sum(count > LIMIT for count in tokens))
            for kind, tokens in found.tokens.items()
        ),
        letters=dict(found.letters.most_common()),
        alphabets=dict(found.alphabets.most_common()),
        languages=dict(found.languages.most_common()),
        copies=copies(found.identities.numbers, posts.ids(), found.excerpts),
    )


def shared_posts(pictures: Pictures, texts: Texts) -> int:
    """Posts that share a picture or a text with another."""
    return sharing(pictures.identities.numbers, texts.identities.numbers)


def plain(value: Any) -> Any:
    """JSON-ready: dataclasses as objects, tuples as lists, what is not finite as null."""
    if hasattr(value, "to_json"):
        return plain(value.to_json())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
