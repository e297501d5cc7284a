"""Spec: every field is part of the key, nothing else is. Devices."""

import json
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from data.config import InputError, canonical_json
from embed.encoder import Spec, UnreadableContent, gpu_expected, pick_device

SPEC = Spec(
    kind="text",
    family="transformers",
    name="a",
    weights="00",
    preprocessing={"size": (3, 224, 224), "mean": 0.5},
    pooling="mean",
    max_tokens=512,
    text_cleaning=1,
    compute_dtype="float32",
    storage_dtype="float16",
)
OTHER: dict[str, Any] = {
    "kind": "image",
    "family": "timm",
    "name": "b",
    "weights": "01",
    "preprocessing": {"size": (3, 224, 225), "mean": 0.5},
    "pooling": "cls",
    "max_tokens": 511,
    "text_cleaning": 2,
    "compute_dtype": "float16",
    "storage_dtype": "float32",
    "backend": "openvino",
    "views": 2,
}


def test_the_other_values_cover_every_field() -> None:
    assert set(OTHER) == {field.name for field in fields(Spec)}


@pytest.mark.parametrize("name", OTHER)
def test_every_field_changes_the_key(name: str) -> None:
    assert replace(SPEC, **{name: OTHER[name]}).key != SPEC.key


def test_the_key_is_the_sha256_of_what_a_file_would_hold() -> None:
    import hashlib

    plain = json.loads(json.dumps(SPEC.to_json()))
    assert plain == SPEC.to_json()
    assert SPEC.key == hashlib.sha256(canonical_json(plain).encode()).hexdigest()
    assert Spec(**plain).key == SPEC.key


def test_a_number_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        _ = replace(SPEC, preprocessing={"mean": float("nan")}).key


def test_the_reason_is_kept() -> None:
    assert UnreadableContent("truncated").reason == "truncated"


def test_the_cpu_can_always_be_had() -> None:
    assert pick_device("cpu") == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu() -> None:
    assert pick_device("auto") == "cpu"
    with pytest.raises(InputError, match=r"torch sees no CUDA device.*use --device cpu"):
        pick_device("cuda")


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_no_gpu_is_expected_where_none_may_be_used(hidden: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert not gpu_expected("auto")
    assert gpu_expected("cuda")
    assert not gpu_expected("cpu")


def test_what_a_cached_run_imports_is_light() -> None:
    code = (
        "import sys; from embed.requests import EncoderOptions, build\n"
        "light = set(sys.modules)\n"
        "for request in build(EncoderOptions()): request.digest, request.provenance()\n"
        "print(*sorted(light & {'numpy', 'PIL', 'torch', 'timm', 'transformers'}))\n"
        "print(*sorted(set(sys.modules) & {'torch', 'timm', 'transformers', 'safetensors'}))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "\n\n"
    assert done.stderr == ""
