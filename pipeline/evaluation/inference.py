"""From a picture to classes with a torch network, whole or by sliding windows (method page, section 4).

The steps are those of the edge runtime: fit to the training size, resize, pad, network, cut the pad, enlarge by
nearest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.edge.images import enlarge_nearest, fit_size, pad_to_multiple, pad_to_size, resize_image
from pipeline.networks.edge_graph import CONFIDENCE_STRIDE
from pipeline.networks.encoder_decoder import size_multiple
from pipeline.networks.normalise import normalise
from pipeline.networks.sliding import Network, as_evaluated, fixed_size
from pipeline.networks.windows import Size
from pipeline.params import Params
from pipeline.tasks.segmentation.cross_entropy import enlarge


@dataclass(frozen=True)
class Prediction:
    """What a network sees in one picture."""

    classes: np.ndarray  # (H, W) uint8, at the picture's own size
    confidence: np.ndarray  # (ceil(h'/4), ceil(w'/4)) float32, largest softmax value, of the resized picture


def confidence_map(logits: Tensor, size: Size) -> Tensor:
    """Largest softmax value of logits (B, C, h, w), enlarged to `size` first: float32 (B, *size)."""
    return enlarge(logits, size).softmax(dim=1).amax(dim=1)


def predict_logits(
    network: Network,
    image: np.ndarray,
    *,
    size: Size | None,
    fixed: Size | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Logits of one picture, uint8 (H, W, 3) RGB, at its resized size: float32 (C, h', w').

    The picture is fitted to `size`, aspect kept (None leaves it as it is), and padded to the network's
    `size_multiple` (32 where it names none), or to exactly `fixed`. Raises ValueError for a network in training mode.
    """
    logits, padded, (height, width) = _run(network, image, size, fixed, device)
    return enlarge(logits, padded)[0, :, :height, :width]


def predict(
    network: Network,
    image: np.ndarray,
    *,
    size: Size | None,
    fixed: Size | None = None,
    device: torch.device | str = "cpu",
) -> Prediction:
    """Classes and confidence of one picture, uint8 (H, W, 3) RGB; arguments as in `predict_logits`."""
    logits, padded, (height, width) = _run(network, image, size, fixed, device)
    classes = enlarge(logits, padded)[0, :, :height, :width].max(dim=0).indices.to(torch.uint8)
    confidence = confidence_map(logits, (_quarter(padded[0]), _quarter(padded[1])))
    confidence = confidence[0, : _quarter(height), : _quarter(width)]
    own_size = (image.shape[0], image.shape[1])
    return Prediction(enlarge_nearest(classes.cpu().numpy(), own_size), confidence.cpu().numpy())


def predict_as(
    params: Params, network: Network, image: np.ndarray, device: torch.device | str = "cpu"
) -> Prediction:
    """`predict` at the size and in the mode that the params ask for. Raises UserError for an unfit window."""
    windowed = as_evaluated(params, network)
    return predict(windowed, image, size=params.data.size, fixed=fixed_size(params, network), device=device)


def _quarter(length: int) -> int:
    return -(-length // CONFIDENCE_STRIDE)


@torch.inference_mode()
def _run(
    network: Network,
    image: np.ndarray,
    size: Size | None,
    fixed: Size | None,
    device: torch.device | str,
) -> tuple[Tensor, Size, Size]:
    """Logits (1, C, h, w) of the padded picture at any stride, its size, and its size before the pad."""
    if getattr(network, "training", False):
        raise ValueError("the network is in training mode: call network.eval() before inference")
    if size is not None:
        image = resize_image(image, fit_size(image.shape[0], image.shape[1], size, fixed))
    if fixed is None:
        pixels, resized = pad_to_multiple(image, size_multiple(network))
    else:
        pixels, resized = pad_to_size(image, fixed)
    images = normalise(torch.tensor(pixels, device=device).unsqueeze(0))  # (1, 3, H, W)
    return network(images).float(), (pixels.shape[0], pixels.shape[1]), resized
