"""HRDA: which views are taken, how they are joined, and what the loss sees (section 3.4)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor, nn

from pipeline.adaptation.teacher import Teacher
from pipeline.evaluation.inference import predict
from pipeline.networks.hrda import Hrda, MultiScale, draw_window, fuse
from pipeline.networks.segmenter import build_segmenter
from pipeline.params import Hrda as HrdaParams
from pipeline.params import Network
from pipeline.params.train import Optimiser
from pipeline.tasks.segmentation.cross_entropy import cross_entropy, logits_of, segmentation_loss
from pipeline.training.optimiser import build_optimiser

pytestmark = pytest.mark.floats

CONVNEXT, RESNET = "tu-test_convnext", "tu-test_resnet"


def build(architecture: str, encoder: str, detail: tuple[int, int] = (64, 64), **decoder: Any) -> Hrda:
    torch.manual_seed(0)
    hrda = HrdaParams(detail=detail)
    network = build_segmenter(Network(architecture=architecture, encoder=encoder, decoder=decoder, hrda=hrda))
    assert isinstance(network, Hrda)
    return network


def without_dropout(network: Hrda) -> Hrda:
    for module in network.modules():
        if isinstance(module, nn.Dropout2d):
            module.p = 0.0
    return network


def pictures(height: int = 128, width: int = 192, count: int = 2) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def half(images: Tensor) -> Tensor:
    return F.interpolate(images, scale_factor=0.5, mode="bilinear", align_corners=False)


def single(network: Hrda, images: Tensor) -> Tensor:
    """One pass of the network within."""
    return network.decode(network.encoder(images))


@pytest.mark.parametrize(("architecture", "stride"), [("segformer", 4), ("deeplabv2", 8)])
def test_training_sees_the_whole_at_half_size_and_one_window_at_full_size(
    architecture: str, stride: int
) -> None:
    # A network without batch norm outside the fusion, so that both ways of computing agree in training mode.
    network = without_dropout(build(architecture, CONVNEXT)).train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    images = pictures()
    output, features = network(images, with_features=True)
    assert isinstance(output, MultiScale)
    y1, y2, x1, x2 = output.box
    assert (y2 - y1, x2 - x1) == (64, 64)
    assert y1 % (2 * stride) == x1 % (2 * stride) == 0
    window = images[:, :, y1:y2, x1:x2]
    assert torch.allclose(output.detail, single(network, window), atol=1e-5)
    context = single(network, half(images))
    assert torch.allclose(features, network.encoder(half(images))[-1], atol=1e-5)

    # Outside the window, and beyond the reach of the bilinear enlargement, the context view stands alone.
    fused, enlarged = output.fused, F.interpolate(context, scale_factor=2.0, mode="bilinear")
    assert fused.shape == (2, 19, 128 // stride, 192 // stride)
    outside = torch.ones(fused.shape[-2:], dtype=torch.bool)
    cells = [edge // stride for edge in output.box]
    outside[max(cells[0] - 2, 0) : cells[1] + 2, max(cells[2] - 2, 0) : cells[3] + 2] = False
    assert outside.any()
    assert torch.allclose(fused[..., outside], enlarged[..., outside], atol=1e-5)
    inside = (..., slice(cells[0] + 2, cells[1] - 2), slice(cells[2] + 2, cells[3] - 2))
    assert (fused[inside] - enlarged[inside]).abs().max() > 1e-3


def test_evaluation_averages_overlapping_windows() -> None:
    network = build("daformer", RESNET, embed_dim=32, channels=32).eval()
    images = pictures(128, 128)
    with torch.no_grad():
        context_stages = network.encoder(half(images))
        total, count = torch.zeros(2, 19, 32, 32), torch.zeros(32, 32)
        for y in (0, 32, 64):
            for x in (0, 32, 64):
                part = single(network, images[:, :, y : y + 64, x : x + 64])
                total[:, :, y // 4 : y // 4 + 16, x // 4 : x // 4 + 16] += part
                count[y // 4 : y // 4 + 16, x // 4 : x // 4 + 16] += 1
        attention = network.attention(context_stages)
        expected = fuse(network.decode(context_stages), attention, total / count, ratio=2)
        assert torch.allclose(network(images), expected, atol=1e-4)


@pytest.mark.parametrize("architecture", ["daformer", "deeplabv2", "unet"])
def test_windows_need_to_fit_the_encoder_alone(architecture: str) -> None:
    network = build(architecture, RESNET, detail=(32, 96))
    output = network.train()(pictures(64, 192))
    assert (output.box[1] - output.box[0], output.box[3] - output.box[2]) == (32, 96)
    assert network.eval()(pictures(64, 192)).shape == output.fused.shape


def test_the_teacher_takes_all_windows_in_one_batch() -> None:
    network = build("daformer", RESNET, embed_dim=32, channels=32)
    teacher = Teacher(network, alpha=0.9)
    logits = teacher.predict(pictures())
    assert isinstance(logits, Tensor)
    counts = {
        name: int(buffer)
        for name, buffer in teacher.network.named_buffers()
        if name.endswith("num_batches_tracked")
    }
    # Context and details pass encoder and decoder, the context alone the attention.
    assert set(counts.values()) == {1, 2}
    assert {name.split(".")[0] for name, n in counts.items() if n == 1} == {"attention"}


def test_windows_vary_and_follow_torchs_generator() -> None:
    def boxes(seed: int) -> list[tuple[int, int, int, int]]:
        torch.manual_seed(seed)
        return [draw_window((1024, 1024), (512, 512), 8) for _ in range(400)]

    assert boxes(3) == boxes(3) != boxes(4)
    starts = {y for y, *_ in boxes(3)} | {x for _, _, x, _ in boxes(3)}
    assert starts == set(range(0, 512, 8))  # the paper's 0, 8, ..., 504; 512 is never drawn


def test_loss_has_both_scales_with_label_and_weight_cut() -> None:
    network = without_dropout(build("daformer", RESNET, embed_dim=32, channels=32)).train()
    output = network(pictures())
    y1, y2, x1, x2 = output.box
    label = torch.full((2, 128, 192), 255)
    label[:, y1:y2, x1:x2] = 3
    weight = torch.zeros(2, 128, 192)
    weight[:, y1:y2, x1:x2] = 0.5
    detail = cross_entropy(output.detail, torch.full((2, 64, 64), 3), torch.full((2, 64, 64), 0.5))
    expected = 0.9 * cross_entropy(output.fused, label, weight) + 0.1 * detail
    assert segmentation_loss(output, label, weight).item() == pytest.approx(expected.item(), rel=1e-5)
    assert segmentation_loss(output, label).item() > segmentation_loss(output, label, weight).item() > 0
    assert segmentation_loss(output, torch.full_like(label, 255)).item() == 0
    plain = cross_entropy(output.fused, label, weight)
    assert segmentation_loss(output.fused, label, weight) == plain
    assert logits_of(output) is logits_of(output.fused) is output.fused


def test_attention_weighs_a_class_towards_the_view_that_is_right() -> None:
    context, detail = torch.zeros(1, 2, 4, 4), torch.ones(1, 2, 8, 8)
    attention = torch.full((1, 2, 4, 4), -20.0)
    attention[:, 1] = 20.0
    fused = fuse(context, attention, detail, ratio=2)
    assert torch.allclose(fused[:, 0], torch.zeros(1, 8, 8), atol=1e-6)
    assert torch.allclose(fused[:, 1], torch.ones(1, 8, 8), atol=1e-6)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_step_under_fabric(precision: Any) -> None:
    fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
    network = build("daformer", RESNET, embed_dim=32, channels=32)
    before = {k: v.clone() for k, v in network.named_parameters()}
    wrapped, optimiser = fabric.setup(network, build_optimiser(network, Optimiser(lr=1e-3)))
    output, features = wrapped(pictures(), with_features=True)
    assert isinstance(output, MultiScale)
    assert output.fused.dtype == output.detail.dtype == torch.float32
    with fabric.autocast():
        loss = segmentation_loss(output, torch.ones(2, 128, 192, dtype=torch.long)) + features.mean()
    fabric.backward(loss)
    optimiser.step()
    assert loss.dtype == torch.float32
    moved = {k.split(".")[0] for k, v in network.named_parameters() if not torch.equal(before[k], v)}
    assert moved == {"encoder", "decoder", "segmentation_head", "attention"}


def test_a_picture_of_any_size_is_padded_for_both_views() -> None:
    network = build("fpn", RESNET).eval()
    image = np.random.default_rng(0).integers(0, 256, (97, 130, 3), np.uint8)
    prediction = predict(network, image, size=None)
    assert prediction.classes.shape == (97, 130)
    # A picture smaller than the detail window is one window.
    assert predict(network, image[:40, :50], size=None).classes.shape == (40, 50)
