"""DAFormer's decoder and HRDA's scale attention (method page, sections 3.2 and 3.4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.edge.classes import NUM_CLASSES
from pipeline.networks.windows import resize

STAGES = 4  # encoder stages at stride 4, 8, 16 and 32


class DaformerDecoder(nn.Module):
    """Context-aware fusion of four encoder stages: a list of (B, c_i, h_i, w_i) -> (B, channels, h, w) at stride 4.

    Every stage is mapped to `embed_dim` channels and enlarged to the first; a separable ASPP without image pooling
    looks at all of them with several dilations and gives `channels` (section 3.2).
    """

    def __init__(
        self,
        encoder_channels: Sequence[int],
        embed_dim: int = 256,  # paper
        channels: int = 256,  # paper
        dilations: Sequence[int] = (1, 6, 12, 18),  # paper
        dropout: float = 0.1,  # paper; whole channels
    ) -> None:
        super().__init__()
        self.embedding = StageEmbedding(encoder_channels, embed_dim)
        self.branches = nn.ModuleList(
            _branch(STAGES * embed_dim, channels, dilation) for dilation in dilations
        )
        self.merge = _conv_bn_relu(len(dilations) * channels, channels, kernel=3)
        self.dropout = nn.Dropout2d(dropout)
        self.out_channels = channels

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """See the class."""
        embedded = self.embedding(stages)
        branches = [branch(embedded) for branch in self.branches]
        return self.dropout(self.merge(torch.cat(branches, dim=1)))


class ScaleAttention(nn.Module):
    """Where HRDA trusts the detail view: encoder stages of the context view -> logits (B, classes, h, w) at stride 4.

    A small DAFormer decoder whose fusion is one 1x1 convolution (section 3.4).
    """

    def __init__(
        self,
        encoder_channels: Sequence[int],
        classes: int = NUM_CLASSES,
        embed_dim: int = 256,  # paper
        channels: int = 256,  # paper
        dropout: float = 0.1,  # paper; whole channels
    ) -> None:
        super().__init__()
        self.embedding = StageEmbedding(encoder_channels, embed_dim)
        self.fuse = _conv_bn_relu(STAGES * embed_dim, channels, kernel=1)
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = classifier(channels, classes)

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """See the class."""
        return self.classifier(self.dropout(self.fuse(self.embedding(stages))))


class StageEmbedding(nn.Module):
    """The last four encoder stages -> (B, 4 x embed_dim, h, w): a linear map each, enlarged to the first."""

    def __init__(self, encoder_channels: Sequence[int], embed_dim: int) -> None:
        super().__init__()
        self.maps = nn.ModuleList(
            nn.Conv2d(channels, embed_dim, kernel_size=1) for channels in encoder_channels[-STAGES:]
        )

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """See the class."""
        size = (stages[-STAGES].shape[-2], stages[-STAGES].shape[-1])
        pairs = zip(self.maps, stages[-STAGES:], strict=True)
        return torch.cat([resize(embed(stage), size) for embed, stage in pairs], dim=1)


def classifier(channels: int, classes: int = NUM_CLASSES, kernel: int = 1, dilation: int = 1) -> nn.Conv2d:
    """A convolution to the classes that starts as N(0, 0.01) with bias 0, as the paper's decoders do."""
    conv = nn.Conv2d(channels, classes, kernel, padding=dilation * (kernel // 2), dilation=dilation)
    nn.init.normal_(conv.weight, std=0.01)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return conv


def _branch(channels: int, out_channels: int, dilation: int) -> nn.Sequential:
    """One ASPP branch: 1x1 for dilation 1, else depthwise 3x3 and 1x1."""
    if dilation == 1:
        return _conv_bn_relu(channels, out_channels, kernel=1)
    depthwise = _conv_bn_relu(channels, channels, kernel=3, dilation=dilation, groups=channels)
    return nn.Sequential(depthwise, _conv_bn_relu(channels, out_channels, kernel=1))


def _conv_bn_relu(
    channels: int, out_channels: int, kernel: int, dilation: int = 1, groups: int = 1
) -> nn.Sequential:
    conv = nn.Conv2d(
        channels,
        out_channels,
        kernel,
        padding=dilation * (kernel // 2),
        dilation=dilation,
        groups=groups,
        bias=False,
    )
    # As mmcv starts the convolutions of the paper's decoders.
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))
