"""The Markdown tables of a comparison: which values each has, what they are called and how they are rounded.

Rounded as the report rounds them, but for what it tells in thousandths of a nat: here it is in nats.
"""

from collections.abc import Callable
from dataclasses import dataclass

from data import page
from regress.records import BY_RUN, SERIES

Shown = Callable[[float], str]


@dataclass(frozen=True)
class Column:
    """One column of numbers, or an interval of two."""

    title: str
    names: tuple[str, ...]  # of the values in a row
    shown: Shown


@dataclass(frozen=True)
class Table:
    """Records of one kind: what they are about in texts, then their numbers."""

    title: str
    part: str  # of the JSON
    group: str  # in the part
    texts: tuple[tuple[str, str], ...]  # title and name
    columns: tuple[Column, ...]
    only: frozenset[tuple[str, str]] = frozenset()  # names and values that a record must have to be in it


def decimals(digits: int) -> Shown:
    """So many digits, without a "-0.000"."""
    return lambda value: f"{round(value, digits) + 0.0:.{digits}f}"


def whole(value: float) -> str:
    return f"{value:.0f}"


def percent(value: float) -> str:
    """As the report, but with the sign of the other numbers."""
    return page.percent(value).replace("−", "-")


def chance(p: float) -> str:
    return "&lt;0.001" if p < 0.0005 else f"{p:.3f}"


def _one(title: str, name: str, shown: Shown) -> Column:
    return Column(title, (name,), shown)


def _estimate(title: str, name: str, shown: Shown) -> tuple[Column, Column]:
    """A mean and its interval."""
    return _one(title, name, shown), Column("95 % interval", (f"{name}_low", f"{name}_high"), shown)


def _bins(title: str, by: str, shown: Shown) -> Table:
    columns = (_one("from", "low", shown), _one("to", "high", shown), _one("posts", "posts", whole))
    texts = (("bin", "place"),)
    return Table(
        title, "strata", "bins", texts, (*columns, _one("mean rate", "truth", percent)), frozenset({("by", by)})
    )


THREE, FOUR = decimals(3), decimals(4)
RUN, AGAINST = ("run", "run"), ("against", "against")

RUNS = Table(
    *("Runs", "runs", ""),
    (RUN, ("features", "features"), ("verdict", "verdict")),
    (
        *_estimate("D²", "d2", THREE),
        _one("by trials", "d2_trials", THREE),
        _one("p mean", "p_mean", chance),
        _one("p best", "p_best", chance),
        _one("Spearman", "spearman", decimals(2)),
        _one("lift", "lift", decimals(2)),
        _one("bias", "bias", decimals(2)),
        _one("log loss", "log_loss", FOUR),
        _one("of the mean", "log_loss_mean", FOUR),
        _one("floor", "log_loss_floor", FOUR),
        *_estimate("behind the best", "log_loss_behind", FOUR),
        _one("miscalibration", "miscalibration", FOUR),
        _one("discrimination", "discrimination", FOUR),
        _one("MSE", "mse", FOUR),
        _one("MAE", "mae", FOUR),
        _one("MAE of rare", "mae_rare", THREE),
        _one("SERA", "sera", decimals(2)),
        _one("seconds", "seconds", decimals(1)),
    ),
)
OVERSAMPLING = Table(
    *("Does oversampling help?", "oversampling", ""),
    (RUN, ("helps on all posts", "oversampling_log_loss"), ("helps on rare posts", "oversampling_sera")),
    (
        *_estimate("log loss − nothing’s", "nothing_log_loss", FOUR),
        *_estimate("log loss − random’s", "random_log_loss", FOUR),
        *_estimate("SERA a post − nothing’s", "nothing_sera", decimals(6)),
        *_estimate("SERA a post − random’s", "random_sera", decimals(6)),
    ),
)
TABLES = (
    Table(
        *("Every run against every run", "pairs", ""),
        (RUN, AGAINST),
        (*_estimate("log loss − the other’s", "log_loss", FOUR), _one("p", "p", chance)),
    ),
    Table(
        *("Log loss, nats", "decomposition", "", ()),
        (_one("of predicting the mean", "uncertainty", FOUR), _one("floor", "floor", FOUR)),
    ),
    Table("Feature sets", "modalities", "sets", (("model", "model"), RUN, ("features", "features")), ()),
    Table(
        *("Which modality helps?", "modalities", "additions"),
        (("model", "model"), ("added", "added"), ("finding", "finding"), RUN, AGAINST),
        _estimate("gain of D²", "d2", THREE),
    ),
    _bins("Bins of the true rate", "rate", percent),
    _bins("Bins of the trials", "trials", whole),
    Table(
        *("Where are the errors?", "strata", BY_RUN),
        (("by", "by"), RUN, ("bin", "place")),
        (
            _one("mean prediction", "predicted", percent),
            _one("log loss above the floor", "excess", FOUR),
            _one("share of all of it", "share", percent),
            *_estimate("gain on the mean", "gain", FOUR),
        ),
    ),
    Table(
        *("Do the 90 % intervals hold?", "intervals", "", (RUN,)),
        (_one("covered", "covered", percent), _one("mean width", "width", percent)),
    ),
    Table(
        *("Intervals by quarters of the prediction", "intervals", "quarters"),
        (RUN, ("quarter", "place")),
        (
            _one("from", "low", percent),
            _one("to", "high", percent),
            _one("posts", "posts", whole),
            *_estimate("covered", "covered", percent),
            _one("mean width", "width", percent),
        ),
    ),
    Table(
        *("Calibration before and after", "calibration", "", (RUN,)),
        (
            _one("bias before", "bias_before", decimals(2)),
            _one("bias after", "bias_after", decimals(2)),
            _one("log loss before", "log_loss_before", FOUR),
            _one("log loss after", "log_loss_after", FOUR),
            *_estimate("change", "change", FOUR),
        ),
    ),
    Table(
        *("How far do lax folds flatter?", "leakage", "d2"),
        (RUN, ("folds", "key")),
        (_one("D²", "value", THREE),),
    ),
    Table(
        *("Training of the heads", "curves", "", (RUN, ("loss", "loss"))),
        (_one("epoch kept", "best_epoch", whole),),
    ),
    Table(
        *("Loss by epoch", "curves", SERIES, (RUN, ("epoch", "place"))),
        (_one("trained on", "trained", FOUR), _one("held out", "held", FOUR)),
    ),
)
KEYED = ("leakage", "d2")  # its names are data: kinds of folds, a row each
