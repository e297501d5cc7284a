"""Which target can be learned: what speaks against each, by a rule that is stated beside its findings.

The rule looks at luck and at zeros alone. Whether pictures and texts say anything of a rate, only a fit tells.
"""

from dataclasses import dataclass

from data.exploration.ceiling import Ceiling
from data.page import fixed, percent
from data.targets import FEWEST_POSTS

EVENTS = 100  # posts with any
ZEROS = 0.75  # above it the median and both whiskers of the box plot are 0: no rate counts as rare
LUCK = 0.05  # R² that a ceiling's interval must be above
ALIKE = 0.05  # R² within which ceilings count as equal

FINDINGS = {  # the first that holds
    "too few posts": f"fewer than {FEWEST_POSTS} posts can be used",
    "constant": "all posts have the same rate",
    "one trial each": "no two posts have the 2 trials that luck can be told from",
    "too even": "the rates vary less than luck alone would have them: no counts of independent views",
    "mostly luck": f"the 95 % interval of the ceiling of R² reaches below {LUCK}",
    "few events": f"fewer than {EVENTS} posts have a rate above 0",
    "mostly zeros": f"more than {100 * ZEROS:.0f} % of the posts have a rate of 0",
    "worth trying": "none of these",
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

    @property
    def reach(self) -> str:
        """What a model that knows all true rates would reach, or why that is not known."""
        r2, d2 = self.ceiling.r2, self.ceiling.d2
        if r2 is None:
            return FINDINGS[self.finding]
        return f"R² {fixed(r2.value, 3)} ({fixed(r2.low, 3)} to {fixed(r2.high, 3)})" + (
            f" and D² {fixed(d2.value, 3)}" if d2 else ""
        )

    @property
    def share(self) -> str:
        """ "24.5 % of 751 posts are zero"."""
        return f"{percent(self.zeros / self.posts)} of {self.posts:,} posts are zero"


def judge(name: str, posts: int, zeros: int, varies: bool, ceiling: Ceiling) -> Judged:
    """The first finding that holds."""
    checks = (
        ("too few posts", posts < FEWEST_POSTS),
        ("constant", not varies),
        ("one trial each", ceiling.r2 is None),
        ("too even", ceiling.r2 is not None and ceiling.r2.high < 0),
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
