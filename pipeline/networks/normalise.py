"""ImageNet normalisation of RGB pictures: zero is the mean colour (method page, notation)."""

from __future__ import annotations

import torch
from torch import Tensor

# Mean and standard deviation of ImageNet on the 0..255 scale, in RGB order.
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)


def _channels(values: tuple[float, float, float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=like.device).view(1, 3, 1, 1)


def normalise(images: Tensor) -> Tensor:
    """Pictures 0..255, (B, H, W, 3) or (B, 3, H, W) -> normalised float32 (B, 3, H, W).

    Raises ValueError where neither the second nor the last axis has three channels.
    """
    if images.ndim != 4 or 3 not in (images.shape[1], images.shape[3]):
        raise ValueError(f"pictures must be (B, H, W, 3) or (B, 3, H, W), not {tuple(images.shape)}")
    if images.shape[1] != 3:
        images = images.permute(0, 3, 1, 2)
    return (images.float() - _channels(MEAN, images)) / _channels(STD, images)


def denormalise(images: Tensor) -> Tensor:
    """Normalised (B, 3, H, W) -> the same pictures on the scale 0..1, float32, not clipped."""
    return images.float() * (_channels(STD, images) / 255) + _channels(MEAN, images) / 255


def renormalise(images01: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) on the scale 0..1 -> normalised float32 (B, 3, H, W)."""
    return (images01.float() * 255 - _channels(MEAN, images01)) / _channels(STD, images01)
