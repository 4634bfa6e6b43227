"""Colour jitter and blur for mixed and masked pictures (method page, section 1.3).

The definitions are those of kornia 0.5.8, which the paper used; torchvision's and albumentations' differ
(multiplicative brightness, contrast around the mean grey).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.networks.normalise import denormalise, renormalise

FACTOR_SPREAD = 0.2  # brightness, contrast, saturation uniform in 1 -+ 0.2; hue in -+ 0.2 turns
SIGMA = (0.15, 1.15)  # pixels


@dataclass(frozen=True)
class JitterFactors:
    """How much to change each picture of a batch; every field is (B,) float32."""

    brightness: Tensor  # 1 leaves a picture as it is
    contrast: Tensor  # likewise
    saturation: Tensor  # likewise
    hue: Tensor  # in turns, 0 leaves it


def draw_gates(generator: torch.Generator) -> tuple[float, float]:
    """The two numbers in [0, 1) that decide on jitter and blur.

    One draw per iteration for the mixed batch, an independent one for the masked batch.
    """
    jitter, blur = torch.rand(2, generator=generator, device=generator.device, dtype=torch.float64).tolist()
    return jitter, blur


def draw_factors(batch: int, generator: torch.Generator, device: torch.device | str = "cpu") -> JitterFactors:
    """Random factors for `batch` pictures, put on `device`."""
    uniform = torch.rand((4, batch), generator=generator, device=generator.device).to(device)
    spread = (2 * uniform - 1) * FACTOR_SPREAD
    return JitterFactors(1 + spread[0], 1 + spread[1], 1 + spread[2], spread[3])


def adjust_brightness(images: Tensor, factor: Tensor) -> Tensor:
    """x + factor - 1, clipped to [0, 1]; images (B, 3, H, W), factor (B,)."""
    return (images + (factor - 1).view(-1, 1, 1, 1)).clamp_(0, 1)


def adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """x * factor, clipped to [0, 1]: no mean is taken off; images (B, 3, H, W), factor (B,)."""
    return (images * factor.view(-1, 1, 1, 1)).clamp_(0, 1)


def adjust_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """HSV saturation times factor, at most 1; images (B, 3, H, W) in [0, 1], factor (B,)."""
    # With hue and value fixed, value - channel is proportional to the saturation: no conversion is needed.
    value = images.amax(dim=1, keepdim=True)  # (B, 1, H, W)
    chroma = value - images.amin(dim=1, keepdim=True)
    limit = value / chroma.clamp_(min=1e-12)  # saturation is chroma / value, and ends at 1
    return torch.lerp(value, images, torch.minimum(factor.view(-1, 1, 1, 1), limit))


def adjust_hue(images: Tensor, turns: Tensor) -> Tensor:
    """HSV hue plus `turns` (1 is the full circle), wrapping; images (B, 3, H, W) in [0, 1], turns (B,)."""
    red, green, blue = images.unbind(dim=1)  # each (B, H, W)
    value = images.amax(dim=1)
    chroma = value - images.amin(dim=1)
    sector = torch.where(value == green, blue - red + 2 * chroma, red - green + 4 * chroma)
    sector = torch.where(value == red, green - blue, sector)
    hue = sector.div_(chroma.clamp(min=1e-12)).add_(6 * turns.view(-1, 1, 1))  # in sixths of a turn
    channels = []
    for offset in (5, 3, 1):
        # A channel is `value` in its own third of the circle, `value - chroma` in the opposite one.
        place = (hue + offset).remainder_(6)
        share = torch.minimum(place, 4 - place).clamp_(0, 1)
        channels.append(torch.addcmul(value, chroma, share, value=-1))
    return torch.stack(channels, dim=1)


def colour_jitter(images01: Tensor, factors: JitterFactors, order: Sequence[int]) -> Tensor:
    """Apply the four adjustments to pictures (B, 3, H, W) in [0, 1], in `order`.

    The numbers of `order` are 0 brightness, 1 contrast, 2 saturation, 3 hue; factors are per picture.
    """
    for operation in order:
        if operation == 0:
            images01 = adjust_brightness(images01, factors.brightness)
        elif operation == 1:
            images01 = adjust_contrast(images01, factors.contrast)
        elif operation == 2:
            images01 = adjust_saturation(images01, factors.saturation)
        else:
            images01 = adjust_hue(images01, factors.hue)
    return images01


def kernel_size(n: int) -> int:
    """Number of taps, always odd, along an axis of n pixels: floor(c - 0.5 + c mod 2), c = ceil(0.1 n)."""
    c = math.ceil(0.1 * n)
    return math.floor(c - 0.5 + c % 2)


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Blur pictures (B, 3, H, W) with standard deviation `sigma` pixels, reflected at the border."""
    with torch.autocast(images.device.type, enabled=False):
        for axis in (-2, -1):
            images = _blur_axis(images.float(), sigma, axis)
    return images


def _blur_axis(images: Tensor, sigma: float, axis: int) -> Tensor:
    length = images.shape[axis]
    # Beyond five sigma a tap weighs less than float32 resolves; the nominal kernel has up to 103 taps.
    radius = min((kernel_size(length) - 1) // 2, math.ceil(5 * sigma))
    if radius <= 0:
        return images
    taps = [math.exp(-(i**2) / (2 * sigma**2)) for i in range(radius + 1)]
    total = taps[0] + 2 * sum(taps[1:])
    padding = (0, 0, radius, radius) if axis == -2 else (radius, radius, 0, 0)
    padded = F.pad(images, padding, mode="reflect")
    blurred = padded.narrow(axis, radius, length) * (taps[0] / total)
    for i in range(1, radius + 1):
        blurred.add_(padded.narrow(axis, radius - i, length), alpha=taps[i] / total)
        blurred.add_(padded.narrow(axis, radius + i, length), alpha=taps[i] / total)
    return blurred


@torch.no_grad()
def strong_augment(
    images: Tensor,
    gates: tuple[float, float],
    generator: torch.Generator,
    jitter_threshold: float = 0.2,
    blur_threshold: float = 0.5,
    *,
    per_image: bool,
) -> Tensor:
    """Jitter and blur normalised pictures (B, 3, H, W), each if its gate is strictly above its threshold.

    `gates` come from `draw_gates` and hold for the whole batch; factors differ from picture to picture. The
    order of the four adjustments and the blur's sigma are drawn for every picture if `per_image` (the mixed
    batch), else once (the masked batch). Returns the input itself where both gates are shut.
    """
    jitter, blur = gates[0] > jitter_threshold, gates[1] > blur_threshold
    if not (jitter or blur):
        return images
    parts = images.split(1) if per_image else (images,)
    return torch.cat([_augment_call(part, jitter, blur, generator) for part in parts])


def _augment_call(images: Tensor, jitter: bool, blur: bool, generator: torch.Generator) -> Tensor:
    if jitter:
        factors = draw_factors(len(images), generator, images.device)
        order = torch.randperm(4, generator=generator, device=generator.device).tolist()
        images = renormalise(colour_jitter(denormalise(images), factors, order))
    if blur:
        share = torch.rand((), generator=generator, device=generator.device).item()
        images = gaussian_blur(images, SIGMA[0] + (SIGMA[1] - SIGMA[0]) * share)
    return images
