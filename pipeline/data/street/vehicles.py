"""Cars, vans and buses as bodies of flat faces."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pipeline.data.street.canvas import Canvas, Colour, Light
from pipeline.edge.classes import ID_OF

Point = tuple[float, float, float]  # metres: across, up, from the rear
DARK, GLASS, INSIDE = (0.015, 0.015, 0.017), (0.03, 0.04, 0.05), (0.3, 0.28, 0.22)
DETAIL = 32.0  # metres; farther away wheels and window posts are less than a pixel


@dataclass(frozen=True)
class Body:
    """Size in metres, and where along it the glass starts: at the belt and at the roof, from the rear."""

    long: float
    wide: float
    sill: float
    belt: float
    top: float
    rear: tuple[float, float]
    front: tuple[float, float]
    lean: float
    wheel: float
    panes: int


BODIES = {
    "car": Body(4.3, 1.8, 0.3, 0.9, 1.5, (0.35, 0.8), (3.2, 2.4), 0.18, 0.34, 2),
    "van": Body(4.8, 1.95, 0.3, 1.1, 2.05, (0.05, 0.25), (4.1, 3.1), 0.18, 0.36, 2),
    "bus": Body(11.0, 2.55, 0.35, 1.25, 3.1, (0.0, 0.02), (11.0, 10.9), 0.0, 0.5, 6),
}


def _tint(colour: Colour, share: float) -> Colour:
    return colour[0] * share, colour[1] * share, colour[2] * share


@dataclass(frozen=True)
class Vehicle:
    """A car, van or bus standing on the ground, its nearer end at z; away: we look at its rear."""

    kind: str
    x: float
    z: float
    away: bool
    colour: Colour
    moving: bool

    @property
    def body(self) -> Body:
        return BODIES[self.kind]

    def _place(self, points: list[Point]) -> np.ndarray:
        flip = 1 if self.away else -1
        return np.array(
            [
                (self.x + a * flip, up, self.z + (b if self.away else self.body.long - b))
                for a, up, b in points
            ],
            np.float32,
        )

    def _put(
        self,
        canvas: Canvas,
        points: list[Point],
        albedo: Colour,
        nearer: float = 1.0,
        light: Colour | None = None,
    ) -> None:
        label = ID_OF["bus" if self.kind == "bus" else "car"]
        canvas.face(self._place(points), label, albedo, light, nearer)

    def draw(self, canvas: Canvas, sun: np.ndarray) -> None:
        """Draw body, glass, wheels and lamps, and leave the shadows (sun (3,) points to the sun)."""
        b, w = self.body, self.body.wide / 2
        self._shade(canvas, sun)
        self._put(
            canvas, [(-w, b.belt, 0), (w, b.belt, 0), (w, b.belt, b.long), (-w, b.belt, b.long)], self.colour
        )
        if canvas.eye[1] > b.top:
            c, rear, front = w - b.lean, b.rear[1], b.front[1]
            self._put(
                canvas,
                [(-c, b.top, rear), (c, b.top, rear), (c, b.top, front), (-c, b.top, front)],
                self.colour,
            )
        for side in (-1, 1):
            towards_us = (canvas.eye[0] - self.x) * side * (1 if self.away else -1)
            if towards_us > w:
                self._flank(canvas, side)
        self._end(canvas)

    def _shade(self, canvas: Canvas, sun: np.ndarray) -> None:
        """Shadow thrown on the ground, and the darkness right under the body."""
        b, w = self.body, self.body.wide / 2
        x0, x1, z0, z1 = self.x - w, self.x + w, self.z, self.z + b.long
        canvas.shadows.append((np.array([(x0, 0, z0), (x1, 0, z0), (x1, 0, z1), (x0, 0, z1)]), 0.0, 0.25))
        dx, dz = (-sun[[0, 2]] / sun[1] * b.top * 0.9).tolist()
        far_x, near_x = (x0, x1) if dx < 0 else (x1, x0)
        far_z, near_z = (z0, z1) if dz < 0 else (z1, z0)
        outline = [(near_x, 0, far_z), (near_x, 0, near_z), (far_x, 0, near_z), (far_x + dx, 0, near_z + dz)]
        outline += [(far_x + dx, 0, far_z + dz), (near_x + dx, 0, far_z + dz)]
        canvas.shadows.append((np.array(outline), 0.0, 1.0))

    def _flank(self, canvas: Canvas, side: int) -> None:
        """One long side: doors, panes and wheels."""
        b, skin, detailed = self.body, _tint(self.colour, 0.9), self.z < DETAIL
        foot, cap = side * b.wide / 2, side * (b.wide / 2 - b.lean)

        def on_glass(along: float, up: float) -> Point:
            low = b.rear[0] + (b.front[0] - b.rear[0]) * along
            high = b.rear[1] + (b.front[1] - b.rear[1]) * along
            return foot + (cap - foot) * up, b.belt + (b.top - b.belt) * up, low + (high - low) * up

        self._put(
            canvas,
            [(foot, b.sill, 0), (foot, b.sill, b.long), (foot, b.belt, b.long), (foot, b.belt, 0)],
            skin,
        )
        self._put(canvas, [on_glass(0, 0), on_glass(1, 0), on_glass(1, 1), on_glass(0, 1)], skin)
        bus = self.kind == "bus"
        low, high = (0.12, 0.72) if bus else (0.08, 0.86)
        for start, stop in pairwise(np.linspace(0.04, 0.96, (b.panes if detailed else 1) + 1).tolist()):
            left, right = start + 0.012, stop - 0.012
            pane = [on_glass(left, low), on_glass(right, low), on_glass(right, high), on_glass(left, high)]
            self._put(canvas, pane, GLASS, 0.994, INSIDE if bus else None)
        if not detailed:
            return
        turn = np.linspace(0, 2 * np.pi, 13)[:-1]
        for centre in (0.19 * b.long, 0.81 * b.long):
            for radius, tyre in ((b.wheel, DARK), (b.wheel * 0.6, (0.3, 0.3, 0.32))):
                rim = [(foot, b.wheel + radius * np.sin(a), centre + radius * np.cos(a)) for a in turn]
                self._put(canvas, rim, tyre, 0.995)

    def _end(self, canvas: Canvas) -> None:
        """The end that faces us: panel, glass, wheels, bumper, plate or grille, lamps."""
        b, w = self.body, self.body.wide / 2
        end = 0.0 if self.away else b.long
        low, high = b.rear if self.away else b.front

        def panel(
            y0: float, y1: float, x0: float, x1: float, albedo: Colour, light: Colour | None = None
        ) -> None:
            self._put(
                canvas, [(x0, y0, end), (x1, y0, end), (x1, y1, end), (x0, y1, end)], albedo, 0.992, light
            )

        c = w - b.lean
        self._put(
            canvas, [(-w, b.sill, end), (w, b.sill, end), (w, b.belt, end), (-w, b.belt, end)], self.colour
        )
        self._put(
            canvas, [(-w, b.belt, low), (w, b.belt, low), (c, b.top, high), (-c, b.top, high)], self.colour
        )
        y0, y1, i, j = b.belt + 0.06, b.top - 0.1, w - 0.12, c - 0.08
        bus = self.kind == "bus"
        pane = [(-i, y0, low), (i, y0, low), (j, y1, high), (-j, y1, high)]
        self._put(canvas, pane, _tint(GLASS, 1.6), 0.994, _tint(INSIDE, 0.5) if bus else None)
        panel(b.sill - 0.12, b.sill + 0.12, -w, w, DARK)
        lens, shine = (
            ((0.5, 0.02, 0.02), (3.0, 0.15, 0.09)) if self.away else ((0.75, 0.75, 0.7), (6.6, 6.3, 5.4))
        )
        for s in (-1, 1):
            panel(0.02, b.sill, s * (w - 0.3), s * (w - 0.05), DARK)
            panel(
                b.belt - 0.3,
                b.belt - 0.1,
                s * (w - 0.42),
                s * (w - 0.06),
                lens,
                shine if self.moving else None,
            )
            if self.moving:
                place = self._place([(s * (w - 0.25), b.belt - 0.2, end)])[0] - np.array(
                    (0, 0, 0.15), np.float32
                )
                lamp = ((1.0, 0.06, 0.03), 0.25, 0.35) if self.away else ((1.0, 0.95, 0.8), 1.0, 0.8)
                canvas.lights.append(Light(place, *lamp))
        if self.away:
            panel(b.sill + 0.18, b.sill + 0.32, -0.26, 0.26, (0.7, 0.7, 0.65))
        else:
            panel(b.sill + 0.16, b.sill + 0.34, 0.5 - w, w - 0.5, DARK)
        if bus:
            panel(b.top - 0.45, b.top - 0.15, -0.8, 0.8, DARK, (0.9, 0.5, 0.1))
