"""Backends against eager PyTorch: the same vectors, an honest race, and a clear word where one cannot run."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from data.config import InputError
from embed import backends
from embed.backends import TOLERANCE, Network, Torch, choose

ALL = ("eager", "channels_last", "openvino", "onnxruntime")


class Small(torch.nn.Module):
    """A convolution and a sum: enough for layouts and for every exporter."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution = torch.nn.Conv2d(3, 8, 3)
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.convolution(x.float() / 255).mean((2, 3)) * self.scale
        return result


class Unexportable(Small):
    """Its path depends on its data."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) if x.float().sum().item() > 0 else -super().forward(x)


def network(module: torch.nn.Module | None = None) -> Network:
    example = torch.randint(256, (4, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return Network((module or Small()).eval(), (example,), pictures=True)


@pytest.mark.parametrize("name", ALL)
def test_every_backend_gives_eager_s_vectors_and_keeps_its_name(name: Any) -> None:
    net = network()
    choice = choose(net, "cpu", name)
    assert choice.forward.name == name
    assert choice.forward.parallel >= 1
    rows, reference = choice.forward(net.example), choose(net, "cpu", "eager").forward(net.example)
    assert rows.dtype == np.float32
    assert rows.shape == (4, 8)
    assert np.allclose(rows, reference, rtol=TOLERANCE, atol=0)


@pytest.mark.parametrize("name", ALL)
def test_many_threads_get_what_one_gets(name: Any) -> None:
    net = network()
    forward = choose(net, "cpu", name).forward
    inputs = [(net.example[0].roll(shift, 0),) for shift in range(32)]
    alone = [forward(each).copy() for each in inputs]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(forward, inputs))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_the_fastest_wins_and_all_were_raced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "RACE_SECONDS", 0.02)
    choice = choose(network(), "cpu", None)
    assert set(choice.race) == set(ALL)
    rates = {name: rate for name, rate in choice.race.items() if isinstance(rate, float)}
    assert choice.forward.name == max(rates, key=lambda name: rates[name])


def test_what_cannot_be_exported_is_out_and_the_race_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "RACE_SECONDS", 0.02)
    choice = choose(network(Unexportable()), "cpu", None)
    assert choice.forward.name in ("eager", "channels_last")
    for name in ("openvino", "onnxruntime"):
        assert str(choice.race[name]).startswith(("GuardOnDataDependentSymNode", "UserError", "TorchRuntimeError"))
    with pytest.raises(InputError, match=r"^the 'openvino' backend cannot run this network .*use --backend eager$"):
        choose(network(Unexportable()), "cpu", "openvino")


def test_an_inaccurate_backend_is_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real OpenVINO, given a network whose weights changed after the reference was computed."""
    module = Small()
    real = torch.export.export

    def export(*args: Any, **more: Any) -> Any:
        with torch.no_grad():
            module.convolution.weight *= 1.001
        return real(*args, **more)

    builder = backends._Builder(network(module))
    assert builder._reference.shape == (4, 8)
    monkeypatch.setattr(torch.export, "export", export)
    with pytest.raises(backends._Unfit, match="relative error"):
        builder.build("openvino")


def test_relative_error_is_that_of_the_worst_row() -> None:
    rows = np.array([[3.0, 4.0], [1.0, 0.0]], np.float32)
    assert backends._relative_error(rows, rows) == 0
    assert backends._relative_error(rows + np.array([[0, 0.05], [0, 0.2]], np.float32), rows) == pytest.approx(0.2)
    assert backends._relative_error(rows * np.nan, rows) == np.inf


def test_a_backend_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "RACE_SECONDS", 0.02)
    monkeypatch.setitem(backends._NEEDS, "openvino", ("no_such_module",))
    with pytest.raises(InputError, match=r"'openvino' backend is not installed: .*pip install 'embed-regress\[cpu\]'"):
        choose(network(), "cpu", "openvino")
    assert "openvino" not in choose(network(), "cpu", None).race


def test_channels_last_leaves_the_eager_network_as_it_was() -> None:
    net = network()
    before = choose(net, "cpu", "eager").forward(net.example)
    choose(net, "cpu", "channels_last")
    weight = net.module.get_parameter("convolution.weight")
    assert weight.is_contiguous()
    assert np.array_equal(choose(net, "cpu", "eager").forward(net.example), before)


def test_openvino_reports_nothing_to_its_makers() -> None:
    choose(network(), "cpu", "openvino")
    assert "openvino_telemetry" not in sys.modules


def test_torch_sets_its_own_threads_whatever_the_calling_thread_has() -> None:
    """Decode threads have one thread each; a forward pass in a fresh thread must not inherit that."""
    forward = Torch(Small().eval(), channels_last=False)
    seen: list[int] = []

    def call() -> None:
        torch.set_num_threads(1)
        forward(network().example)
        seen.append(torch.get_num_threads())

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert seen == [forward._threads]
