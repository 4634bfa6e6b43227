"""Decoders and HRDA against the published implementation's outputs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.networks.daformer import DaformerDecoder, ScaleAttention, StageEmbedding, classifier
from pipeline.networks.deeplabv2 import Deeplabv2Decoder
from pipeline.networks.hrda import MultiScale, draw_window, fuse
from pipeline.networks.windows import at_stride, cut
from pipeline.tasks.segmentation.cross_entropy import cross_entropy, segmentation_loss

pytestmark = pytest.mark.floats

Golden = Callable[[str], dict[str, np.ndarray]]
assert_close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
CHANNELS = [3, 2, 4, 6, 8, 10]  # of an encoder's outputs; the first two are not used


def tensors(data: dict[str, np.ndarray]) -> dict[str, Tensor]:
    return {key: torch.from_numpy(value) for key, value in data.items()}


def stages(data: dict[str, Tensor]) -> list[Tensor]:
    image = torch.full((2, 3, 64, 96), torch.nan)
    return [image, image[:, :2, ::2, ::2], *(data[f"feature{i}"] for i in range(4))]


def fill(module: nn.Module, *values: Tensor) -> None:
    """Parameters and running statistics of a module, in the order of its own state."""
    state = {k: v for k, v in module.state_dict().items() if not k.endswith("num_batches_tracked")}
    assert len(state) == len(values)
    for tensor, value in zip(state.values(), values, strict=True):
        assert tensor.numel() == value.numel()
        tensor.copy_(value.view_as(tensor))


def conv_bn(data: dict[str, Tensor], name: str) -> list[Tensor]:
    return [data[f"{name}_conv"], *(data[f"{name}_bn_{part}"] for part in ("gamma", "beta", "mean", "var"))]


def fill_embedding(embedding: StageEmbedding, data: dict[str, Tensor]) -> None:
    fill(embedding, *(data[f"embed{i}_{part}"] for i in range(4) for part in ("weight", "bias")))


def check_both_modes(network: nn.Module, data: dict[str, Tensor]) -> None:
    """Stored statistics, then the batch's."""
    with torch.no_grad():
        assert_close(network.eval()(stages(data)), data["logits_eval"])
        assert_close(network.train()(stages(data)), data["logits_train_bn"])


def widths(data: dict[str, Tensor], fused: str) -> dict[str, int]:
    return {"embed_dim": len(data["embed0_bias"]), "channels": len(data[f"{fused}_bn_mean"])}


def test_daformer_decoder(golden: Golden) -> None:
    data = tensors(golden("daformer_head"))
    dilations = data["dilations"].tolist()
    decoder = DaformerDecoder(CHANNELS, **widths(data, "merge"), dilations=dilations, dropout=0.0)
    fill_embedding(decoder.embedding, data)
    parts = [conv_bn(data, "branch0")]
    parts += [conv_bn(data, f"branch{i}_dw") + conv_bn(data, f"branch{i}_pw") for i in (1, 2, 3)]
    for branch, part in zip(decoder.branches, parts, strict=True):
        fill(branch, *part)
    fill(decoder.merge, *conv_bn(data, "merge"))
    head = classifier(decoder.out_channels, len(data["classifier_bias"]))
    fill(head, data["classifier_weight"], data["classifier_bias"])
    check_both_modes(nn.Sequential(decoder, head), data)


def test_scale_attention(golden: Golden) -> None:
    data = tensors(golden("attention_head"))
    attention = ScaleAttention(CHANNELS, len(data["classifier_bias"]), **widths(data, "fuse"), dropout=0.0)
    fill_embedding(attention.embedding, data)
    fill(attention.fuse, *conv_bn(data, "fuse"))
    fill(attention.classifier, data["classifier_weight"], data["classifier_bias"])
    check_both_modes(attention, data)


def test_deeplabv2_decoder(golden: Golden) -> None:
    data = tensors(golden("deeplabv2_head"))
    classes = len(data["branch0_bias"])
    decoder = Deeplabv2Decoder([3, 10], dilations=data["dilations"].tolist(), classes=classes)
    for i, branch in enumerate(decoder.branches):
        fill(branch, data[f"branch{i}_weight"], data[f"branch{i}_bias"])
    with torch.no_grad():
        assert_close(decoder([torch.empty(0), data["feature"]]), data["logits"])


@pytest.mark.parametrize("case", range(4))
def test_fusion_of_two_resolutions_and_its_loss(golden: Golden, case: int) -> None:
    arrays = golden("hrda_fusion")
    assert int(arrays["n_cases"]) == 4
    data = {k.removeprefix(f"c{case}_"): v for k, v in tensors(arrays).items() if k.startswith(f"c{case}_")}
    y1, y2, x1, x2 = data["box"].tolist()
    stride = int(data["meta"][2])
    box = None if y1 < 0 else at_stride((y1, y2, x1, x2), stride)
    fused = fuse(data["lr_logits"], data["att_logits"], data["hr_logits"], ratio=2, box=box)
    assert_close(fused, data["fused"])
    if box is None:
        return
    label, weight = data["label"].squeeze(1), data.get("pixel_weight")
    share = float(arrays["hr_loss_weight"])
    output = MultiScale(fused, data["hr_logits"], (y1, y2, x1, x2), share)
    assert_close((1 - share) * cross_entropy(fused, label, weight), data["loss_fused_scaled"])
    detail_weight = None if weight is None else cut(weight, output.box)
    detail = cross_entropy(data["hr_logits"], cut(label, output.box), detail_weight)
    assert_close(share * detail, data["loss_hr_scaled"])
    assert_close(segmentation_loss(output, label, weight), data["loss_total"])


def test_fusion_with_a_fixed_attention(golden: Golden) -> None:
    data = tensors(golden("hrda_fusion"))
    attention = data["fixed_attention"].logit().expand(1, 1, 4, 6)
    assert_close(fuse(data["fixed_lr_logits"], attention, data["fixed_hr_logits"], 2), data["fixed_fused"])


@pytest.mark.parametrize("row", range(4))
def test_largest_start_of_the_detail_window(
    golden: Golden, monkeypatch: pytest.MonkeyPatch, row: int
) -> None:
    rows = golden("detail_crop_sampling")["rows"].tolist()
    assert len(rows) == 4
    height, width, crop_height, crop_width, multiple, *counts, y1, y2, x1, x2 = rows[row]
    asked: list[int] = []

    def highest(high: int, size: tuple[int, ...]) -> Tensor:
        asked.append(high)
        return torch.full(size, high - 1)

    monkeypatch.setattr(torch, "randint", highest)
    assert draw_window((height, width), (crop_height, crop_width), multiple) == (y1, y2, x1, x2)
    assert asked == [count for count in counts if count]
