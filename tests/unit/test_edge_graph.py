"""The tail of the shipped graph: what is written for speed is still argmax, softmax and a sum."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from segmentation_models_pytorch.decoders.fpn.decoder import MergeBlock
from torch import Tensor, nn

from pipeline.networks.edge_graph import EdgeGraph, first_highest
from pipeline.networks.segmenter import build_segmenter
from pipeline.params import Network

pytestmark = pytest.mark.floats


class Logits(nn.Module):
    """Logits (N, 19, H/4, W/4) of a picture: a fixed random projection."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 19, 4, stride=4)

    def forward(self, images: Tensor) -> Tensor:
        return 8 * self.head(images)


def test_first_highest_is_argmax_and_takes_the_first_of_equals() -> None:
    scores = torch.randint(0, 4, (2, 19, 24, 32), generator=torch.Generator().manual_seed(0)).float()
    found = first_highest(scores)
    assert found.dtype == torch.uint8
    assert torch.equal(found, scores.argmax(dim=1).to(torch.uint8))


def test_classes_and_confidence_are_argmax_and_softmax_of_the_enlarged_logits() -> None:
    torch.manual_seed(0)
    graph = EdgeGraph(Logits())
    image = torch.randint(0, 256, (2, 64, 96, 3), dtype=torch.uint8)
    with torch.inference_mode():
        logits = graph.network((image.permute(0, 3, 1, 2).float() - graph.mean) / graph.std)
        classes, confidence, _ = graph(image)
    full = F.interpolate(logits, size=(64, 96), mode="bilinear")
    assert torch.equal(classes, full.argmax(dim=1).to(torch.uint8))
    wanted = (logits.softmax(dim=1).amax(dim=1) * 255).round()
    assert (confidence.float() - wanted).abs().max() <= 1
    assert (confidence.float() == wanted).float().mean() > 0.999
    assert confidence.float().std() > 10, "the logits must make a difference"


def test_the_sum_of_an_fpn_is_that_of_smp() -> None:
    torch.manual_seed(0)
    network = Network(
        architecture="fpn", encoder="tu-test_resnet", decoder={"decoder_pyramid_channels": 32}, weights=None
    )
    segmenter = build_segmenter(network).eval()
    levels = [torch.randn(2, 32, 9, 11) for _ in range(4)]
    merge = segmenter.decoder.get_submodule("merge")
    assert not isinstance(merge, MergeBlock)
    assert torch.equal(merge(levels), MergeBlock("add")(levels))
