"""Weights files: formats, wrappers, hostile content, and what does not fit."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from data.config import InputError
from embed.weights import first_line, load_strictly, read_state, state_digest

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}


class Bomb:
    """Unpickling it would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def linear() -> torch.nn.Module:
    return torch.nn.ModuleDict({"a": torch.nn.Linear(3, 2)})


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


def test_safetensors(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "w.safetensors")
    assert same(read_state(tmp_path / "w.safetensors"), STATE)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".ckpt"])
@pytest.mark.parametrize(
    "wrapped",
    [
        STATE,
        {"state_dict": STATE, "epoch": 3},
        {"model": STATE, "optimizer": {"lr": 0.1}},
        {"state_dict": {f"module.{key}": value for key, value in STATE.items()}},
        {"model": {f"_orig_mod.{key}": value for key, value in STATE.items()}},
        {f"module._orig_mod.{key}": value for key, value in STATE.items()},
    ],
    ids=["plain", "state_dict", "model", "module", "compiled", "both"],
)
def test_torch_files_in_their_wrappers(wrapped: Any, suffix: str, tmp_path: Path) -> None:
    torch.save(wrapped, tmp_path / f"w{suffix}")
    assert same(read_state(tmp_path / f"w{suffix}"), STATE)


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    for number, content in enumerate([Bomb(tmp_path / "run"), {"a": Bomb(tmp_path / "run")}]):
        torch.save(content, tmp_path / f"{number}.pth")
        with pytest.raises(InputError, match="holds no plain weights") as caught:
            read_state(tmp_path / f"{number}.pth")
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"PK\x03\x04", b"not weights at all", b"\xff" * 64])
def test_corrupt_files(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name} holds no plain weights .*expected a .safetensors file") as caught:
        read_state(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_truncated_file(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"w.{suffix}"
    if suffix == "safetensors":
        save_file(STATE, path)
    else:
        torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="holds no plain weights"):
        read_state(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.ones(1)], "holds list and no weights"),
        ({}, "holds dict and no weights"),
        ({"a": torch.ones(1), "epoch": 3}, "holds 'epoch', which is no tensor"),
        ({"state_dict": {}}, "no weights"),
    ],
)
def test_what_is_no_state_dict(content: Any, message: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(InputError, match=message):
        read_state(tmp_path / "w.pth")


@pytest.mark.parametrize("name", ["gone.pth", "gone.safetensors"])
def test_a_file_that_is_not_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{name} cannot be read"):
        read_state(tmp_path / name)


def test_a_state_that_fits_is_copied() -> None:
    model = linear()
    load_strictly(model, STATE, Path("w.pth"), "m")
    assert same(model.state_dict(), STATE)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a.bias": torch.ones(2)}, "w.pth does not fit 'm': it lacks 'a.weight': expected this model's own weights"),
        (STATE | {"b": torch.ones(1)}, "it has unknown 'b': expected"),
        (STATE | {"a.bias": torch.ones(3)}, "it has another shape for 'a.bias': expected"),
        (
            {str(i): torch.ones(1) for i in range(5000)},
            "it lacks 'a.bias', 'a.weight', has unknown '0', '1', '10' and 4,997 more",
        ),
    ],
)
def test_a_state_that_does_not_fit_leaves_the_model_alone(state: dict[str, torch.Tensor], message: str) -> None:
    model = linear()
    before = state_digest(model.state_dict())
    with pytest.raises(InputError, match=message):
        load_strictly(model, state, Path("w.pth"), "m")
    assert state_digest(model.state_dict()) == before


def test_the_digest_is_what_it_says() -> None:
    expected = hashlib.sha256()
    for name, tensor in (("a.bias", STATE["a.bias"]), ("a.weight", STATE["a.weight"])):
        expected.update(f"{name}\0torch.float32\0{tuple(tensor.shape)}\0".encode() + tensor.numpy().tobytes())
    assert state_digest(STATE) == expected.hexdigest()


def test_the_digest_sees_values_names_shapes_and_dtypes_but_no_order_or_layout() -> None:
    base = state_digest(STATE)
    weight, bias = STATE["a.weight"], STATE["a.bias"]
    assert state_digest({"a.bias": bias, "a.weight": weight}) == base
    assert state_digest({"a.weight": weight.t().contiguous().t(), "a.bias": bias}) == base
    others = [
        {"a.weight": weight, "b.bias": bias},
        {"a.weight": weight.reshape(3, 2), "a.bias": bias},
        {"a.weight": weight, "a.bias": bias.view(torch.int32)},
        {"a.weight": torch.nextafter(weight, weight + 1), "a.bias": bias},
        {"a.weight": weight},
    ]
    assert len({base, *map(state_digest, others)}) == 6


def test_how_long_a_batch_norm_was_trained_does_not_matter() -> None:
    model = torch.nn.BatchNorm2d(2)
    state = model.state_dict()
    trained = state | {"num_batches_tracked": torch.tensor(1234)}
    without = {key: value for key, value in state.items() if key != "num_batches_tracked"}
    load_strictly(model, without, Path("w.pth"), "m")
    assert state_digest(trained) == state_digest(state) == state_digest(without)


@pytest.mark.parametrize(
    "tensor", [torch.tensor(3), torch.ones(3, dtype=torch.bfloat16), torch.zeros(0), torch.tensor(True)]
)
def test_tensors_that_numpy_or_views_find_hard(tensor: torch.Tensor) -> None:
    assert len(state_digest({"x": tensor})) == 64


def test_first_line() -> None:
    assert first_line(ValueError("\nno such thing:\nmore\n")) == "no such thing"
    assert first_line(OSError("No config.json. Please check\nit")) == "No config.json"
    assert first_line(KeyError()) == "KeyError"
