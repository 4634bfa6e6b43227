"""Any smp architecture over any smp or timm encoder, giving logits at its own output stride."""

from __future__ import annotations

import segmentation_models_pytorch as smp
import torch
from torch import nn

from pipeline.edge.classes import NUM_CLASSES
from pipeline.edge.errors import UserError
from pipeline.networks.weights import load_encoder_weights
from pipeline.params import Network

STRIDE = 32  # of the deepest stage; smp refuses other sizes, and the edge pads to it


def build_segmenter(network: Network, pretrained: bool = True) -> nn.Module:
    """Build the network; the decoder (and the encoder without weights) starts from torch's generator.

    The module maps normalised images (B, 3, H, W) to logits (B, 19, h, w) at the decoder's own resolution, stride 4
    for FPN: `cross_entropy` and the inference enlarge them with half-pixel centres, as the paper does (section 1.6).

    Raises:
        UserError: an unknown architecture, encoder or decoder argument, or weights that do not match.
    """
    try:
        model = smp.create_model(
            arch=network.architecture,
            encoder_name=network.encoder,
            encoder_weights=None,
            classes=NUM_CLASSES,
            **network.decoder,
        )
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f"network: smp cannot build {network.architecture} over {network.encoder} "
            f"with decoder {network.decoder}: {' '.join(str(error).split())}"
        ) from None
    # smp enlarges inside the head with aligned corners; the head's own resolution is what we want.
    model.set_submodule("segmentation_head.1", nn.Identity())
    if pretrained and network.weights is not None:
        load_encoder_weights(model.get_submodule("encoder"), network.weights, network.sha256)
    return model


def output_stride(model: nn.Module) -> int:
    """Input pixels per logit, measured on a blank picture."""
    was_training = model.training
    model.eval()
    with torch.no_grad():
        logits = model(torch.zeros(1, 3, 2 * STRIDE, 2 * STRIDE))
    model.train(was_training)
    return 2 * STRIDE // logits.shape[-1]
