"""A segmenter as the field draws it: encoder, decoder, head; logits at the decoder's own stride."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pipeline.edge.errors import UserError

STRIDE = 32  # of the deepest stage; pictures are padded to it, here and on the edge


class SegmentationNetwork(nn.Module):
    """Normalised pictures (B, 3, H, W) -> logits (B, 19, h, w), h = H / the decoder's own stride.

    `cross_entropy` and the inference enlarge the logits with half-pixel centres, as the paper does (section 1.6).
    H and W must be multiples of `size_multiple`. Parameters are named `encoder.`, `decoder.` and
    `segmentation_head.`: the optimiser groups by the first, weights files by all.
    """

    size_multiple = STRIDE

    def __init__(self, encoder: nn.Module, decoder: nn.Module, segmentation_head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.segmentation_head = segmentation_head

    def forward(self, images: Tensor, with_features: bool = False) -> Any:
        """Logits, or with `with_features` (logits, features): the last encoder stage of this pass, (B, C, h', w').

        Raises:
            UserError: pictures whose height or width is no multiple of `size_multiple`.
        """
        self.check_size(images)
        stages = self.stages(images)
        logits = self.decode(stages)
        return (logits, last_stage(stages)) if with_features else logits

    def encoder_features(self, images: Tensor) -> Tensor:
        """The last encoder stage alone, (B, C, h', w'): what a frozen network gives to the feature distance."""
        return last_stage(self.stages(images))

    def stages(self, images: Tensor) -> Any:
        """What the encoder returns: a list of stages or, for ViTs, (stages, prefix tokens)."""
        return self.encoder(images)

    def decode(self, stages: Any) -> Tensor:
        """Logits from what `stages` returned."""
        decoded = self.decoder(*stages) if isinstance(stages, tuple) else self.decoder(stages)
        return self.segmentation_head(decoded)

    def check_size(self, images: Tensor) -> None:
        """Raises UserError for pictures whose height or width is no multiple of `size_multiple`."""
        height, width = images.shape[-2:]
        if height % self.size_multiple or width % self.size_multiple:
            raise UserError(
                f"pictures of {height}x{width} do not fit the network: make train.crop (and a sliding window) "
                f"multiples of {self.size_multiple}"
            )


def size_multiple(network: object) -> int:
    """What height and width of pictures must be multiples of; STRIDE for a callable that does not say."""
    return getattr(network, "size_multiple", STRIDE)


def last_stage(stages: Any) -> Tensor:
    """The deepest stage of what an encoder returned."""
    return stages[0][-1] if isinstance(stages, tuple) else stages[-1]


def output_stride(network: SegmentationNetwork) -> int:
    """Input pixels per logit, measured on a blank picture."""
    was_training = network.training
    side = 2 * network.size_multiple
    with torch.no_grad():
        logits = network.eval()(torch.zeros(1, 3, side, side))
    network.train(was_training)
    return side // logits.shape[-1]
