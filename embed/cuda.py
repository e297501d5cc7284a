"""PyTorch on an NVIDIA GPU, in half precision; a shape's kernels are recorded once and then launched in one call.

Eager PyTorch starts some 200 kernels a batch from Python. With 16 decode threads beside it, each wanting the
interpreter, that took 110 ms on an H100 whose kernels ran for 4. A CUDA graph is one call and gives the same vectors
to the last bit. Batches have few shapes: one for pictures, one for each padded length of texts.
"""

import contextlib
import re
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from data.config import InputError

if TYPE_CHECKING:
    from embed.encoder import Backend

RECORD_AFTER = 8  # batches of a shape: recording costs as much as ten eager passes of a text encoder
MAX_GRAPHS = 128  # shapes; each keeps some MB on the GPU. What comes later is started kernel by kernel

_FULL = re.compile(r"out of memory|ALLOC_FAILED")  # torch's own words, and those of cuBLAS and cuDNN
Inputs = tuple[torch.Tensor, ...]


@contextlib.contextmanager
def enough_memory(what: str) -> Iterator[None]:
    """Inside, a GPU whose memory is full ends the run in one line.

    Raises:
        InputError: it is. A smaller batch in its place would give other last bits.
    """
    try:
        yield
    except RuntimeError as error:
        if not _FULL.search(str(error)):
            raise
        raise InputError(
            f"the GPU's memory does not hold {what}: expected more free memory: end what else uses "
            "the GPU, choose a smaller model, or pass --device cpu"
        ) from error


@dataclass(frozen=True)
class _Recorded:
    """A forward pass of one shape: it reads `inputs` and writes `rows`, wherever these lie on the GPU."""

    graph: torch.cuda.CUDAGraph
    inputs: Inputs
    rows: torch.Tensor

    def __call__(self, inputs: Inputs) -> torch.Tensor:
        for own, given in zip(self.inputs, inputs, strict=True):
            own.copy_(given, non_blocking=True)
        self.graph.replay()
        return self.rows


class Cuda:
    """A network on the GPU.

    Batches of a shape are run as they are until there have been some, since many lengths of texts have one or two; then
    one is recorded. All work is queued on one stream, under a lock, so that a recording's memory serves one batch after
    another.

    Raises:
        InputError: the GPU's memory does not hold the network.
    """

    parallel = 1  # cuDNN and cuBLAS choose their kernels anew in each thread: 90 ms for each length of texts on an H100

    def __init__(self, module: torch.nn.Module, *, channels_last: bool) -> None:
        self.name: Backend = "channels_last" if channels_last else "eager"
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        with enough_memory("this network"):
            self._module = module.to("cuda").to(memory_format=self._format)
            torch.cuda.synchronize()  # the weights are laid out on another stream than the one that reads them
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._memory = torch.cuda.graph_pool_handle()
        self._lock = threading.Lock()
        self._recorded: dict[tuple[torch.Size, ...], _Recorded] = {}
        self._seen: Counter[tuple[torch.Size, ...]] = Counter()
        self._recordable = True

    def record(self, example: Inputs) -> None:
        """Record the forward pass of a shape before its first batch."""
        self._seen[tuple(each.shape for each in example)] = RECORD_AFTER
        self(example)

    def __call__(self, inputs: Inputs, /) -> npt.NDArray[np.float32]:
        """One forward pass of tensors in the processor's memory or, finished, on the GPU: float32 (rows, dim)."""
        shape = " × ".join(map(str, inputs[0].shape))
        with enough_memory(f"a batch of {shape}"), torch.inference_mode():
            given = tuple(each if each.is_cuda or each.is_pinned() else each.pin_memory() for each in inputs)
            before = torch.cuda.current_stream()
            with self._lock, torch.cuda.stream(self._stream):
                self._stream.wait_stream(before)
                rows = self._rows(given)
                result = torch.empty(rows.shape, pin_memory=True).copy_(rows, non_blocking=True)
                done = self._stream.record_event()
            done.synchronize()
        array: npt.NDArray[np.float32] = result.numpy()
        return array

    def _rows(self, inputs: Inputs) -> torch.Tensor:
        shapes = tuple(each.shape for each in inputs)
        self._seen[shapes] += 1
        wanted = shapes not in self._recorded and self._seen[shapes] > RECORD_AFTER
        if wanted and self._recordable and len(self._recorded) < MAX_GRAPHS:
            self._record(shapes, inputs)
        if (recorded := self._recorded.get(shapes)) is not None:
            return recorded(inputs)
        return self._compute(tuple(map(self._own, inputs)))

    def _own(self, given: torch.Tensor) -> torch.Tensor:
        """A copy on the GPU, as the network wants it laid out."""
        own = given.to("cuda", non_blocking=True)
        return own.contiguous(memory_format=self._format) if own.dim() == 4 else own

    def _compute(self, inputs: Inputs) -> torch.Tensor:
        with torch.autocast("cuda", torch.float16):
            rows: torch.Tensor = self._module(*inputs)
        return rows.float()

    def _record(self, shapes: tuple[torch.Size, ...], inputs: Inputs) -> None:
        """Keep the forward pass of this shape as a graph, unless the network's path depends on its data."""
        graph, own = torch.cuda.CUDAGraph(), tuple(self._own(each).clone() for each in inputs)  # never the caller's
        self._compute(own)  # what a library does at its first call in a thread cannot be recorded
        # Not `torch.cuda.graph`, which first collects all garbage and hands cached memory back: 0.3 s for each length
        # of texts. Other threads may allocate meanwhile, as decoders do.
        graph.capture_begin(self._memory, capture_error_mode="thread_local")
        try:
            rows = self._compute(own)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            with contextlib.suppress(RuntimeError):  # says again that the recording broke off
                graph.capture_end()
            self._recordable = False
        else:
            graph.capture_end()
            self._recorded[shapes] = _Recorded(graph, own, rows)
