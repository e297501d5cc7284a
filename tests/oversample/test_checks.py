"""scikit-learn's and imbalanced-learn's own checks of an estimator, over every sampler.

Expected failures are named with their reason, and strictly: one that passes is an error.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from imblearn.utils import estimator_checks as imblearn_checks
from sklearn.utils import estimator_checks as sklearn_checks

from oversample import SAMPLERS

CLASSES = {
    "check_target_type": "wants a continuous target refused, which is what these samplers are for",
    "check_samplers_one_label": "wants an error for one class; a constant target comes back as it is, with a warning",
    "check_samplers_multiclass_ova": "one-versus-all columns are classes; a target of several columns is refused",
    "check_samplers_pandas_sparse": "wants sparse frames; rows between two rows are dense, so sparse X is refused",
}


def name_of(check: Any) -> str:
    while hasattr(check, "__wrapped__"):
        check = check.__wrapped__
    return str(getattr(check, "func", check).__name__)


def all_checks(generate: Callable[..., Iterator[tuple[Any, Any]]], expected: dict[str, str]) -> list[Any]:
    """One case per sampler and check; those expected to fail have to."""
    cases = []
    for name, Sampler in SAMPLERS.items():
        for number, (estimator, check) in enumerate(generate(Sampler(random_state=0))):
            what = name_of(check)
            marks = [pytest.mark.xfail(reason=expected[what], strict=True)] if what in expected else []
            cases.append(pytest.param(estimator, check, marks=marks, id=f"{name}-{what}-{number}"))
    return cases


# the checks' data are their own: few rows, few rare ones, at times none; that is warned about, and tested elsewhere
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("estimator", "check"), all_checks(sklearn_checks.estimator_checks_generator, {}))
def test_scikit_learn(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("estimator", "check"), all_checks(imblearn_checks.estimator_checks_generator, CLASSES))
def test_imbalanced_learn(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


def test_every_expected_failure_is_of_a_check_that_runs() -> None:
    ran = {name_of(check) for _, check in imblearn_checks.estimator_checks_generator(SAMPLERS["random"]())}
    assert set(CLASSES) <= ran


@pytest.mark.parametrize("Sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_tags_say_what_is_so(Sampler: Any) -> None:
    """Without them imbalanced-learn's checks for frames and sample indices do not run at all."""
    tags = Sampler().__sklearn_tags__()
    assert tags.estimator_type == "sampler"
    assert tags.target_tags.required
    assert tags.input_tags.dataframe
    assert not tags.input_tags.sparse
    assert tags.sampler_tags.sample_indices
