"""Small torch heads on cached features: a line, one hidden layer, and gates that weigh pictures, views and texts.

Each is a network (`regress.networks`) from standardised features to one raw score, trained by `regress.training`.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from regress.linear import COMPONENTS, Projection
from regress.losses import KINDS, Loss
from regress.metrics import clip
from regress.models import Model, Search, Training, at_least_one, expect

if TYPE_CHECKING:
    from regress.networks import Layout, Network, Perceptron

FILE = "model.safetensors"
CHUNK = 4096  # rows predicted at a time: what lies between the layers stays small
HIDDEN_SEARCH = {"hidden": Search(64, 512, log=True), "dropout": Search(0.0, 0.8)}
RATE_SEARCH = {"learning_rate": Search(3e-5, 3e-3, log=True), "weight_decay": Search(1e-3, 1.0, log=True)}


@dataclass(kw_only=True, eq=False)
class Head(Model, ABC):
    """Base of the heads: a subclass says which network. Fitted: `net_`, `history_` of (training, held-out) losses."""

    representation: ClassVar[Literal["raw", "scaled"]] = "scaled"
    calibrate: ClassVar[bool] = True
    early_stopping: ClassVar[bool] = True
    torch: ClassVar[bool] = True
    losses: ClassVar[frozenset[str]] = frozenset(KINDS)
    search: ClassVar[Mapping[str, Search]] = RATE_SEARCH

    epochs: int = 60
    patience: int = 4
    batch: int = 128
    learning_rate: float = 2e-4
    weight_decay: float = 0.05

    def __post_init__(self) -> None:
        at_least_one(epochs=self.epochs, patience=self.patience, batch=self.batch)
        expect("learning_rate", self.learning_rate, 0 < self.learning_rate <= 1, "a number above 0, up to 1")
        expect("weight_decay", self.weight_decay, self.weight_decay >= 0, "a number from 0")

    @abstractmethod
    def network(self, layout: "Layout") -> "Network":
        """The network without its values."""

    def rate(self, inputs: int) -> float:  # noqa: ARG002 - see Linear
        """AdamW's learning rate for so many columns."""
        return self.learning_rate

    def fit(self, training: Training, loss: Loss, seed: int, shared: object) -> None:  # noqa: ARG002
        import torch

        from regress.networks import initialise
        from regress.training import Plan, train

        self.squared_, self.layout_ = loss.squared, _layout(training)
        level, spread = _start(training, loss)
        if loss.squared:  # a step of AdamW is as large whatever the target's units: give it a target of unit variance
            training = replace(training, y=(training.y - level) / spread)
        self.net_ = self.network(self.layout_)
        chance = torch.Generator().manual_seed(seed)
        initialise(self.net_, 0.0 if loss.squared else level, chance)
        rate = self.rate(self.layout_.inputs)
        plan = Plan(rate, self.epochs, self.batch, self.patience, self.weight_decay)
        self.history_ = train(self.net_, training, loss, plan, chance)
        if loss.squared:
            with torch.no_grad():
                self.net_.score.weight.mul_(spread)
                self.net_.score.bias.mul_(spread).add_(level)
        if loss.kind == "mse":
            self.history_ = [(a * spread**2, b * spread**2) for a, b in self.history_]

    def predict(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        import torch

        with torch.inference_mode():
            rows = torch.from_numpy(np.ascontiguousarray(X))
            score = torch.cat([self.net_(chunk) for chunk in torch.split(rows, CHUNK)]).double()
            return np.asarray((score if self.squared_ else score.sigmoid()).numpy())

    def save(self, folder: Path) -> None:
        arrays = {name: value.numpy() for name, value in self.net_.state_dict().items()}
        history = np.array(self.history_, dtype=np.float64).reshape(-1, 2)
        head = {"settings": asdict(self), "layout": asdict(self.layout_), "squared": self.squared_}
        save_file({**arrays, "history": history}, folder / FILE, metadata={"head": json.dumps(head)})

    @classmethod
    def load(cls, folder: Path) -> Self:
        import torch

        from regress.networks import Layout

        with safe_open(folder / FILE, framework="np") as file:
            head = json.loads(file.metadata()["head"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        model = cls(**head["settings"])
        blocks = tuple((start, end) for start, end in head["layout"]["blocks"])
        model.layout_ = Layout(head["layout"]["inputs"], blocks, tuple(head["layout"]["views"]))
        model.squared_ = head["squared"]
        model.history_ = [(float(a), float(b)) for a, b in arrays.pop("history")]
        model.net_ = model.network(model.layout_)
        model.net_.load_state_dict({name: torch.from_numpy(value) for name, value in arrays.items()})
        return model


def _layout(training: Training) -> "Layout":
    from regress.networks import Layout

    blocks = tuple((block.start, block.stop) for block in training.blocks)
    return Layout(training.X.shape[1], blocks, training.views or (1,) * len(blocks))


def _start(training: Training, loss: Loss) -> tuple[float, float]:
    """Weighted mean and deviation of the targets trained on; the mean as a logit for cross-entropy."""
    y, weight = training.y[~training.held], training.weight[~training.held]
    mean = float(np.average(y, weights=weight))
    rate = float(clip(np.array([mean]))[0])
    return (mean if loss.squared else float(np.log(rate / (1 - rate)))), float(y.std()) or 1.0


@dataclass(kw_only=True, eq=False)
class Linear(Head):
    """X → 1: what `ridge` fits in closed form, by gradient descent with early stopping instead of a penalty."""

    search: ClassVar[Mapping[str, Search]] = {**RATE_SEARCH, "learning_rate": Search(5e-4, 5e-2, log=True)}

    epochs: int = 400
    learning_rate: float = 4e-3  # over √columns

    def rate(self, inputs: int) -> float:
        # a step of AdamW moves every coefficient: the score by up to their number
        return float(self.learning_rate / np.sqrt(inputs))

    def network(self, layout: "Layout") -> "Network":
        from regress.networks import Line

        return Line(layout)


@dataclass(kw_only=True, eq=False)
class Hidden(Head):
    """Base of the heads with a hidden layer."""

    search: ClassVar[Mapping[str, Search]] = {**RATE_SEARCH, **HIDDEN_SEARCH}

    hidden: int = 256
    dropout: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one(hidden=self.hidden)
        expect("dropout", self.dropout, 0 <= self.dropout < 1, "a number from 0, below 1")


@dataclass(kw_only=True, eq=False)
class MLP(Hidden):
    """Principal components → 256 GELU → 1, kept as a network that reads the columns.

    All fits on the same rows share the components. On 25,000 simulated posts of 1,536 columns a stack with it takes 70
    CPU-seconds for 105 with one that is trained on the columns, and D² is 0.430 for 0.425.
    """

    batch: int = 256  # D² 0.405 for 0.408 with 128 and 2e-4 (one fold, two seeds: a tie), in 3/5 of the time
    learning_rate: float = 3e-4
    components: int | None = COMPONENTS  # None: the columns themselves

    def __post_init__(self) -> None:
        super().__post_init__()
        fine = self.components is None or self.components >= 1
        expect("components", self.components, fine, "none, or a whole number from 1")

    @property
    def projecting(self) -> int | None:
        return self.components

    def fit(self, training: Training, loss: Loss, seed: int, shared: object) -> None:
        if self.components is None:
            super().fit(training, loss, seed, shared)
            return
        from regress.networks import read_through

        projection, Z = Projection.fit(training, self.components)
        if not Z.shape[1]:  # all rows are alike: a column of zeros stands for them
            projection = replace(projection, axes=np.zeros((len(projection.axes), 1)), center=np.zeros(1))
            Z = np.zeros((len(Z), 1))
        gain = float(np.sqrt(Z.shape[1]))  # to a variance of 1 on average, as standardised columns have
        super().fit(replace(training, X=(Z * gain).astype(np.float32), projection=None), loss, seed, shared)
        projection = replace(projection, spread=projection.spread / gain)
        self.layout_ = replace(self.layout_, inputs=len(projection.axes))
        wide = cast("Perceptron", self.network(self.layout_))
        read_through(cast("Perceptron", self.net_), projection, wide)
        self.net_ = wide

    def network(self, layout: "Layout") -> "Network":
        from regress.networks import Perceptron

        return Perceptron(layout, self.hidden, self.dropout)


@dataclass(kw_only=True, eq=False)
class Gated(Hidden):
    """Each encoder's block → 256; softmax gates, a function of all of X, weigh the blocks' sum; GELU → 1.

    After the gated multimodal unit (Arevalo et al. 2017): which of picture and text counts may differ from post to
    post, and a block that is absent (zeros and an indicator) can be gated out.
    """

    learning_rate: float = 1e-3  # at the others' 2e-4 the gates have hardly opened after 60 epochs

    def network(self, layout: "Layout") -> "Network":
        from regress.networks import Gate

        return Gate(layout, self.hidden, self.dropout)


@dataclass(kw_only=True, eq=False)
class Attention(Hidden):
    """The views of a block, K augmented copies of a picture, pooled by a learned query; blocks summed; GELU → 1.

    After attention-based pooling (Ilse et al. 2018). Where one of 4 views tells the rate, D² is 0.85 of an oracle's
    0.87, and 0.22 with the views' mean; where all tell it alike the mean is better (0.37 to 0.38). Training on one view
    at random and averaging predictions is worse (0.28, 0.30). Blocks are summed, since gates cost 0.05 where both count
    in every post. Without views it is an `mlp` that knows its blocks.
    """

    learning_rate: float = 5e-4  # D² 0.389 on 20,000 posts with 4 views, 0.372 at 1e-3

    def network(self, layout: "Layout") -> "Network":
        from regress.networks import Attention

        return Attention(layout, self.hidden, self.dropout)
