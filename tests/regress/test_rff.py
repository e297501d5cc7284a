"""Random Fourier features: they approximate a Gaussian kernel, and see what a line cannot."""

import numpy as np

from regress.losses import Loss
from regress.metrics import d2
from regress.models import Training
from regress.rff import RandomFourier, _length
from regress.ridge import Ridge


def training(n: int, seed: int = 0) -> Training:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3)).astype(np.float32)
    truth = 1 / (1 + np.exp(3 - 2 * X[:, 0].astype(np.float64) ** 2))
    return Training(X, rng.binomial(50, truth) / 50, np.ones(n), np.arange(n), (slice(0, 3),), np.zeros(n, bool))


def test_products_of_features_are_the_gaussian_kernel() -> None:
    data = training(700)
    model = RandomFourier()
    model.fit(data, Loss.parse("bce"), 0, None)
    Z = model.projection_.apply(data.X)[:50]
    F = model._features(Z)
    distance = ((Z[:, None] - Z[None]) ** 2).sum(axis=2)
    scale = _length(model.projection_.apply(data.X), np.random.default_rng(1))
    assert F.shape[1] == model.features
    np.testing.assert_allclose(F @ F.T, np.exp(-distance / (2 * scale**2)), atol=0.2)


def test_a_parabola_is_seen_where_a_line_sees_nothing() -> None:
    data, new = training(800), training(800, seed=1)
    mean = np.full(len(new.y), data.y.mean())
    found = []
    for model in (RandomFourier(), Ridge()):
        model.fit(data, Loss.parse("bce"), 0, None)
        found.append(d2(new.y, model.predict(new.X), mean))
    assert found[0] > 0.5
    assert found[1] < 0.1


def test_rows_that_are_all_alike_give_the_mean() -> None:
    data = training(50)
    alike = Training(np.ones_like(data.X), data.y, data.weight, data.rows, data.blocks, data.held)
    model = RandomFourier()
    model.fit(alike, Loss.parse("bce"), 0, None)
    np.testing.assert_allclose(model.predict(alike.X), data.y.mean(), rtol=1e-3)
