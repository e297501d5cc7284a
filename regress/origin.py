"""The study this project grew out of, as it was published: fourteen fine-tuned models and their figures.

Its "LogLoss" had its arguments swapped, truth in the place of the prediction. That rewards low numbers and nothing
else: for rates up to one half the constant 0 is the best of all predictions, and the figures of its five collapsed
models lie on a straight line over the constants they predict, 0.0403 + 4.7 c. The column is kept, under a name that
says what it is, to show which run it would have called best.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regress.metrics import cross_entropy

LOSSES = {
    "mse": "MSE",
    "bce": "BCE",
    "wbce:2": "BCEWeighted_2",
    "wbce:3": "BCEWeighted_3",
    "wbce:4": "BCEWeighted_4",
}
# what an encoder's name contains → its family; MiniLM is a small BERT
FAMILIES = {"efficientnet": "EfficientNet", "convnext": "ConvNeXt", "bert": "BERT", "minilm": "BERT"}
ENCODERS = {"EfficientNet": "efficientnet_b0", "ConvNeXt": "convnext_tiny", "BERT": "bert-base-multilingual-cased"}
POSTS = "the origin’s figures are of its own 23,527 posts, one split, whole networks trained"


@dataclass(frozen=True)
class Published:
    """One row of the origin's table, on its 20 % of 23,527 posts; `swapped` is what it called LogLoss."""

    name: str
    mse: float
    mae: float
    swapped: float


PUBLISHED = {
    row.name: row
    for row in (
        Published("effnet_MSE", 0.002889, 0.0339, 0.2099),
        Published("effnet_BCE", 0.002856, 0.0330, 0.2003),
        Published("effnet_BCEWeighted_2", 0.004170, 0.0438, 0.2868),
        Published("effnet_BCEWeighted_3", 0.005185, 0.0473, 0.3062),
        Published("effnet_BCEWeighted_4", 0.003910, 0.0429, 0.2776),
        Published("convnext_MSE", 0.004318, 0.0378, 0.0403),
        Published("convnext_BCE", 0.002942, 0.0387, 0.2515),
        Published("convnext_BCEWeighted_2", 0.003175, 0.0442, 0.2973),
        Published("convnext_BCEWeighted_3", 0.003098, 0.0428, 0.2856),
        Published("convnext_BCEWeighted_4", 0.003340, 0.0469, 0.3176),
        Published("convbert_BCE", 0.003113, 0.0344, 0.2031),
        Published("convbert_BCEWeighted_2", 0.002983, 0.0315, 0.1789),
        Published("convbert_BCEWeighted_3", 0.003039, 0.0300, 0.1404),
        Published("convbert_BCEWeighted_4", 0.002896, 0.0313, 0.1705),
    )
}


def swapped_log_loss(y: NDArray[np.float64], p: NDArray[np.float64]) -> float:
    """The origin's "LogLoss": mean of −p ln y − (1 − p) ln(1 − y), nats, for rates y and predictions p (n,).

    No proper score: smaller predictions are better, whatever the truth. y is clipped by 1e-4, as everywhere here; the
    origin does not tell its own clip, which moves the figures and not their order among constants.
    """
    return float(cross_entropy(np.clip(p, 0.0, 1.0), y).mean())


def family(encoder: str) -> str | None:
    """ "tf_efficientnet_lite0" → "EfficientNet"; None for an encoder that the origin had nothing like."""
    return next((name for part, name in FAMILIES.items() if part in encoder.lower()), None)


def counterpart(features: Sequence[str], loss: str) -> Published | None:
    """The origin's model that a fit on these encoders with this loss redoes, if there is one.

    Any picture encoder of the origin's beside a BERT stands for its ConvNeXt + BERT.
    """
    families = {family(name) for name in features}
    if families in ({"ConvNeXt", "BERT"}, {"EfficientNet", "BERT"}):
        prefix = "convbert"
    elif len(families) == 1:
        prefix = {"EfficientNet": "effnet", "ConvNeXt": "convnext"}.get(str(*families), "")
    else:
        return None
    return PUBLISHED.get(f"{prefix}_{LOSSES.get(loss)}")
