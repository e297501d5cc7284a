"""Training curves: those that a head keeps, checked, since anyone may have edited the file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from data.config import InputError
from regress.curves import curves
from regress.entry import read_entry
from regress.losses import Loss
from regress.models import Training, model_class


@pytest.fixture
def head(world: Any) -> Callable[[Any], Any]:
    """An entry whose model file holds this history; an MLP's own where it is None."""

    def write(history: Any) -> Any:
        folder: Path = world.write(world.folder / "runs", "mlp", world.like(0.5), name="mlp-bce-a")
        if history is None:
            n = world.n
            X, held = world.random.normal(size=(n, 4)).astype(np.float32), np.arange(n) < 60
            training = Training(X, world.y, np.ones(n), None, (slice(0, 4),), held, np.arange(n))
            model = model_class("mlp")(epochs=6)
            model.fit(training, Loss.parse("bce"), 0, None)
            model.save(folder)
            kept = model.history_
        else:
            save_file({"history": np.asarray(history, dtype=np.float64)}, folder / "model.safetensors")
            kept = history
        entry = read_entry(folder)
        entry.files["model.safetensors"] = "as if it had been written with the run"
        return entry, kept

    return write


def test_a_heads_own_history(head: Any) -> None:
    entry, kept = head(None)
    (found,) = curves([entry], 30)
    assert list(zip(found.trained, found.held, strict=True)) == [tuple(pair) for pair in kept]
    assert found.held[found.best] == min(found.held)
    assert found.to_json([entry])["best_epoch"] == found.best + 1


def test_one_epoch_and_other_files_are_no_curve(head: Any, world: Any) -> None:
    assert curves([head([[0.5, 0.4]])[0]], 30) == []
    other = read_entry(world.write(world.folder / "runs", "ridge", world.like(0.5), name="ridge"))
    assert curves([other], 30) == []


def test_as_many_as_asked_for(head: Any) -> None:
    entry, _ = head([[0.5, 0.4], [0.4, 0.45]])
    assert len(curves([entry, entry, entry], 2)) == 2
    assert curves([entry], 30)[0].best == 0


@pytest.mark.parametrize("history", [[0.5, 0.4], [[0.5, 0.4, 0.3]], [[0.5, np.nan], [0.4, 0.3]]])
def test_what_is_no_history_is_refused(head: Any, history: Any) -> None:
    with pytest.raises(InputError, match="training curve is no two finite losses"):
        curves([head(history)[0]], 30)


def test_a_broken_file_is_refused(head: Any) -> None:
    entry, _ = head([[0.5, 0.4], [0.4, 0.45]])
    (entry.run.folder / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(InputError, match="training curve cannot be read"):
        curves([entry], 30)
