"""The origin's table and its swapped log loss: what the published figures themselves say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from regress.metrics import cross_entropy
from regress.origin import PUBLISHED, Published, counterpart, family, swapped_log_loss

COLLAPSED = [row for name, row in PUBLISHED.items() if name.startswith("convnext")]


def test_it_is_the_log_loss_with_its_arguments_swapped() -> None:
    y, p = np.array([0.5, 0.25]), np.array([0.1, 0.4])
    by_hand = [np.log(2), 0.4 * np.log(4) + 0.6 * np.log(4 / 3)]
    assert swapped_log_loss(y, p) == pytest.approx(np.mean(by_hand))


@given(
    arrays(np.float64, 8, elements=st.floats(0, 0.5)),
    arrays(np.float64, 8, elements=st.floats(-0.5, 1.5)),
)
def test_nothing_scores_better_than_the_constant_zero(y: np.ndarray, p: np.ndarray) -> None:
    assert swapped_log_loss(y, np.zeros(8)) <= swapped_log_loss(y, p) + 1e-12


def test_the_mean_beats_zero_in_the_true_log_loss_only() -> None:
    y = np.random.default_rng(0).beta(0.5, 12, 2000)
    zero, mean = np.zeros(len(y)), np.full(len(y), y.mean())
    assert cross_entropy(y, mean).mean() < cross_entropy(y, zero).mean()
    assert swapped_log_loss(y, zero) < swapped_log_loss(y, mean)


def test_the_collapsed_models_of_the_origin_lie_on_a_line() -> None:
    """A constant c has MSE = E y² − 2c E y + c², swapped = a + b c; convnext_MSE is the constant 0: its MAE is E y."""
    zero, *others = COLLAPSED
    mean, square = zero.mae, zero.mse
    # of the two constants with that MSE the upper one: the MAEs are above E y
    constants = [mean + np.sqrt(mean**2 - square + row.mse) for row in others]
    slopes = [(row.swapped - zero.swapped) / c for row, c in zip(others, constants, strict=True)]
    assert np.ptp(slopes) < 0.02 * np.mean(slopes)
    assert np.mean(slopes) == pytest.approx(4.7, abs=0.05)


def test_the_origins_table_is_whole() -> None:
    assert len(PUBLISHED) == 14
    assert min(PUBLISHED.values(), key=lambda row: row.swapped).name == "convnext_MSE"
    assert max(row.mse for row in PUBLISHED.values()) == 0.005185


@pytest.mark.parametrize(
    ("encoder", "expected"),
    [
        ("tf_efficientnet_lite0", "EfficientNet"),
        ("convnext_tiny.fb_in1k", "ConvNeXt"),
        ("bert-base-multilingual-cased", "BERT"),
        ("DeepPavlov/rubert-base-cased", "BERT"),
        ("all-MiniLM-L6-v2", "BERT"),
        ("vit_small_patch14_dinov2", None),
    ],
)
def test_families(encoder: str, expected: str | None) -> None:
    assert family(encoder) == expected


@pytest.mark.parametrize(
    ("features", "loss", "expected"),
    [
        (["efficientnet_b0"], "mse", "effnet_MSE"),
        (["convnext_tiny"], "wbce:4", "convnext_BCEWeighted_4"),
        (["convnext_tiny", "bert-base-multilingual-cased"], "bce", "convbert_BCE"),
        (["tf_efficientnet_lite0", "all-MiniLM-L6-v2"], "wbce:2", "convbert_BCEWeighted_2"),
        (["convnext_tiny", "bert-base-multilingual-cased"], "mse", None),  # not among its fourteen
        (["efficientnet_b0"], "wbce:7", None),
        (["efficientnet_b0", "convnext_tiny"], "bce", None),
        (["efficientnet_b0", "image_statistics"], "bce", None),
        (["all-MiniLM-L6-v2"], "bce", None),
        ([], "bce", None),
    ],
)
def test_counterparts(features: list[str], loss: str, expected: str | None) -> None:
    found: Published | None = counterpart(features, loss)
    assert (found and found.name) == expected
