"""A linear axis with round ticks."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Linear:
    """Values from `low` to `high` on pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Place of a value in pixels; what lies outside is put on the edge."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + (self.end - self.start) * share

    def ticks(self, about: int = 4) -> list[float]:
        """Round values, about so many of them."""
        step = round_step((self.high - self.low) / about)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [k * step for k in range(first, last + 1)]


def round_step(rough: float) -> float:
    """The nearest of 1, 2, 5, 10 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return min((s * power for s in (1, 2, 5, 10)), key=lambda s: abs(s - rough))


def number(value: float) -> str:
    """A tick's label: three digits at most, a true minus sign."""
    return f"{value:.3g}".replace("-", "−")
