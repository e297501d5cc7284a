"""What a call's flags come to: each model's settings, losses it can be fitted with, one line for what cannot be."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.config import InputError
from regress.features import Block, Features
from regress.fit import Fit
from regress.settings import model_settings, spelt
from regress.setups import Grid
from regress.trainer import Setup

FEATURES = [Features(name, (Block(name, "f", np.zeros((3, 2), np.float32)),)) for name in ("a", "b")]


def setups(**flags: Any) -> list[tuple[Setup, str]]:
    grid = Grid.parse(Fit(posts=Path("none.csv"), target="like", **flags))
    return [(setup, features.name) for setup, features in grid.setups(FEATURES)]


def test_a_setting_reaches_every_model_that_knows_it_or_the_one_that_is_named() -> None:
    both = model_settings(["max_bin=31"], ["lgbm", "hurdle", "ridge"])
    assert both == {"lgbm": {"max_bin": 31}, "hurdle": {"max_bin": 31}, "ridge": {}}
    one = model_settings(["lgbm.max_bin=31"], ["lgbm", "hurdle"])
    assert one == {"lgbm": {"max_bin": 31}, "hurdle": {}}


def test_values_have_the_types_of_the_fields_and_defaults_are_left_out() -> None:
    items = ["num_leaves=31", "lambda_l2=2", "extra_trees=false", "feature_fraction=none", "learning_rate=0.15"]
    found = model_settings(items, ["lgbm"])["lgbm"]
    assert found == {"num_leaves": 31, "extra_trees": False, "lambda_l2": 2.0}
    assert [type(value) for value in found.values()] == [int, bool, float]
    assert model_settings(spelt(found).split(","), ["lgbm"])["lgbm"] == found


def test_members_of_a_stack_are_names_and_take_settings_of_their_own() -> None:
    (setup, _), *_ = setups(model=("stack",), set=("stack.members=ridge+lgbm", "num_leaves=9"))
    assert setup.settings == {"members": ("ridge", "lgbm")}
    assert [(member.model, dict(member.settings)) for member in setup.members] == [
        ("ridge", {}),
        ("lgbm", {"num_leaves": 9}),
    ]
    assert setup.text == "stack:members=ridge+lgbm"


@pytest.mark.parametrize(
    ("models", "item", "words"),
    [
        (("lgbm",), "num_leave=31", ["--set num_leave=31", "did you mean 'num_leaves'?"]),
        (("lgbm",), "ridge.x=1", ["unknown model of this call 'ridge'", "lgbm"]),
        (("lgbm", "mlp"), "lgbm.epochs=1", ["--set lgbm", "unknown setting 'epochs'"]),
        (("lgbm",), "num_leaves=many", ["num_leaves='many'", "expected a whole number"]),
        (("lgbm",), "num_leaves=1", ["--set lgbm", "num_leaves=1: expected"]),
        (("lgbm",), "num_leaves", ["'num_leaves' is no setting: expected key=value"]),
        (("lgbm",), "lgbm.num_leaves", ["'num_leaves' is no setting: expected key=value"]),
        (("lgbm",), "extra_trees=yes", ["expected true or false"]),
        (("stack",), "stack.members=ridge", ["members=ridge", "two or more"]),
        (("stack",), "stack.members=ridge+lgbmm", ["members=lgbmm"]),
        (("stack",), "stack.members=ridge+stack", ["none of them stack"]),
    ],
)
def test_what_cannot_be_set_is_one_line(models: tuple[str, ...], item: str, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        setups(model=models, set=(item,))
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_setting_given_twice_is_refused() -> None:
    with pytest.raises(InputError, match="num_leaves is given twice"):
        setups(model=("lgbm",), set=("num_leaves=9", "lgbm.num_leaves=10"))


def test_each_model_is_fitted_with_the_losses_it_knows() -> None:
    found = setups(model=("mean", "ridge", "mlp", "binridge"), loss=("bce", "focal:2"))
    assert [(setup.model, setup.loss.name, name) for setup, name in found] == [
        ("mean", "bce", "a"),
        ("ridge", "bce", "a"),
        ("mlp", "bce", "a"),
        ("mlp", "focal:2", "a"),
        ("binridge", "binomial", "a"),
        ("ridge", "bce", "b"),
        ("mlp", "bce", "b"),
        ("mlp", "focal:2", "b"),
        ("binridge", "binomial", "b"),
    ]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"model": ("ridge",), "loss": ("bmse",)}, ["--model ridge", "--loss bmse", "expected one of"]),
        ({"model": ("ridge",), "tune": -1}, ["--tune -1"]),
        ({"model": ()}, ["--model names nothing"]),
        ({"model": ("ridge",), "loss": ()}, ["--loss names nothing"]),
    ],
)
def test_a_call_that_cannot_be_fitted_is_one_line(flags: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        setups(**flags)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_a_package_that_is_not_installed_is_not_called_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(InputError, match=r"^model xgboost needs a package that is not installed"):
        model_settings([], ["xgboost"])
