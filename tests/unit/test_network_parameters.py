"""Parameter counts, derived here from the widths of the papers and compared with what is built (section 3).

Everything is built on the meta device: shapes without numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
import torch
from torch import nn

from pipeline.networks.segmenter import build_segmenter
from pipeline.params import Hrda, Network

CLASSES, EMBED = 19, 256
SMALL, WIDE = (32, 64, 160, 256), (64, 128, 320, 512)
# SegFormer: widths and blocks of the four stages; section 3.2: parameters of the whole DAFormer network over each.
MIT = {
    "mit_b0": (SMALL, (2, 2, 2, 2), 6_900_595),
    "mit_b1": (WIDE, (2, 2, 2, 2), 16_863_699),
    "mit_b2": (WIDE, (3, 4, 6, 3), 27_908_563),
    "mit_b3": (WIDE, (3, 4, 18, 3), 47_784_403),
    "mit_b5": (WIDE, (3, 6, 40, 3), 85_155_283),
}


@pytest.fixture(autouse=True)
def meta(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Build without numbers; the MiT reads its stochastic depths from a linspace, which needs them."""
    monkeypatch.setattr(torch, "linspace", partial(torch.linspace, device="cpu"))
    with torch.device("meta"):
        yield


def count(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def mit_parameters(widths: tuple[int, ...], depths: tuple[int, ...]) -> int:
    total = 0
    for before, c, depth, kernel, reduction in zip(
        (3, *widths), widths, depths, (7, 3, 3, 3), (8, 4, 2, 1), strict=False
    ):
        norm = 2 * c
        patches = kernel**2 * before * c + c + norm  # overlapping convolution, norm
        reduce = reduction**2 * c**2 + c + norm if reduction > 1 else 0  # of keys and values, norm
        attention = (c**2 + c) + 2 * (c**2 + c) + (c**2 + c) + reduce  # query, key and value, projection
        mlp = (4 * c**2 + 4 * c) + (9 * 4 * c + 4 * c) + (4 * c**2 + c)  # linear, depthwise 3x3, linear
        total += patches + depth * (norm + attention + norm + mlp) + norm
    return total


def embedding_parameters(widths: tuple[int, ...]) -> int:
    return sum(width * EMBED + EMBED for width in widths)  # a linear map of each stage


def daformer_parameters(widths: tuple[int, ...]) -> int:
    joined, norm = 4 * EMBED, 2  # a batch norm has two numbers a channel
    plain = joined * EMBED + norm * EMBED  # 1x1
    dilated = 9 * joined + norm * joined + plain  # depthwise 3x3, 1x1
    merge = 9 * joined * EMBED + norm * EMBED  # four branches of 256
    return embedding_parameters(widths) + plain + 3 * dilated + merge + EMBED * CLASSES + CLASSES


def attention_parameters(widths: tuple[int, ...]) -> int:
    fuse = 4 * EMBED * EMBED + 2 * EMBED
    return embedding_parameters(widths) + fuse + EMBED * CLASSES + CLASSES


def resnet101c_parameters() -> int:
    norm = 2
    total = 9 * 3 * 32 + norm * 32 + 9 * 32 * 32 + norm * 32 + 9 * 32 * 64 + norm * 64  # deep stem
    before = 64
    for width, blocks in ((64, 3), (128, 4), (256, 23), (512, 3)):
        wide = 4 * width
        for block in range(blocks):
            total += before * width + norm * width  # 1x1 down
            total += 9 * width * width + norm * width  # 3x3
            total += width * wide + norm * wide  # 1x1 up
            total += before * wide + norm * wide if block == 0 else 0  # shortcut
            before = wide
    return total


@pytest.mark.parametrize("encoder", MIT)
def test_daformer_over_mit(encoder: str) -> None:
    widths, depths, whole = MIT[encoder]
    network = build_segmenter(Network(architecture="daformer", encoder=encoder))
    assert count(network.encoder) == mit_parameters(widths, depths)
    assert count(network.decoder, network.segmentation_head) == daformer_parameters(widths)
    assert count(network) == whole


def test_decoder_of_the_paper() -> None:
    assert daformer_parameters(WIDE) == 3_712_275
    assert attention_parameters(WIDE) == 530_707


def test_hrda_over_mit_b5() -> None:
    settings = Hrda(detail=(512, 512))
    network = build_segmenter(Network(architecture="daformer", encoder="mit_b5", hrda=settings))
    assert count(network.get_submodule("attention")) == attention_parameters(WIDE)
    assert count(network) == 85_685_990


def test_deeplabv2_over_resnet101() -> None:
    network = build_segmenter(Network(architecture="deeplabv2", encoder="tu-resnet101c"))
    # torchvision's ResNet-101 without its classifier: 44 549 160 - 2 049 000; its stem is one 7x7 convolution.
    assert resnet101c_parameters() == 42_500_160 - (49 * 3 * 64 + 128) + (864 + 64 + 9216 + 64 + 18432 + 128)
    assert count(network.encoder) == resnet101c_parameters()
    assert count(network.decoder) == 2 * (9 * 2048 * CLASSES + CLASSES)  # dilations 6 and 12
    assert count(network) == resnet101c_parameters() + 700_454 == 43_219_846


def test_dilated_resnet_of_the_paper() -> None:
    """Stage strides 1, 2, 1, 1 and dilations 1, 1, 2, 4, the first block of a stage at the smaller one."""
    network = build_segmenter(Network(architecture="deeplabv2", encoder="tu-resnet101c"))
    found = {}
    for name, module in network.encoder.named_modules():
        if name.endswith("conv2") and isinstance(module, nn.Conv2d):
            _, stage, block, _ = name.split(".")
            found.setdefault(stage, []).append((int(block), module.stride[0], module.dilation[0]))
    assert found["layer1"] == [(i, 1, 1) for i in range(3)]
    assert found["layer2"] == [(0, 2, 1), *((i, 1, 1) for i in range(1, 4))]
    assert found["layer3"] == [(0, 1, 1), *((i, 1, 2) for i in range(1, 23))]
    assert found["layer4"] == [(0, 1, 2), *((i, 1, 4) for i in range(1, 3))]
