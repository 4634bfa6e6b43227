"""From a picture to classes with a torch network, whole or by sliding windows (method page, section 4).

Training-time validation, evaluation and the parity gate all come through here, by the steps of the edge
runtime: fit to the training size, resize, pad, network, cut the pad, enlarge by nearest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pipeline.adaptation.cross_entropy import enlarge
from pipeline.edge.errors import UserError
from pipeline.edge.images import enlarge_nearest, fit_size, pad_to_multiple, resize_image
from pipeline.networks.edge_graph import CONFIDENCE_STRIDE
from pipeline.networks.encoder_decoder import STRIDE
from pipeline.networks.normalise import normalise
from pipeline.networks.windows import Size, cut, merge_windows, window_boxes
from pipeline.params import Params

Network = Callable[[Tensor], Tensor]  # normalised (B, 3, H, W) -> logits (B, C, h, w) at any stride
Mode = Literal["whole", "sliding"]


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
    mode: Mode = "whole",
    window: Size | None = None,
    window_stride: Size | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Logits of one picture, uint8 (H, W, 3) RGB, at its resized size: float32 (C, h', w').

    The picture is fitted to `size`, aspect kept (None leaves it as it is), and padded to the network's
    `size_multiple` (32 where it names none). `sliding` averages the logits of windows of `window` pixels, a
    multiple of it too, set `window_stride` apart. Raises ValueError for a network in training mode, UserError for an
    unfit window.
    """
    logits, padded, (height, width) = _run(network, image, size, mode, window, window_stride, device)
    return enlarge(logits, padded)[0, :, :height, :width]


def predict(
    network: Network,
    image: np.ndarray,
    *,
    size: Size | None,
    mode: Mode = "whole",
    window: Size | None = None,
    window_stride: Size | None = None,
    device: torch.device | str = "cpu",
) -> Prediction:
    """Classes and confidence of one picture, uint8 (H, W, 3) RGB; arguments as in `predict_logits`."""
    logits, padded, (height, width) = _run(network, image, size, mode, window, window_stride, device)
    classes = enlarge(logits, padded)[0, :, :height, :width].max(dim=0).indices.to(torch.uint8)
    confidence = confidence_map(logits, (_quarter(padded[0]), _quarter(padded[1])))
    confidence = confidence[0, : _quarter(height), : _quarter(width)]
    own_size = (image.shape[0], image.shape[1])
    return Prediction(enlarge_nearest(classes.cpu().numpy(), own_size), confidence.cpu().numpy())


def predict_as(
    params: Params, network: Network, image: np.ndarray, device: torch.device | str = "cpu"
) -> Prediction:
    """`predict` at the size and in the mode that the params ask for."""
    how = params.evaluate
    return predict(
        network,
        image,
        size=params.data.size,
        mode=how.mode,
        window=how.window,
        window_stride=how.window_stride,
        device=device,
    )


def _quarter(length: int) -> int:
    return -(-length // CONFIDENCE_STRIDE)


@torch.inference_mode()
def _run(
    network: Network,
    image: np.ndarray,
    size: Size | None,
    mode: Mode,
    window: Size | None,
    window_stride: Size | None,
    device: torch.device | str,
) -> tuple[Tensor, Size, Size]:
    """Logits (1, C, h, w) of the padded picture at any stride, its size, and its size before the pad."""
    if getattr(network, "training", False):
        raise ValueError("the network is in training mode: call network.eval() before inference")
    if size is not None:
        image = resize_image(image, fit_size(image.shape[0], image.shape[1], size))
    multiple = getattr(network, "size_multiple", STRIDE)
    pixels, resized = pad_to_multiple(image, multiple)
    padded = (pixels.shape[0], pixels.shape[1])
    images = normalise(torch.tensor(pixels, device=device).unsqueeze(0))  # (1, 3, H, W)
    if mode == "whole":
        return network(images).float(), padded, resized
    if window is None or window_stride is None:
        raise ValueError("sliding inference needs a window and a window stride")
    if window[0] % multiple or window[1] % multiple:
        raise UserError(f"evaluate.window {list(window)} must be multiples of {multiple} for this network")
    boxes = window_boxes(*padded, window, window_stride)
    # One window at a time: memory stays that of a window, and the mean is the same.
    parts = [enlarge(network(cut(images, box)), (box[1] - box[0], box[3] - box[2])) for box in boxes]
    return merge_windows(parts, boxes, padded), padded, resized
