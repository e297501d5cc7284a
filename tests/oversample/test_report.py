"""Reports: every figure against its definition on data where it is known, cheap at fit time, and no byte of output."""

import json
import pickle
import warnings
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from oversample import SAMPLERS, SMOTER, RandomOversampler, RandomUndersampler
from oversample.draw import Draw
from oversample.report import Evidence, Report

every = pytest.mark.parametrize("Sampler", SAMPLERS.values(), ids=SAMPLERS)


def data(n: int = 400, d: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(n, d)), np.where(rng.random(n) < 0.6, 0.0, rng.beta(0.7, 20, n))


def fitted(sampler: Any, X: np.ndarray, y: np.ndarray) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        sampler.fit_resample(X, y)
    return sampler


def upper(values: np.ndarray) -> np.ndarray:
    return (values > 0).astype(float)


def evidence(X: np.ndarray, new: np.ndarray, parents: np.ndarray) -> Report:
    """The report of rows made by hand from rows of X, all of them rare."""
    draw = Draw.join([Draw.copies(np.arange(len(X))), Draw.around(parents, np.ones(len(new)))])
    found = Evidence(X, draw, len(X), np.ones(len(X), dtype=bool), {})
    found.keep(slice(0, len(draw.first)), np.concatenate([X, new]))
    return found.report([], None)


@every
def test_there_is_a_report_after_sampling_and_none_before(Sampler: Any) -> None:
    sampler = Sampler(random_state=0)
    for unfitted in (sampler, clone(fitted(Sampler(random_state=0), *data())), Sampler().fit(*data())):
        assert not hasattr(unfitted, "report_")
        with pytest.raises(NotFittedError):
            _ = unfitted.report_
    report = fitted(sampler, *data()).report_
    assert sampler.report_ is report
    with pytest.raises(FrozenInstanceError):
        report.rows_in = 0


@every
def test_counts_and_shares_are_those_of_the_output(Sampler: Any) -> None:
    X, y = data()
    sampler = fitted(Sampler(random_state=0), X, y)
    report = sampler.report_
    m = len(sampler.sample_indices_)
    assert (report.rows_in, report.rows_out) == (len(y), m)
    assert report.synthetic_rows == sampler.synthetic_.sum()
    assert report.new_rows == max(m - len(y), 0)
    assert report.rare_share_before == sampler.rare_.mean()
    assert report.rare_share_after == sampler.rare_[sampler.sample_indices_].mean()
    assert 0 < report.effective_rare_rows <= sampler.rare_.sum() + 1e-9
    assert report.effective_rare_rows < report.effective_rows <= len(y) + 1e-9
    if report.synthetic_rows == 0:
        assert (report.norm_ratio, report.nearest_real, report.auc) == (None, None, None)
    assert set(sampler.notes_) <= set(report.notes)


@every
def test_it_survives_pickle_before_and_after_it_is_read(Sampler: Any) -> None:
    sampler = fitted(Sampler(random_state=0), *data())
    before = pickle.loads(pickle.dumps(sampler))
    assert before.report_ == sampler.report_ == pickle.loads(pickle.dumps(sampler)).report_


@every
def test_it_is_read_as_lines_and_as_json(Sampler: Any) -> None:
    report = fitted(Sampler(random_state=0), *data()).report_
    lines = str(report).splitlines()
    assert lines[0].startswith("rows ")
    assert len({line.index(line[29:].lstrip()[:5]) for line in lines}) == 1
    loaded = json.loads(report.to_json())
    assert loaded["rows_in"] == 400
    assert Report(**{**loaded, "notes": tuple(loaded["notes"])}) == report


