"""Random over- and undersampling: copies of rare rows, and fewer normal ones, nothing else."""

import numpy as np
import pytest

from oversample import RandomOversampler, RandomUndersampler


def data(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 4)).astype(np.float32), np.where(rng.random(n) < 0.7, 0.0, rng.beta(0.7, 20, n))


def test_every_new_row_is_a_rare_row_bit_for_bit() -> None:
    X, y = data()
    sampler = RandomOversampler(random_state=0)
    X_new, y_new = sampler.fit_resample(X, y)
    rows = sampler.sample_indices_
    assert X_new.tobytes() == X[rows].tobytes()
    assert y_new.tobytes() == y[rows].tobytes()
    assert len(y_new) > len(y)
    assert sampler.rare_[rows[len(y) :]].all()


def test_copies_are_not_synthetic_and_have_one_parent() -> None:
    X, y = data()
    sampler = RandomOversampler(random_state=0)
    sampler.fit_resample(X, y)
    assert not sampler.synthetic_.any()
    np.testing.assert_array_equal(sampler.parents_[:, 0], sampler.parents_[:, 1])


def test_copies_are_spread_evenly() -> None:
    X, y = data()
    sampler = RandomOversampler(random_state=0, sampling_strategy=50.0)
    sampler.fit_resample(X, y)
    times = np.bincount(sampler.sample_indices_)[sampler.rare_]
    assert times.min() > 0.8 * times.mean()
    assert times.max() < 1.2 * times.mean()
    assert len(set(times)) > 5  # drawn, not dealt out


def test_draws_reach_every_rare_row() -> None:
    X, y = data()
    sampler = RandomOversampler(random_state=0, sampling_strategy=3.0)
    sampler.fit_resample(X, y)
    assert set(sampler.sample_indices_[len(y) :]) == set(np.flatnonzero(sampler.rare_))


def kept(strategy: object) -> tuple[int, int, int, RandomUndersampler]:
    """Rare rows in, normal rows in, normal rows out."""
    X, y = data()
    sampler = RandomUndersampler(random_state=0, sampling_strategy=strategy)
    X_new, y_new = sampler.fit_resample(X, y)
    rows = sampler.sample_indices_
    assert X_new.tobytes() == X[rows].tobytes()
    assert y_new.tobytes() == y[rows].tobytes()
    assert (np.diff(rows) > 0).all()
    assert not sampler.synthetic_.any()
    return int(sampler.rare_.sum()), int((~sampler.rare_).sum()), int((~sampler.rare_[rows]).sum()), sampler


def test_undersampling_balances_by_leaving_normal_rows_out() -> None:
    rare, _, normal, sampler = kept("balance")
    assert normal == rare == sampler.rare_[sampler.sample_indices_].sum()


@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.0])
def test_a_number_is_rare_rows_per_normal_row(ratio: float) -> None:
    rare, _, normal, _ = kept(ratio)
    assert normal == round(rare / ratio)


def test_extreme_turns_the_ratio_upside_down() -> None:
    rare, normal, left, _ = kept("extreme")
    assert left == max(round(rare * rare / normal), 1)


def test_a_mapping_says_which_share_stays() -> None:
    _, normal, left, sampler = kept({0: 0.25})
    assert left == round(0.25 * normal)
    assert sampler.rare_[sampler.sample_indices_].sum() == sampler.rare_.sum()
    *_, sampler = kept({0: 1e-9, 1: 1e-9})
    assert sampler.sampling_strategy_ == {0: 1, 1: 1}  # no bump vanishes, and no empty table is handed on


def test_undersampling_cannot_add_rows() -> None:
    with pytest.raises(ValueError, match=r"sampling_strategy={1: 2.0}: expected shares of bumps that stay, up to 1"):
        RandomUndersampler(sampling_strategy={1: 2.0}).fit_resample(*data())


def test_undersampling_where_nothing_is_rare_or_to_leave_out_warns() -> None:
    X, y = data()
    for strategy, target, what in (("balance", np.zeros(400), "no row is rare"), (0.001, y, "already as many")):
        with pytest.warns(UserWarning, match=what):
            X_new, _ = RandomUndersampler(sampling_strategy=strategy).fit_resample(X, target)
        assert X_new.tobytes() == X.tobytes()
