"""Classes as polygons with holes along the pixels' edges: traced exactly, then simplified within a tolerance."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.edge.classes import SegClass

TOLERANCE = 1.5
"""Pixels by which a simplified outline may be off. Stairs of two pixels, a network's at half the size, are within."""

Ring = np.ndarray
"""int (n, 2): the corners x, y in order, each once; (0, 0) is the picture's upper left corner, y runs down."""
Polygon = list[Ring]
"""The outline, then the holes."""


def trace(mask: np.ndarray) -> list[Polygon]:
    """Polygons of a bool (H, W) mask, one for each area whose pixels share edges.

    Filled by the even-odd rule they give the mask back exactly. Rings of one class may touch at corners, never cross.
    """
    rings, walls = _rings(mask)
    outlines: dict[int, Polygon] = {}
    holes: list[int] = []
    for number, ring in enumerate(rings):
        if _doubled_area(ring) > 0:
            outlines[number] = [ring]
        else:
            holes.append(number)
    for hole in holes:
        outlines[_outline_around(hole, rings, walls, outlines)].append(rings[hole])
    return list(outlines.values())


def simplify(ring: Ring, tolerance: float = TOLERANCE) -> Ring:
    """Douglas and Peucker: fewer of its corners, none of the others further away than `tolerance`.

    A ring of which less than a triangle would remain stays as it is.
    """
    far = int(np.argmax(((ring - ring[0]) ** 2).sum(1)))
    closed = np.concatenate((ring, ring[:1]))
    keep = np.zeros(len(closed), bool)
    keep[[0, far, -1]] = True
    open_ = [(0, far), (far, len(ring))]
    while open_:
        start, end = open_.pop()
        if end - start < 2:
            continue
        distance = _distance(closed[start + 1 : end], closed[start], closed[end])
        worst = int(np.argmax(distance))
        if distance[worst] > tolerance:
            keep[start + 1 + worst] = True
            open_ += [(start, start + 1 + worst), (start + 1 + worst, end)]
    kept = ring[keep[:-1]]
    return kept if len(kept) > 2 and _doubled_area(kept) != 0 else ring


def as_json(classes: np.ndarray, names: tuple[SegClass, ...]) -> dict[str, Any]:
    """A GeoJSON FeatureCollection, a MultiPolygon for each class; `names` are the manifest's classes."""
    height, width = classes.shape
    features = []
    for c in names:
        mask = classes == c.id
        if not mask.any():
            continue
        properties = {"id": c.id, "name": c.name, "rgb": list(c.rgb), "area": int(mask.sum())}
        areas = [[_closed(simplify(ring)) for ring in polygon] for polygon in trace(mask)]
        geometry = {"type": "MultiPolygon", "coordinates": areas}
        features.append({"type": "Feature", "properties": properties, "geometry": geometry})
    return {
        "type": "FeatureCollection",
        "height": height,
        "width": width,
        "tolerance": TOLERANCE,
        "features": features,
    }


def _rings(mask: np.ndarray) -> tuple[list[Ring], np.ndarray]:
    """All outlines and holes, and the walls between their corners that run down: (n, 4) x, top, bottom, ring.

    Corners are the points where an odd number of the four pixels around is inside, or two that lie across. On each
    line of points, corners pair up from the left into the edges along it, in each column from the top.
    """
    padded = np.pad(mask, 1)
    upper_left, upper_right = padded[:-1, :-1], padded[:-1, 1:]
    lower_left, lower_right = padded[1:, :-1], padded[1:, 1:]
    odd = upper_left ^ upper_right ^ lower_left ^ lower_right
    across = (upper_left == lower_right) & (upper_right == lower_left) & (upper_left != upper_right)
    y, x = np.nonzero(odd | across)
    twice = across[y, x]
    # Two corners in one point: the first one ends the edge at the left. It goes up where the upper left pixel is
    # inside and down where it is not, so that pixels which only touch at a corner are two areas.
    goes_up = upper_left[y, x]
    second = np.concatenate((np.zeros(len(x), int), np.ones(int(twice.sum()), int)))
    x, y = np.concatenate((x, x[twice])), np.concatenate((y, y[twice]))
    below = np.concatenate((twice & ~goes_up, goes_up[twice]))
    along = _partners(np.lexsort((second, x, y)))
    down = _partners(np.lexsort((below, y, x)))
    ring_of = np.full(len(x), -1)
    rings: list[Ring] = []
    points = np.column_stack((x, y))
    next_along, next_down = along.tolist(), down.tolist()
    seen = bytearray(len(x))
    for start in range(len(x)):
        if seen[start]:
            continue
        corners, corner = [], start
        while not seen[corner]:
            turn = next_along[corner]
            seen[corner] = seen[turn] = True
            corners += [corner, turn]
            corner = next_down[turn]
        ring_of[corners] = len(rings)
        rings.append(_inside_on_the_right(points[corners], mask))
    first = np.flatnonzero(y < y[down])
    walls = np.column_stack((x[first], y[first], y[down[first]], ring_of[first]))
    return rings, walls


def _partners(order: np.ndarray) -> np.ndarray:
    """For each corner the one it pairs with, where those at places 0 and 1, 2 and 3, ... of the order do."""
    partners = np.empty_like(order)
    partners[order[0::2]], partners[order[1::2]] = order[1::2], order[0::2]
    return partners


def _inside_on_the_right(ring: Ring, mask: np.ndarray) -> Ring:
    """Outlines run clockwise as seen, holes the other way: the first edge, along x, has its pixels below or above."""
    (x, y), (to, _) = ring[0], ring[1]
    inside_below = y < mask.shape[0] and mask[y, min(x, to)]
    return ring if (to > x) == inside_below else ring[::-1]


def _outline_around(hole: int, rings: list[Ring], walls: np.ndarray, outlines: dict[int, Polygon]) -> int:
    """The ring at the left end of the pixels left of the hole is its outline, or another hole of the same area."""
    ring = hole
    while ring not in outlines:
        x, top, bottom = min((int(w[0]), int(w[1]), int(w[2])) for w in walls[walls[:, 3] == ring])
        assert bottom > top
        left = walls[(walls[:, 0] < x) & (walls[:, 1] <= top) & (walls[:, 2] > top)]
        ring = int(left[np.argmax(left[:, 0]), 3])
    return ring


def _doubled_area(ring: Ring) -> int:
    x, y = ring[:, 0].astype(np.int64), ring[:, 1].astype(np.int64)
    return int((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())


def _distance(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Of each point to the nearest one between two."""
    way = (end - start).astype(np.float64)
    offset = points - start
    share = np.clip(offset @ way / max(way @ way, 1.0), 0, 1)
    return np.hypot(*(offset - share[:, None] * way).T)


def _closed(ring: Ring) -> list[list[int]]:
    """As GeoJSON wants it: the first corner again at the end."""
    return np.concatenate((ring, ring[:1])).tolist()
