"""Which posts a report shows, and how their pictures and texts are read."""

import base64
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from regress.dispersion import fit_prior
from regress.entry import Entry
from regress.gallery import KINDS, LARGEST, RANDOM, SIDE, _small, choose_posts, read_contents, truth_interval
from regress.runs import Predictions, choose, read_predictions

Compared = tuple[list[Entry], Predictions]


@pytest.fixture
def compared(three_runs: list[Path]) -> Compared:
    entries, _ = choose(three_runs, three_runs[0].parent)
    return entries, read_predictions(entries)


@pytest.mark.parametrize("count", [0, 1, 7, 24, 1000])
def test_at_most_as_many_as_asked_for_and_none_twice(compared: Compared, count: int) -> None:
    picks = choose_posts(*compared, count)
    places = [pick.index for pick in picks]
    assert len(places) == len(set(places)) == min(count, 60)
    assert {pick.kind for pick in picks} <= set(KINDS)


def test_kinds_have_equal_shares_and_keep_their_order(compared: Compared) -> None:
    kinds = [pick.kind for pick in choose_posts(*compared, 24)]
    # one run with an opinion: nothing is disputed
    assert kinds == [kind for kind in ("best predicted", "worst predicted", "rarest", "random") for _ in range(6)]


def first_of(kind: str, entries: list[Entry], predictions: Predictions) -> int:
    return next(pick.index for pick in choose_posts(entries, predictions, 3) if pick.kind == kind)


def test_the_highest_rate_is_shown_first(compared: Compared) -> None:
    y, trials = compared[1].y, compared[1].trials
    assert first_of("rarest", *compared) == fit_prior(y, trials).shrunken(y, trials).argmax()


def random_posts(entries: list[Entry], predictions: Predictions, count: int) -> list[int]:
    return [pick.index for pick in choose_posts(entries, predictions, count) if pick.kind == RANDOM]


def test_random_posts_are_the_same_for_all_runs_on_one_ground_and_others_on_another(compared: Compared) -> None:
    entries, predictions = compared
    drawn = random_posts(entries, predictions, 24)
    assert len(drawn) == 6
    alone = [next(entry for entry in entries if entry.model == "ridge")]
    kept = replace(predictions, p=predictions.p[:1])
    assert random_posts(alone, kept, 24) == drawn
    elsewhere = [replace(entry, comparable="another ground") for entry in entries]
    assert random_posts(elsewhere, predictions, 24) != drawn


def test_random_posts_are_drawn_evenly_whatever_their_rates(compared: Compared) -> None:
    entries, predictions = compared
    times = np.zeros(60)
    for ground in range(600):
        there = [replace(entry, comparable=str(ground)) for entry in entries]
        times[random_posts(there, predictions, 24)] += 1
    assert times.sum() == 600 * 6
    assert times.min() > 30  # 60 expected, standard deviation 7.3
    assert times.max() < 90


def test_posts_of_one_cluster_are_shown_once(compared: Compared) -> None:
    entries, predictions = compared
    twins = replace(predictions, clusters=predictions.clusters // 2)
    shown = [int(twins.clusters[pick.index]) for pick in choose_posts(entries, twins, 1000)]
    assert len(shown) == len(set(shown)) == 30


def test_disputed_is_where_two_useful_runs_are_furthest_apart(
    write_run: Callable[..., Path], compared: Compared
) -> None:
    high = np.full(60, 0.2)
    high[17] = 0.95
    write_run("other", high, name="other", verdict={"name": "USEFUL", "why": "It is."})
    entries, _ = choose([], compared[0][0].run.folder.parent)
    picks = choose_posts(entries, read_predictions(entries), 8)
    assert next(pick.index for pick in picks if pick.kind == "most disputed") == 17


def test_only_the_mean_has_no_best_and_worst(write_run: Callable[..., Path]) -> None:
    folder = write_run("mean-1", 0.2, "mean")
    entries, _ = choose([folder], folder.parent)
    assert {pick.kind for pick in choose_posts(entries, read_predictions(entries), 10)} == {"rarest", RANDOM}


def test_luck_of_few_trials_is_drawn_towards_the_mean(compared: Compared) -> None:
    entries, predictions = compared
    y, trials = predictions.y.copy(), predictions.trials.copy()
    y[20], trials[20] = 1, 1  # 1 of 1 against 900 of 1,000
    y[30], trials[30] = 0.9, 1000
    assert first_of("rarest", entries, replace(predictions, y=y, trials=trials)) == 30


def test_rates_that_nothing_tells_apart_go_by_themselves(compared: Compared) -> None:
    entries, predictions = compared
    y = (np.arange(60) == 41).astype(float)
    once = replace(predictions, y=y, trials=np.ones(60))
    assert first_of("rarest", entries, once) == 41


def test_pictures_are_small_and_faults_have_reasons(compared: Compared) -> None:
    entries, predictions = compared
    contents = read_contents(entries[0], predictions, choose_posts(entries, predictions, 60))
    assert contents.note == ""
    assert len(contents.posts) == 60
    kind, _, data = (contents.posts[0].picture or "").partition(",")
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert kind == "data:image/webp;base64"
    assert max(image.size) <= SIDE
    assert (contents.posts[3].text or "").startswith("<script>")
    assert (contents.posts[4].picture, contents.posts[4].why) == (None, "no picture")
    assert contents.posts[5].picture is None
    assert contents.posts[5].why not in ("", "no picture")


def test_a_picture_that_compresses_badly_is_small_all_the_same() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    file = io.BytesIO(_small(Image.fromarray(noise)))
    assert file.getbuffer().nbytes <= LARGEST
    assert Image.open(file).size == (SIDE // 2, SIDE // 2)  # even the worst quality was too large


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"), [(0, 10, 0, 0.217), (5, 10, 0.224, 0.776), (10, 10, 0.783, 1)]
)
def test_the_truths_interval_is_jeffreys(hits: int, trials: int, low: float, high: float) -> None:
    ends = truth_interval(np.array([hits / trials]), np.array([float(trials)]))  # Brown, Cai, DasGupta 2001
    assert [end[0] for end in ends] == pytest.approx([low, high], abs=6e-4)


@given(st.integers(1, 100_000), st.floats(0, 1))
def test_the_truths_interval_holds_it(trials: int, share: float) -> None:
    y = round(share * trials) / trials
    low, high = truth_interval(np.array([y]), np.array([float(trials)]))
    assert 0 <= low[0] <= y <= high[0] <= 1
    assert low[0] < high[0]
