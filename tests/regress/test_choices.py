"""The grammar of --oversample: what is read, one spelling of it, and one line for what cannot be."""

import shlex
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.config import InputError, as_json, parse, parser
from oversample import SAMPLERS
from oversample.weights import WEIGHTS
from regress.choices import LIBRARY_ONLY, NOTHING, PROBE, Choice, parse_choices
from regress.fit import Fit
from regress.wording import command


def texts(*items: str) -> list[str]:
    return [choice.text for choice in parse_choices(items)]


def test_what_has_an_equals_sign_belongs_to_the_choice_before_it() -> None:
    first, second, third = parse_choices(["random,smoter:k_neighbors=10,threshold=0.8,smogn"])
    assert (first, third) == (Choice("random"), Choice("smogn"))
    assert second == Choice("smoter", {"threshold": 0.8, "k_neighbors": 10})
    assert parse_choices(["random", "smoter:k_neighbors=10", "threshold=0.8", "smogn"]) == [first, second, third]
    assert texts("smoter,k_neighbors=10") == ["smoter:k_neighbors=10"]


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("smoter:k_neighbors=7", {"k_neighbors": 7}),
        ("smoter:undersample=true", {"undersample": True}),
        ("smoter:sampling_strategy=extreme", {"sampling_strategy": "extreme"}),
        ("smoter:sampling_strategy=2.5", {"sampling_strategy": 2.5}),
        ("smoter:sampling_strategy=1:3+0:1.5", {"sampling_strategy": {0: 1.5, 1: 3.0}}),
        ("smoter:relevance=density", {"relevance": "density"}),
        ("smoter:neighbors_by=image", {"neighbors_by": "image"}),
        ("smoter:neighbors_by=image+text", {"neighbors_by": ("image", "text")}),
        ("exp-weights:alpha=-2", {"alpha": -2.0}),
        ("lds-weights:kernel=laplace,bins=20", {"bins": 20, "kernel": "laplace"}),
        ("dense-weights:ess=0.001", {"ess": 0.001}),  # whether it can be reached is known with the posts only
        ("smoter:k_neighbors=5,threshold=0.50,undersample=false", {}),  # the defaults
    ],
)
def test_values_have_the_types_that_the_code_declares(text: str, settings: dict[str, object]) -> None:
    choice = Choice.parse(text)
    assert dict(choice.settings) == settings
    assert [type(value) for value in choice.settings.values()] == [type(value) for value in settings.values()]
    assert Choice.parse(choice.text) == choice


def test_one_choice_has_one_spelling_and_is_taken_once() -> None:
    assert texts("smoter:threshold=0.80,k_neighbors=10", "smoter:k_neighbors=10,threshold=.8") == [
        "smoter:threshold=0.8,k_neighbors=10"
    ]
    assert texts("smoter:k_neighbors=5", "smoter", "none") == ["smoter", "none"]
    assert texts("random:sampling_strategy=0.1234567", "random:sampling_strategy=0.12345671") == [
        "random:sampling_strategy=0.1234567",
        "random:sampling_strategy=0.12345671",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("smote", ["did you mean 'smoter'?"]),
        ("dense", ["unknown sampler 'dense': did you mean 'dense-weights'?"]),
        ("smoter:k_neighbours=5", ["unknown setting 'k_neighbours'", "did you mean 'k_neighbors'?"]),
        ("smoter:k_neighbors=ten", ["k_neighbors='ten'", "expected a whole number"]),
        ("smoter:k_neighbors=", ["k_neighbors=''"]),
        ("smoter:k_neighbors=0", ["k_neighbors=0", "whole number from 1"]),
        ("smoter:threshold=nan", ["threshold='nan'", "expected a number"]),
        ("smoter:undersample=yes", ["expected true or false"]),
        ("smoter:sampling_strategy=most", ["'balance', 'extreme'"]),
        ("smoter:sampling_strategy=1:-3", ["'balance', 'extreme'"]),
        ("smoter:k_neighbors=5,k_neighbors=6", ["given twice"]),
        ("smoter:", ["expected key=value"]),
        ("smoter:10", ["expected key=value"]),
        ("smoter:relevance=range", ["control_points"]),
        ("smoter:relevance=rare", ["unknown relevance 'rare'"]),
        ("exp-weights:ess=0", ["ess=0", "above 0 and up to 1"]),
        ("exp-weights:ess=0.5,alpha=3", ["expected one of them"]),
        ("ratio-weights:target=normal", ["known is uniform"]),
        ("none:k_neighbors=3", ["none takes no settings"]),
        ("k_neighbors=3", ["name a sampler first"]),
        (" , ", ["names nothing"]),
        *((f"smoter:{key}=1", [key, reason]) for key, reason in LIBRARY_ONLY.items()),
    ],
)
def test_what_cannot_be_read_is_one_line(text: str, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        parse_choices([text])
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_every_sampler_and_weighting_is_known_and_named_in_the_help() -> None:
    help_text = " ".join(parser(Fit).format_help().replace("-\n", "-").split()).replace("- ", "-")
    for name in [*SAMPLERS, *(f"{name}-weights" for name in WEIGHTS)]:
        assert Choice.parse(name).text == name
        assert name in help_text


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_every_setting_of_a_sampler_can_be_given_or_is_refused_with_a_reason(name: str) -> None:
    for setting in fields(SAMPLERS[name]):
        default = "auto" if setting.name == "relevance" else setting.default
        shown = str(default).lower() if isinstance(default, bool) or default is None else default
        if setting.name in LIBRARY_ONLY:
            with pytest.raises(InputError, match="cannot be set here"):
                Choice.parse(f"{name}:{setting.name}={shown}")
        else:
            assert Choice.parse(f"{name}:{setting.name}={shown}") == Choice(name)


names = st.sampled_from(
    ["random", "smoter:k_neighbors=7", "smoter:undersample=true,threshold=0.75", "lds-weights:bins=9"]
)


@given(st.lists(names, min_size=1, max_size=4))
def test_the_command_of_a_run_is_the_one_that_fitted_it(items: list[str]) -> None:
    for words in (items, [",".join(items)]):
        config = parse(Fit, ["posts.csv", "--target", "like", "--oversample", *words])
        line = shlex.split(command(as_json(config)))
        assert line[:3] == ["python", "-m", "regress.fit"]
        assert parse(Fit, line[3:]) == config
        assert [c.text for c in parse_choices(config.oversample)] == texts(*items)


def test_the_rates_that_settings_are_tried_on_have_rare_ones() -> None:
    assert 0 < (SAMPLERS["random"]().fit(np.zeros((len(PROBE), 1)), PROBE).rare_).mean() < 0.5
    assert not NOTHING.samples
    assert not NOTHING.weighs
