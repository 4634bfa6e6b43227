"""Encoder weights in the layouts in which they are published; wrong ones never become a silent random start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from segmentation_models_pytorch.encoders import get_encoder
from torch import Tensor

from pipeline.edge.errors import UserError
from pipeline.networks.encoder_decoder import SegmentationNetwork
from pipeline.networks.segmenter import build_segmenter
from pipeline.networks.weights import file_sha256, load_weights, save_weights
from pipeline.params import Network

pytestmark = pytest.mark.floats

IMAGES = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
Tensors = dict[str, Tensor]


def build(
    architecture: str, encoder: str, weights: Path, sha256: str | None = None, **decoder: Any
) -> SegmentationNetwork:
    network = Network(
        architecture=architecture, encoder=encoder, weights=weights, sha256=sha256, decoder=decoder
    )
    return build_segmenter(network).eval()


def timm_file(path: Path, name: str, **arguments: Any) -> tuple[Path, torch.nn.Module]:
    """A timm network with a classifier, and its file."""
    model = timm.create_model(name, **arguments).eval()
    torch.save(model.state_dict(), path)
    return path, model


def last_stage(model: Any) -> Tensor:
    """The deepest feature map that timm's own network gives."""
    return model.forward_intermediates(IMAGES, intermediates_only=True, norm=False)[-1]


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_efficientnet"])
def test_timm_files_give_timms_features(tmp_path: Path, name: str) -> None:
    path, model = timm_file(tmp_path / "weights.pth", name)
    segmenter = build("fpn", f"tu-{name}", path)
    assert torch.equal(segmenter.encoder_features(IMAGES), last_stage(model))


@pytest.mark.parametrize("encoder", ["resnet18", "tu-resnet18"])
def test_torchvision_file(tmp_path: Path, encoder: str) -> None:
    model = torchvision.models.resnet18().eval()
    torch.save(model.state_dict(), tmp_path / "resnet18.pth")
    segmenter = build("fpn", encoder, tmp_path / "resnet18.pth")
    features = torch.nn.Sequential(*list(model.children())[:-2])(IMAGES)
    assert torch.allclose(segmenter.encoder_features(IMAGES), features, atol=1e-5)


def test_segformer_mit_file(tmp_path: Path) -> None:
    encoder = get_encoder("mit_b0", weights=None).eval()
    classifier = {"head.weight": torch.zeros(1000, 256), "head.bias": torch.zeros(1000)}
    torch.save(encoder.state_dict() | classifier, tmp_path / "mit_b0.pth")
    segmenter = build("daformer", "mit_b0", tmp_path / "mit_b0.pth")
    assert torch.equal(segmenter.encoder_features(IMAGES), encoder(IMAGES)[-1])


def mmseg(tensors: Tensors) -> dict[str, Any]:
    inside = {f"backbone.{k}": v for k, v in tensors.items()}
    return {
        "meta": {"epoch": 3},
        "state_dict": inside | {"decode_head.conv_seg.weight": torch.zeros(19, 8, 1, 1)},
    }


def v1c(tensors: Tensors) -> dict[str, Any]:
    """timm's deep stem as open-mmlab names it."""
    stem = {"conv1.": "stem.", "bn1.": "stem.7."}
    names = {
        k: next((new + k[len(old) :] for old, new in stem.items() if k.startswith(old)), k) for k in tensors
    }
    return {names[k]: v for k, v in tensors.items()}


@pytest.mark.parametrize(
    "layout",
    [
        v1c,
        mmseg,
        lambda t: mmseg(v1c(t)),
        lambda t: {"model": t},
        lambda t: {f"module.{k}": v for k, v in t.items()},
    ],
    ids=["v1c", "mmseg", "v1c in mmseg", "below model", "ddp"],
)
def test_layouts_of_a_resnet_with_a_deep_stem(
    tmp_path: Path, layout: Callable[[Tensors], dict[str, Any]]
) -> None:
    arguments: dict[str, Any] = {"stem_type": "deep", "stem_width": 8}
    model: Any = timm.create_model("test_resnet", **arguments).eval()
    torch.save(layout(model.state_dict()), tmp_path / "weights.pth")
    segmenter = build("fpn", "tu-test_resnet", tmp_path / "weights.pth", **arguments)
    assert torch.equal(segmenter.encoder_features(IMAGES), last_stage(model))


