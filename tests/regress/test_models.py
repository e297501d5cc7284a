"""What all models promise: one table, one protocol, and the same behaviour for the same arguments."""

import functools
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from data.config import InputError
from regress.losses import Loss
from regress.metrics import d2
from regress.models import MODELS, Model, Training, model_class

BLOCKS = (slice(0, 12), slice(12, 20))
N = 280


def posts(seed: int = 0, n: int = N) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Features of two blocks and rates that depend on both."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 20)).astype(np.float32)
    mean = 1 / (1 + np.exp(2 - X[:, 0] - X[:, 13]))
    return X, rng.binomial(40, mean) / 40


def fit(name: str, loss: str, seed: int = 0) -> tuple[Model, NDArray[np.float32]]:
    X, y = posts()
    model_type, parsed = model_class(name), Loss.parse(loss)
    held = (np.arange(N) % 7 == 0) & model_type.early_stopping
    training = Training(X, y, parsed.weights(y), np.arange(N), BLOCKS, held)
    model = model_type()
    model.fit(training, parsed, seed, model_type().shared(X, None))
    return model, posts(1)[0]


fitted = functools.cache(fit)  # for tests that only look
FITTED = sorted(set(MODELS) - {"stack"})  # a stack is put together by the loop: tests/regress/test_stack.py
EACH = [(name, loss) for name in FITTED for loss in ("bce", "wbce:2", "mse")]


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_name_leads_to_a_class_of_the_protocol(name: str) -> None:
    found = model_class(name)
    assert found.representation in ("raw", "scaled")
    assert found.calibrate is (name not in ("mean", "stack"))
    for method in ("shared", "fit", "predict", "save", "load"):
        ours, theirs = (inspect.signature(getattr(kind, method)).parameters for kind in (found, Model))
        assert list(ours) == list(theirs), method


def test_an_unknown_model_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        model_class("lgbmm")
    assert str(caught.value) == "unknown model 'lgbmm': did you mean 'lgbm'? known models are " + ", ".join(
        sorted(MODELS)
    )


@pytest.mark.parametrize(("name", "loss"), EACH)
def test_predictions_are_finite_rates_and_better_than_the_mean(name: str, loss: str) -> None:
    model, new = fitted(name, loss)
    y = posts(1)[1]
    p = model.predict(new)
    assert p.dtype == np.float64
    assert p.shape == (N,)
    assert np.isfinite(p).all()
    assert loss == "mse" or (p.min() >= 0 and p.max() <= 1)
    explained = d2(y, p, np.full(N, posts()[1].mean()))
    assert explained == 0 if name == "mean" else explained > (0.05 if loss == "wbce:2" else 0.2)


@pytest.mark.parametrize(("name", "loss"), EACH)
def test_the_same_arguments_give_the_same_bytes(name: str, loss: str, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        fit(name, loss, seed=3)[0].save(tmp_path / folder)
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()} for folder in ("a", "b"))
    assert one == two
    files = {
        "lgbm": {"model.txt"},
        "hurdle": {"occurs.txt", "amount.txt"},
        "lgbm-residual": {"model.txt", "line.safetensors"},
        "xgboost": {"model.ubj"},
        "catboost": {"model.cbm", "level.safetensors"},
    }
    assert one.keys() == files.get(name, {"model.safetensors"})


@pytest.mark.parametrize(("name", "loss"), EACH)
def test_a_saved_model_predicts_the_same(name: str, loss: str, tmp_path: Path) -> None:
    model, new = fitted(name, loss)
    model.save(tmp_path)
    np.testing.assert_array_equal(model_class(name).load(tmp_path).predict(new), model.predict(new))


@pytest.mark.parametrize("name", FITTED)
def test_a_row_is_predicted_the_same_alone(name: str) -> None:
    model, new = fitted(name, "bce")
    np.testing.assert_allclose(model.predict(new[5:6]), model.predict(new)[5:6], rtol=1e-5)


@pytest.mark.parametrize("name", FITTED)
def test_fitting_changes_neither_features_nor_the_global_random_state(name: str) -> None:
    import torch

    X, y = posts()
    before, numpy_state, torch_state = X.copy(), str(np.random.get_state()), torch.get_rng_state()  # noqa: NPY002
    model_type, loss = model_class(name), Loss.parse("bce")
    held = (np.arange(N) % 7 == 0) & model_type.early_stopping
    model_type().fit(Training(X, y, np.ones(N), np.arange(N), BLOCKS, held), loss, 0, model_type().shared(X, None))
    np.testing.assert_array_equal(X, before)
    assert str(np.random.get_state()) == numpy_state  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_state)


@pytest.mark.parametrize("name", sorted(set(FITTED) - {"mean"}))
def test_weights_raise_the_level_and_the_mean_ignores_them(name: str) -> None:
    plain, new = fitted(name, "bce")
    weighted, _ = fitted(name, "wbce:4")
    assert weighted.predict(new).mean() > 1.02 * plain.predict(new).mean()
    np.testing.assert_array_equal(fitted("mean", "bce")[0].predict(new), fitted("mean", "wbce:4")[0].predict(new))


@pytest.mark.parametrize("name", ["ridge", "mean", "lgbm"])
def test_only_the_head_needs_torch(name: str) -> None:
    code = f"import sys; from regress.models import model_class; model_class({name!r}); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
