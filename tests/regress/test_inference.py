"""The verdict by simulation: what is nothing must never be called something; and what the intervals cover."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit

from regress import inference
from regress.inference import COLLAPSED_SHARE, RANK_Z, Interval, bootstrap, paired, rank_signal, verdict
from regress.metrics import cross_entropy, d2, spearman

Array = NDArray[np.float64]


def world(seed: int, n: int = 600) -> tuple[Array, Array, Array, NDArray[np.int64]]:
    """Labels, their true means, the constant to beat, clusters of three posts with a common effect."""
    rng = np.random.default_rng(seed)
    clusters = np.arange(n) // 3
    mean = expit(-3 + rng.normal(0, 1, n) + rng.normal(0, 0.5, n // 3 + 1)[clusters])
    y = rng.binomial(60, mean) / 60
    return y, mean, np.full(n, y.mean()), clusters


@pytest.mark.parametrize("seed", range(25))
def test_noise_is_never_useful(seed: int) -> None:
    y, mean, constant, clusters = world(seed)
    rng = np.random.default_rng(seed + 1000)
    noise = np.clip(rng.normal(y.mean(), y.std(), len(y)), 0.001, 0.9)
    assert verdict(y, noise, constant, clusters).name in ("NO SIGNAL", "MISCALIBRATED")
    assert verdict(y, rng.permutation(mean), constant, clusters).name != "USEFUL"
    faint = y.mean() * np.exp(rng.normal(0, 1e-3, len(y)))
    assert verdict(y, faint, constant, clusters).name != "USEFUL"


@pytest.mark.parametrize("value", [0.0, 0.01, 0.06, 0.5, 1.0])
def test_an_all_constant_head_has_collapsed(value: float) -> None:
    y, _, constant, clusters = world(0)
    found = verdict(y, np.full_like(y, value), constant, clusters)
    assert found.name == "COLLAPSED"
    assert "0.0%" in found.why


def test_the_mean_itself_has_collapsed_even_as_it_wobbles_from_fold_to_fold() -> None:
    y, _, _, clusters = world(0)
    fold = np.arange(len(y)) % 5
    means = np.array([y[fold != k].mean() for k in range(5)])[fold]
    assert verdict(y, means, means, clusters).name == "COLLAPSED"


def test_shuffled_predictions_have_no_signal_though_their_distribution_is_right() -> None:
    names = []
    for seed in range(20):
        y, mean, constant, clusters = world(seed)
        names.append(verdict(y, np.random.default_rng(seed).permutation(mean), constant, clusters).name)
    assert names.count("NO SIGNAL") >= 18  # z ≥ 2.58 by chance in 1 of 200


def test_ranks_the_wrong_way_round_have_no_signal() -> None:
    y, mean, constant, clusters = world(0)
    assert verdict(y, mean.max() - mean, constant, clusters).name == "NO SIGNAL"


@pytest.mark.parametrize("seed", range(5))
def test_an_oracle_is_useful(seed: int) -> None:
    y, mean, constant, clusters = world(seed)
    found = verdict(y, mean, constant, clusters)
    assert found.name == "USEFUL"
    assert "\n" not in found.why


@pytest.mark.parametrize("seed", range(5))
def test_a_good_ranking_at_the_wrong_level_is_miscalibrated(seed: int) -> None:
    y, mean, constant, clusters = world(seed)
    assert verdict(y, expit(logit(mean) + 2.5), constant, clusters).name == "MISCALIBRATED"


def test_between_the_two_nothing_is_proven() -> None:
    y, mean, constant, clusters = world(0)
    low, high = 0.0, 2.5
    for _ in range(20):  # the shift at which the oracle's gain is used up
        shift = (low + high) / 2
        low, high = (shift, high) if d2(y, expit(logit(mean) + shift), constant) > 0 else (low, shift)
    found = verdict(y, expit(logit(mean) + low), constant, clusters)
    assert found.name == "UNPROVEN"
    assert "-0.0" in found.why
    assert "+0.0" in found.why


def test_the_share_that_separates_collapse_from_no_signal() -> None:
    y, _, constant, clusters = world(3)
    noise = np.random.default_rng(1).normal(size=len(y))
    noise *= np.std(y) / np.std(noise)
    for share, name in ((0.9 * COLLAPSED_SHARE, "COLLAPSED"), (1.1 * COLLAPSED_SHARE, "NO SIGNAL")):
        assert verdict(y, y.mean() + share * noise, constant, clusters).name == name


def test_the_interval_holds_the_estimate() -> None:
    y, mean, constant, clusters = world(1)
    interval = bootstrap(y, 0.8 * mean + 0.01, constant, clusters)
    assert interval.d2_low < d2(y, 0.8 * mean + 0.01, constant) < interval.d2_high
    assert interval.excess_low < interval.excess_high < 0


def test_the_mean_against_itself_has_an_interval_of_zero() -> None:
    y, _, constant, clusters = world(2)
    assert bootstrap(y, constant, constant, clusters) == Interval(0, 0, 0, 0)


def test_the_same_seed_gives_the_same_interval() -> None:
    y, mean, constant, clusters = world(3)
    assert bootstrap(y, mean, constant, clusters, seed=4) == bootstrap(y, mean, constant, clusters, seed=4)
    assert bootstrap(y, mean, constant, clusters, seed=4) != bootstrap(y, mean, constant, clusters, seed=5)


def test_only_who_is_together_matters_not_what_clusters_are_called() -> None:
    y, mean, constant, clusters = world(4)
    assert bootstrap(y, mean, constant, clusters) == bootstrap(y, mean, constant, 7 * clusters + 1000)


def test_copies_of_a_post_add_no_certainty() -> None:
    y, mean, constant, _ = world(5, n=200)
    alone = np.arange(200)
    once = bootstrap(y, mean, constant, alone)
    y, mean, constant = (np.repeat(values, 4) for values in (y, mean, constant))
    copied = bootstrap(y, mean, constant, np.repeat(alone, 4))
    fooled = bootstrap(y, mean, constant, np.arange(800))
    width = once.d2_high - once.d2_low
    assert copied.d2_high - copied.d2_low == pytest.approx(width, rel=1e-6)
    assert fooled.d2_high - fooled.d2_low < 0.7 * width


def test_intervals_cover_about_as_often_as_they_say() -> None:
    """The excess loss of a fixed prediction against a fixed constant, whose expectation 100,000 posts give."""
    rng = np.random.default_rng(0)

    def draw(groups: int) -> tuple[Array, Array, NDArray[np.int64]]:
        clusters = np.repeat(np.arange(groups), 3)
        mean = expit(-3 + rng.normal(0, 1, 3 * groups) + rng.normal(0, 0.7, groups)[clusters])
        return rng.binomial(60, mean) / 60, 0.6 * mean + 0.02, clusters

    def loss(y: Array, p: Array) -> Array:
        return -y * np.log(p) - (1 - y) * np.log(1 - p)

    y, p, _ = draw(35_000)
    truth, inside, draws = float(np.mean(loss(y, p) - loss(y, np.full_like(y, 0.07)))), 0, 100
    for seed in range(draws):
        y, p, clusters = draw(120)
        interval = bootstrap(y, p, np.full_like(y, 0.07), clusters, seed=seed)
        inside += interval.excess_low <= truth <= interval.excess_high
    assert 0.86 <= inside / draws <= 1


def test_a_paired_interval_is_what_the_bootstrap_tends_to() -> None:
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(400), rng.integers(1, 6, 400))
    y, mean = rng.beta(0.5, 4, len(clusters)), np.full(len(clusters), 0.12)
    p = np.clip(0.5 * y + 0.06 + rng.normal(0, 0.02, 400)[clusters], 0.01, 0.99)
    drawn = bootstrap(y, p, mean, clusters)
    found = paired(cross_entropy(y, p) - cross_entropy(y, mean), clusters)
    width = drawn.excess_high - drawn.excess_low
    assert found.mean == pytest.approx((cross_entropy(y, p) - cross_entropy(y, mean)).mean())
    assert found.low == pytest.approx(drawn.excess_low, abs=0.08 * width)
    assert found.high == pytest.approx(drawn.excess_high, abs=0.08 * width)


@pytest.mark.parametrize("numbers", [[0, 1, 2, 3, 4], [7, 900, 31, 2, 400], [-5, 3, 10**12, -(10**15), 0]])
def test_a_paired_interval_does_not_depend_on_what_clusters_are_called(numbers: list[int]) -> None:
    rng = np.random.default_rng(0)
    difference, members = rng.normal(size=60), rng.integers(5, size=60)
    plain, renamed = (paired(difference, names[members]) for names in (np.arange(5), np.array(numbers)))
    assert (renamed.low, renamed.high) == (pytest.approx(plain.low), pytest.approx(plain.high))


def test_a_paired_interval_covers_and_widens_with_its_level_and_with_clusters() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        shared = np.repeat(rng.normal(0, 1, 60), 4)
        found = paired(shared + rng.normal(0, 1, 240), np.repeat(np.arange(60), 4))
        covered += found.low <= 0 <= found.high
    assert 0.92 <= covered / 400 <= 0.98
    values, alone = rng.normal(0, 1, 240), np.arange(240)
    assert paired(values, alone, 0.999).high > paired(values, alone, 0.95).high
    assert paired(np.zeros(5), np.zeros(5, dtype=np.int64)).high == np.inf  # one cluster says nothing


def test_repetitions_count_by_each_posts_mean_loss() -> None:
    y, mean, constant, clusters = world(6)
    rng = np.random.default_rng(0)
    p = np.stack([np.clip(mean * np.exp(rng.normal(0, 0.3, len(y))), 1e-3, 0.9) for _ in range(3)])
    base = np.stack([constant, 1.01 * constant, 0.99 * constant])
    once, thrice = bootstrap(y, p[0], constant, clusters), bootstrap(y, np.stack([p[0]] * 3), constant, clusters)
    assert thrice.d2_low == pytest.approx(once.d2_low)
    assert thrice.excess_high == pytest.approx(once.excess_high)
    other_way = bootstrap(y, p[::-1], base[::-1], clusters)
    assert bootstrap(y, p, base, clusters).d2_low == pytest.approx(other_way.d2_low)
    assert bootstrap(y, p, base, clusters).d2_low < d2(y, p, base) < bootstrap(y, p, base, clusters).d2_high
    assert verdict(y, p, base, clusters).name == "USEFUL"
    assert verdict(y, np.stack([rng.permutation(mean) for _ in range(3)]), base, clusters).name == "NO SIGNAL"


@pytest.mark.parametrize("k", [1, 7, 2**16 + 1])
def test_draws_are_with_replacement_and_as_many_as_there_are_clusters(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "DRAWS", 400 if k < 10 else 20)
    values = np.random.default_rng(0).normal(size=k)
    totals = inference._resampled(np.stack([np.ones(k), values], axis=1), np.random.default_rng(1))
    np.testing.assert_allclose(totals[:, 0], k)
    assert totals[:, 1].mean() == pytest.approx(values.sum(), abs=4 * np.sqrt(k * values.var() / len(totals)) + 1e-9)
    spread = np.sqrt(k) * values.std()
    assert totals[:, 1].std() == pytest.approx(spread, rel=0.15 if k < 10 else 0.6)


def test_a_known_interval_is_not_drawn_again() -> None:
    y, mean, constant, clusters = world(8)
    known = Interval(-0.1, 0.1, -0.2, 0.2)
    assert verdict(y, mean, constant, clusters, interval=known).name == "UNPROVEN"
    drawn = bootstrap(y, mean, constant, clusters, seed=3)
    assert verdict(y, mean, constant, clusters, interval=drawn) == verdict(y, mean, constant, clusters, seed=3)


def test_telling_groups_apart_wrongly_is_no_signal() -> None:
    """Predictions that are one number for each of 60 authors, those of another: taken post by post, 10 % had ranks."""
    rng, signals = np.random.default_rng(0), 0
    for _ in range(100):
        author = rng.integers(60, size=600)
        level = expit(-3 + rng.normal(0, 1, 60))
        y, p = rng.binomial(60, level[author]) / 60, rng.permutation(level)[author]
        signals += rank_signal(y, p, author)[1] >= RANK_Z
    assert signals <= 5  # 1 is expected, 5 a matter of 1 in 250


def test_a_rank_signal_is_spearmans_where_posts_stand_alone() -> None:
    y, mean, _, _ = world(7)
    rho, z = rank_signal(y, mean, np.arange(len(y)))
    assert rho == pytest.approx(spearman(y, mean))
    assert z <= rho * np.sqrt(len(y) - 1) + 1e-9
    noise = np.random.default_rng(0).permutation(mean)
    assert rank_signal(y, noise, np.arange(len(y)))[1] == pytest.approx(spearman(y, noise) * np.sqrt(599), rel=0.1)