def test_the_papers_resnet_has_the_v1c_stem() -> None:
    with torch.device("meta"):
        model: Any = timm.create_model("resnet101c", features_only=True, output_stride=8)
    stem = [m for m in model.conv1 if isinstance(m, torch.nn.Conv2d)]
    assert [(m.out_channels, m.kernel_size, m.stride) for m in stem] == [
        (32, (3, 3), (2, 2)),
        (32, (3, 3), (1, 1)),
        (64, (3, 3), (1, 1)),
    ]


def test_position_embeddings_and_patches_are_resampled_as_timm_does(tmp_path: Path) -> None:
    path, model = timm_file(tmp_path / "weights.pth", "test_vit")
    segmenter = build("dpt", "tu-test_vit", path, img_size=[64, 96], patch_size=8)
    overlay = {"file": str(path), "num_classes": 1000}
    expected: Any = timm.create_model(
        "test_vit", pretrained=True, pretrained_cfg_overlay=overlay, img_size=(64, 96), patch_size=8
    )
    vit: Any = segmenter.encoder.model
    assert expected.pos_embed.shape != model.pos_embed.shape
    assert torch.equal(vit.pos_embed, expected.pos_embed)
    assert torch.equal(vit.patch_embed.proj.weight, expected.patch_embed.proj.weight)


def test_vit_file_gives_timms_features(tmp_path: Path) -> None:
    path, model = timm_file(tmp_path / "weights.pth", "test_vit3", dynamic_img_size=True)
    assert torch.equal(build("dpt", "tu-test_vit3", path).encoder_features(IMAGES), last_stage(model))


def test_what_training_wrote_starts_the_next_training(tmp_path: Path) -> None:
    network = Network(architecture="fpn", encoder="tu-test_resnet")
    trained = build_segmenter(network).eval()
    save_weights(trained, tmp_path / "student.safetensors")
    again = build_segmenter(network).eval()
    load_weights(again, tmp_path / "student.safetensors")
    assert torch.equal(again(IMAGES), trained(IMAGES))
    encoder_alone = build("daformer", "tu-test_resnet", tmp_path / "student.safetensors")
    assert torch.equal(encoder_alone.encoder_features(IMAGES), trained.encoder_features(IMAGES))


def test_wrong_weights_are_refused_with_their_share(tmp_path: Path) -> None:
    path, _ = timm_file(tmp_path / "weights.pth", "test_resnet")
    with pytest.raises(UserError, match=r"only \d+ of \d+ encoder tensors match \(\d+ %\).*another encoder"):
        build("fpn", "tu-test_efficientnet", path)
    tensors = torch.load(path, weights_only=True)
    del tensors["layer4.0.conv1.weight"]
    save_file(tensors, tmp_path / "weights.safetensors")
    with pytest.raises(UserError, match=r"only \d+ of \d+ encoder tensors match \(9\d %\)"):
        build("fpn", "tu-test_resnet", tmp_path / "weights.safetensors")


def test_checksum(tmp_path: Path) -> None:
    path, _ = timm_file(tmp_path / "weights.pth", "test_resnet")
    build("fpn", "tu-test_resnet", path, sha256=file_sha256(path))
    with pytest.raises(UserError, match=r"weights\.pth: its sha256 is .* asks for 0000: fetch"):
        build("fpn", "tu-test_resnet", path, sha256="0000")


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("this ran",)


def test_files_that_are_broken_or_could_run_code(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": Evil()}, path)
    with pytest.raises(UserError, match=r"broken or holds more than tensors.*safetensors"):
        build("fpn", "tu-test_resnet", path)
    assert "this ran" not in capsys.readouterr().out
    for name in ("half.pth", "half.safetensors"):
        (tmp_path / name).write_bytes(b"half a file")
        with pytest.raises(UserError, match=rf"{name} is broken"):
            build("fpn", "tu-test_resnet", tmp_path / name)
    torch.save([1, 2], path)
    with pytest.raises(UserError, match=r"only 0 of \d+"):
        build("fpn", "tu-test_resnet", path)
    with pytest.raises(UserError, match=r"none\.pth does not exist: set network\.weights"):
        build("fpn", "tu-test_resnet", tmp_path / "none.pth")
