"""Hiding parts of the encoder's features in place of pixels: blocks of every level, or channels.

Blocks: MICDrop (Yang et al., ECCV 2024) hides them in the features of one encoder. Channels: dropout, complementary
where masks are, as UniMatch V2 (Yang et al., 2024) does it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@contextmanager
def hidden_blocks(network: nn.Module, keep: Tensor) -> Iterator[None]:
    """Within, the features of `network.encoder` are 0 where `keep` (B, 1, H, W), resized by nearest, is 0."""

    def hide(features: Tensor) -> Tensor:
        return features * F.interpolate(keep, features.shape[-2:], mode="nearest-exact").to(features.dtype)

    with _changed(network, hide):
        yield


@contextmanager
def hidden_channels(
    network: nn.Module, ratio: float, complementary: bool, generator: torch.Generator
) -> Iterator[None]:
    """Within, a share `ratio` of the channels of every level is 0 and the others are enlarged to the same sum.

    `complementary`: the second half of the batch has what the first half lacks.
    """

    def hide(features: Tensor) -> Tensor:
        batch, channels = features.shape[:2]
        count = batch // 2 if complementary else batch
        drawn = torch.rand((count, channels, 1, 1), generator=generator, device=generator.device)
        keep = (drawn > ratio).float()
        keep = torch.cat([keep, 1 - keep]) if complementary else keep
        keep *= channels / keep.sum(dim=1, keepdim=True).clamp(min=1)
        return features * keep.to(features.device, features.dtype)

    with _changed(network, hide):
        yield


@contextmanager
def _changed(network: nn.Module, change: Any) -> Iterator[None]:
    def after(module: nn.Module, arguments: Any, output: Any) -> Any:
        return _changed_maps(output, change)

    handle = network.get_submodule("encoder").register_forward_hook(after)
    try:
        yield
    finally:
        handle.remove()


def _changed_maps(output: Any, change: Any) -> Any:
    """Every feature map (B, C, h, w) of an encoder's output, whatever holds it, changed; other tensors as they are."""
    if isinstance(output, Tensor):
        return change(output) if output.ndim == 4 and output.shape[1] else output
    if isinstance(output, (list, tuple)):
        return type(output)(_changed_maps(part, change) for part in output)
    return output
