"""Which posts a report shows, and how their pictures and texts are read."""

import base64
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from regress.dispersion import fit_prior
from regress.entry import Entry
from regress.gallery import KINDS, SIDE, choose_posts, read_contents
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
    assert kinds == ["rarest"] * 8 + ["best predicted"] * 8 + ["worst predicted"] * 8


def test_the_highest_rate_is_shown_first(compared: Compared) -> None:
    y, trials = compared[1].y, compared[1].trials
    assert choose_posts(*compared, 24)[0].index == fit_prior(y, trials).shrunken(y, trials).argmax()


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
    assert {pick.kind for pick in choose_posts(entries, read_predictions(entries), 10)} == {"rarest"}


def test_luck_of_few_trials_is_drawn_towards_the_mean(compared: Compared) -> None:
    entries, predictions = compared
    y, trials = predictions.y.copy(), predictions.trials.copy()
    y[20], trials[20] = 1, 1  # 1 of 1 against 900 of 1,000
    y[30], trials[30] = 0.9, 1000
    assert choose_posts(entries, replace(predictions, y=y, trials=trials), 24)[0].index == 30


def test_rates_that_nothing_tells_apart_go_by_themselves(compared: Compared) -> None:
    entries, predictions = compared
    y = (np.arange(60) == 41).astype(float)
    once = replace(predictions, y=y, trials=np.ones(60))
    assert choose_posts(entries, once, 24)[0].index == 41


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
