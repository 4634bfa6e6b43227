"""Polygons: filled again they give the mask back; simplified they stay within the tolerance."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline.edge.classes import CLASSES, IGNORE
from pipeline.edge.polygons import TOLERANCE, Polygon, Ring, as_json, simplify, trace

SIDES = st.tuples(st.integers(1, 24), st.integers(1, 24))


def filled(rings: list[Ring], size: tuple[int, int]) -> np.ndarray:
    """Even-odd at the middle of every pixel: how many walls lie to its left."""
    crossed = np.zeros((size[0], size[1] + 1), int)
    for ring in rings:
        for (x, y), (to_x, to_y) in zip(ring, np.roll(ring, -1, 0), strict=True):
            assert (x == to_x) != (y == to_y), "a step goes along one axis"
            if x == to_x:
                crossed[min(y, to_y) : max(y, to_y), x] += 1
    return np.cumsum(crossed, 1)[:, :-1] % 2 == 1


def areas(mask: np.ndarray) -> int:
    """How many areas whose pixels share edges, by flooding."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    count = 0
    while left:
        count += 1
        front = [left.pop()]
        while front:
            y, x = front.pop()
            near = {(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)} & left
            left -= near
            front += near
    return count


def signed_area(ring: Ring) -> float:
    x, y = ring.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) / 2


@settings(max_examples=300, deadline=None)
@given(arrays.arrays(bool, SIDES))
@example(np.zeros((3, 3), bool))
@example(np.ones((1, 1), bool))
@example(np.indices((9, 9)).sum(0) % 2 == 0)
@example(np.pad(np.pad(np.pad(np.ones((1, 1), bool), 1), 1, constant_values=True), 1))
@example(np.array([[1, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 1]], bool))
def test_the_rings_give_the_mask_back(mask: np.ndarray) -> None:
    polygons = trace(mask)
    assert np.array_equal(filled([r for p in polygons for r in p], mask.shape), mask)
    assert len(polygons) == areas(mask)
    for outline, *holes in polygons:
        assert signed_area(outline) > 0
        assert all(signed_area(hole) < 0 for hole in holes)
        alone = filled([outline, *holes], mask.shape)
        assert areas(alone) == 1, "holes lie in their own outline"
        assert not (alone & ~mask).any()


def distance(point: np.ndarray, ring: Ring) -> float:
    """Of a point to the closed ring."""
    start, end = ring.astype(float), np.roll(ring, -1, 0).astype(float)
    way = end - start
    share = np.clip(((point - start) * way).sum(1) / np.maximum((way**2).sum(1), 1e-9), 0, 1)
    return float(np.hypot(*(start + share[:, None] * way - point).T).min())


@settings(max_examples=100, deadline=None)
@given(arrays.arrays(bool, SIDES))
def test_simplified_rings_stay_within_the_tolerance(mask: np.ndarray) -> None:
    for ring in (ring for polygon in trace(mask) for ring in polygon):
        simple = simplify(ring)
        assert 3 <= len(simple) <= len(ring)
        assert {tuple(p) for p in simple.tolist()} <= {tuple(p) for p in ring.tolist()}
        assert max(distance(corner, simple) for corner in ring) <= TOLERANCE + 1e-9


def test_stairs_become_a_line_and_specks_stay() -> None:
    stairs = np.tril(np.ones((20, 20), bool))
    ((ring,),) = trace(stairs.repeat(2, 0).repeat(2, 1))
    assert len(ring) == 42
    assert len(simplify(ring)) <= 4
    ((speck,),) = trace(np.pad(np.ones((1, 1), bool), 3))
    assert simplify(speck).tolist() == speck.tolist()
    assert sorted(speck.tolist()) == [[3, 3], [3, 4], [4, 3], [4, 4]]


def test_geojson_of_a_picture() -> None:
    classes = np.zeros((30, 40), np.uint8)
    classes[10:20, 10:30] = 13
    classes[:5, :5] = IGNORE
    written = as_json(classes, CLASSES)
    assert (written["type"], written["height"], written["width"]) == ("FeatureCollection", 30, 40)
    road, car = written["features"]
    assert car["properties"] == {"id": 13, "name": "car", "rgb": [0, 0, 142], "area": 200}
    assert car["geometry"]["type"] == "MultiPolygon"
    (((*corners, last),),) = car["geometry"]["coordinates"]
    assert last == corners[0]
    assert sorted(corners) == [[10, 10], [10, 20], [30, 10], [30, 20]]
    ((outline, hole),) = road["geometry"]["coordinates"]
    assert (len(outline), len(hole)) == (7, 5)


def test_noise_of_a_whole_picture_is_traced() -> None:
    """Half a million corners, a tenth of a megapixel of specks and holes."""
    mask = np.random.default_rng(0).random((360, 640)) < 0.5
    polygons: list[Polygon] = trace(mask)
    assert np.array_equal(filled([r for p in polygons for r in p], mask.shape), mask)
