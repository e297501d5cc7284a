"""Attention over views: it finds the view that tells, whatever their order, and knows what is absent."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from regress.heads import MLP, Attention
from regress.losses import Loss
from regress.metrics import d2
from regress.models import Training

Matrix = NDArray[np.float32]
Array = NDArray[np.float64]
BCE = Loss.parse("bce")


def viewed(n: int, seed: int, views: int = 4, width: int = 6) -> tuple[Matrix, Array]:
    """One view of each post, at random, is marked in its first column and tells the rate in its second."""
    rng = np.random.default_rng(seed)
    V = rng.normal(size=(n, views, width))
    chosen = rng.integers(views, size=n)
    V[np.arange(n), chosen, 0] += 5
    rate = expit(-1 + 2 * V[np.arange(n), chosen, 1])
    return V.reshape(n, -1).astype(np.float32), rate


def test_attention_finds_the_view_that_tells() -> None:
    (X, y), (new, truth) = viewed(2000, 0), viewed(500, 1)
    held, mean = np.arange(2000) % 6 == 0, np.full(500, y.mean())
    found = Attention()
    found.fit(Training(X, y, np.ones(2000), None, (slice(0, 24),), held, None, (4,)), BCE, 0, None)
    averaged = MLP(learning_rate=1e-3)
    pooled, new_pooled = (Z.reshape(len(Z), 4, 6).mean(axis=1) for Z in (X, new))
    averaged.fit(Training(pooled, y, np.ones(2000), None, (slice(0, 6),), held), BCE, 0, None)
    assert d2(truth, found.predict(new), mean) > 0.85
    assert d2(truth, averaged.predict(new_pooled), mean) < 0.5
    with torch.inference_mode():
        logits, _ = found.net_.attended(torch.from_numpy(new))[0]
    marked = new.reshape(500, 4, 6)[:, :, 0].argmax(axis=1)
    assert (logits.argmax(dim=1).numpy() == marked).mean() > 0.95


def test_attention_does_not_ask_in_which_order_views_lie() -> None:
    X, y = viewed(600, 0)
    model = Attention()
    model.fit(Training(X, y, np.ones(600), None, (slice(0, 24),), np.arange(600) % 6 == 0, None, (4,)), BCE, 0, None)
    turned = X.reshape(600, 4, 6)[:, ::-1].reshape(600, 24)
    np.testing.assert_allclose(model.predict(turned), model.predict(X), rtol=1e-4)


def test_attention_reads_the_indicators_of_absence() -> None:
    """A block of zeros where its picture is absent, and the rate a little higher there: only the indicator says so."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1500, 9)).astype(np.float32)
    X[:, 8] = rng.integers(2, size=1500)
    y = expit(-2 + 2 * X[:, 8]).astype(np.float64)
    model = Attention()
    held = np.arange(1500) % 6 == 0
    model.fit(Training(X, y, np.ones(1500), None, (slice(0, 4), slice(4, 8)), held, None, (2, 1)), BCE, 0, None)
    assert d2(y, model.predict(X), np.full(1500, y.mean())) > 0.8
