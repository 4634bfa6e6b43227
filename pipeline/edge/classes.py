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


# The safe colours differ in lightness first (dark road to bright sky), since every kind of
# colour blindness keeps lightness; neighbours in a street picture are kept far apart.
CLASSES: tuple[SegClass, ...] = (
    SegClass(0, "road", (128, 64, 128), (60, 50, 85)),
    SegClass(1, "sidewalk", (244, 35, 232), (205, 150, 200)),
    SegClass(2, "building", (70, 70, 70), (120, 110, 105)),
    SegClass(3, "wall", (102, 102, 156), (90, 95, 160)),
    SegClass(4, "fence", (190, 153, 153), (175, 130, 95)),
    SegClass(5, "pole", (153, 153, 153), (225, 225, 225)),
    SegClass(6, "traffic light", (250, 170, 30), (255, 190, 0)),
    SegClass(7, "traffic sign", (220, 220, 0), (255, 245, 120)),
    SegClass(8, "vegetation", (107, 142, 35), (0, 85, 60)),
    SegClass(9, "terrain", (152, 251, 152), (110, 175, 130)),
    SegClass(10, "sky", (70, 130, 180), (150, 205, 245)),
    SegClass(11, "person", (220, 20, 60), (245, 95, 40)),
    SegClass(12, "rider", (255, 0, 0), (170, 30, 10)),
    SegClass(13, "car", (0, 0, 142), (0, 60, 200)),
    SegClass(14, "truck", (0, 0, 70), (0, 20, 90)),
    SegClass(15, "bus", (0, 60, 100), (0, 110, 140)),
    SegClass(16, "train", (0, 80, 100), (0, 160, 190)),
    SegClass(17, "motorcycle", (0, 0, 230), (130, 60, 220)),
    SegClass(18, "bicycle", (119, 11, 32), (90, 0, 50)),
)

ID_OF = {c.name: c.id for c in CLASSES}


def palette(safe: bool = False) -> np.ndarray:
    """Colour of every possible id, uint8 (256, 3); ids that are no class are black."""
    table = np.zeros((256, 3), np.uint8)
    for c in CLASSES:
        table[c.id] = c.safe_rgb if safe else c.rgb
    return table
