"""Small torch heads on cached features: a line, one hidden layer, and a gate that weighs picture against text.

Each is a network from standardised features to one raw score; how they are trained is in `regress.training`.
"""

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from regress.losses import Loss
from regress.metrics import clip
from regress.models import Model, Training
from regress.training import train

if TYPE_CHECKING:
    import torch

FILE = "model.safetensors"
HIDDEN, DROPOUT = 256, 0.5


class Head(Model, ABC):
    """Base of the heads: a subclass says which network."""

    representation: ClassVar[Literal["raw", "scaled"]] = "scaled"
    calibrate: ClassVar[bool] = True
    early_stopping: ClassVar[bool] = True
    epochs: ClassVar[int] = 60

    @staticmethod
    def rate(inputs: int) -> float:  # noqa: ARG004 - see Linear
        """AdamW's learning rate."""
        return 2e-4

    @staticmethod
    @abstractmethod
    def network(inputs: int, blocks: Sequence[slice]) -> "torch.nn.Module":
        """float32 (n, inputs) → (n, 1) raw scores; its last layer is called `score`."""

    def fit(self, training: Training, loss: Loss, seed: int, shared: object) -> None:  # noqa: ARG002
        import torch

        self.squared_ = loss.squared
        self.shape_ = np.array([(0, training.X.shape[1]), *((b.start, b.stop) for b in training.blocks)])
        level, spread = _start(training, loss)
        if loss.squared:  # a step of AdamW is as large whatever the target's units: give it a target of unit variance
            training = replace(training, y=(training.y - level) / spread)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.net_ = self._build()
            weight, bias = (self.net_.get_parameter(f"score.{name}") for name in ("weight", "bias"))
            with torch.no_grad():  # begin at the mean, so that the first steps are not spent on the level
                bias.fill_(0.0 if loss.squared else level)
                weight.zero_()
            self.history_ = train(self.net_, training, loss, self.rate(training.X.shape[1]), self.epochs)
        self.net_.to("cpu").eval()
        if loss.squared:
            with torch.no_grad():
                weight.mul_(spread)
                bias.mul_(spread).add_(level)
            self.history_ = [value * spread**2 for value in self.history_]

    def _build(self) -> "torch.nn.Module":
        (_, inputs), *blocks = self.shape_.tolist()
        return self.network(inputs, [slice(start, stop) for start, stop in blocks])

    def predict(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        import torch

        with torch.inference_mode():
            score = self.net_(torch.from_numpy(np.ascontiguousarray(X)))[:, 0].double()
            return np.asarray((score if self.squared_ else score.sigmoid()).numpy())

    def save(self, folder: Path) -> None:
        arrays = {name: value.numpy() for name, value in self.net_.state_dict().items()}
        save_file({**arrays, "squared": np.array([self.squared_]), "shape": self.shape_}, folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        import torch

        arrays = load_file(folder / FILE)
        model = cls()
        model.squared_, model.shape_ = bool(arrays.pop("squared")[0]), arrays.pop("shape")
        model.net_ = model._build()
        model.net_.load_state_dict({name: torch.from_numpy(value) for name, value in arrays.items()})
        model.net_.eval()
        return model


def _start(training: Training, loss: Loss) -> tuple[float, float]:
    """Weighted mean and deviation of the targets trained on; the mean as a logit for cross-entropy."""
    y, weight = training.y[~training.held], training.weight[~training.held]
    mean = float(np.average(y, weights=weight))
    rate = float(clip(np.array([mean]))[0])
    return (mean if loss.squared else float(np.log(rate / (1 - rate)))), float(y.std()) or 1.0


class Linear(Head):
    """X → 1: what `ridge` fits in closed form, by gradient descent with early stopping instead of a penalty."""

    epochs: ClassVar[int] = 400

    @staticmethod
    def rate(inputs: int) -> float:
        return float(4e-3 / np.sqrt(inputs))  # a step of AdamW moves every coefficient: the score by up to their number

    @staticmethod
    def network(inputs: int, blocks: Sequence[slice]) -> "torch.nn.Module":  # noqa: ARG004 - one network for all blocks
        from torch import nn

        return nn.Sequential(OrderedDict(score=nn.Linear(inputs, 1)))


class MLP(Head):
    """X → 256 GELU → 1."""

    @staticmethod
    def network(inputs: int, blocks: Sequence[slice]) -> "torch.nn.Module":  # noqa: ARG004
        from torch import nn

        hidden: dict[str, nn.Module] = {"hidden": nn.Linear(inputs, HIDDEN), "gelu": nn.GELU()}
        return nn.Sequential(OrderedDict(**hidden, dropout=nn.Dropout(DROPOUT), score=nn.Linear(HIDDEN, 1)))


class Gated(Head):
    """Each encoder's block → 256; softmax gates, a function of all of X, weigh the blocks' sum; GELU → 1.

    After the gated multimodal unit (Arevalo et al. 2017): which of picture and text counts may differ from post to
    post, and a block that is absent (zeros and an indicator) can be gated out.
    """

    @staticmethod
    def rate(inputs: int) -> float:  # noqa: ARG004
        return 1e-3  # at the others' 2e-4 the gates have hardly opened after 60 epochs

    @staticmethod
    def network(inputs: int, blocks: Sequence[slice]) -> "torch.nn.Module":
        import torch
        from torch import nn

        class Gate(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.gate = nn.Linear(inputs, len(blocks))
                self.blocks = nn.ModuleList(nn.Linear(block.stop - block.start, HIDDEN) for block in blocks)
                self.dropout = nn.Dropout(DROPOUT)
                self.score = nn.Linear(HIDDEN, 1)

            def forward(self, X: torch.Tensor) -> torch.Tensor:
                weights = self.gate(X).softmax(dim=1)
                parts = torch.stack([layer(X[:, block]) for layer, block in zip(self.blocks, blocks, strict=True)], 1)
                fused = nn.functional.gelu((weights[:, :, None] * parts).sum(dim=1))
                score: torch.Tensor = self.score(self.dropout(fused))
                return score

        return Gate()
