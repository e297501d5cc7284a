"""Which target can be learned: what speaks against each, by a rule that is stated beside its findings.

The rule looks at luck and at zeros alone. Whether pictures and texts say anything of a rate, only a fit tells.
"""

from dataclasses import dataclass

from data.exploration.ceiling import Ceiling
from data.page import percent
from data.targets import FEWEST_POSTS

EVENTS = 100  # posts with any
ZEROS = 0.75  # above it the median and both whiskers of the box plot are 0: no rate counts as rare
LUCK = 0.05  # R² that a ceiling's interval must be above
ALIKE = 0.05  # R² within which ceilings count as equal

FINDINGS = {
    "worth trying": "nothing below speaks against it",
    "mostly zeros": f"more than {ZEROS:.0%} of the posts have a rate of 0",
    "few events": f"fewer than {EVENTS} posts have a rate above 0",
    "mostly luck": f"the 95 % interval of its ceiling reaches below R² {LUCK}",
    "one trial each": "no two posts have the 2 trials that luck can be told from",
    "constant": "all posts have the same rate",
    "too few posts": f"fewer than {FEWEST_POSTS} posts can be used",
}
RULE = (
    "Of the targets worth trying, or else of those that are mostly zeros, the one with the fewest zeros is picked "
    f"among those whose ceiling's lower end is within {ALIKE} of the highest."
)


@dataclass(frozen=True)
class Judged:
    """A target and what was found of it."""

    name: str
    posts: int
    zeros: int
    ceiling: Ceiling
    finding: str

    def __str__(self) -> str:
        """One sentence, that claims no more than the ceiling says."""
        r2, d2, zeros = self.ceiling.r2, self.ceiling.d2, percent(self.zeros / self.posts) if self.posts else ""
        if r2 is None:
            return f"{self.name}: {FINDINGS[self.finding]}"
        at_most = f"R² {r2.value:.2f} ({r2.low:.2f} to {r2.high:.2f})" + (f", D² {d2.value:.2f}" if d2 else "")
        return f"{self.name} could be learned at most to {at_most}; {zeros} of {self.posts:,} posts are zero".replace(
            "-", "−"
        )


def judge(name: str, posts: int, zeros: int, varies: bool, ceiling: Ceiling) -> Judged:
    """The first finding that holds, from the worst on."""
    checks = (
        ("too few posts", posts < FEWEST_POSTS),
        ("constant", not varies),
        ("one trial each", ceiling.r2 is None),
        ("mostly luck", ceiling.r2 is not None and ceiling.r2.low < LUCK),
        ("few events", posts - zeros < EVENTS),
        ("mostly zeros", zeros > ZEROS * posts),
    )
    finding = next((finding for finding, holds in checks if holds), "worth trying")
    return Judged(name, posts, zeros, ceiling, finding)


def recommend(judged: list[Judged]) -> Judged | None:
    """The target that `RULE` picks, if there is one."""
    for finding in ("worth trying", "mostly zeros"):
        left = [(each.ceiling.r2.low, each) for each in judged if each.finding == finding and each.ceiling.r2]
        if left:
            highest = max(low for low, _ in left)
            return min((e for low, e in left if low >= highest - ALIKE), key=lambda each: each.zeros / each.posts)
    return None
