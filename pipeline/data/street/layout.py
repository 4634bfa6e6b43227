"""Lays out one street: ground, buildings and barriers on both sides, furniture, vehicles and people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.data.street import sprites
from pipeline.data.street.canvas import Canvas, Colour, Light, Sprite, noise
from pipeline.data.street.light import Skyline
from pipeline.data.street.surfaces import barrier, facade, pick, upright
from pipeline.data.street.towns import Range, Style
from pipeline.data.street.vehicles import draw_vehicle
from pipeline.edge.classes import ID_OF

ROAD, BUILDING, WALL, FENCE = ID_OF["road"], ID_OF["building"], ID_OF["wall"], ID_OF["fence"]
GREEN = ID_OF["vegetation"]
SIDEWALK, TERRAIN = ID_OF["sidewalk"], ID_OF["terrain"]
WHITE = (1.0, 1.0, 1.0)
ZEBRA = np.array((0.6, 0.6, 0.58), np.float32)
FAR = 100.0  # metres; the street ends here


@dataclass(frozen=True)
class Street:
    """Widths of this street; side 0 is left, 1 right. kerb, walk, lot: distance of each edge from x = 0."""

    lane: float
    kerb: tuple[float, float]
    verge: tuple[float, float]
    lot: tuple[float, float]
    parking: tuple[bool, bool]
    lanes: int
    crossing: Range | None


class Standing(NamedTuple):
    """An upright picture to be put on the ground at (x, z); a tint other than white marks a tree."""

    z: float
    sprite: Sprite
    x: float
    width: float
    height: float
    tint: Colour = WHITE


def _plan(rng: np.random.Generator, style: Style) -> Street:
    lane, lanes = float(rng.uniform(*style.lane)), int(rng.choice(style.lanes))
    parking = (bool(rng.random() < style.parking), bool(rng.random() < style.parking))
    shift = rng.uniform(-0.3, 0.3)
    kerb = (lane * (0.5 + lanes) + 2.1 * parking[0] + shift, lane * 0.5 + 2.1 * parking[1] - shift + 0.3)
    verge = tuple(float(rng.uniform(1.2, 2.2)) if rng.random() < style.verge else 0.0 for _ in range(2))
    lot = tuple(kerb[s] + verge[s] + float(rng.uniform(*style.sidewalk)) for s in range(2))
    crossing = None
    if rng.random() < 0.4:
        start = float(rng.uniform(13, 30))
        crossing = (start, start + float(rng.uniform(6, 9)))
    return Street(lane, kerb, (verge[0], verge[1]), (lot[0], lot[1]), parking, lanes, crossing)


def _part(x: np.ndarray) -> np.ndarray:
    """Fractional part; several times faster than x % 1."""
    return x - np.floor(x)


def _draw_ground(canvas: Canvas, rng: np.random.Generator, style: Style, street: Street) -> None:
    """Road with markings, kerbs, verges, sidewalks and the green beyond, all on y = 0."""
    down = canvas.rays[..., 1] < -1e-3
    t = -canvas.eye[1] / canvas.rays[..., 1][down]
    points = canvas.eye + t[:, None] * canvas.rays[down]
    x, z = points[:, 0], points[:, 2]
    asphalt, paving, grass = (
        np.array(pick(rng, c), np.float32) for c in (style.asphalt, style.paving, style.grass)
    )
    sx, sz = rng.integers(0, 256, 2).tolist()
    fade = 1 / (1 + t * 0.05)
    grain = (noise(x * 30 + sx, z * 30 + sz) - 0.5) * fade
    patch = noise(x * 3 + sz, z * 1.5 + sx) - 0.5
    side = (x > 0).astype(np.int8)
    out = np.abs(x)
    kerb, verge, lot = (np.array(e, np.float32)[side] for e in (street.kerb, street.verge, street.lot))
    road = out < kerb
    if street.crossing:
        road |= (z > street.crossing[0]) & (z < street.crossing[1])
    green = ~road & (((out < kerb + verge) & (out > kerb + 0.2)) | (out > lot + 0.3))
    walk = ~road & ~green
    label = np.full(x.shape, ROAD, np.uint8)
    label[walk], label[green] = SIDEWALK, TERRAIN
    tone = (
        1
        + 1.1 * grain
        + 0.5 * patch
        - 0.1 * (np.abs(np.abs(_part(x / street.lane + 0.5) - 0.5) - 0.25) < 0.09)
    )
    colour = asphalt * (tone - 0.25 * (out > kerb - 0.25))[:, None]
    slab = float(rng.uniform(*style.slab))
    a, b = x[walk] / slab, z[walk] / slab
    joint = (_part(a) < 0.07) | (_part(b) < 0.07)
    tile = noise(np.floor(a) * 37 + sx, np.floor(b) * 53 + sz) - 0.5
    shade = 1 + 0.5 * grain[walk] + (0.45 * tile - 0.35 * joint) * fade[walk] + 0.3 * patch[walk]
    shade[out[walk] < kerb[walk] + 0.22] = 1.35
    colour[walk] = paving * shade[:, None]
    colour[green] = grass * (1.02 + 0.9 * patch[green] + 2.2 * grain[green])[:, None]
    start, stop = street.crossing or (FAR, FAR)
    marked = road & ((z < start - 4) | (z > stop + 4))
    for edge in (start - 3.5, stop + 0.6):
        row = np.flatnonzero(road & (out < kerb - 0.2) & (z > edge) & (z < edge + 2.8))
        zebra = row[_part(x[row] / 0.9) < 0.5]
        colour[zebra] = ZEBRA * (1 + grain[zebra, None])
    mark = np.array(pick(rng, style.marking, 0.1), np.float32)
    for k in range(street.lanes):
        line = np.flatnonzero(marked & (np.abs(x + street.lane * (0.5 + k)) < 0.09))
        if k != street.lanes // 2 or street.lanes == 1:  # the line between the two directions is unbroken
            line = line[_part((z[line] + sx) / 6) < 0.5]
        colour[line] = mark * (1 + grain[line, None])
    for s in range(2):
        if street.parking[s]:
            colour[marked & (side == s) & (np.abs(out - kerb + 2.1) < 0.06)] = ZEBRA
    canvas.depth[down], canvas.label[down], canvas.albedo[down] = t, label, np.clip(colour, 0, 1)
    canvas.normal[down], canvas.on_ground[down] = (0, 1, 0), True


def _draw_lots(
    canvas: Canvas, rng: np.random.Generator, style: Style, street: Street, side: int
) -> tuple[Skyline, list[Range]]:
    """Buildings, walls, fences and greens along one side; returns the skyline and the open stretches."""
    s = 1 if side else -1
    heights, opens, z = np.zeros(int(FAR) + 40, np.float32), [], float(rng.uniform(-14, -2))
    edge = s * street.lot[side]
    while z < FAR:
        end = z + float(rng.uniform(*style.lot_length))
        if street.crossing and z < street.crossing[1] and end > street.crossing[0] - 2.5:
            if street.crossing[0] - 2.5 - z > 3:
                end = street.crossing[0] - 2.5
            else:
                z = street.crossing[1] + 2.5
                continue
        kind = rng.choice(4, p=style.lots)
        if kind == 0:
            tall, back = float(rng.uniform(*style.storeys)), s * float(rng.choice([0.0, 0.0, 0.6]))
            paint = facade(rng, 2, tall, style.facades, style.ribbon)
            canvas.face(upright(edge + back, z, edge + back, end, tall), BUILDING, paint)
            canvas.face(
                upright(edge + back, z, edge + back + s * 14, z, tall),
                BUILDING,
                facade(rng, 0, tall, style.facades, style.ribbon),
            )
            heights[max(0, int(z)) : max(0, int(end))] = tall
        else:
            opens.append((z, end))
            if kind < 3:
                tall = float(rng.uniform(1.6, 2.6) if kind == 1 else rng.uniform(1.5, 2.2))
                paint = barrier(
                    rng, "wall" if kind == 1 else "fence", 2, style.walls if kind == 1 else style.fences
                )
                # The fence lets the green behind it show through, so that is drawn first.
                _draw_backdrop(canvas, rng, style, edge, s, z, end)
                canvas.face(upright(edge, z, edge, end, tall), WALL if kind == 1 else FENCE, paint)
                if kind == 1:
                    heights[max(0, int(z)) : max(0, int(end))] = tall
            else:
                _draw_backdrop(canvas, rng, style, edge, s, z, end)
        z = end
    return Skyline(edge, heights), opens


def _draw_backdrop(
    canvas: Canvas, rng: np.random.Generator, style: Style, edge: float, s: int, z0: float, z1: float
) -> None:
    """A hedge, or a house set back, behind an open lot."""
    deep = edge + s * float(rng.uniform(6, 10))
    if rng.random() < 0.55:
        tall = float(rng.uniform(2.5, 5.0))
        canvas.face(upright(deep, z0, deep, z1, tall), GREEN, barrier(rng, "hedge", 2, style.leaves))
    else:
        tall = float(rng.uniform(5, 9))
        canvas.face(
            upright(deep, z0, deep, z1, tall), BUILDING, facade(rng, 2, tall, style.facades, style.ribbon)
        )
        canvas.face(
            upright(deep, z0, deep + s * 8, z0, tall),
            BUILDING,
            facade(rng, 0, tall, style.facades, style.ribbon),
        )


def draw_street(canvas: Canvas, rng: np.random.Generator, style: Style, sun: np.ndarray) -> list[Skyline]:
    """Fill an empty canvas with one street; sun (3,) points to the sun. Returns the fronts that cast shadows."""
    street = _plan(rng, style)
    _draw_ground(canvas, rng, style, street)
    standing: list[Standing] = []
    skylines = []
    for side in range(2):
        s = 1 if side else -1
        skyline, opens = _draw_lots(canvas, rng, style, street, side)
        skylines.append(skyline)
        inner = street.kerb[side] + street.verge[side]
        row = s * (street.kerb[side] + (street.verge[side] / 2 or 0.55))
        middle = s * (inner + street.lot[side]) / 2
        _plant(rng, style, standing, s, row, opens, street.lot[side])
        _furnish(canvas, rng, style, standing, s, s * (street.kerb[side] + 0.4), street)
        _people(rng, style, standing, s, inner, street.lot[side], middle)
    _end_of_street(canvas, rng, style)
    _traffic(canvas, rng, style, street, standing, sun)
    for thing in sorted(standing, key=lambda thing: -thing.z):
        canvas.sprite(thing.sprite, thing.x, thing.z, thing.width, thing.height, thing.tint)
    for thing in standing:
        canvas.shadows.append(_shadow(thing, sun))
    canvas.cast_shadows()
    return skylines


def _shadow(thing: Standing, sun: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Shadow on the ground: round for a crown, a strip for everything else."""
    along, ahead = (-sun[[0, 2]] / sun[1] * thing.height).tolist()
    x, z, half = thing.x, thing.z, thing.width / 2
    if thing.tint != WHITE:
        turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
        across, deep = 0.84 * half * np.cos(turn), 0.84 * half * np.sin(turn)
        return np.stack([x + 0.65 * along + across, 0 * turn, z + 0.65 * ahead + deep], 1), 0.15, 1.0
    half = 0.15 if thing.height > 3 else half
    feet, head = (
        [(x - half, 0, z), (x + half, 0, z)],
        [(x + half + along, 0, z + ahead), (x - half + along, 0, z + ahead)],
    )
    return np.array(feet + head), 0.1, 1.0


