"""The two towns, source and target: they differ in layout, building style, trees, hues and camera."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.data.street.canvas import Colour

Range = tuple[float, float]
Colours = tuple[Colour, ...]


@dataclass(frozen=True)
class Style:
    """What makes one town differ from another; lengths in metres, angles in degrees, colours linear."""

    zoom: float  # focal length / picture width
    horizon: Range  # row / picture height
    eye: Range
    pitch: Range
    lanes: tuple[int, ...]  # lanes to the left of our own
    lane: Range
    sidewalk: Range
    parking: float  # chance of a parking lane on a side
    verge: float  # chance of a grass strip on a side
    lots: tuple[float, float, float, float]  # chances of building, wall, fence, open green
    storeys: Range  # building height
    lot_length: Range
    ribbon: bool
    tree: str
    tree_height: Range
    tree_gap: Range
    lamp_gap: float
    facades: Colours
    walls: Colours
    fences: Colours
    leaves: Colours
    grass: Colours
    asphalt: Colours
    paving: Colours
    slab: Range  # paving slab length
    marking: Colours
    cars: Colours
    buses: Colours
    coats: Colours
    trousers: Colours
    crowd: float  # people for each 10 m of sidewalk
    traffic: float  # chance of a car in each place


SOURCE = Style(
    zoom=0.68,
    horizon=(0.45, 0.53),
    eye=(1.25, 1.5),
    pitch=(-1.0, 2.0),
    lanes=(1, 1, 2),
    lane=(2.9, 3.3),
    sidewalk=(2.8, 4.4),
    parking=0.45,
    verge=0.25,
    lots=(0.45, 0.20, 0.20, 0.15),
    storeys=(7, 15),
    lot_length=(8, 15),
    ribbon=False,
    tree="round",
    tree_height=(5.5, 8.0),
    tree_gap=(9, 18),
    lamp_gap=19,
    facades=((0.42, 0.16, 0.1), (0.55, 0.42, 0.27), (0.62, 0.55, 0.44), (0.4, 0.33, 0.26), (0.5, 0.3, 0.18)),
    walls=((0.32, 0.27, 0.2), (0.36, 0.2, 0.14), (0.4, 0.38, 0.34)),
    fences=((0.05, 0.09, 0.06), (0.25, 0.15, 0.08)),
    leaves=((0.07, 0.17, 0.03), (0.1, 0.22, 0.05), (0.05, 0.13, 0.04)),
    grass=((0.13, 0.24, 0.05), (0.17, 0.25, 0.07)),
    asphalt=((0.1, 0.1, 0.105), (0.13, 0.13, 0.13)),
    paving=((0.33, 0.31, 0.28), (0.28, 0.28, 0.28)),
    slab=(0.5, 1.0),
    marking=((0.62, 0.62, 0.6),),
    cars=(
        (0.5, 0.02, 0.02),
        (0.03, 0.08, 0.3),
        (0.6, 0.6, 0.6),
        (0.03, 0.03, 0.035),
        (0.3, 0.31, 0.33),
        (0.1, 0.2, 0.12),
    ),
    buses=((0.55, 0.35, 0.03), (0.5, 0.05, 0.04)),
    coats=(
        (0.45, 0.05, 0.05),
        (0.05, 0.1, 0.35),
        (0.5, 0.45, 0.3),
        (0.1, 0.25, 0.1),
        (0.6, 0.6, 0.6),
        (0.5, 0.3, 0.03),
    ),
    trousers=((0.03, 0.05, 0.14), (0.03, 0.03, 0.03), (0.25, 0.2, 0.12)),
    crowd=0.8,
    traffic=0.5,
)
TARGET = Style(
    zoom=0.72,
    horizon=(0.43, 0.51),
    eye=(1.5, 1.9),
    pitch=(0.0, 4.0),
    lanes=(1, 2, 2),
    lane=(3.2, 3.6),
    sidewalk=(3.2, 5.0),
    parking=0.35,
    verge=0.4,
    lots=(0.43, 0.20, 0.21, 0.16),
    storeys=(9, 24),
    lot_length=(12, 24),
    ribbon=True,
    tree="cone",
    tree_height=(6.0, 9.0),
    tree_gap=(10, 22),
    lamp_gap=24,
    facades=((0.35, 0.36, 0.38), (0.24, 0.25, 0.25), (0.5, 0.48, 0.45), (0.2, 0.24, 0.3), (0.4, 0.36, 0.33)),
    walls=((0.42, 0.42, 0.42), (0.3, 0.31, 0.33), (0.35, 0.3, 0.28)),
    fences=((0.35, 0.36, 0.37), (0.12, 0.13, 0.14)),
    leaves=((0.05, 0.12, 0.07), (0.09, 0.13, 0.05), (0.16, 0.12, 0.04)),
    grass=((0.16, 0.19, 0.07), (0.2, 0.18, 0.09)),
    asphalt=((0.16, 0.155, 0.15), (0.2, 0.2, 0.195)),
    paving=((0.36, 0.26, 0.21), (0.42, 0.4, 0.37)),
    slab=(0.25, 0.6),
    marking=((0.62, 0.45, 0.08), (0.6, 0.6, 0.58)),
    cars=(
        (0.6, 0.6, 0.6),
        (0.32, 0.33, 0.35),
        (0.04, 0.04, 0.045),
        (0.35, 0.2, 0.05),
        (0.08, 0.16, 0.25),
        (0.4, 0.04, 0.06),
    ),
    buses=((0.1, 0.35, 0.15), (0.08, 0.2, 0.5)),
    coats=((0.12, 0.12, 0.13), (0.28, 0.22, 0.14), (0.1, 0.2, 0.3), (0.45, 0.43, 0.4), (0.38, 0.1, 0.24)),
    trousers=((0.03, 0.03, 0.035), (0.08, 0.08, 0.09), (0.05, 0.07, 0.13)),
    crowd=0.9,
    traffic=0.45,
)
