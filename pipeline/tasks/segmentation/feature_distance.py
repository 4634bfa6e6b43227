"""Feature distance: keeps the encoder near its pretrained state (method page, section 1.5; field notes, C.3)."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.edge.classes import IGNORE, NUM_CLASSES
from pipeline.networks.encoder_decoder import SegmentationNetwork
from pipeline.params.uda import FeatureDistance as Config

THINGS = (6, 7, 11, 12, 13, 14, 15, 16, 17, 18)  # traffic light and sign, person to bicycle (the paper's)
MIN_SHARE = 0.75  # of the winning class in a window, in the paper
COSINE, SMOOTH_L1 = 0.9, 0.1  # VFM-UDA++ (Englert et al., 2025)


class FeatureDistance:
    """Holds a frozen copy of the student as it is now: build it before the first step, also to resume a run."""

    def __init__(self, student: nn.Module, config: Config) -> None:
        # Fabric wraps the student that trains; both are `SegmentationNetwork`s.
        self.network: Any = getattr(student, "module", student)
        self.frozen: SegmentationNetwork = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.config = config

    @property
    def on_target(self) -> bool:
        """Whether target pictures have a distance too."""
        return self.config.kind == "foundation"

    def of_source(self, features: Tensor, source: Tensor, label: Tensor) -> Tensor:
        """Weighted distance of the student's last-stage features (B, C, h, w) on normalised pictures (B, 3, H, W).

        label: (B, H, W) int64, train ids and 255.
        """
        pretrained = self._pretrained(source)
        if self.config.kind == "foundation":
            return self.config.weight * foundation_distance(features, pretrained)
        return self.config.weight * thing_distance(features, pretrained, label)

    def of_target(self, target: Tensor) -> Tensor:
        """Weighted distance on normalised pictures (B, 3, H, W), for kind `foundation`; runs the encoder alone."""
        features = self.network.encoder_features(target)
        return self.config.weight * foundation_distance(features, self._pretrained(target))

    @torch.no_grad()
    def _pretrained(self, images: Tensor) -> Tensor:
        return self.frozen.encoder_features(images)


def thing_distance(features: Tensor, pretrained: Tensor, label: Tensor) -> Tensor:
    """Mean Euclidean distance of two maps (B, C, h, w) where label (B, H, W) mostly shows a thing; else 0.

    Both maps cover the picture evenly: one position stands for W // w by W // w pixels.
    """
    small = downscale_label(label, label.shape[-1] // features.shape[-1])
    things = torch.isin(small, torch.tensor(THINGS, device=label.device))  # (B, h, w)
    with torch.autocast(features.device.type, enabled=False):
        distance = torch.linalg.vector_norm(features.float() - pretrained.float(), dim=1)
        # The paper's mean over no position is NaN, with a gradient of zero.
        return torch.where(things, distance, 0).sum() / things.sum().clamp(min=1)


def foundation_distance(features: Tensor, pretrained: Tensor) -> Tensor:
    """0.9 x cosine distance + 0.1 x smooth L1 between two maps (B, C, h, w), mean over all positions."""
    with torch.autocast(features.device.type, enabled=False):
        features, pretrained = features.float(), pretrained.float()
        cosine = 1 - F.cosine_similarity(features, pretrained, dim=1)
        return COSINE * cosine.mean() + SMOOTH_L1 * F.smooth_l1_loss(features, pretrained)


def downscale_label(
    label: Tensor, factor: int, min_share: float = MIN_SHARE, classes: int = NUM_CLASSES
) -> Tensor:
    """Majority class of every factor x factor window of (B, H, W) int64: (B, H // factor, W // factor).

    Ignore (255) competes as one more class; a tie goes to the smaller id. 255 where ignore wins or the share of the
    winner is below `min_share`.
    """
    batch, rows, columns = label.shape[0], label.shape[-2] // factor, label.shape[-1] // factor
    whole = label[:, : rows * factor, : columns * factor].reshape(batch, rows, factor, columns, factor)
    windows = whole.transpose(2, 3).flatten(-2)  # (B, h, w, factor^2)
    windows = torch.where(windows == IGNORE, classes, windows)
    counts = torch.zeros(batch, rows, columns, classes + 1, dtype=torch.int64, device=label.device)
    counts.scatter_add_(-1, windows, torch.ones_like(windows))
    most, winner = counts.amax(dim=-1), counts.argmax(dim=-1)  # argmax: the first of equals
    certain = (winner < classes) & (most >= min_share * factor**2)
    return torch.where(certain, winner, IGNORE)
