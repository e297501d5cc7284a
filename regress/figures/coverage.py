"""Coverage of the 90 % intervals by quarters of the prediction, beside the line where it should be."""

from markupsafe import Markup

from data.svg import line, svg, text
from regress.coverage import Coverage
from regress.figures.axes import Linear
from regress.intervals import LEVEL

_W, _H, _PAD = 230, 62, 7
_X = Linear(0.7, 1.0, 12, _W - 12)


def coverage_axis() -> Markup:
    """The scale above the column."""
    ticks = [text(_X.at(tick), 12, f"{100 * tick:.0f}", "soft") for tick in (0.7, 0.8, LEVEL, 1.0)]
    return svg(_W, 16, "scale of coverage in %, 90 is what the intervals promise", ticks)


def coverage_row(found: Coverage) -> Markup:
    """A dot and a whisker for each quarter, the lowest predictions on top."""
    parts = [line(_X.at(LEVEL), 0, _X.at(LEVEL), _H, "diagonal")]
    for k, quarter in enumerate(found.quarters):
        y = _PAD + (_H - 2 * _PAD) * (k + 0.5) / len(found.quarters)
        parts.append(line(_X.at(quarter.covered.low), y, _X.at(quarter.covered.high), y, "whisker"))
        parts.append(f'<circle class="dot" cx="{_X.at(quarter.covered.mean):.1f}" cy="{y:.1f}" r="4"/>')
    return svg(_W, _H, None, parts)
