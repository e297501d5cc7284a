"""What calibration did: its findings are those of planted predictions before it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from regress.entry import read_entry
from regress.recalibration import recalibrations
from regress.runs import read_predictions


def test_a_doubled_level_was_mended_and_a_mended_one_spoilt(world: Any) -> None:
    good = world.like(0.9)
    folders = [world.write(world.folder / "runs", "ridge", good, f"run-{i}") for i in range(3)]
    entries = [read_entry(folder) for folder in folders]
    found = read_predictions(entries)
    doubled = np.clip(2.5 * good, 1e-4, 0.99)
    found = replace(found, p=np.stack([good, doubled, good]), raw=np.stack([doubled, good, good]))
    mended, spoilt = recalibrations(found)  # the third was left as it was
    assert (mended.place, spoilt.place) == (0, 1)
    assert mended.bias == (pytest.approx(doubled.mean() / world.y.mean()), pytest.approx(good.mean() / world.y.mean()))
    assert mended.bias == spoilt.bias[::-1]
    assert mended.change.high < 0 < spoilt.change.low
    assert mended.change.mean == pytest.approx(mended.log_loss[1] - mended.log_loss[0])
    assert mended.to_json(entries)["run"] == entries[0].name


def test_runs_that_kept_no_raw_predictions_have_none(world: Any) -> None:
    folder = world.write(world.folder / "runs", "ridge", world.like(0.9))
    assert recalibrations(read_predictions([read_entry(folder)])) == []
