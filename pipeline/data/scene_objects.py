"""The things of a drawn street: facades, barriers, cars, buses, people, cyclists, trees, signs and lamps."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from pipeline.data.scene_canvas import (
    Canvas,
    Colour,
    Light,
    Paint,
    noise,
)
from pipeline.edge.classes import ID_OF

ROAD, BUILDING, WALL, FENCE = ID_OF["road"], ID_OF["building"], ID_OF["wall"], ID_OF["fence"]
POLE, LIGHT, SIGN = ID_OF["pole"], ID_OF["traffic light"], ID_OF["traffic sign"]
GREEN, PERSON, RIDER = ID_OF["vegetation"], ID_OF["person"], ID_OF["rider"]
CAR, BUS, BICYCLE = ID_OF["car"], ID_OF["bus"], ID_OF["bicycle"]
WARM, COLD = (1.0, 0.62, 0.26), (0.8, 0.9, 1.0)


def pick(rng: np.random.Generator, colours: tuple[Colour, ...], spread: float = 0.15) -> Colour:
    """One of the colours, a little lighter or darker and a little off its hue."""
    which, light, *hue = rng.random(5).tolist()
    tone = 1 - spread + 2 * spread * light
    r, g, b = colours[int(which * len(colours))]
    r, g, b = (min(0.95, max(0.005, c * tone * (0.94 + 0.12 * h))) for c, h in zip((r, g, b), hue, strict=True))
    return r, g, b


def upright(x0: float, z0: float, x1: float, z1: float, height: float, foot: float = 0.0) -> np.ndarray:
    """Corners of an upright rectangle over the ground line (x0, z0)-(x1, z1)."""
    return np.array([[x0, foot, z0], [x1, foot, z1], [x1, height, z1], [x0, height, z0]], np.float32)


def facade(rng: np.random.Generator, axis: int, height: float, colours: tuple[Colour, ...], ribbon: bool) -> Paint:
    """Rows of windows over shops; ribbon: bands of glass between plain storeys. axis: 0 x or 2 z runs along it."""
    base = np.array(pick(rng, colours), np.float32)
    trim = np.clip(base * rng.uniform(1.25, 1.8), 0, 0.8) if rng.random() < 0.6 else base * 0.55
    storey, ground = rng.uniform(2.9, 3.5), rng.uniform(3.2, 4.2)
    bay = rng.uniform(3.2, 5.0) if ribbon else rng.uniform(1.9, 2.9)
    half_w = rng.uniform(0.42, 0.47) if ribbon else rng.uniform(0.2, 0.3)
    low, high = (rng.uniform(0.3, 0.4), rng.uniform(0.85, 0.92)) if ribbon else (0.27, rng.uniform(0.75, 0.85))
    awning, shops = np.array(pick(rng, ((0.5, 0.05, 0.05), (0.05, 0.12, 0.35), (0.05, 0.25, 0.1), (0.5, 0.35, 0.1)))), \
        rng.random() < 0.65
    lit_share, table, shift = rng.uniform(0.1, 0.35), rng.random(256).astype(np.float32), rng.integers(0, 256, 2)
    slate = rng.random() < 0.5 and not ribbon
    courses = rng.uniform(0.06, 0.2)

    def paint(points: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, None]:
        u, v = points[:, axis], points[:, 1]
        fade = 1 / (1 + t * 0.06)
        grain = noise(u * 22 + shift[0], v * 22 + shift[1]) - 0.5
        tone = 1 + 0.7 * grain * fade + 0.35 * (noise(u * 2 + shift[1], v * 1.2) - 0.5)
        tone *= 1 - courses * fade * ((v * 3.3) % 1 < 0.18)
        colour = base * tone[:, None]
        is_shop = v < ground
        k, r = u / bay, (v - ground) / storey
        column, row = np.floor(k), np.floor(r)
        off, level = np.abs(k - column - 0.5), r - row
        tall = v < height - (2.2 if slate else 0.9)
        glass = (off < half_w) & (level > low) & (level < high) & ~is_shop & tall
        frame = (off < half_w + 0.07) & (level > low - 0.06) & (level < high + 0.06) & ~is_shop & tall
        chance = table[(column * 7 + row * 31 + shift[0]).astype(np.int64) & 255]
        dice = table[(column * 13 + row * 5 + shift[1]).astype(np.int64) & 255]
        if shops:
            glass |= is_shop & (off < 0.44) & (v > 0.5) & (v < ground - 1.0)
            band = is_shop & (v > ground - 0.8) & (v < ground - 0.1)
            colour[band] = awning
        else:
            door = is_shop & (off < 0.2) & (v < 2.3) & (chance < 0.3)
            glass |= is_shop & (off < half_w) & (v > 1.1) & (v < ground - 0.9) & ~door
            colour[door] = awning * 0.5
        colour[frame & ~glass] = trim
        if slate:
            colour[v > height - 2.0] = np.array((0.07, 0.075, 0.09)) * tone[v > height - 2.0, None]
        colour[np.abs(v - height + (2.1 if slate else 0.35)) < 0.3] = trim
        pane = 0.035 + 0.3 * chance**3 * np.clip(level, 0, 1)
        colour[glass] = (pane[:, None] * np.array((0.85, 1.0, 1.2)))[glass]
        curtain = glass & (dice > 0.8) & ~is_shop
        colour[curtain] = 0.35
        lit = glass & ((dice < lit_share) | (is_shop & shops & (chance < 0.55)))
        glow = np.where(chance[:, None] > 0.3, WARM, COLD) * (0.35 + 0.65 * dice[:, None])
        return np.clip(colour, 0, 1), np.where(lit[:, None], glow, 0.0).astype(np.float32), None

    return paint


def barrier(rng: np.random.Generator, kind: str, axis: int, colours: tuple[Colour, ...]) -> Paint:
    """Surface of a wall (stones with mortar), a fence (bars one can see through) or a hedge (leaves)."""
    base = np.array(pick(rng, colours), np.float32)
    sx, sy = rng.integers(0, 256, 2)
    stone_w, stone_h, pitch = rng.uniform(0.4, 1.0), rng.uniform(0.2, 0.4), rng.uniform(0.22, 0.34)
    planks = rng.random() < 0.4

    def paint(points: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, None, np.ndarray | None]:
        u, v = points[:, axis], points[:, 1]
        fade = 1 / (1 + t * 0.05)
        grain = (noise(u * 20 + sx, v * 20 + sy) - 0.5) * fade
        if kind == "hedge":
            tone = 0.25 + 1.5 * noise(u * 9 + sx, v * 9 + sy) ** 1.5 + grain
            return np.clip(base * tone[:, None], 0, 1), None, None
        if kind == "wall":
            row = np.floor(v / stone_h)
            mortar = (v / stone_h - row < 0.14) | ((u / stone_w + 0.5 * (row % 2)) % 1 < 0.06)
            tone = 1 + 1.2 * grain + 0.5 * (noise(np.floor(u / stone_w + 0.5 * (row % 2)) * 37, row * 53) - 0.5)
            return np.clip(base * (tone * (1 - 0.4 * mortar * fade))[:, None], 0, 1), None, None
        bar = np.abs((u / pitch) % 1 - 0.5)
        rail = (np.abs(v - 0.25) < 0.07) | (np.abs(v % 1.3 - 1.05) < 0.07) | (np.abs((u / 2.4) % 1 - 0.5) < 0.035)
        tone = (1 + grain) * (0.75 + 0.5 * (bar > 0.25))
        solid = np.where(rail | (bar > 0.24), 1.0, 0.92 if planks else 0.35)
        return np.clip(base * tone[:, None], 0, 1), None, solid.astype(np.float32)

    return paint


def draw_box_shadow(canvas: Canvas, x0: float, x1: float, z0: float, z1: float, height: float,
                    sun: np.ndarray) -> None:
    """Shadow of a box on the ground, sun (3,) pointing to the sun, and the darker ground right under it."""
    canvas.shadow(np.array([[x0, 0, z0], [x1, 0, z0], [x1, 0, z1], [x0, 0, z1]]), 0.0, 0.25)
    dx, dz = -sun[0] / sun[1] * height, -sun[2] / sun[1] * height
    a, b = (x0, x1) if dx < 0 else (x1, x0)
    c, d = (z0, z1) if dz < 0 else (z1, z0)
    canvas.shadow(np.array([[b, 0, c], [b, 0, d], [a, 0, d], [a + dx, 0, d + dz], [a + dx, 0, c + dz],
                            [b + dx, 0, c + dz]]))


def draw_vehicle(canvas: Canvas, rng: np.random.Generator, kind: str, x: float, z: float, away: bool,
                 colour: Colour, moving: bool, sun: np.ndarray) -> None:
    """A car, van or bus standing on the ground with its nearer end at z; away: we see its rear."""
    label = BUS if kind == "bus" else CAR
    long, wide, belt, top = {"car": (4.3, 1.8, 0.9, 1.5), "van": (4.8, 1.95, 1.1, 2.05),
                             "bus": (11.0, 2.55, 1.25, 3.1)}[kind]
    # Side profile from the rear: where the cabin's glass starts below and above (metres from the rear).
    rear_low, rear_high, front_high, front_low = {"car": (0.35, 0.8, 2.4, 3.2), "van": (0.05, 0.25, 3.1, 4.1),
                                                  "bus": (0.0, 0.02, 10.9, 11.0)}[kind]
    lean = 0.0 if kind == "bus" else 0.18
    paint, dark, glass = np.array(colour), (0.015, 0.015, 0.017), (0.03, 0.04, 0.05)

    def at(points: list[tuple[float, float, float]]) -> np.ndarray:
        """(across, up, from the rear) -> world."""
        p = np.array(points, np.float32)
        along = p[:, 2] if away else long - p[:, 2]
        return np.stack([x + p[:, 0] * (1 if away else -1), p[:, 1], z + along], 1)

    def put(points: list[tuple[float, float, float]], albedo: Colour | np.ndarray, nearer: float = 1.0,
            light: Colour | None = None) -> None:
        canvas.face(at(points), label, tuple(map(float, albedo)), light, nearer)

    def panel(y0: float, y1: float, x0: float, x1: float, end: float, albedo: Colour | np.ndarray,
              light: Colour | None = None) -> None:
        put([(x0, y0, end), (x1, y0, end), (x1, y1, end), (x0, y1, end)], albedo, 0.992, light)

    draw_box_shadow(canvas, x - wide / 2, x + wide / 2, z, z + long, top * 0.9, sun)
    w, end, flip = wide / 2, 0.0 if away else long, 1 if away else -1
    low, detailed = 0.3 if kind != "bus" else 0.35, z < 32
    put([(-w, low, end), (w, low, end), (w, belt, end), (-w, belt, end)], paint)
    put([(-w, belt, 0), (w, belt, 0), (w, belt, long), (-w, belt, long)], paint * 0.95)
    roof = [(-w + lean, top, rear_high), (w - lean, top, rear_high), (w - lean, top, front_high), (-w + lean, top, front_high)]
    if canvas.eye[1] > top:
        put(roof, paint)
    for s in (-1, 1):
        if (canvas.eye[0] - x) * s * flip < w:
            continue  # this side is turned away from us
        side, cap = s * w, s * (w - lean)
        put([(side, low, 0), (side, low, long), (side, belt, long), (side, belt, 0)], paint * 0.9)
        put([(side, belt, rear_low), (side, belt, front_low), (cap, top, front_high), (cap, top, rear_high)], paint * 0.9)
        cuts = np.linspace(0.04, 0.96, 3 if kind != "bus" else 7) if detailed else np.array([0.04, 0.96])
        for a, b in pairwise(cuts.tolist()):
            a, b, y0, y1 = a + 0.012, b - 0.012, 0.08, 0.86
            if kind == "bus":
                y0, y1 = 0.12, 0.72

            def on_side(f: float, g: float, side: float = side, cap: float = cap) -> tuple[float, float, float]:
                lo, hi = rear_low + (front_low - rear_low) * f, rear_high + (front_high - rear_high) * f
                return side + (cap - side) * g, belt + (top - belt) * g, lo + (hi - lo) * g

            put([on_side(a, y0), on_side(b, y0), on_side(b, y1), on_side(a, y1)], glass, 0.994,
                (0.3, 0.28, 0.22) if kind == "bus" else None)
        for centre in (0.19 * long, 0.81 * long):
            if not detailed:
                break
            turn = np.linspace(0, 2 * np.pi, 13)[:-1]
            for r, tyre in ((0.34 if kind != "bus" else 0.5, dark), (0.2, (0.3, 0.3, 0.32))):
                put([(side * 1.005, 0.34 + r * np.sin(a), centre + r * np.cos(a)) for a in turn], tyre, 0.995)
    pane_rear = [(-w + 0.12, belt + 0.06, rear_low), (w - 0.12, belt + 0.06, rear_low),
                 (w - lean - 0.08, top - 0.1, rear_high), (-w + lean + 0.08, top - 0.1, rear_high)]
    lo, hi = (rear_low, rear_high) if away else (front_low, front_high)
    pane = [(px, py, lo if py < top - 0.2 else hi) for px, py, _ in pane_rear]
    put([(-w, belt, lo), (w, belt, lo), (w - lean, top, hi), (-w + lean, top, hi)], paint)
    put(pane, np.array(glass) * 1.6, 0.994, (0.16, 0.15, 0.12) if kind == "bus" else None)
    beam = 3.0 if moving else 0.0
    red, white = (1.0 * beam, 0.05 * beam, 0.03 * beam), (2.2 * beam, 2.1 * beam, 1.8 * beam)
    panel(low - 0.12, low + 0.12, -w, w, end, dark)
    for s in (-1, 1):
        inner, outer = s * (w - 0.42), s * (w - 0.06)
        panel(0.02, low, s * (w - 0.3), s * (w - 0.05), end, dark)
        panel(belt - 0.3, belt - 0.1, inner, outer, end, (0.5, 0.02, 0.02) if away else (0.75, 0.75, 0.7), red if away else white)
        if moving:
            spot = at([(s * (w - 0.25), belt - 0.2, end)])[0] - (0, 0, 0.15)
            canvas.lights.append(Light(spot, (1.0, 0.06, 0.03) if away else (1.0, 0.95, 0.8), 0.25 if away else 1.0,
                                       0.35 if away else 0.8))
    if away:
        panel(low + 0.18, low + 0.32, -0.26, 0.26, end, (0.7, 0.7, 0.65))
    else:
        panel(low + 0.16, low + 0.34, -w + 0.5, w - 0.5, end, dark)
    if kind == "bus":
        panel(top - 0.45, top - 0.15, -0.8, 0.8, end, dark, (0.9, 0.5, 0.1))
