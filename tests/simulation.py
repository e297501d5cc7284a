"""How often the statistics are wrong, on simulated experiments whose truth is known.

    python tests/simulation.py [EXPERIMENTS]

Posts of 60 authors, rates with an atom at zero; models are least squares on disjoint blocks of columns that tell
equally much, so all are equally good and every difference that is called real is a false one. Folds are by author,
4 × 5. The oracle knows each post's true rate. Prints: false positives of two equal models at 5 %, of the plain paired t
test beside it; how often anything is found among ten equal models (Holm over their 45 pairs); how often the 95 %
interval of the excess log loss holds the oracle's value; how often verdicts on predictions that are known to be one
thing are right. The targets are ≤ 0.06, ≤ 0.05, 93 to 97 %, and ≥ 99 % (≥ 95 % on the planted bias).
"""

import sys

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import ttest_1samp
from sklearn.model_selection import GroupKFold

from regress.inference import bootstrap, verdict
from regress.metrics import clip, cross_entropy
from regress.pairs import corrected_t, holm, share_tested

Array = NDArray[np.float64]
POSTS, AUTHORS, MODELS, WIDTH = 600, 60, 10, 4
REPEATS, FOLDS, LEVEL = 4, 5, 0.05


class Experiment:
    """Posts with blocks of equally telling columns, one for each model."""

    def __init__(self, seed: int, posts: int = POSTS, authors: int = AUTHORS) -> None:
        rng = np.random.default_rng(seed)
        self.author = rng.integers(authors, size=posts)
        shared = rng.normal(size=(authors, MODELS * WIDTH))[self.author]
        self.X = 0.6 * shared + 0.8 * rng.normal(size=(posts, MODELS * WIDTH))
        self.truth = expit(-3 + self.X @ np.full(MODELS * WIDTH, 0.12) + 0.3 * rng.normal(size=authors)[self.author])
        trials = rng.integers(10, 200, posts)
        self.y = rng.binomial(trials, self.truth) / trials
        self.rng = rng

    def folds(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Training and test rows of 4 × 5 folds by author, each repetition another partition of the authors."""
        found = []
        for repeat in range(REPEATS):
            split = GroupKFold(FOLDS, shuffle=True, random_state=int(self.rng.integers(2**31)) + repeat)
            found += list(split.split(self.X, groups=self.author))
        return found

    def predictions(self, model: int, train: NDArray[np.int64], test: NDArray[np.int64]) -> Array:
        """Least squares on the model's own block, into [0, 1]."""
        A = np.column_stack([np.ones(len(self.y)), self.X[:, model * WIDTH : (model + 1) * WIDTH]])
        theta = np.linalg.lstsq(A[train], self.y[train], rcond=None)[0]
        return clip(A[test] @ theta)

    def losses(self, models: int) -> Array:
        """Mean log loss (models, 20) on each fold's test part."""
        folds = self.folds()
        return np.array(
            [
                [cross_entropy(self.y[test], self.predictions(model, train, test)).mean() for train, test in folds]
                for model in range(models)
            ]
        )


def false_positives(experiments: int) -> dict[str, float]:
    """Shares of experiments in which a difference of equal models is called real at 5 %."""
    pair, naive, family, share = 0, 0, 0, share_tested(FOLDS, forward=False)
    for seed in range(experiments):
        losses = Experiment(seed).losses(MODELS)
        first = losses[0] - losses[1]
        pair += corrected_t(first, share).p < LEVEL
        naive += float(ttest_1samp(first, 0).pvalue) < LEVEL
        p = [corrected_t(losses[a] - losses[b], share).p for a in range(MODELS) for b in range(a)]
        family += holm(np.array(p)).min() < LEVEL
    return {"pair": pair / experiments, "naive": naive / experiments, "family": family / experiments}


def coverage(experiments: int) -> float:
    """How often the interval of a fixed model's excess log loss over the mean holds its value on very many posts.

    The model is fitted once on an experiment of its own; what it is worth is known from 200 times as many posts.
    """
    fitted = Experiment(10**6)
    rows = np.arange(POSTS)
    many = Experiment(10**6 + 1, 200 * POSTS, 200 * AUTHORS)
    mean = fitted.y.mean()
    A = np.column_stack([np.ones(POSTS), fitted.X[:, :WIDTH]])
    theta = np.linalg.lstsq(A[rows], fitted.y[rows], rcond=None)[0]

    def excess(posts: Experiment) -> tuple[Array, Array]:
        return clip(np.column_stack([np.ones(len(posts.y)), posts.X[:, :WIDTH]]) @ theta), np.full(len(posts.y), mean)

    p, base = excess(many)
    worth = float((cross_entropy(many.y, p) - cross_entropy(many.y, base)).mean())
    held = 0
    for seed in range(experiments):
        posts = Experiment(seed)
        p, base = excess(posts)
        interval = bootstrap(posts.y, p, base, posts.author, seed=seed)
        held += interval.excess_low <= worth <= interval.excess_high
    return held / experiments


def planted(posts: Experiment, means: Array) -> dict[str, tuple[Array, str]]:
    """Predictions by what they are, each with the verdict that is right: of the oracle's rates, or of nothing."""
    rng, n, truth = np.random.default_rng(posts.rng.integers(2**31)), len(posts.y), posts.truth
    _, author, counts = np.unique(posts.author, return_inverse=True, return_counts=True)
    level = rng.permutation(np.bincount(author, truth) / counts)
    return {
        "constants": (np.full(n, rng.uniform(0, 0.5)), "COLLAPSED"),
        "means of folds": (means, "COLLAPSED"),
        "faint noise": (clip(means + 0.02 * posts.y.std() * rng.normal(size=n)), "COLLAPSED"),
        "shuffled": (rng.permutation(truth), "NO SIGNAL"),
        "shuffled authors": (level[author], "NO SIGNAL"),
        "biased upwards": (expit(logit(truth) + 1.5), "MISCALIBRATED"),
        "biased downwards": (expit(logit(truth) - 2), "MISCALIBRATED"),
        "the oracle": (truth, "USEFUL"),
    }


def fold_means(posts: Experiment) -> Array:
    """The training mean of each post's fold."""
    means = np.zeros(len(posts.y))
    for train, test in posts.folds()[:FOLDS]:
        means[test] = posts.y[train].mean()
    return means


def right_verdicts(experiments: int) -> dict[str, float]:
    """Shares of experiments in which the verdict on planted predictions is the right one."""
    right: dict[str, int] = {}
    for seed in range(experiments):
        posts = Experiment(seed)
        means = fold_means(posts)
        for name, (p, expected) in planted(posts, means).items():
            right[name] = right.get(name, 0) + (verdict(posts.y, p, means, posts.author, seed=seed).name == expected)
    return {name: count / experiments for name, count in right.items()}


def main(experiments: int = 1000) -> None:
    found = false_positives(experiments)
    print(f"{experiments:,} experiments with {POSTS} posts of {AUTHORS} authors, {REPEATS} × {FOLDS} folds by author")
    print(f"false positives of two equal models at 5 %: {found['pair']:.3f} (plain t test {found['naive']:.3f})")
    print(f"anything found among ten equal models:      {found['family']:.3f}")
    print(f"95 % intervals that hold the truth:         {coverage(experiments):.3f}")
    for name, share in right_verdicts(experiments).items():
        print(f"right verdicts, {name + ':':28}{share:.3f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
