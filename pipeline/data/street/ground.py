"""Plan of one street and its ground: road with markings, kerbs, verges, sidewalks and green."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.data.street.canvas import Canvas, noise
from pipeline.data.street.surfaces import pick
from pipeline.data.street.towns import Range, Style
from pipeline.edge.classes import ID_OF

ROAD, SIDEWALK, TERRAIN = ID_OF["road"], ID_OF["sidewalk"], ID_OF["terrain"]
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


def plan_street(rng: np.random.Generator, style: Style) -> Street:
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


def draw_ground(canvas: Canvas, rng: np.random.Generator, style: Style, street: Street) -> None:
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