def _tree(rng: np.random.Generator, style: Style) -> Sprite:
    return sprites.trees(style.tree)[rng.integers(16)]


def _plant(
    rng: np.random.Generator,
    style: Style,
    standing: list[Standing],
    s: int,
    row: float,
    opens: list[Range],
    lot: float,
) -> None:
    """Street trees in a row and bigger groups in the open lots."""
    if rng.random() < 0.65:
        z = float(rng.uniform(7, 16))
        while z < 60:
            tall = float(rng.uniform(*style.tree_height))
            standing.append(
                Standing(z, _tree(rng, style), row, tall * 0.8, tall, pick(rng, style.leaves, 0.25))
            )
            z += float(rng.uniform(*style.tree_gap))
    for a, b in opens:
        for _ in range(int(rng.integers(1, 4))):
            z, tall = float(rng.uniform(max(a, 3), max(b, 4))), float(rng.uniform(*style.tree_height)) * 1.1
            standing.append(
                Standing(
                    z,
                    _tree(rng, style),
                    s * (lot + float(rng.uniform(2, 5))),
                    tall * 0.8,
                    tall,
                    pick(rng, style.leaves, 0.25),
                )
            )


def _furnish(
    canvas: Canvas,
    rng: np.random.Generator,
    style: Style,
    standing: list[Standing],
    s: int,
    x: float,
    street: Street,
) -> None:
    """Lamps, signs and traffic lights near the kerb."""
    z = float(rng.uniform(6, 6 + style.lamp_gap))
    while z < 60:
        standing.append(Standing(z, sprites.lamp_post(-s * 1.7), x, 4.0, 6.2))
        if z < 50:
            canvas.lights.append(Light(np.array([x - s * 1.5, 5.9, z]), (1.0, 0.95, 0.85), 14.0, 0.9))
        z += style.lamp_gap * float(rng.uniform(0.9, 1.1))
    for z in rng.uniform(6, 26, rng.integers(1, 3)):
        standing.append(Standing(float(z), sprites.sign_post(rng), x + s * 0.1, 1.1, 3.2))
    if street.crossing:
        standing.append(Standing(street.crossing[0] - 4, sprites.traffic_light(rng), x, 0.7, 3.7))
        standing.append(Standing(street.crossing[1] + 4, sprites.traffic_light(rng), x, 0.7, 3.7))
    elif rng.random() < 0.35:
        standing.append(Standing(float(rng.uniform(9, 18)), sprites.traffic_light(rng), x, 0.7, 3.7))


