"""The one class list and colour table: the 19 Cityscapes train ids (method page, section 2.3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

IGNORE = 255
NUM_CLASSES = 19

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class SegClass:
    """A class: train id, name, Cityscapes colour and a colour that colour-blind people can tell apart."""

    id: int
    name: str
    rgb: Colour
    safe_rgb: Colour


# The safe colours were searched near natural ones (dark road, bright sky) for the largest smallest
# distance between any two, at once for normal vision, deuteranopia, protanopia and tritanopia
# (Machado 2009, CIE76): 22, where the Cityscapes colours have 3 (tests/edge/test_classes.py).
CLASSES: tuple[SegClass, ...] = (
    SegClass(0, "road", (128, 64, 128), (44, 11, 51)),
    SegClass(1, "sidewalk", (244, 35, 232), (236, 150, 179)),
    SegClass(2, "building", (70, 70, 70), (116, 128, 113)),
    SegClass(3, "wall", (102, 102, 156), (89, 61, 138)),
    SegClass(4, "fence", (190, 153, 153), (151, 125, 76)),
    SegClass(5, "pole", (153, 153, 153), (209, 255, 246)),
    SegClass(6, "traffic light", (250, 170, 30), (248, 210, 28)),
    SegClass(7, "traffic sign", (220, 220, 0), (251, 255, 131)),
    SegClass(8, "vegetation", (107, 142, 35), (4, 53, 13)),
    SegClass(9, "terrain", (152, 251, 152), (169, 199, 139)),
    SegClass(10, "sky", (70, 130, 180), (108, 225, 254)),
    SegClass(11, "person", (220, 20, 60), (243, 102, 19)),
    SegClass(12, "rider", (255, 0, 0), (160, 61, 4)),
    SegClass(13, "car", (0, 0, 142), (48, 45, 215)),
    SegClass(14, "truck", (0, 0, 70), (28, 0, 83)),
    SegClass(15, "bus", (0, 60, 100), (62, 112, 134)),
    SegClass(16, "train", (0, 80, 100), (7, 160, 217)),
    SegClass(17, "motorcycle", (0, 0, 230), (167, 101, 255)),
    SegClass(18, "bicycle", (119, 11, 32), (100, 49, 71)),
)

ID_OF = {c.name: c.id for c in CLASSES}


def palette(safe: bool = False) -> np.ndarray:
    """Colour of every possible id, uint8 (256, 3); ids that are no class are black."""
    table = np.zeros((256, 3), np.uint8)
    for c in CLASSES:
        table[c.id] = c.safe_rgb if safe else c.rgb
    return table
