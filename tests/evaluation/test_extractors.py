"""The extractors against torch-fidelity's own, or the same network from torch's layers; and their weights files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dcgan.errors import InputError
from dcgan.evaluation import weights
from dcgan.evaluation.dinov2 import DEPTH, HEADS, WIDTH, VisionTransformer, prepared
from dcgan.evaluation.extractors import Extractor, as_rgb, dinov2, inception
from dcgan.evaluation.weights import DINOV2_URL, INCEPTION_URL, digest, fetch_weights, find_weights, load_weights

theirs = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
CPU = torch.device("cpu")
NAME = INCEPTION_URL.rpartition("/")[2]


@pytest.fixture(autouse=True)
def _no_weights_at_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DCGAN_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in the form of the published file."""
    path = tmp_path_factory.mktemp("weights") / NAME
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(theirs, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(theirs.FeatureExtractorInceptionV3, "load_state_dict", lambda *_, **__: None)
        torch.manual_seed(0)
        network = theirs.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    tensors = network.state_dict()
    for name, tensor in tensors.items():
        if "running_var" in name or name.endswith("bn.weight"):
            tensor.copy_(torch.rand(tensor.shape) + 0.5)
        elif name.endswith(("bn.bias", "running_mean")):
            tensor.copy_(torch.randn(tensor.shape) * 0.1)
    torch.save(tensors, path)
    return path


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 24, 20, 3), dtype=np.uint8)


def test_inception_is_torch_fidelitys(inception_file: Path, images: np.ndarray) -> None:
    own = theirs.FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(inception_file)
    )
    expected = [found.numpy() for found in own(torch.from_numpy(images).permute(0, 3, 1, 2))]
    extractor = inception(inception_file, CPU)
    features, logits = extractor(images)
    assert (extractor.name, extractor.dimensions, extractor.has_classes) == ("inception", 2048, True)
    assert features.shape == (3, 2048)
    assert features.dtype == np.float32
    assert logits is not None
    for found, wanted in zip((features, logits), expected, strict=True):
        assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max()


def test_bf16_is_near_fp32_and_says_so(inception_file: Path, images: np.ndarray) -> None:
    exact, fast = (inception(inception_file, CPU, precision) for precision in ("fp32", "bf16"))
    assert (exact.precision, fast.precision) == ("fp32", "bf16")
    wanted, found = exact(images[:1]).features, fast(images[:1]).features
    assert not np.array_equal(found, wanted)
    assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.9


def test_a_classifier_of_zeros_gives_no_logits(inception_file: Path, images: np.ndarray, tmp_path: Path) -> None:
    tensors = load_weights(inception_file) | {"fc.weight": torch.zeros(1008, 2048)}
    torch.save(tensors, tmp_path / "zeros.pth")
    extractor = inception(tmp_path / "zeros.pth", CPU)
    assert not extractor.has_classes
    assert extractor(images[:1]).logits is None
    assert extractor.digest != inception(inception_file, CPU).digest


def test_greys_are_repeated_and_transparency_is_black() -> None:
    grey = torch.arange(8, dtype=torch.uint8).view(2, 1, 2, 2)
    assert torch.equal(as_rgb(grey), torch.cat([grey] * 3, 1))
    rgba = torch.tensor([[200, 100, 50, 255], [200, 100, 50, 0], [200, 100, 50, 51]], dtype=torch.uint8)
    expected = torch.tensor([[200, 100, 50], [0, 0, 0], [40, 20, 10]], dtype=torch.uint8)
    assert torch.equal(as_rgb(rgba[..., None, None])[..., 0, 0], expected)
    rgb = rgba[:, :3, None, None]
    assert torch.equal(as_rgb(rgb), rgb)


def test_images_go_through_in_batches_in_order() -> None:
    sizes, calls = list[int](), list[tuple[int, int]]()

    def network(pixels: torch.Tensor) -> tuple[torch.Tensor, None]:
        sizes.append(len(pixels))
        return pixels.flatten(1).float(), None

    extractor = Extractor("plain", "0", "none", 12, False, "fp32", CPU, network, cpu_batch=4)
    images = np.random.default_rng(0).integers(0, 256, (10, 2, 2, 3), dtype=np.uint8)
    features = extractor(images, lambda done, total: calls.append((done, total))).features
    assert np.array_equal(features, images.transpose(0, 3, 1, 2).reshape(10, 12))
    assert sizes == [4, 4, 2]
    assert calls == [(4, 10), (8, 10), (10, 10)]