@every
def test_the_output_does_not_depend_on_it(Sampler: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = data()
    expected = Sampler(random_state=0).fit_resample(X, y)
    monkeypatch.setattr("oversample.report.SAMPLE", 3)
    again = Sampler(random_state=0).fit_resample(X, y)
    assert [part.tobytes() for part in again] == [part.tobytes() for part in expected]


@every
@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_the_smallest_and_largest_numbers_have_a_report(Sampler: Any, scale: float) -> None:
    X, y = data()
    plain, scaled = (fitted(Sampler(random_state=0), X * factor, y).report_ for factor in (1.0, scale))
    assert (scaled.norm_ratio is None) == (plain.norm_ratio is None)
    if plain.norm_ratio is not None:
        assert scaled.norm_ratio == pytest.approx(plain.norm_ratio, rel=1e-3)


def test_copies_are_duplicates() -> None:
    report = fitted(RandomOversampler(random_state=0), *data()).report_
    assert report.duplicate_rate == 1
    assert report.notes == ("every new row is a copy",)


def test_undersampling_has_no_new_rows() -> None:
    report = fitted(RandomUndersampler(random_state=0), *data()).report_
    assert (report.new_rows, report.duplicate_rate, report.notes) == (0, None, ())
    assert report.effective_rows == pytest.approx(report.rows_out)


def test_nothing_sampled_has_a_report_with_the_reason() -> None:
    report = fitted(SMOTER(random_state=0), data()[0], np.zeros(400)).report_
    assert (report.new_rows, report.duplicate_rate, report.auc, report.effective_rare_rows) == (0, None, None, 0)
    assert "no row is rare" in report.notes[0]


def test_rows_between_equal_rows_coincide() -> None:
    X, y = data()
    report = fitted(SMOTER(random_state=0), np.ones_like(X), y).report_
    assert report.duplicate_rate == 1
    assert "100% of the new rows equal another row" in report.notes
    assert report.nearest_real is None  # real rows are no distance apart


def test_effective_rows_are_kishs() -> None:
    X, y = data(40)
    sampler = fitted(SMOTER(random_state=0, relevance=upper, sampling_strategy=4.0), X, y)
    (first, second), share = sampler.parents_.T, sampler.lambda_
    weight = np.array([((first == i) * (1 - share) + (second == i) * share).sum() for i in range(40)])
    assert weight.sum() == pytest.approx(len(first))
    assert sampler.report_.effective_rows == pytest.approx(weight.sum() ** 2 / (weight**2).sum())
    weight = weight[sampler.rare_]
    assert sampler.report_.effective_rare_rows == pytest.approx(weight.sum() ** 2 / (weight**2).sum())


def test_shorter_unit_vectors_are_told_and_renormalised_ones_are_not() -> None:
    X, y = data(d=64)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    sampler = fitted(SMOTER(random_state=0), X, y)
    X_new, _ = sampler.fit_resample(X, y)
    new = sampler.synthetic_
    assert sampler.report_.norm_ratio == pytest.approx(np.linalg.norm(X_new[new], axis=1).mean())
    assert any(note.endswith("shorter than real ones: pass renormalize=True") for note in sampler.report_.notes)
    renormalised = fitted(SMOTER(random_state=0, renormalize=True), X, y).report_
    assert renormalised.norm_ratio == pytest.approx(1)
    assert not any("shorter" in note for note in renormalised.notes)


def test_each_block_has_its_norms_and_a_note_names_it() -> None:
    X, y = data(d=64)
    X[:, :32] /= np.linalg.norm(X[:, :32], axis=1, keepdims=True)
    blocks = {"image": slice(0, 32), "text": slice(32, None)}
    report = fitted(SMOTER(random_state=0, blocks=blocks), X, y).report_
    assert list(report.block_norm_ratios) == ["image", "text"]
    assert report.block_norm_ratios["image"] < 0.9
    assert "in block 'image': pass renormalize=True" in report.notes[0]
    assert not any("'text'" in note for note in report.notes)  # no unit vectors: there is nothing to restore
    report = fitted(SMOTER(random_state=0, blocks=blocks, renormalize=True), X, y).report_
    assert report.block_norm_ratios["image"] == pytest.approx(1)


def test_fresh_real_rows_cannot_be_told_apart() -> None:
    """The classifier's null: 0.5, give or take 0.03, over a dozen draws, and never far."""
    aucs = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        X, new = rng.normal(size=(300, 5)), rng.normal(size=(300, 5))
        report = evidence(X, new, rng.permutation(300))
        aucs.append(report.auc)
        assert report.nearest_real == pytest.approx(1, abs=0.25)
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.03)
    assert 0.35 < min(aucs) < max(aucs) < 0.65


@pytest.mark.parametrize("what", ["moved", "grid", "short", "across"])
def test_what_is_not_real_is_told(what: str) -> None:
    rng = np.random.default_rng(0)
    X = np.round(rng.normal(size=(300, 2))) @ np.array([[1.0, 0, 1, 2], [0, 1, 1, -1]])  # a grid in a plane
    parents = rng.permutation(300)
    new = {
        "moved": X[parents] + 9,
        "grid": X[parents] + 0.3 * np.repeat(rng.normal(size=(300, 1)), 4, axis=1) * [1, 0, 1, 2],
        "short": X[parents] * 0.05,
        "across": X[parents] + 0.2 * rng.normal(size=(300, 4)),
    }[what]
    report = evidence(X, new, parents)
    assert report.auc is not None
    assert report.auc > 0.9
    assert f"a classifier tells synthetic from real rows with AUC {report.auc:.2f}" in report.notes


def test_parents_and_children_in_one_half_leak_nothing() -> None:
    """Children that all but repeat their parents: kept apart, the nearest other row says nothing about the kind."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 5))
    parents = rng.permutation(300)
    report = evidence(X, X[parents] + 1e-6 * rng.normal(size=X.shape), parents)
    assert report.auc == pytest.approx(0.5, abs=0.08)


def test_rows_far_from_the_data_are_told() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    report = evidence(X, X + 50, np.arange(200))
    assert report.nearest_real is not None
    assert report.nearest_real > 20
    assert any("× as far from real rows as those are apart" in note for note in report.notes)


def test_few_rows_have_no_classifier() -> None:
    X, y = data(40)
    report = fitted(SMOTER(random_state=0, relevance=upper, sampling_strategy=1.0), X, y).report_
    assert report.synthetic_rows > 0
    assert report.auc is None
    assert report.norm_ratio is not None


def test_a_bump_that_is_grown_much_is_no_difference_by_itself() -> None:
    """The real rows count as often as they were drawn: copies with a trace of noise of one tail stay at 0.5."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(250, 3)), rng.normal(size=(50, 3)) + 9])
    parents = np.repeat(np.arange(250, 300), 10)
    report = evidence(X, X[parents] + 1e-6 * rng.normal(size=(500, 3)), parents)
    assert report.auc == pytest.approx(0.5, abs=0.1)


def test_what_is_put_aside_is_bounded() -> None:
    X, y = data(6000, 8)
    kept = fitted(SMOTER(random_state=0), X, y)._evidence
    assert len(kept.new) == 500
    assert len(kept.features) <= 1500
    long = np.zeros((50, 200_000), dtype=np.float32)
    draw = Draw.between(np.arange(50), np.arange(50)[::-1], np.full(50, 0.5))
    assert len(Evidence(long, draw, 0, np.ones(50, dtype=bool), {}).new) == 20
