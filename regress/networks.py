"""The networks of the heads: standardised features to one raw score per row.

Modules draw no random number of their own: they are made without values, `initialise` and the dropout in `forward` take
a generator. So fits may run beside each other in threads, and each gives the bytes that it gives alone.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from regress.linear import Projection


@dataclass(frozen=True)
class Layout:
    """The columns that a network reads; those past the blocks are indicators of absence."""

    inputs: int
    blocks: tuple[tuple[int, int], ...]  # start and end of each
    views: tuple[int, ...]  # copies side by side in each block

    @property
    def columns(self) -> list[slice]:
        return [slice(start, end) for start, end in self.blocks]

    @property
    def widths(self) -> list[int]:
        """The columns of one copy in each block."""
        return [(end - start) // views for (start, end), views in zip(self.blocks, self.views, strict=True)]


class Network(nn.Module):
    """float32 (n, inputs) → (n,) raw scores, by a last layer `score`; with a generator, units are dropped by chance."""

    def __init__(self, last: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout
        self.score = dense(last, 1)

    def dropped(self, hidden: Tensor, chance: torch.Generator | None) -> Tensor:
        """Inverted dropout; nothing is dropped where there is no generator."""
        if chance is None or not self.dropout:
            return hidden
        # in place, and one factor: there is half as much to compute, and to differentiate
        keep = torch.rand(hidden.shape, generator=chance).ge_(self.dropout).div_(1 - self.dropout)
        return hidden * keep.to(hidden.device)


class Line(Network):
    """X → score."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout.inputs)

    def forward(self, X: Tensor, chance: torch.Generator | None = None) -> Tensor:  # noqa: ARG002 - nothing to drop
        return column(self.score(X))


class Perceptron(Network):
    """X → hidden, GELU, dropout → score."""

    def __init__(self, layout: Layout, hidden: int, dropout: float) -> None:
        super().__init__(hidden, dropout)
        self.hidden = dense(layout.inputs, hidden)

    def forward(self, X: Tensor, chance: torch.Generator | None = None) -> Tensor:
        return column(self.score(self.dropped(gelu(self.hidden(X)), chance)))


class Gate(Network):
    """Blocks → hidden each; softmax gates, a function of all of X, weigh their sum; GELU, dropout → score."""

    def __init__(self, layout: Layout, hidden: int, dropout: float) -> None:
        super().__init__(hidden, dropout)
        self.columns = layout.columns
        self.gate = dense(layout.inputs, len(layout.blocks))
        self.blocks = nn.ModuleList(dense(end - start, hidden) for start, end in layout.blocks)

    def forward(self, X: Tensor, chance: torch.Generator | None = None) -> Tensor:
        parts = [layer(X[:, block]) for layer, block in zip(self.blocks, self.columns, strict=True)]
        fused = weighted(self.gate(X), torch.stack(parts, dim=1))
        return column(self.score(self.dropped(gelu(fused), chance)))


class Attention(Network):
    """Views of a block → hidden, by one layer; a learned query weighs them; the blocks' sum, GELU, dropout → score.

    What lies past the blocks, the indicators of absence, is one more summand.
    """

    def __init__(self, layout: Layout, hidden: int, dropout: float) -> None:
        super().__init__(hidden, dropout)
        self.columns, self.views = layout.columns, layout.views
        self.blocks = nn.ModuleList(dense(width, hidden) for width in layout.widths)
        self.queries = nn.ModuleList(dense(hidden, 1) for _ in layout.blocks)
        self.past = max(end for _, end in layout.blocks)
        self.indicators = dense(layout.inputs - self.past, hidden) if layout.inputs > self.past else None

    def attended(self, X: Tensor) -> list[tuple[Tensor, Tensor]]:
        """For each block: logits of its views (n, views), and the views (n, views, hidden)."""
        found = []
        for layer, query, block, views in zip(self.blocks, self.queries, self.columns, self.views, strict=True):
            parts = layer(X[:, block].reshape(len(X), views, -1))
            found.append((query(parts.tanh())[:, :, 0], parts))
        return found

    def forward(self, X: Tensor, chance: torch.Generator | None = None) -> Tensor:
        pooled = [weighted(logits, parts) for logits, parts in self.attended(X)]
        if self.indicators is not None:
            pooled.append(self.indicators(X[:, self.past :]))
        return column(self.score(self.dropped(gelu(torch.stack(pooled).sum(dim=0)), chance)))


def dense(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer without values, so that making it draws nothing from the global random state."""
    return nn.Linear(inputs, outputs, device="meta").to_empty(device="cpu")


def initialise(net: Network, level: float, chance: torch.Generator) -> None:
    """Uniform in ±1/√inputs, as PyTorch's own; the last layer says `level`, so that no step is spent on finding it."""
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, nn.Linear):
                bound = layer.in_features**-0.5
                for values in (layer.weight, layer.bias):
                    values.uniform_(-bound, bound, generator=chance)
        net.score.weight.zero_()
        net.score.bias.fill_(level)


def read_through(net: Perceptron, projection: Projection, wide: Perceptron) -> None:
    """Give `wide` what makes it say of rows (n, d) what `net` says of their components (n, k).

    W (Aᵀx − c)/s + b is one layer again; its products are summed in float64 and rounded once.
    """
    weight = net.hidden.weight.detach().double().numpy() / projection.spread
    bias = net.hidden.bias.detach().double().numpy() - weight @ projection.center
    with torch.no_grad():
        wide.hidden.weight.copy_(torch.from_numpy(weight @ projection.axes.T))
        wide.hidden.bias.copy_(torch.from_numpy(bias))
    wide.score.load_state_dict(net.score.state_dict())


def weighted(logits: Tensor, parts: Tensor) -> Tensor:
    """Softmax over the k of logits (n, k), and the sum of parts (n, k, hidden) by it: (n, hidden)."""
    return (logits.softmax(dim=1)[:, :, None] * parts).sum(dim=1)


def column(values: Tensor) -> Tensor:
    """(n, 1) → (n,)."""
    return values[:, 0]