def plain_transformer(network: VisionTransformer) -> nn.TransformerEncoder:
    """The blocks from torch's own layers, their scales multiplied into the weights before them."""
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, 0, "gelu", 1e-6, batch_first=True, norm_first=True)
    plain = nn.TransformerEncoder(layer, DEPTH, enable_nested_tensor=False)
    for mine, block in zip(plain.layers, network.blocks, strict=True):
        own: dict[str, torch.Tensor] = block.state_dict()
        names = {"norm1": "norm1", "norm2": "norm2", "linear1": "mlp.fc1"}
        tensors = {f"{a}.{kind}": own[f"{b}.{kind}"] for a, b in names.items() for kind in ("weight", "bias")}
        for kind in ("weight", "bias"):
            scales = own["ls1.gamma"], own["ls2.gamma"]
            first, second = (scale[:, None] if kind == "weight" else scale for scale in scales)
            tensors[f"self_attn.in_proj_{kind}"] = own[f"attn.qkv.{kind}"]
            tensors[f"self_attn.out_proj.{kind}"] = own[f"attn.proj.{kind}"] * first
            tensors[f"linear2.{kind}"] = own[f"mlp.fc2.{kind}"] * second
        mine.load_state_dict(tensors)
    return plain.eval()


@pytest.fixture(scope="module")
def dinov2_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    tensors = {
        name: torch.randn_like(tensor) * 0.05 + float("norm" in name or "gamma" in name)
        for name, tensor in VisionTransformer().state_dict().items()
    }
    path = tmp_path_factory.mktemp("weights") / "dinov2_vits14_pretrain.pth"
    torch.save(tensors | {"mask_token": torch.zeros(1, WIDTH)}, path)
    return path


def test_dinov2_is_a_transformer_of_torchs_layers(dinov2_file: Path, images: np.ndarray) -> None:
    extractor = dinov2(dinov2_file, CPU)
    network = VisionTransformer()
    network.load_state_dict({k: v for k, v in load_weights(dinov2_file).items() if k != "mask_token"})
    with torch.inference_mode():
        pixels = prepared(torch.from_numpy(images).permute(0, 3, 1, 2))
        patches = network.patch_embed["proj"](pixels).flatten(2).transpose(1, 2)
        tokens = torch.cat([network.cls_token.expand(3, -1, -1), patches], 1) + network._positions()
        expected = network.norm(plain_transformer(network)(tokens)[:, 0])
    assert (extractor.name, extractor.dimensions, extractor.has_classes) == ("dinov2", 384, False)
    assert np.allclose(extractor(images).features, expected, rtol=1e-3, atol=1e-4)


