"""What to do next: each rule speaks where its evidence is, keeps silent where it is not, and its command is one."""

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.config import parse
from regress import advice
from regress.ablation import Ablation, Addition
from regress.advice import Advice, Findings, advise
from regress.benefit import Against, Benefit
from regress.entry import Entry, read_entry
from regress.fit import Fit
from regress.inference import Difference
from regress.predict import Predict
from regress.runs import read_predictions
from regress.standing import Standing

SMALL = Difference(0.0, -0.001, 0.001)
Make = Callable[..., Entry]


@pytest.fixture
def entry(world: Any) -> Make:
    """`entry("ridge", "text", …)` → an entry of that model and features, USEFUL unless told otherwise."""

    def make(model: str, features: str = "text", **changes: Any) -> Entry:
        name = f"{model}-bce-{features}"
        config = {"model": ["ridge", "lgbm", "mlp"], "features": ["image", "text", "all"], "folds": "5x2"}
        made = {"verdict": {"name": "USEFUL", "why": "It is."}, "config": config, "features": [f"the-{features}"]}
        world.added = {"folds": {"n": 5, "repeats": 2, "seed": 0, "digest": "cd" * 32, "purged": 0, "group": None}}
        folder: Path = world.write(world.folder / "runs", model, world.like(0.6), name, name=name, **made)
        return replace(read_entry(folder), **changes)

    return make


def findings(entries: list[Entry], standings: list[Standing] | None = None, **given: Any) -> Findings:
    predictions = given.pop("predictions", None) or read_predictions(entries)
    each = {"benefits": [], "ablations": []} | given
    return Findings(entries, predictions, standings or [Standing()] * len(entries), **each)


def fitted(found: Advice | None) -> Fit:
    """What the advised command would fit."""
    assert found is not None
    words = shlex.split(found.command)
    assert words[:3] == ["python", "-m", "regress.fit"]
    return parse(Fit, words[3:])


def test_something_is_fitted_where_only_the_mean_is(entry: Make, world: Any) -> None:
    mean = read_entry(world.write(world.folder / "runs", "mean", world.mean))
    found = fitted(advice.fit_something(findings([mean])))
    assert (found.model, found.features, found.loss) == (("ridge", "lgbm"), (), ("bce",))
    assert found.posts == world.path
    assert advice.fit_something(findings([entry("ridge")])) is None


def test_untried_models_where_nothing_has_a_signal(entry: Make) -> None:
    assert fitted(advice.fit_something(findings([entry("ridge", verdict="NO SIGNAL")]))).model == ("lgbm",)
    both = [entry("lgbm", verdict="COLLAPSED"), entry("ridge", "image", verdict="NO SIGNAL")]
    assert advice.fit_something(findings(both)) is None


def test_calibration_where_there_was_none_and_the_level_is_off(entry: Make) -> None:
    made = entry("ridge", calibration="none")
    off, right = ({**made.scores, "bias": bias} for bias in (1.4, 1.01))
    told = advice.calibrate(findings([replace(made, scores=off)]))
    assert fitted(told).calibration == "beta"
    assert fitted(told).model == ("ridge",)
    assert told is not None
    assert "1.40 times the mean rate" in told.why
    assert advice.calibrate(findings([replace(made, scores=right)])) is None
    assert advice.calibrate(findings([replace(made, scores=off, calibration="beta")])) is None


def test_a_sampler_that_does_not_help_is_left_out(entry: Make) -> None:
    made = [entry("ridge", oversample="smoter")]
    against = Against(0, SMALL, SMALL)

    def told(finding: Any) -> Advice | None:
        return advice.drop_the_sampler(findings(made, benefits=[Benefit(0, against, against, finding, "helps")]))

    assert told("helps") is None
    assert fitted(told("hurts")).oversample == ("none",)
    assert fitted(told("no more than random")).oversample == ("none",)
    assert fitted(told("no baseline")).oversample == ("none", "random")
    other = Benefit(1, against, against, "hurts", "hurts")  # not of the leading run
    assert advice.drop_the_sampler(findings([entry("lgbm"), *made], benefits=[other])) is None


def test_folds_are_repeated_where_runs_are_not_told_apart(entry: Make) -> None:
    made = [entry("ridge"), entry("lgbm", "image"), entry("mlp"), entry("ridge", "all")]
    open_, apart = Standing(0.01, 0.4), Standing(0.01, 0.01)
    told = advice.settle(findings(made, [Standing(0.01), open_, open_, apart]))
    assert fitted(told).folds == "5x4"
    assert fitted(told).model == ("ridge", "lgbm", "mlp")
    assert fitted(told).features == ("text", "image")
    assert told is not None
    assert "5 × 2 folds do not tell ridge-bce-text from 2 other useful runs" in told.why
    assert advice.settle(findings(made, [Standing(0.01), apart, apart, apart])) is None
    ground = replace(made[0].ground, repeats=4)
    many = [replace(each, ground=ground) for each in made]
    assert advice.settle(findings(many, [Standing(0.01), open_, open_, open_])) is None
    unproven = advice.settle(findings([replace(made[0], verdict="UNPROVEN")]))
    assert fitted(unproven).folds == "5x4"


def test_a_modality_that_adds_nothing_is_dropped(entry: Make) -> None:
    made = [entry("ridge", "all"), entry("ridge", "text")]

    def told(finding: Any, large: int = 0) -> Advice | None:
        addition = Addition(1, large, "pictures", "texts", SMALL, finding)
        return advice.drop_a_modality(findings(made, ablations=[Ablation("ridge", [], [addition])]))

    found = told("adds nothing")
    assert fitted(found).features == ("text",)
    assert found is not None
    assert found.what == "Leave out pictures"
    assert told("unproven") is None
    assert told("helps") is None
    assert told("adds nothing", large=1) is None  # not the leading run's