def _people(
    rng: np.random.Generator,
    style: Style,
    standing: list[Standing],
    s: int,
    inner: float,
    lot: float,
    middle: float,
) -> None:
    """Walkers, alone or in pairs, and parked bicycles on one sidewalk."""
    for _ in range(rng.poisson(style.crowd * 3.5)):
        z, x = float(4.5 + 22 * rng.random() ** 1.3), s * float(rng.uniform(inner + 0.5, lot - 0.4))
        for k in range(1 + int(rng.random() < 0.35)):
            tall = float(rng.uniform(1.55, 1.9))
            standing.append(
                Standing(
                    z + 0.1 * k, sprites.person(rng, style.coats, style.trousers), x + 0.65 * k, 0.9, tall
                )
            )
    for _ in range(rng.integers(0, 3)):
        z, x = float(rng.uniform(4.5, 18)), s * (lot - 0.9 if rng.random() < 0.6 else inner + 0.7)
        standing.append(
            Standing(z, sprites.parked_bicycle(rng, style.cars), x, 1.9 * float(rng.uniform(0.65, 1.0)), 1.15)
        )


def _end_of_street(canvas: Canvas, rng: np.random.Generator, style: Style) -> None:
    """Houses or trees that close the view, so that the horizon is never bare."""
    x = -90.0
    while x < 90:
        wide = float(rng.uniform(10, 22))
        if rng.random() < 0.5:
            tall = float(rng.uniform(*style.storeys))
            canvas.face(
                upright(x, FAR + 6, x + wide, FAR + 6, tall),
                BUILDING,
                facade(rng, 0, tall, style.facades, style.ribbon),
            )
        canvas.face(
            upright(x, FAR + 10, x + wide, FAR + 10, float(rng.uniform(4, 8))),
            GREEN,
            barrier(rng, "hedge", 0, style.leaves),
        )
        x += wide


