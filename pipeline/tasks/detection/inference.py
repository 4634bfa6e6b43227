"""Detections of whole pictures, one by one: for validation, evaluation and the parity gate alike."""

from __future__ import annotations

import numpy as np
import torch

from pipeline.edge.images import fit_size, resize_image
from pipeline.networks.normalise import normalise
from pipeline.tasks.detection.boxes import Boxes
from pipeline.tasks.detection.detector import Detector


@torch.no_grad()
def detect(network: Detector, image: np.ndarray, size: tuple[int, int]) -> Boxes:
    """Boxes of a picture uint8 (H, W, 3) in its own pixels, found on it fitted to `size`; evaluation mode."""
    network.eval()
    height, width = image.shape[:2]
    fitted = fit_size(height, width, size)
    device = next(network.parameters()).device
    (found,) = network(normalise(torch.from_numpy(resize_image(image, fitted))[None].to(device)))
    back = found.corners.new_tensor([width / fitted[1], height / fitted[0]] * 2)
    return Boxes(found.corners * back, found.labels, found.scores)
