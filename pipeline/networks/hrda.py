"""HRDA: one network at two resolutions, joined by a learned attention (method page, section 3.4)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline import params
from pipeline.edge.errors import UserError
from pipeline.networks.encoder_decoder import STRIDE, SegmentationNetwork, last_stage, output_stride
from pipeline.networks.windows import (
    Box,
    Size,
    at_least_float32,
    at_stride,
    cut,
    merge_windows,
    resize,
    window_boxes,
)


class MultiScale(NamedTuple):
    """What HRDA gives in training; a tuple, for wrappers that look for tensors in a network's output."""

    fused: Tensor  # (B, C, h, w) logits of the whole crop, h = H / the decoder's stride
    detail: Tensor  # (B, C, h', w') logits of the detail window
    box: Box  # the detail window in pixels of the crop
    detail_weight: float  # share of the detail window in the loss


class Hrda(SegmentationNetwork):
    """A context view of the whole picture and a detail view at full resolution through one encoder and decoder.

    In training the detail view is one random window, drawn from torch's global generator, and the result is
    `MultiScale`. Otherwise (the teacher too, whose batch norms alone are in training mode) it is a grid of windows
    with half overlap, batched, and the result is the fused logits (B, 19, h, w).
    Features are those of the context view.
    """

    def __init__(self, network: SegmentationNetwork, attention: nn.Module, settings: params.Hrda) -> None:
        """`attention` maps the context view's encoder stages to logits, one channel per class or one for all.

        Raises:
            UserError: a scale or a detail window that does not fit the decoder's stride.
        """
        super().__init__(network.encoder, network.decoder, network.segmentation_head)
        self.attention = attention
        self.detail = settings.detail
        self.detail_weight = settings.detail_weight
        self.ratio = round(1 / settings.scale)
        if abs(self.ratio * settings.scale - 1) > 1e-6:
            raise UserError(
                f"network.hrda.scale {settings.scale} must be 1 / a whole number, such as 0.5 or 0.25"
            )
        self.size_multiple = STRIDE * self.ratio
        self.output_stride = output_stride(network)
        # A window must start and end on a cell of the context view's logits.
        self.window_multiple = self.output_stride * self.ratio
        multiple = math.lcm(STRIDE, self.window_multiple)
        if any(side % multiple for side in self.detail):
            raise UserError(f"network.hrda.detail {list(self.detail)} must be multiples of {multiple}")

    def forward(self, images: Tensor, with_features: bool = False) -> Any:
        """MultiScale in training, else logits; with `with_features` (output, features).

        Raises:
            UserError: pictures that are no multiple of `size_multiple`, or in training smaller than the detail window.
        """
        self.check_size(images)
        stages = self.stages(images)
        context = self.decode(stages)
        attention = resize(self.attention(stages), (context.shape[-2], context.shape[-1]))
        if self.training:
            box = draw_window((images.shape[-2], images.shape[-1]), self.detail, self.window_multiple)
            detail = self.decode(self.encoder(cut(images, box)))
            fused = fuse(context, attention, detail, self.ratio, at_stride(box, self.output_stride))
            output = MultiScale(fused, detail, box, self.detail_weight)
        else:
            output = fuse(context, attention, self.sliding_detail(images), self.ratio)
        return (output, last_stage(stages)) if with_features else output

    def stages(self, images: Tensor) -> Any:
        """Of the context view."""
        return self.encoder(self.context_view(images))

    def context_view(self, images: Tensor) -> Tensor:
        """The whole pictures at 1 / `ratio` of their size, bilinear without antialiasing."""
        height, width = images.shape[-2:]
        return resize(images, (height // self.ratio, width // self.ratio))

    def sliding_detail(self, images: Tensor) -> Tensor:
        """Logits of the pictures at full resolution: windows with half overlap in one batch, averaged."""
        height, width = images.shape[-2:]
        boxes = window_boxes(height, width, self.detail, (self.detail[0] // 2, self.detail[1] // 2))
        # One batch, window after window: batch norms of a teacher see all windows together, as in the paper.
        logits = self.decode(self.encoder(torch.cat([cut(images, box) for box in boxes])))
        cells = [at_stride(box, self.output_stride) for box in boxes]
        size = (height // self.output_stride, width // self.output_stride)
        return merge_windows(logits.split(len(images)), cells, size)


def fuse(context: Tensor, attention: Tensor, detail: Tensor, ratio: int, box: Box | None = None) -> Tensor:
    """U(a) x D + U((1 - a) x context) in float32 (or float64): (B, C, h, w) at the resolution of the detail logits.

    context (B, C, h / ratio, w / ratio) and attention (B, C or 1, ...) are logits. With a box, in cells of the
    detail resolution, the detail logits fill it: outside, D and a are 0 and the context view stands alone.
    """
    device = "cpu" if context.is_meta else context.device.type  # torch knows no autocast of shapes alone
    with torch.autocast(device, enabled=False):
        context, detail = at_least_float32(context), at_least_float32(detail)
        share = at_least_float32(attention).sigmoid()
        size = (ratio * context.shape[-2], ratio * context.shape[-1])
        if box is not None:
            y1, y2, x1, x2 = box
            inside = torch.zeros_like(share[:1, :1])
            cut(inside, at_stride(box, ratio)).fill_(1)
            share = share * inside
            detail = F.pad(detail, (x1, size[1] - x2, y1, size[0] - y2))
        # The paper weighs the context before it enlarges it.
        return resize(share, size) * detail + resize((1 - share) * context, size)


def draw_window(size: Size, window: Size, multiple: int) -> Box:
    """A random window of a picture of `size` from torch's global generator, starting at multiples of `multiple`.

    The last possible start is never drawn, as in the paper: 504 and not 512 of 1024 for a window of 512. Nothing is
    drawn along a side that the window fills.

    Raises:
        UserError: the window is larger than the picture.
    """
    if window[0] > size[0] or window[1] > size[1]:
        raise UserError(
            f"network.hrda.detail {list(window)} is larger than the training pictures of {size[0]}x{size[1]}: "
            "lower it or raise train.crop"
        )
    counts = [(length - side + 1) // multiple for length, side in zip(size, window, strict=True)]
    y, x = (multiple * int(torch.randint(count, ())) if count else 0 for count in counts)
    return y, y + window[0], x, x + window[1]