def test_other_modalities_where_all_runs_read_one(entry: Make) -> None:
    texts = [entry("ridge", modalities={"the-text": "text"}), entry("lgbm", modalities={"the-text": "text"})]
    found = advice.add_a_modality(findings(texts))
    assert fitted(found).features == ()
    assert found is not None
    assert found.why == "All runs read texts alone."
    both = replace(texts[1], features=("the-image",), modalities={"the-image": "image"})
    assert advice.add_a_modality(findings([texts[0], both])) is None
    assert advice.add_a_modality(findings([replace(texts[0], modalities={})])) is None  # unknown is no evidence


def test_more_trials_where_chance_makes_the_rates(entry: Make) -> None:
    made = [entry("ridge")]
    predictions = read_predictions(made)
    rng, n = np.random.default_rng(0), len(predictions.y)
    few, many = np.full(n, 8.0), np.full(n, 5000.0)
    p = np.full((1, n), 0.1)

    def told(trials: Any, rate: Any) -> Advice | None:
        y = rng.binomial(trials.astype(int), rate) / trials
        return advice.ask_for_trials(findings(made, predictions=replace(predictions, y=y, trials=trials, p=p)))

    assert fitted(told(few, 0.1)).min_trials == 8
    assert told(many, rng.beta(1, 9, n)) is None
    assert told(few, rng.choice([0.0, 1.0], n)) is None  # the rates differ by far more than chance


def test_a_stack_where_useful_models_differ(entry: Make) -> None:
    made = [entry("ridge"), entry("lgbm")]
    predictions = read_predictions(made)
    same = replace(predictions, p=predictions.p[[0, 0]])
    found = fitted(advice.stack(findings(made, predictions=predictions)))
    assert found.model == ("ridge", "lgbm", "stack")
    assert found.set == ("stack.members=ridge+lgbm",)
    assert advice.stack(findings(made, predictions=same)) is None
    assert advice.stack(findings([made[0], replace(made[1], features=("other",))])) is None
    assert advice.stack(findings([made[0], replace(made[1], model="stack")])) is None


def test_the_faster_of_equals(entry: Make) -> None:
    made = [entry("mlp", seconds=60.0), entry("ridge", seconds=2.0), entry("lgbm", seconds=50.0)]
    open_, told = Standing(0.01, 0.9), read_predictions(made)
    alike = replace(told, p=np.stack([told.p[0], told.p[0] * 1.001, told.p[2]]))
    found = advice.take_the_faster(findings(made, [Standing(), open_, open_], predictions=alike))
    assert found is not None
    assert "30 times as fast" in found.why
    words = shlex.split(found.command)
    assert words[:3] == ["python", "-m", "regress.predict"]
    assert parse(Predict, words[3:]).run == made[1].run.folder
    assert advice.take_the_faster(findings(made, [Standing(), Standing(0.01, 0.01), open_], predictions=alike)) is None


def test_the_folder_of_the_faster_is_quoted(entry: Make) -> None:
    made, open_ = [entry("mlp", seconds=60.0), entry("ridge", seconds=2.0)], Standing(0.01, 0.9)
    told = read_predictions(made)
    odd = [made[0], replace(made[1], run=replace(made[1].run, folder=Path("my runs/x; rm -rf y")))]
    alike = replace(told, p=np.stack([told.p[0], told.p[0] * 1.001]))
    found = advice.take_the_faster(findings(odd, [Standing(), open_], predictions=alike))
    assert found is not None
    assert shlex.split(found.command)[3:] == ["my runs/x; rm -rf y", "POSTS"]


def test_a_faster_one_that_is_only_not_told_apart_is_not_advised(entry: Make) -> None:
    made, open_ = [entry("mlp", seconds=60.0), entry("ridge", seconds=2.0)], Standing(0.01, 0.9)
    told = read_predictions(made)
    worse = replace(told, p=np.stack([told.p[0], (told.p[0] + told.mean) / 2]))  # half of the way to the mean
    assert advice.take_the_faster(findings(made, [Standing(), open_], predictions=worse)) is None


def test_at_most_three_in_the_order_of_the_rules(entry: Make) -> None:
    made = [entry("mlp", "all", seconds=60.0), entry("ridge", "text", seconds=2.0), entry("lgbm", "all", seconds=1.0)]
    standings = [Standing(), Standing(0.01, 0.9), Standing(0.01, 0.9)]
    idle = Ablation("mlp", [], [Addition(1, 0, "pictures", "texts", SMALL, "adds nothing")])
    told = advise(made, read_predictions(made), standings, [], [idle])
    assert [each.rule for each in told] == ["folds", "modality", "stack"]
    assert all(each.why.endswith(".") for each in told)
    assert told[0].to_json().keys() == {"rule", "what", "why", "command"}


def test_settings_go_with_the_model_they_belong_to(entry: Make) -> None:
    made = entry("ridge")
    config = made.config | {"set": ["ridge.alphas=3", "lgbm.num_leaves=31", "epochs=5", 7]}
    assert advice.own_config(replace(made, config=config))["set"] == ["ridge.alphas=3"]
    assert advice.own_config(replace(made, config=config | {"set": None, "features": 5}))["features"] == ["the-text"]


def test_names_from_a_manifest_are_quoted(entry: Make) -> None:
    made = replace(entry("ridge"), model="x; rm -rf /", calibration="none")
    off = replace(made, scores={**made.scores, "bias": 2.0})
    assert fitted(advice.calibrate(findings([off]))).model == ("x; rm -rf /",)
