"""Search by trial, with the real Optuna: the defaults first, a planted optimum, nothing that fails in silence."""

import sys
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from data.config import InputError
from regress import tuning
from regress.models import Search
from regress.tuning import tune


class Planted:
    """Settings of every kind; the best are size 20, rate 0.01, shape "round", fast."""

    search: ClassVar[Mapping[str, Search]] = {
        "size": Search(2, 200, log=True),
        "rate": Search(1e-4, 1.0, log=True),
        "shape": Search(choices=("flat", "round", "long")),
        "fast": Search(choices=(True, False)),
    }
    size, rate, shape, fast = 100, 0.5, "flat", False


class Unset(Planted):
    rate = None  # type: ignore[assignment]


class Outside(Planted):
    size = 1000


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {"planted": Planted, "unset": Unset, "outside": Outside, "nothing": type("Nothing", (), {"search": {}})}
    monkeypatch.setattr(tuning, "model_class", kinds.__getitem__)


class Tried:
    """A loss that remembers what it was asked."""

    def __init__(self) -> None:
        self.settings: list[dict[str, Any]] = []

    def __call__(self, settings: dict[str, Any]) -> float:
        from math import log

        self.settings.append(settings)
        given = {"size": 100, "rate": 0.5, "shape": "flat", "fast": False} | settings
        off = log(given["size"] / 20) ** 2 + log(given["rate"] / 0.01) ** 2
        return off + (given["shape"] != "round") + (not given["fast"])


def test_the_first_trial_is_the_defaults_and_one_trial_changes_nothing() -> None:
    loss = Tried()
    assert tune("planted", loss, 1, 0) == {}
    assert loss.settings == [{}]


@pytest.mark.parametrize("name", ["planted", "unset", "outside"])
def test_a_planted_optimum_is_found(name: str) -> None:
    loss = Tried()
    found = tune(name, loss, 60, 0)
    assert len(loss.settings) == 60
    assert loss({}) > 10
    assert loss(found) < 0.6
    assert found == min(loss.settings, key=Tried())
    assert isinstance(found["size"], int)
    assert isinstance(found["fast"], bool)
    for settings in loss.settings[1:60]:
        assert settings.keys() == Planted.search.keys()
        assert 2 <= settings["size"] <= 200
        assert 1e-4 <= settings["rate"] <= 1


def test_a_seed_tries_the_same_settings_again_and_another_seed_others() -> None:
    tried = [Tried(), Tried(), Tried()]
    results = [tune("planted", loss, 15, seed) for loss, seed in zip(tried, (3, 3, 4), strict=True)]
    assert tried[0].settings == tried[1].settings != tried[2].settings
    assert results[0] == results[1]


def test_defaults_that_nothing_beats_are_kept() -> None:
    assert tune("planted", lambda settings: float(bool(settings)), 5, 0) == {}
    assert tune("planted", lambda settings: 1.0, 5, 0) == {}


def test_a_model_without_a_search_is_not_fitted() -> None:
    assert tune("nothing", lambda settings: 1 / 0, 5, 0) == {}


@pytest.mark.parametrize("at", [0, 3])
def test_what_a_trial_raises_is_raised(at: int) -> None:
    loss = Tried()

    def fails(settings: dict[str, Any]) -> float:
        if len(loss.settings) == at:
            raise InputError("no such rows")
        return loss(settings)

    with pytest.raises(InputError, match="no such rows"):
        tune("planted", fails, 6, 0)
    assert len(loss.settings) == at


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_no_trial_to_leave_out(bad: float) -> None:
    with pytest.raises(ValueError, match=r"a trial's loss is (nan|inf)"):
        tune("planted", lambda settings: bad if settings else 1.0, 6, 0)


def test_it_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    tune("planted", Tried(), 12, 0)
    assert capfd.readouterr() == ("", "")


def test_what_cannot_be_searched_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"^--tune 0: expected a whole number from 1$"):
        tune("planted", Tried(), 0, 0)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"pip install 'embed-regress\[tune\]'"):
        tune("planted", Tried(), 5, 0)