def test_dinov2_prepares_images_as_torch_fidelity_does(images: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = pytest.importorskip("torch_fidelity.feature_extractor_dinov2")
    monkeypatch.setattr(torch.hub, "load", lambda *_: nn.Identity())
    own = module.FeatureExtractorDinoV2("dinov2-vit-s-14", ["dinov2"])
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
    assert torch.allclose(prepared(pixels), own(pixels)[0], atol=1e-5)


def test_positions_of_the_trained_grid_keep_their_order() -> None:
    """A ramp stays a ramp, within the bicubic's ripple: rows are rows, and 37 patches become 16."""
    network = VisionTransformer()
    with torch.no_grad():
        network.pos_embed[0, 1:, 0] = torch.arange(37.0).repeat_interleave(37)
        network.pos_embed[0, 1:, 1] = torch.arange(37.0).repeat(37)
        network.pos_embed[0, 0] = 7.0
        found = network._positions()[0]
    assert (found[0] == 7).all()
    rows, columns = found[1:, 0].view(16, 16), found[1:, 1].view(16, 16)
    middle = (torch.arange(16) + 0.5) * 37 / 16.1 - 0.5
    assert torch.allclose(rows[2:-2, 5], middle[2:-2], atol=0.1)
    assert torch.allclose(columns[5, 2:-2], middle[2:-2], atol=0.1)


@pytest.mark.parametrize("extractor", [inception, dinov2])
def test_other_weights_are_refused(extractor: Any, tmp_path: Path) -> None:
    torch.save({"fc.weight": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="these are not the weights of"):
        extractor(tmp_path / "other.pth", CPU)


def test_what_is_no_weights_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.pth").write_text("hello")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save(nn.Linear(2, 2), tmp_path / "program.pth")
    for name, said in (("text.pth", "not a file"), ("list.pth", "something else"), ("program.pth", "not a file")):
        with pytest.raises(InputError, match=said):
            load_weights(tmp_path / name)


def test_weights_are_looked_for_where_they_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_weights(INCEPTION_URL) is None
    kept = tmp_path / "torch" / "hub" / "checkpoints" / NAME
    kept.parent.mkdir(parents=True)
    kept.touch()
    assert find_weights(INCEPTION_URL) == kept
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.setenv("DCGAN_WEIGHTS", str(folder))
    assert find_weights(INCEPTION_URL) == kept  # the folder may be for other extractors
    (folder / NAME).touch()
    assert find_weights(INCEPTION_URL) == folder / NAME
    mine = tmp_path / "mine.pth"
    mine.touch()
    assert find_weights(INCEPTION_URL, mine) == mine
    for given in (tmp_path / "nothing.pth", tmp_path):
        with pytest.raises(InputError, match=r"weights: there is no file .*it is to be weights-inception"):
            find_weights(INCEPTION_URL, given)
    monkeypatch.setenv("DCGAN_WEIGHTS", str(tmp_path / "nothing.pth"))
    with pytest.raises(InputError, match=r"\$DCGAN_WEIGHTS: there is no file"):
        find_weights(INCEPTION_URL)


def test_a_file_by_anothers_published_name_is_anothers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / DINOV2_URL.rpartition("/")[2]
    file.touch()
    monkeypatch.setenv("DCGAN_WEIGHTS", str(file))
    assert find_weights(DINOV2_URL) == file
    assert find_weights(INCEPTION_URL) is None
    assert find_weights(INCEPTION_URL, file) == file  # who names it is told what it is


def test_weights_are_fetched_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    published = tmp_path / "published" / "tiny.pth"
    published.parent.mkdir()
    torch.save({"w": torch.ones(2)}, published)
    path = fetch_weights(published.as_uri())
    assert path == tmp_path / "torch" / "hub" / "checkpoints" / "tiny.pth"
    assert torch.equal(load_weights(path)["w"], torch.ones(2))
    published.rename(published.with_name("tiny-0123abcd.pth"))
    with pytest.raises(InputError, match=r"could not be downloaded \(invalid hash"):
        fetch_weights(published.with_name("tiny-0123abcd.pth").as_uri())
    with pytest.raises(InputError, match="name it by --weights"):
        fetch_weights(published.with_name("nothing.pth").as_uri())


def test_a_published_hash_is_recognised() -> None:
    assert weights._hash_in(NAME) == "6726825d"
    assert weights._hash_in("dinov2_vits14_pretrain.pth") is None


def test_the_digest_is_of_values_names_and_recipe() -> None:
    one = {"a": torch.ones(2), "b": torch.zeros(3)}
    assert digest(one, "r") == digest(dict(reversed(one.items())), "r")
    for other in ({"a": torch.ones(2), "c": torch.zeros(3)}, one | {"a": torch.ones(2, 1)}, one | {"b": torch.ones(3)}):
        assert digest(other, "r") != digest(one, "r")
    assert digest(one, "s") != digest(one, "r")


def test_the_digest_is_of_the_bytes_of_any_type() -> None:
    tensors = {
        "a": torch.arange(6.0).view(2, 3).t(),
        "b": torch.tensor(7),
        "c": torch.empty(0, 2),
        "d": torch.ones(3) > 0,
    }
    expected = hashlib.sha256(b"r")
    for name, tensor in tensors.items():
        expected.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode() + tensor.numpy().tobytes())
    assert digest(tensors, "r") == expected.hexdigest()
    one, other = ({"a": torch.tensor(value, dtype=torch.bfloat16)} for value in (1.0, 2.0))
    assert digest(one, "r") != digest(other, "r")


def test_weights_in_bfloat16_are_read(dinov2_file: Path, images: np.ndarray, tmp_path: Path) -> None:
    torch.save({name: tensor.bfloat16() for name, tensor in torch.load(dinov2_file).items()}, tmp_path / "half.pth")
    exact, rounded = (dinov2(path, CPU)(images[:1]).features for path in (dinov2_file, tmp_path / "half.pth"))
    assert np.corrcoef(exact.ravel(), rounded.ravel())[0, 1] > 0.99


def test_without_torch_fidelity_inception_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(InputError, match=r"pip install 'dcgan\[evaluation\]'"):
        inception(None, CPU)
