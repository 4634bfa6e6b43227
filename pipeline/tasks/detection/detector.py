"""Faster R-CNN with a feature pyramid (Ren et al., 2015; Lin et al., 2017), from torchvision's parts.

The whole is cut where adaptation needs it: the pyramid of a picture, then the losses, proposals, instance features or
detections that follow from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from pipeline.adaptation.norms import Norms
from pipeline.params.detection import DetectorNetwork
from pipeline.tasks.detection.boxes import Boxes

POOLED: tuple[str, ...] = ("0", "1", "2", "3")
"""Levels that boxes are pooled from; the proposals use one more."""


@dataclass  # not frozen, because Fabric hooks into the tensors of what a network returns
class Pyramid:
    """Feature maps of a batch of pictures (B, 3, H, W)."""

    levels: dict[str, Tensor]  # five of (B, channels, h, w), finest first, stride 4 to 64
    size: tuple[int, int]  # (H, W)

    def __len__(self) -> int:
        return len(next(iter(self.levels.values())))

    def __getitem__(self, pictures: Tensor) -> Pyramid:
        return Pyramid({name: level[pictures] for name, level in self.levels.items()}, self.size)


@dataclass(frozen=True)
class Losses:
    """The four of Faster R-CNN, each a mean over sampled anchors or proposals; all ()."""

    objectness: Tensor
    proposal_box: Tensor
    classification: Tensor
    box: Tensor

    @property
    def total(self) -> Tensor:
        """Their sum, for boxes that are true."""
        return self.objectness + self.proposal_box + self.classification + self.box

    @property
    def unlocated(self) -> Tensor:
        """What is where, without how exactly: for pseudo boxes, whose corners nobody vouches for (section 8)."""
        return self.objectness + self.classification


class Detector(nn.Module):
    """Normalised pictures (B, 3, H, W) -> in training their `Pyramid`, else the `Boxes` of each.

    Parameters are named `encoder.`, `pyramid.`, `rpn.` and `roi_heads.`.
    """

    size_multiple = 1

    def __init__(
        self, encoder: nn.Module, widths: Sequence[int], network: DetectorNetwork, classes: int
    ) -> None:
        """`widths`: channels of the encoder's stages of stride 4, 8, 16 and 32."""
        super().__init__()
        self.encoder = encoder
        self.channels = network.channels
        self.pyramid = FeaturePyramidNetwork(list(widths), network.channels, LastLevelMaxPool())
        rpn, roi_heads = _heads(network, classes)
        self.rpn = rpn
        self.roi_heads = roi_heads
        self.frozen_norms = Norms(encoder) if network.frozen_norms else None
        if self.frozen_norms is not None:
            for norm in self.frozen_norms.modules:
                norm.requires_grad_(False)

    def train(self, mode: bool = True) -> Detector:
        """torch's, but frozen batch norms stay in evaluation mode."""
        super().train(mode)
        if self.frozen_norms is not None:
            self.frozen_norms.freeze()
        return self

    def forward(self, images: Tensor) -> Any:
        """See the class."""
        levels = self.pyramid(dict(zip(POOLED, self.encoder(images)[-4:], strict=True)))
        # What follows computes with pixels, which bfloat16 rounds to steps of 4 above 512.
        pyramid = Pyramid(
            {name: level.float() for name, level in levels.items()}, (images.shape[-2], images.shape[-1])
        )
        return pyramid if self.training else self.detections(pyramid)

    def losses(self, pyramid: Pyramid, truth: Sequence[Boxes]) -> Losses:
        """Of a training pyramid against the boxes of each of its pictures.

        Anchors and proposals are sampled by torch's own generator.
        """
        targets = [{"boxes": boxes.corners, "labels": boxes.labels + 1} for boxes in truth]  # 0: background
        with self._exact(pyramid):
            proposals, first = self.rpn(_images(pyramid), pyramid.levels, targets)
            _, second = self.roi_heads(pyramid.levels, proposals, _sizes(pyramid), targets)
        return Losses(
            first["loss_objectness"],
            first["loss_rpn_box_reg"],
            second["loss_classifier"],
            second["loss_box_reg"],
        )

    def proposals(self, pyramid: Pyramid) -> list[Tensor]:
        """Boxes (N, 4) of each picture that may hold anything, best first; without gradient."""
        mode = self.rpn.training
        self.rpn.eval()
        with self._exact(pyramid), torch.no_grad():
            proposals, _ = self.rpn(_images(pyramid), pyramid.levels)
        self.rpn.train(mode)
        return proposals

    def instances(self, pyramid: Pyramid, boxes: list[Tensor]) -> Tensor:
        """Features (N, representation) of the boxes (n, 4) of all pictures, in order."""
        with self._exact(pyramid):
            return self.roi_heads.box_head(self.pooled(pyramid.levels, boxes, pyramid))

    def pooled(self, maps: dict[str, Tensor], boxes: list[Tensor], pyramid: Pyramid) -> Tensor:
        """What lies in the boxes on maps (B, c, h, w) of the pyramid's levels: (N, c, 7, 7)."""
        return self.roi_heads.box_roi_pool(maps, boxes, _sizes(pyramid))

    def levels_of(self, boxes: list[Tensor]) -> Tensor:
        """Index 0..3 of the level that each box is pooled from, (N,); after `pooled`."""
        return self.roi_heads.box_roi_pool.map_levels(boxes)

    def detections(self, pyramid: Pyramid) -> list[Boxes]:
        """The boxes found in each picture, best first, after non-maximum suppression; in evaluation mode."""
        with self._exact(pyramid):
            proposals, _ = self.rpn(_images(pyramid), pyramid.levels)
            found, _ = self.roi_heads(pyramid.levels, proposals, _sizes(pyramid))
        return [Boxes(one["boxes"], one["labels"] - 1, one["scores"]) for one in found]

    @staticmethod
    def _exact(pyramid: Pyramid) -> torch.autocast:
        device = pyramid.levels["0"].device.type
        return torch.autocast(device, enabled=False)


