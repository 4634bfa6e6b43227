"""The graph that ships: pixels in, classes and confidence out, normalisation and argmax inside."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.networks.encoder_decoder import size_multiple
from pipeline.networks.normalise import MEAN, STD

CONFIDENCE_STRIDE = 4  # input pixels per confidence value (the ONNX contract)


class EdgeGraph(nn.Module):
    """uint8 pictures (N, H, W, 3), RGB -> classes uint8 (N, H, W), confidence uint8 (N, H/4, W/4) and logits.

    H and W are multiples of `stride`. The logits (N, 19, H, W), in the network's precision, are for the parity gate:
    the file that ships has them inside.
    Confidence is round(255 * max softmax) at a quarter of the size: softmax at full size costs 25 to 70 % of the
    network's time on a CPU.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.eval()
        self.stride = size_multiple(network)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        logits, confidence = self.scores(image)
        return first_highest(logits), confidence.round().to(torch.uint8), logits

    def scores(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, 19, H, W) and 255 * max softmax (N, H/4, W/4), not rounded, in the network's precision."""
        height, width = image.shape[1], image.shape[2]
        # Cast first: TensorRT takes uint8 at a graph's border alone.
        normalised = (image.to(self.mean.dtype).permute(0, 3, 1, 2) - self.mean) / self.std
        logits = self.network(normalised)
        full = F.interpolate(logits, size=(height, width), mode="bilinear", align_corners=False)
        quarter = (height // CONFIDENCE_STRIDE, width // CONFIDENCE_STRIDE)
        at_quarter = F.interpolate(logits, size=quarter, mode="bilinear", align_corners=False)
        # The largest softmax value. onnxruntime's own Softmax across channels takes ten times as long.
        shifted = at_quarter - at_quarter.amax(dim=1, keepdim=True)
        return full, 255 * (1 / shifted.exp().sum(dim=1))


def first_highest(scores: Tensor) -> Tensor:
    """argmax of (N, C, H, W) over C as uint8 (N, H, W); the first of equal ones, as torch's.

    A comparison for each class: onnxruntime's ArgMax across channels takes nearly twice as long on a CPU. The numbers
    of the classes are in the scores' type up to the last step, since TensorRT selects and compares no uint8.
    """
    first, *others = scores.unbind(dim=1)
    highest, classes = first, torch.zeros_like(first)
    for index, score in enumerate(others, start=1):
        classes = torch.where(score > highest, float(index), classes)
        highest = torch.maximum(highest, score)
    return classes.to(torch.uint8)
