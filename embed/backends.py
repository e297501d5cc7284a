"""Ways to run a network: PyTorch as it is, PyTorch channels-last, OpenVINO, ONNX Runtime; the fastest one wins.

On a CPU the framework decides, not the network: OpenVINO runs EfficientNet-Lite0 8 times as fast as eager PyTorch on
two cores, and ConvNeXt 1.3 times. Nobody knows beforehand, so they are raced: export, conversion and race cost 4 s a
model with OpenVINO and 7 s more with ONNX Runtime. A backend whose vectors differ from eager's by more than 1e-4 of
their length is out. On a GPU PyTorch runs alone (`embed.cuda`): compiling pays only near a million pictures.
"""

import contextlib
import copy
import importlib.util
import os
import queue
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from data.config import InputError
from embed.encoder import Backend

TOLERANCE = 1e-4  # ‖vector − eager's‖ / ‖eager's‖ of the worst row
RACE_SECONDS = 0.5  # a backend and round
ROUNDS = 2
EXTRAS = {"openvino": "cpu", "onnxruntime": "onnx"}  # the extra of ours that installs it
_NEEDS = {"openvino": ("openvino",), "onnxruntime": ("onnxruntime", "onnxscript")}

Rows = npt.NDArray[np.float32]
Inputs = tuple[torch.Tensor, ...]


class Forward(Protocol):
    """A network that is ready to run."""

    @property
    def name(self) -> Backend: ...
    @property
    def parallel(self) -> int: ...  # threads that may call it at once, and should

    def __call__(self, inputs: Inputs, /) -> Rows:
        """One forward pass: float32 (rows, dim). The inputs' shapes are those of the example, or as it allowed."""


@dataclass(frozen=True)
class Network:
    """A module in eval mode with everything that is needed to export it."""

    module: torch.nn.Module
    example: Inputs  # real enough to compare vectors on
    pictures: bool  # is channels-last worth a try?
    dynamic: Any = None  # torch.export's dynamic_shapes


@dataclass(frozen=True)
class Choice:
    """The backend that runs, and how the others did: forward passes a second, or why it is out."""

    forward: Forward
    race: dict[str, float | str]


def choose(network: Network, device: str, wanted: Backend | None) -> Choice:
    """The backend asked for, or the fastest of those installed; a GPU has one only.

    Raises:
        InputError: `wanted` is not installed, cannot run this network, or is not accurate.
    """
    if device == "cuda":
        from embed.cuda import Cuda

        forward = Cuda(network.module, channels_last=network.pictures)
        if network.pictures:  # all batches have one shape, and cuDNN takes seconds to choose its kernels in each thread
            forward.record(network.example)
        return Choice(forward, {})
    builder = _Builder(network)
    if wanted is not None:
        return Choice(_wanted(builder, wanted), {})
    forwards: dict[str, Forward] = {}
    race: dict[str, float | str] = {}
    for name in _candidates(network):
        try:
            forwards[name] = builder.build(name)
        except _Unfit as why:
            race[name] = str(why)
    rates = _race(forwards, network.example) if len(forwards) > 1 else dict.fromkeys(forwards, 0.0)
    fastest = max(rates, key=lambda name: rates[name])
    return Choice(forwards[fastest], {**rates, **race})


class _Unfit(Exception):  # noqa: N818 — a finding about a backend, not a fault of the program
    """Why a backend cannot stand in for eager PyTorch."""


def _candidates(network: Network) -> list[Backend]:
    torches: list[Backend] = ["eager", "channels_last"] if network.pictures else ["eager"]
    others: list[Backend] = ["openvino", "onnxruntime"]
    return [*torches, *(name for name in others if _installed(name))]


def _installed(name: str) -> bool:
    return all(importlib.util.find_spec(module) is not None for module in _NEEDS.get(name, ()))


def _wanted(builder: "_Builder", name: Backend) -> Forward:
    if not _installed(name):
        raise InputError(
            f"the {name!r} backend is not installed: expected its packages: pip install 'embed-regress[{EXTRAS[name]}]'"
        )
    try:
        return builder.build(name)
    except _Unfit as why:
        raise InputError(f"the {name!r} backend cannot run this network ({why}): use --backend eager") from why


