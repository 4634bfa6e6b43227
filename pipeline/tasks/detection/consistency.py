"""Image and instance level shall agree on a box (Chen et al., 2018; L1 as in SADA, section 8)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def consistency_loss(of_image: Tensor, of_instances: Tensor) -> Tensor:
    """Mean difference of two probabilities of the source, in 0..1; 0 without boxes.

    Args:
        of_image: the image level's in each box, (N, 1, h, w), as pooled from the box's level.
        of_instances: the instance level's, (N,).
    """
    if not len(of_instances):
        return of_instances.sum() + of_image.sum()
    return F.l1_loss(of_image.mean(dim=(1, 2, 3)), of_instances)
