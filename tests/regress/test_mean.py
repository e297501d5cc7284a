"""The baseline: the plain training mean, D² exactly 0."""

from pathlib import Path

import numpy as np
import pytest

from regress.losses import Loss
from regress.mean import Mean
from regress.metrics import d2
from regress.models import Training


@pytest.mark.parametrize("loss", ["bce", "mse", "wbce:5"])
def test_d2_is_exactly_zero_whatever_the_loss(loss: str) -> None:
    rng = np.random.default_rng(0)
    y, X = rng.beta(1, 9, 501), np.full((501, 3), np.nan, np.float32)
    train, test = np.arange(400), np.arange(400, 501)
    parsed, model = Loss.parse(loss), Mean()
    training = Training(X[train], y[train], parsed.weights(y[train]), train, (slice(0, 3),), np.zeros(400, bool))
    model.fit(training, parsed, 0, None)
    assert d2(y[test], model.predict(X[test]), np.full(101, y[train].mean())) == 0


def test_the_value_survives_to_the_last_bit(tmp_path: Path) -> None:
    model, y = Mean(), np.array([0.1, 0.2, 1 / 3])
    model.fit(Training(np.zeros((3, 1), np.float32), y, np.ones(3), None, (), np.zeros(3, bool)), Loss("bce"), 0, None)
    model.save(tmp_path)
    assert Mean.load(tmp_path).predict(np.zeros((1, 1), np.float32))[0] == y.mean()