class _Builder:
    """Makes the backends of one network, each checked against eager PyTorch."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._eager = Torch(network.module, channels_last=False)

    @cached_property
    def _reference(self) -> Rows:
        return self._eager(self._network.example)

    @cached_property
    def _program(self) -> Any:
        network = self._network
        return torch.export.export(network.module, network.example, dynamic_shapes=network.dynamic)

    def build(self, name: Backend) -> Forward:
        if name == "eager" or (name == "channels_last" and not self._network.pictures):
            return self._eager
        if name == "channels_last":
            return Torch(copy.deepcopy(self._network.module), channels_last=True)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                forward: Forward = (OpenVino if name == "openvino" else OnnxRuntime)(self._program)
                error = _relative_error(forward(self._network.example), self._reference)
        except Exception as fault:  # exporters meet what they do not know in every way there is; the race tells
            raise _Unfit(f"{type(fault).__name__}: {' '.join(str(fault).split())[:300]}") from fault
        if error > TOLERANCE:
            raise _Unfit(f"relative error {error:.1e}")
        return forward


def _relative_error(rows: Rows, reference: Rows) -> float:
    """The worst row's ‖difference‖ / ‖reference‖."""
    scale = np.maximum(np.linalg.norm(reference, axis=1), np.finfo(np.float32).tiny)
    error = np.linalg.norm(rows - reference, axis=1) / scale
    return float(np.nan_to_num(error, nan=np.inf).max())


def _race(forwards: dict[str, Forward], inputs: Inputs) -> dict[str, float]:
    """The best rate of each in rounds that take turns: what else the machine does falls on all of them."""
    best = dict.fromkeys(forwards, 0.0)
    for _ in range(ROUNDS):
        for name, forward in forwards.items():
            best[name] = max(best[name], rate(forward, inputs))
    return best


def rate(forward: Forward, inputs: Inputs, seconds: float = RACE_SECONDS) -> float:
    """Forward passes a second, with as many callers as the backend takes."""
    start = time.perf_counter()

    def work(_: int) -> int:
        calls = 0
        while not calls or time.perf_counter() - start < seconds:
            forward(inputs)
            calls += 1
        return calls

    with ThreadPoolExecutor(forward.parallel) as pool:
        calls = sum(pool.map(work, range(forward.parallel)))
    return calls / (time.perf_counter() - start)


class Torch:
    """PyTorch itself on the CPU: one caller with all threads."""

    parallel = 1

    def __init__(self, module: torch.nn.Module, *, channels_last: bool) -> None:
        self.name: Backend = "channels_last" if channels_last else "eager"
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self._module = module.to(memory_format=self._format)
        self._threads = torch.get_num_threads()

    def __call__(self, inputs: Inputs, /) -> Rows:
        torch.set_num_threads(self._threads)  # of this thread; decode threads have one each
        with torch.inference_mode():
            if inputs[0].dim() == 4:
                inputs = tuple(each.contiguous(memory_format=self._format) for each in inputs)
            rows: Rows = self._module(*inputs).float().numpy()
        return rows


class OpenVino:
    """OpenVINO in float32, one single-threaded request a core or what it thinks best."""

    name: Backend = "openvino"

    def __init__(self, program: Any) -> None:
        with _no_telemetry():
            import openvino

            model = openvino.convert_model(program)
        # without the precision hint it computes in bfloat16 where the processor has it
        hints = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"}
        compiled = openvino.Core().compile_model(model, "CPU", hints)
        self.parallel = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(self.parallel):
            self._idle.put(compiled.create_infer_request())

    def __call__(self, inputs: Inputs, /) -> Rows:
        request = self._idle.get()
        try:
            rows: Rows = request.infer([each.numpy() for each in inputs], share_inputs=True)[0]
            return rows
        finally:
            self._idle.put(request)


@contextlib.contextmanager
def _no_telemetry() -> Iterator[None]:
    """Inside, OpenVINO cannot import the package that tells its makers of every import and conversion."""
    name = "openvino_telemetry"
    before = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]  # how Python spells "cannot be imported"
    try:
        yield
    finally:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before


class OnnxRuntime:
    """ONNX Runtime, one thread for each of as many callers as there are cores."""

    name: Backend = "onnxruntime"

    def __init__(self, program: Any) -> None:
        import onnxruntime

        self.parallel = len(os.sched_getaffinity(0))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors
        with tempfile.TemporaryDirectory() as folder:  # weights of more than 2 GB do not fit into one message
            path = Path(folder) / "network.onnx"
            torch.onnx.export(program, dynamo=True, verbose=False).save(path)  # type: ignore[union-attr]
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._names = [each.name for each in self._session.get_inputs()]

    def __call__(self, inputs: Inputs, /) -> Rows:
        arrays = (each.numpy() for each in inputs)
        rows: Rows = self._session.run(None, dict(zip(self._names, arrays, strict=True)))[0]
        return rows
