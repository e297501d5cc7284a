"""A training curve: the loss by epoch on the rows trained on, and on those held out."""

from collections.abc import Sequence

from markupsafe import Markup

from data.svg import line, svg, text
from regress.curves import Curve
from regress.figures.axes import Linear, number

_W, _LEFT, _RIGHT, _TOP, _BASE = 220, 46, 214, 12, 122


def curve(found: Curve, label: str) -> Markup:
    """Held-out in the run's colour, trained dashed; a dot on the epoch whose weights were kept."""
    both = [*found.trained, *found.held]
    room = max(max(both) - min(both), 1e-9) * 0.06
    y = Linear(min(both) - room, max(both) + room, _BASE, _TOP)
    x = Linear(1, len(found.held), _LEFT + 4, _RIGHT - 4)
    parts = []
    for tick in y.ticks(3):
        parts += [line(_LEFT, y.at(tick), _RIGHT, y.at(tick), "grid")]
        parts.append(text(_LEFT - 5, y.at(tick) + 4, number(tick), "", "end"))
    kept = x.at(found.best + 1)
    parts.append(line(kept, _TOP, kept, _BASE, "diagonal"))
    parts += [_line(found.trained, x, y, "trained"), _line(found.held, x, y, "held")]
    parts.append(f'<circle class="dot" cx="{kept:.1f}" cy="{y.at(found.held[found.best]):.1f}" r="4"/>')
    ends = {1: "start", len(found.held): "end", found.best + 1: "middle"}
    marks = [epoch for epoch in ends if epoch == found.best + 1 or abs(x.at(epoch) - kept) > 24]
    parts += [text(x.at(epoch), _BASE + 15, str(epoch), "strong" if epoch == found.best + 1 else "") for epoch in marks]
    parts.append(line(_LEFT, _BASE, _RIGHT, _BASE, "axis"))
    return svg(_W, _BASE + 20, label, parts)


def _line(values: Sequence[float], x: Linear, y: Linear, kind: str) -> str:
    points = " ".join(f"{x.at(epoch):.1f} {y.at(value):.1f}" for epoch, value in enumerate(values, 1))
    return f'<path class="{kind}" d="M{points}"/>'