def _heads(network: DetectorNetwork, classes: int) -> tuple[Any, Any]:
    """torchvision's proposal network and box heads; its constructor puts the parts together."""
    anchors = AnchorGenerator(
        tuple((side,) for side in network.anchors), (network.ratios,) * len(network.anchors)
    )
    pool = MultiScaleRoIAlign(list(POOLED), output_size=7, sampling_ratio=2)
    backbone: Any = nn.Identity()
    backbone.out_channels = network.channels
    whole = FasterRCNN(
        backbone,
        rpn_anchor_generator=anchors,
        rpn_pre_nms_top_n_train=network.train_proposals,
        rpn_post_nms_top_n_train=network.train_proposals,
        rpn_pre_nms_top_n_test=network.test_proposals,
        rpn_post_nms_top_n_test=network.test_proposals,
        rpn_batch_size_per_image=network.anchor_samples,
        box_roi_pool=pool,
        box_head=TwoMLPHead(network.channels * 7 * 7, network.representation),
        box_predictor=FastRCNNPredictor(network.representation, classes + 1),
        box_score_thresh=network.score_threshold,
        box_nms_thresh=network.nms,
        box_detections_per_img=network.detections,
        box_batch_size_per_image=network.box_samples,
    )
    return whole.rpn, whole.roi_heads


def _images(pyramid: Pyramid) -> ImageList:
    """What torchvision asks a batch of pictures for: its shape and that of each picture."""
    finest = pyramid.levels["0"]
    return ImageList(finest.new_empty((len(pyramid), 3, *pyramid.size)), _sizes(pyramid))


def _sizes(pyramid: Pyramid) -> list[tuple[int, int]]:
    return [pyramid.size] * len(pyramid)
