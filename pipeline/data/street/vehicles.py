"""Cars, vans and buses as bodies of flat faces."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from pipeline.data.street.canvas import Canvas, Colour, Light
from pipeline.edge.classes import ID_OF


def draw_box_shadow(
    canvas: Canvas, x0: float, x1: float, z0: float, z1: float, height: float, sun: np.ndarray
) -> None:
    """Shadow of a box on the ground, sun (3,) pointing to the sun, and the darker ground right under it."""
    canvas.shadows.append((np.array([[x0, 0, z0], [x1, 0, z0], [x1, 0, z1], [x0, 0, z1]]), 0.0, 0.25))
    dx, dz = -sun[0] / sun[1] * height, -sun[2] / sun[1] * height
    a, b = (x0, x1) if dx < 0 else (x1, x0)
    c, d = (z0, z1) if dz < 0 else (z1, z0)
    outline = [(b, 0, c), (b, 0, d), (a, 0, d), (a + dx, 0, d + dz), (a + dx, 0, c + dz), (b + dx, 0, c + dz)]
    canvas.shadows.append((np.array(outline), 0.0, 1.0))


def draw_vehicle(
    canvas: Canvas,
    rng: np.random.Generator,
    kind: str,
    x: float,
    z: float,
    away: bool,
    colour: Colour,
    moving: bool,
    sun: np.ndarray,
) -> None:
    """A car, van or bus standing on the ground with its nearer end at z; away: we see its rear."""
    label = ID_OF["bus" if kind == "bus" else "car"]
    long, wide, belt, top = {
        "car": (4.3, 1.8, 0.9, 1.5),
        "van": (4.8, 1.95, 1.1, 2.05),
        "bus": (11.0, 2.55, 1.25, 3.1),
    }[kind]
    # Side profile from the rear: where the cabin's glass starts below and above (metres from the rear).
    rear_low, rear_high, front_high, front_low = {
        "car": (0.35, 0.8, 2.4, 3.2),
        "van": (0.05, 0.25, 3.1, 4.1),
        "bus": (0.0, 0.02, 10.9, 11.0),
    }[kind]
    lean = 0.0 if kind == "bus" else 0.18
    paint, dark, glass = np.array(colour), (0.015, 0.015, 0.017), (0.03, 0.04, 0.05)

    def at(points: list[tuple[float, float, float]]) -> np.ndarray:
        """(across, up, from the rear) -> world."""
        p = np.array(points, np.float32)
        along = p[:, 2] if away else long - p[:, 2]
        return np.stack([x + p[:, 0] * (1 if away else -1), p[:, 1], z + along], 1)

    def put(
        points: list[tuple[float, float, float]],
        albedo: Colour | np.ndarray,
        nearer: float = 1.0,
        light: Colour | None = None,
    ) -> None:
        canvas.face(at(points), label, tuple(map(float, albedo)), light, nearer)

    def panel(
        y0: float,
        y1: float,
        x0: float,
        x1: float,
        end: float,
        albedo: Colour | np.ndarray,
        light: Colour | None = None,
    ) -> None:
        put([(x0, y0, end), (x1, y0, end), (x1, y1, end), (x0, y1, end)], albedo, 0.992, light)

    draw_box_shadow(canvas, x - wide / 2, x + wide / 2, z, z + long, top * 0.9, sun)
    w, end, flip = wide / 2, 0.0 if away else long, 1 if away else -1
    low, detailed = 0.3 if kind != "bus" else 0.35, z < 32
    put([(-w, low, end), (w, low, end), (w, belt, end), (-w, belt, end)], paint)
    put([(-w, belt, 0), (w, belt, 0), (w, belt, long), (-w, belt, long)], paint * 0.95)
    roof = [
        (-w + lean, top, rear_high),
        (w - lean, top, rear_high),
        (w - lean, top, front_high),
        (-w + lean, top, front_high),
    ]
    if canvas.eye[1] > top:
        put(roof, paint)
    for s in (-1, 1):
        if (canvas.eye[0] - x) * s * flip < w:
            continue  # this side is turned away from us
        side, cap = s * w, s * (w - lean)
        put([(side, low, 0), (side, low, long), (side, belt, long), (side, belt, 0)], paint * 0.9)
        put(
            [(side, belt, rear_low), (side, belt, front_low), (cap, top, front_high), (cap, top, rear_high)],
            paint * 0.9,
        )
        cuts = np.linspace(0.04, 0.96, 3 if kind != "bus" else 7) if detailed else np.array([0.04, 0.96])
        for a, b in pairwise(cuts.tolist()):
            a, b, y0, y1 = a + 0.012, b - 0.012, 0.08, 0.86
            if kind == "bus":
                y0, y1 = 0.12, 0.72

            def on_side(
                f: float, g: float, side: float = side, cap: float = cap
            ) -> tuple[float, float, float]:
                lo, hi = rear_low + (front_low - rear_low) * f, rear_high + (front_high - rear_high) * f
                return side + (cap - side) * g, belt + (top - belt) * g, lo + (hi - lo) * g

            put(
                [on_side(a, y0), on_side(b, y0), on_side(b, y1), on_side(a, y1)],
                glass,
                0.994,
                (0.3, 0.28, 0.22) if kind == "bus" else None,
            )
        for centre in (0.19 * long, 0.81 * long):
            if not detailed:
                break
            turn = np.linspace(0, 2 * np.pi, 13)[:-1]
            for r, tyre in ((0.34 if kind != "bus" else 0.5, dark), (0.2, (0.3, 0.3, 0.32))):
                put([(side * 1.005, 0.34 + r * np.sin(a), centre + r * np.cos(a)) for a in turn], tyre, 0.995)
    pane_rear = [
        (-w + 0.12, belt + 0.06, rear_low),
        (w - 0.12, belt + 0.06, rear_low),
        (w - lean - 0.08, top - 0.1, rear_high),
        (-w + lean + 0.08, top - 0.1, rear_high),
    ]
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
        panel(
            belt - 0.3,
            belt - 0.1,
            inner,
            outer,
            end,
            (0.5, 0.02, 0.02) if away else (0.75, 0.75, 0.7),
            red if away else white,
        )
        if moving:
            spot = at([(s * (w - 0.25), belt - 0.2, end)])[0] - (0, 0, 0.15)
            canvas.lights.append(
                Light(
                    spot,
                    (1.0, 0.06, 0.03) if away else (1.0, 0.95, 0.8),
                    0.25 if away else 1.0,
                    0.35 if away else 0.8,
                )
            )
    if away:
        panel(low + 0.18, low + 0.32, -0.26, 0.26, end, (0.7, 0.7, 0.65))
    else:
        panel(low + 0.16, low + 0.34, -w + 0.5, w - 0.5, end, dark)
    if kind == "bus":
        panel(top - 0.45, top - 0.15, -0.8, 0.8, end, dark, (0.9, 0.5, 0.1))
