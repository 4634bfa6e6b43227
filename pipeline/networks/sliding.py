"""A network over sliding windows of a picture, their logits averaged (method page, section 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from pipeline.edge.errors import UserError
from pipeline.edge.images import up_to_multiple
from pipeline.networks.encoder_decoder import size_multiple
from pipeline.networks.hrda import Hrda
from pipeline.networks.windows import Size, at_least_float32, cut, merge_windows, resize, window_boxes
from pipeline.params import Params

Network = Callable[[Tensor], Tensor]  # normalised (B, 3, H, W) -> logits (B, C, h, w) at any stride
Given = TypeVar("Given", bound=Network)


def fixed_size(params: Params, network: object) -> Size | None:
    """(height, width) that every picture is padded to where windows slide over it; None where any size will do.

    Evaluation and the exported graph both keep to it, so that what is scored is what ships.
    """
    if params.evaluate.mode == "whole" and params.network.hrda is None:  # HRDA has windows of its own
        return None
    return up_to_multiple(params.data.size, size_multiple(network))


def as_evaluated(params: Params, network: Given) -> Given | Sliding:
    """The network over the sliding windows of `evaluate`, or as it is in mode `whole`.

    Raises:
        UserError: windows that do not fit the network.
    """
    how = params.evaluate
    if how.mode == "whole":
        return network
    assert how.window is not None
    assert how.window_stride is not None
    return Sliding(network, how.window, how.window_stride)


class Sliding(nn.Module):
    """Normalised pictures (B, 3, H, W) -> the windows' mean logits, float32 or float64 (B, C, H, W).

    The `network` is in eval mode. Windows run one after another, so that memory is that of one. In an exported graph,
    whose H and W are fixed, they are one batch and the network stands there once; around HRDA, whose every window is a
    batch of details already, they stay one after another (ONNX's Scan).
    """

    def __init__(self, network: Network, window: Size, stride: Size) -> None:
        """Raises UserError for a window that is no multiple of the network's `size_multiple`."""
        super().__init__()
        self.network = network
        self.window = window
        self.stride = stride
        self.training = getattr(network, "training", False)
        self.size_multiple = size_multiple(network)
        if any(side % self.size_multiple for side in window):
            raise UserError(
                f"evaluate.window {list(window)} must be multiples of {self.size_multiple} for this network"
            )

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        size = (images.shape[-2], images.shape[-1])
        boxes = window_boxes(*size, self.window, self.stride)
        windows = [cut(images, box) for box in boxes]
        logits = self._in_one_graph(windows) if torch.compiler.is_exporting() else map(self.network, windows)
        parts = [
            resize(at_least_float32(part), (window.shape[-2], window.shape[-1]))
            for part, window in zip(logits, windows, strict=True)
        ]
        return merge_windows(parts, boxes, size)

    def _in_one_graph(self, windows: Sequence[Tensor]) -> Sequence[Tensor]:
        network = self.network
        if not isinstance(network, Hrda):
            return network(torch.cat(list(windows))).split(len(windows[0]))

        from torch._higher_order_ops.scan import scan_op  # private, and needed here alone

        tensors = dict(network.named_parameters()) | dict(network.named_buffers())

        def step(carry: Tensor, window: Tensor, *values: Tensor) -> list[Tensor]:
            named = dict(zip(tensors, values, strict=True))
            return [carry.clone(), functional_call(network, named, (window,))]

        # Scan needs a state; the step needs what it reads as arguments.
        state = windows[0].new_zeros(1)
        _, logits = scan_op(step, [state], [torch.stack(list(windows))], tuple(tensors.values()))
        return logits.unbind()