def _traffic(
    canvas: Canvas,
    rng: np.random.Generator,
    style: Style,
    street: Street,
    standing: list[Standing],
    sun: np.ndarray,
) -> None:
    """Parked cars, cars and buses in every lane, cyclists, people who cross."""
    blocked = street.crossing or (200.0, 200.0)
    for side in range(2):
        z = float(rng.uniform(3, 8))
        while street.parking[side] and z < 60:
            clear = z + 5 < blocked[0] - 3 or z > blocked[1] + 3
            if rng.random() < style.traffic + 0.15 and clear:
                x = (1 if side else -1) * (street.kerb[side] - 1.05)
                kind = "van" if rng.random() < 0.2 else "car"
                draw_vehicle(canvas, rng, kind, x, z, bool(side), pick(rng, style.cars), False, sun)
            z += float(rng.uniform(5.5, 7.5))
    for lane in range(street.lanes + 1):
        away = lane <= street.lanes // 2 if street.lanes > 1 else lane == 0
        x, z = -lane * street.lane + float(rng.uniform(-0.2, 0.2)), float(rng.uniform(7, 22))
        while z < 65:
            if rng.random() < style.traffic:
                kind = str(rng.choice(["car", "van", "bus"], p=[0.62, 0.17, 0.21]))
                colour = pick(rng, style.buses if kind == "bus" else style.cars)
                draw_vehicle(canvas, rng, kind, x, z, away, colour, True, sun)
                z += 11 if kind == "bus" else 5
            z += float(rng.uniform(6, 16))
    for _ in range(rng.choice([1, 1, 2])):
        right = rng.random() < 0.7
        x = street.kerb[1] - 0.9 if right else -(street.kerb[0] - 0.9)
        x -= (1 if right else -1) * 2.1 * street.parking[int(right)]
        z, squeeze = float(rng.uniform(5, 14)), float(rng.uniform(0.6, 1.0))
        standing.append(Standing(z, sprites.cyclist(rng, style.coats, style.cars), x, 1.9 * squeeze, 1.85))
    if rng.random() < 0.35:
        z = blocked[0] - 2 if street.crossing else float(rng.uniform(9, 20))
        for _ in range(rng.integers(1, 4)):
            x = float(rng.uniform(-street.kerb[0], street.kerb[1]))
            standing.append(
                Standing(
                    z, sprites.person(rng, style.coats, style.trousers), x, 0.9, float(rng.uniform(1.55, 1.9))
                )
            )
