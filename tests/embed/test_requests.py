"""Flags → requests: what is named, defaulted, refused, and what a request's digest depends on."""

import importlib.metadata
import shlex
import shutil
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pytest

import data.text
import embed.images
import embed.statistics
from data.config import InputError, parse
from data.files import sha256_file
from embed import packaged, requests
from embed.requests import EncoderOptions, Request, build

FILES = ("config.json", "tokenizer.json", "model.safetensors")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "atto.safetensors"
    path.write_bytes(b"some weights")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What looks like a model folder; its content is never read here but for its digest."""
    path = tmp_path / "ruBERT"
    path.mkdir()
    for name in FILES:
        (path / name).write_text(name)
    return path


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged, "find", lambda name: None)


def one(**flags: Any) -> Request:
    (request,) = build(EncoderOptions(statistics=False, **flags))
    return request


# what is asked for


def test_nothing_named_means_the_packaged_models_and_the_statistics() -> None:
    requests = build(EncoderOptions())
    assert [(r.kind, r.family, r.label) for r in requests] == [
        ("image", "timm", "tf_efficientnet_lite0"),
        ("text", "transformers", "all-MiniLM-L6-v2"),
        ("image", "statistics", "image_statistics"),
        ("text", "statistics", "text_statistics"),
    ]
    assert [r.storage_dtype for r in requests] == ["float16", "float16", "float32", "float32"]
    assert not any(r.named for r in requests)
    assert all(r.weights_file and r.weights_file.exists() for r in requests[:2])


def test_naming_one_kind_leaves_the_other_out() -> None:
    assert [r.label for r in build(EncoderOptions(image=("convnext_tiny",)))] == [
        "convnext_tiny",
        "image_statistics",
        "text_statistics",
    ]


def test_no_statistics() -> None:
    assert one(image=("convnext_tiny",)).named


def test_flags_of_a_command_that_inherits_them() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Command(EncoderOptions):
        """A command."""

    flags = "--image a,b --image c --text x:cls --tokens 64 --no-statistics --device cpu --dtype float32"
    given = parse(Command, shlex.split(flags))
    labels = [(r.label, r.device, r.storage_dtype, r.max_tokens) for r in build(given)]
    assert labels == [
        ("a", "cpu", "float32", 0),
        ("b", "cpu", "float32", 0),
        ("c", "cpu", "float32", 0),
        ("x:cls", "cpu", "float32", 64),
    ]


def test_poolings_are_spaces_of_their_own() -> None:
    made = build(EncoderOptions(text=("b", "b:cls", "b:pooler"), statistics=False))
    assert [(r.name, r.pooling, r.label) for r in made] == [
        ("b", "mean", "b"),
        ("b", "cls", "b:cls"),
        ("b", "pooler", "b:pooler"),
    ]
    assert len({r.digest for r in made}) == 3


@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"])
def test_a_packaged_text_model_by_name(name: str) -> None:
    request = one(text=(name,))
    assert request.name == name
    assert request.weights_file == packaged.find("all-MiniLM-L6-v2")


def test_a_packaged_picture_model_by_name() -> None:
    request = one(image=("tf_efficientnet_lite0",))
    assert request.weights_file is not None
    assert request.weights == sha256_file(request.weights_file)


@pytest.mark.usefixtures("nothing_installed")
def test_without_the_package_the_name_is_the_hub_s() -> None:
    assert one(image=("tf_efficientnet_lite0",)).weights == "hub"
    assert one(text=("all-MiniLM-L6-v2",)).weights_file is None


def test_a_file_s_weights_win_over_the_package(weights: Path) -> None:
    assert one(image=("tf_efficientnet_lite0",), weights=(f"tf_efficientnet_lite0={weights}",)).weights_file == weights


def test_a_model_folder_by_path_is_named_after_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absolute = one(text=(str(folder),))
    assert (absolute.name, absolute.weights_file) == ("ruBERT", folder)
    monkeypatch.chdir(folder.parent)
    for spelled in ("ruBERT", "./ruBERT", "ruBERT/"):
        assert one(text=(spelled,)).digest == absolute.digest


def test_a_folder_that_is_no_model_is_a_hub_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bert").mkdir()
    assert one(text=("bert",)).weights == "hub"


def test_weights_go_to_every_pooling_of_their_model(folder: Path) -> None:
    made = build(EncoderOptions(text=("r", "r:cls"), weights=(f"r={folder}",), statistics=False))
    assert [r.weights_file for r in made] == [folder, folder]


def test_an_equals_sign_in_a_path(tmp_path: Path) -> None:
    path = tmp_path / "a=b.pth"
    path.touch()
    assert one(image=("m",), weights=(f"m={path}",)).weights_file == path


# what is refused, in one line


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            {"image": ("a",), "weights": ("b={file}",)},
            r"--weights for 'b', which is none .* \(a\): name it with --image or --text",
        ),
        ({"text": ("a:cls",), "weights": ("a:cls={file}",)}, r"--weights for 'a:cls', which is none .* \(a\)"),
        ({"image": ("a",), "weights": ("a=no/such.pth",)}, r"there is no 'no/such.pth': check the path"),
        ({"image": ("a",), "weights": ("a",)}, r"--weights 'a': expected NAME=FILE"),
        ({"image": ("a",), "weights": ("=x",)}, r"--weights '=x': expected NAME=FILE"),
        ({"image": ("a",), "weights": ("a=",)}, r"--weights 'a=': expected NAME=FILE"),
        ({"image": ("a",), "weights": ("a={file}", "a={file}")}, r"--weights names 'a' twice"),
        ({"image": ("a", "a")}, r"encoder 'a' is named 2 times"),
        ({"image": ("a",), "text": ("a",)}, r"encoder 'a' is named 2 times"),
        ({"text": ("b", "b:mean")}, r"encoder 'b' is named 2 times"),
        ({"image": ("image_statistics",)}, r"encoder 'image_statistics' is named 2 times"),
        ({"text": ("b:clss",)}, r"unknown pooling 'clss': did you mean 'cls'\? known poolings are cls, mean, pooler"),
        ({"tokens": 7}, r"--tokens 7: expected 8 or more"),
        ({"image": ("a",), "weights": ("a={folder}",)}, r"expected a file, this is a folder"),
        ({"text": ("b",), "weights": ("b={folder}",)}, r"holds no config.json: expected a model folder"),
        ({"text": ("b",), "weights": ("b={file}",)}, r"holds no config.json: expected a model folder"),
    ],
)
def test_refused(flags: dict[str, Any], message: str, weights: Path) -> None:
    places = {"file": weights, "folder": weights.parent}
    if "weights" in flags:
        flags = flags | {"weights": tuple(flag.format(**places) for flag in flags["weights"])}
    with pytest.raises(InputError, match=message) as caught:
        build(EncoderOptions(**flags))
    assert "\n" not in str(caught.value)


def test_a_folder_without_weights_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"ruBERT holds no weights: expected model.safetensors"):
        one(text=(str(folder),))


@pytest.mark.usefixtures("nothing_installed")
def test_nothing_to_do() -> None:
    with pytest.raises(
        InputError, match=r"name an encoder: --image NAME or --text NAME, or pip install 'embed-regress\[demo\]'"
    ):
        build(EncoderOptions())


# the digest


REQUEST = Request(
    kind="text", family="transformers", name="a", pooling="mean", max_tokens=512, weights="00", device="cpu"
)
OTHER: dict[str, Any] = {
    "kind": "image",
    "family": "timm",
    "name": "b",
    "pooling": "cls",
    "max_tokens": 511,
    "weights": "01",
    "device": "cuda",
    "storage_dtype": "float32",
    "decode": "gpu",
    "backend": "eager",
    "views": 2,
}
NOT_IN_IT: dict[str, Any] = {"weights_file": Path("elsewhere"), "named": True}


def test_the_other_values_cover_every_field() -> None:
    assert set(OTHER) | set(NOT_IN_IT) == {field.name for field in fields(Request)}


@pytest.mark.parametrize("name", OTHER)
def test_what_decides_about_the_vectors_is_in_the_digest(name: str) -> None:
    assert replace(REQUEST, **{name: OTHER[name]}).digest != REQUEST.digest


@pytest.mark.parametrize("name", NOT_IN_IT)
def test_what_does_not_is_not(name: str) -> None:
    assert replace(REQUEST, **{name: NOT_IN_IT[name]}).digest == REQUEST.digest


@pytest.mark.parametrize(
    ("module", "constant", "touched"),
    [
        (data.text, "CLEANING_VERSION", {"all-MiniLM-L6-v2", "text_statistics"}),
        (embed.images, "GPU_DECODE_MODE", set()),
        (embed.images, "DECODE_MODE", {"tf_efficientnet_lite0", "tf_efficientnet_lite0@2views", "image_statistics"}),
        (embed.images, "RESIZE_VERSION", {"tf_efficientnet_lite0", "tf_efficientnet_lite0@2views"}),
        (embed.images, "VIEWS_VERSION", {"tf_efficientnet_lite0@2views"}),
        (embed.statistics, "VERSION", {"image_statistics", "text_statistics"}),
    ],
)
def test_our_own_versions_are_in_it(
    module: Any, constant: str, touched: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {r.label: r.digest for r in build(EncoderOptions(views=2))}
    monkeypatch.setattr(module, constant, 99)
    after = {r.label: r.digest for r in build(EncoderOptions(views=2))}
    assert {label for label in before if before[label] != after[label]} == touched


@pytest.mark.parametrize(
    ("library", "touched"),
    [
        ("timm", {"tf_efficientnet_lite0"}),
        ("torch", {"tf_efficientnet_lite0", "all-MiniLM-L6-v2"}),
        ("transformers", {"all-MiniLM-L6-v2"}),
        ("tokenizers", {"all-MiniLM-L6-v2"}),
    ],
)
def test_the_libraries_versions_are_in_it(library: str, touched: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    before = {r.label: r.digest for r in build(EncoderOptions())}
    installed = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "99" if name == library else installed(name))
    after = {r.label: r.digest for r in build(EncoderOptions())}
    assert {label for label in before if before[label] != after[label]} == touched


def test_a_gpu_that_auto_would_use_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    auto = replace(REQUEST, device="auto")
    monkeypatch.setattr(requests, "gpu_expected", lambda device: False)
    without = auto.digest
    monkeypatch.setattr(requests, "gpu_expected", lambda device: True)
    assert auto.digest != without


@pytest.mark.parametrize("name", FILES)
def test_every_file_of_a_model_folder_is_in_it(name: str, folder: Path) -> None:
    before = one(text=(str(folder),)).weights
    (folder / name).write_text("changed")
    assert one(text=(str(folder),)).weights != before


def test_what_else_lies_in_the_folder_or_where_it_lies_is_not(folder: Path) -> None:
    before = one(text=(str(folder),)).weights
    (folder / "README.md").write_text("new")
    (folder / "pytorch_model.bin").write_text("the same weights in another format, which is not read")
    (folder / "onnx").mkdir()
    moved = folder.parent / "elsewhere" / "ruBERT"
    shutil.copytree(folder, moved)
    assert one(text=(str(moved),)).weights == before


def test_a_weights_file_in_a_folder_stands_for_that_file_alone(folder: Path) -> None:
    (folder / "tuned.safetensors").write_text("tuned")
    tuned = one(text=("r",), weights=(f"r={folder / 'tuned.safetensors'}",))
    (folder / "model.safetensors").write_text("changed")
    assert one(text=("r",), weights=(f"r={folder / 'tuned.safetensors'}",)).weights == tuned.weights
    (folder / "tokenizer.json").write_text("changed")
    assert one(text=("r",), weights=(f"r={folder / 'tuned.safetensors'}",)).weights != tuned.weights


def test_provenance_names_the_file_and_no_folder(weights: Path) -> None:
    shown = one(image=("m",), weights=(f"m={weights}",)).provenance()
    assert shown["weights_source"] == "atto.safetensors"
    assert shown["weights_sha256"] == sha256_file(weights)
    assert shown["versions"]["timm"] == importlib.metadata.version("timm")
    assert str(weights.parent) not in str(shown)


@pytest.mark.parametrize("views", [-1, 65])
def test_a_number_of_views_that_makes_no_sense(views: int) -> None:
    with pytest.raises(InputError, match=rf"--views {views}: expected 0 to 64"):
        build(EncoderOptions(views=views))


def test_a_table_behind_a_flag_that_takes_several_names() -> None:
    with pytest.raises(InputError, match=r"^encoder 'posts.csv' is a table of posts: .*put the table before"):
        build(EncoderOptions(text=("all-MiniLM-L6-v2", "posts.csv")))
