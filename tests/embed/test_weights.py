"""Weights files: formats, wrappers, hostile content, and what does not fit."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from data.config import InputError
from embed import packaged
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


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_names_lose_what_a_training_run_put_before_them(prefix: str, tmp_path: Path) -> None:
    save_file({prefix + key: value for key, value in STATE.items()}, tmp_path / "w.safetensors")
    assert same(read_state(tmp_path / "w.safetensors"), STATE)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".ckpt", ""])
def test_pickles_are_refused_and_not_opened(suffix: str, tmp_path: Path) -> None:
    for number, content in enumerate([STATE, Bomb(tmp_path / "run"), {"a": Bomb(tmp_path / "run")}]):
        path = tmp_path / f"{number}{suffix}"
        torch.save(content, path)
        with pytest.raises(InputError, match="expected one, since a pickle can run code") as caught:
            read_state(path)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_pickle_by_another_name_is_none_of_ours(tmp_path: Path) -> None:
    torch.save({"a": Bomb(tmp_path / "run")}, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"w\.safetensors holds no weights"):
        read_state(tmp_path / "w.safetensors")
    assert not (tmp_path / "run").exists()


def test_the_packaged_pickle_is_read_and_with_one_byte_changed_it_is_not(tmp_path: Path) -> None:
    path = packaged.find(packaged.IMAGE)
    assert path is not None
    assert "_conv_stem.weight" in read_state(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / path.name).write_bytes(content)
    with pytest.raises(InputError, match="since a pickle can run code"):
        read_state(tmp_path / path.name)


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"PK\x03\x04", b"not weights at all", b"\xff" * 64])
def test_corrupt_files(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"w.safetensors holds no weights .*expected a .safetensors file") as caught:
        read_state(tmp_path / "w.safetensors")
    assert "\n" not in str(caught.value)


def test_a_truncated_file(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file(STATE, path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="holds no weights"):
        read_state(path)


def test_a_file_without_tensors(tmp_path: Path) -> None:
    save_file({}, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="holds no tensors"):
        read_state(tmp_path / "w.safetensors")


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
