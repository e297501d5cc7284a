"""A wrong name is answered with the nearest right one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.config import InputError
from data.names import pick, unknown

MODELS = {"mean": 1, "ridge": 2, "lgbm": 3, "head": 4}


def test_pick_returns_the_value() -> None:
    assert pick(MODELS, "ridge", "model") == 2


def test_the_line_of_the_style_guide() -> None:
    with pytest.raises(InputError) as error:
        pick(MODELS, "lgbmm", "model")
    assert str(error.value) == "unknown model 'lgbmm': did you mean 'lgbm'? known models are head, lgbm, mean, ridge"


def test_nothing_near() -> None:
    assert unknown("zzz", MODELS, "model") == "unknown model 'zzz': known models are head, lgbm, mean, ridge"


def test_nothing_known() -> None:
    assert unknown("x", [], "model") == "unknown model 'x': known models are none"


@given(st.dictionaries(st.text(min_size=1), st.integers()), st.text())
def test_pick_is_the_dict_or_one_line(table: dict[str, int], name: str) -> None:
    if name in table:
        assert pick(table, name, "thing") == table[name]
        return
    with pytest.raises(InputError) as error:
        pick(table, name, "thing")
    assert str(error.value).startswith(f"unknown thing {name!r}:")
    assert all(known in str(error.value) for known in table)
