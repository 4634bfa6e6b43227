"""Lays out one street: buildings and barriers on both sides, furniture, vehicles and people."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pipeline.data.street import sprites
from pipeline.data.street.canvas import Canvas, Colour, Light, Sprite
from pipeline.data.street.ground import FAR, Street, draw_ground, plan_street
from pipeline.data.street.light import Skyline
from pipeline.data.street.surfaces import barrier, facade, pick, upright
from pipeline.data.street.towns import Range, Style
from pipeline.data.street.vehicles import Vehicle
from pipeline.edge.classes import ID_OF

BUILDING, WALL, FENCE, GREEN = ID_OF["building"], ID_OF["wall"], ID_OF["fence"], ID_OF["vegetation"]
WHITE = (1.0, 1.0, 1.0)


class Standing(NamedTuple):
    """An upright picture to be put on the ground at (x, z); a tint other than white marks a tree."""

    sprite: Sprite
    x: float
    z: float
    width: float
    height: float
    tint: Colour = WHITE

    def shadow(self, sun: np.ndarray) -> tuple[np.ndarray, float, float]:
        """Shadow on the ground: round for a crown, a strip for everything else."""
        along, ahead = (-sun[[0, 2]] / sun[1] * self.height).tolist()
        x, z, half = self.x, self.z, self.width / 2
        if self.tint != WHITE:
            turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
            across, deep = 0.84 * half * np.cos(turn), 0.84 * half * np.sin(turn)
            return np.stack([x + 0.65 * along + across, 0 * turn, z + 0.65 * ahead + deep], 1), 0.15, 1.0
        half = 0.15 if self.height > 3 else half
        head = [(x + half + along, 0, z + ahead), (x - half + along, 0, z + ahead)]
        return np.array([(x - half, 0, z), (x + half, 0, z), *head]), 0.1, 1.0


def draw_street(canvas: Canvas, rng: np.random.Generator, style: Style, sun: np.ndarray) -> list[Skyline]:
    """Fill an empty canvas with one street, sun (3,) pointing to the sun; returns the shadowing fronts."""
    street = plan_street(rng, style)
    draw_ground(canvas, rng, style, street)
    builder = _Builder(canvas, rng, style, street, sun)
    skylines = [builder.side(0), builder.side(1)]
    builder.end()
    builder.parked_cars()
    builder.traffic()
    builder.crossing_people()
    # Pictures are cut out and partly see-through, so they go last, the far ones first.
    for thing in sorted(builder.standing, key=lambda thing: -thing.z):
        canvas.sprite(thing.sprite, thing.x, thing.z, thing.width, thing.height, thing.tint)
        canvas.shadows.append(thing.shadow(sun))
    canvas.cast_shadows()
    return skylines


@dataclass
class _Builder:
    """Puts things into one street; `side` is 0 on the left and 1 on the right, `sign` -1 and 1."""

    canvas: Canvas
    rng: np.random.Generator
    style: Style
    street: Street
    sun: np.ndarray
    standing: list[Standing] = field(default_factory=list)

    def between(self, span: Range) -> float:
        return float(self.rng.uniform(*span))

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def side(self, side: int) -> Skyline:
        """Everything beside the road on one side."""
        sign = 1 if side else -1
        skyline, opens = self.lots(side, sign)
        self.trees(side, sign, opens)
        self.furniture(sign * (self.street.kerb[side] + 0.4), sign)
        self.walkers(side, sign)
        return skyline

    def front(self, x0: float, z0: float, x1: float, z1: float, tall: float) -> None:
        """One facade over the ground line (x0, z0)-(x1, z1)."""
        paint = facade(self.rng, 2 if x0 == x1 else 0, tall, self.style.facades, self.style.ribbon)
        self.canvas.face(upright(x0, z0, x1, z1, tall), BUILDING, paint)

    def lots(self, side: int, sign: int) -> tuple[Skyline, list[Range]]:
        """Buildings, walls, fences and greens along one side; returns the skyline and the open stretches."""
        edge, z = sign * self.street.lot[side], self.between((-14, -2))
        heights, opens = np.zeros(int(FAR) + 40, np.float32), []
        gap = self.street.crossing or (2 * FAR, 2 * FAR)
        while z < FAR:
            end = z + self.between(self.style.lot_length)
            if z < gap[1] and end > gap[0] - 2.5:
                if gap[0] - z < 5.5:
                    z = gap[1] + 2.5
                    continue
                end = gap[0] - 2.5
            kind = int(self.rng.choice(4, p=self.style.lots))
            tall = self.between((self.style.storeys, (1.6, 2.6), (1.5, 2.2), (0.0, 0.0))[kind])
            if kind == 0:
                near = edge + sign * float(self.rng.choice([0.0, 0.0, 0.6]))
                self.front(near, z, near, end, tall)
                self.front(near, z, near + sign * 14, z, tall)
            else:
                opens.append((z, end))
                self.backdrop(edge, sign, z, end)  # first: a fence lets it show through
            if kind in {1, 2}:
                name, colours, label = (
                    ("wall", self.style.walls, WALL),
                    ("fence", self.style.fences, FENCE),
                )[kind - 1]
                self.canvas.face(
                    upright(edge, z, edge, end, tall), label, barrier(self.rng, name, 2, colours)
                )
            if kind < 2:
                heights[max(0, int(z)) : max(0, int(end))] = tall
            z = end
        return Skyline(edge, heights), opens

    def backdrop(self, edge: float, sign: int, z0: float, z1: float) -> None:
        """A hedge, or a house set back, behind an open lot."""
        deep = edge + sign * self.between((6, 10))
        if self.chance(0.55):
            hedge = barrier(self.rng, "hedge", 2, self.style.leaves)
            self.canvas.face(upright(deep, z0, deep, z1, self.between((2.5, 5.0))), GREEN, hedge)
        else:
            tall = self.between((5, 9))
            self.front(deep, z0, deep, z1, tall)
            self.front(deep, z0, deep + sign * 8, z0, tall)

    def end(self) -> None:
        """Houses and trees that close the view, so that the horizon is never bare."""
        x = -90.0
        while x < 90:
            wide = self.between((10, 22))
            if self.chance(0.5):
                self.front(x, FAR + 6, x + wide, FAR + 6, self.between(self.style.storeys))
            hedge = barrier(self.rng, "hedge", 0, self.style.leaves)
            self.canvas.face(upright(x, FAR + 10, x + wide, FAR + 10, self.between((4, 8))), GREEN, hedge)
            x += wide

    def tree(self, x: float, z: float, scale: float = 1.0) -> None:
        tall, shape = self.between(self.style.tree_height) * scale, sprites.trees(self.style.tree)
        leaves = pick(self.rng, self.style.leaves, 0.25)
        self.standing.append(Standing(shape[self.rng.integers(len(shape))], x, z, tall * 0.8, tall, leaves))

    def trees(self, side: int, sign: int, opens: list[Range]) -> None:
        """Street trees in a row and loose groups in the open lots."""
        if self.chance(0.65):
            row, z = self.street.kerb[side] + (self.street.verge[side] / 2 or 0.55), self.between((7, 16))
            while z < 60:
                self.tree(sign * row, z)
                z += self.between(self.style.tree_gap)
        for start, stop in opens:
            for _ in range(int(self.rng.integers(1, 4))):
                z = self.between((max(start, 3), max(stop, 4)))
                self.tree(sign * (self.street.lot[side] + self.between((2, 5))), z, 1.1)

    def furniture(self, x: float, sign: int) -> None:
        """Lamps, signs and traffic lights near the kerb."""
        z, gap = self.between((6, 6 + self.style.lamp_gap)), self.street.crossing
        while z < 60:
            self.standing.append(Standing(sprites.lamp_post(-sign * 1.7), x, z, 4.0, 6.2))
            if z < 50:
                self.canvas.lights.append(
                    Light(np.array([x - sign * 1.5, 5.9, z]), (1.0, 0.95, 0.85), 14.0, 0.9)
                )
            z += self.style.lamp_gap * self.between((0.9, 1.1))
        for z in self.rng.uniform(6, 26, self.rng.integers(1, 3)).tolist():
            self.standing.append(Standing(sprites.sign_post(self.rng), x + sign * 0.1, z, 1.1, 3.2))
        stops = [gap[0] - 4, gap[1] + 4] if gap else [self.between((9, 18))] if self.chance(0.35) else []
        for z in stops:
            self.standing.append(Standing(sprites.traffic_light(self.rng), x, z, 0.7, 3.7))

    def walker(self, x: float, z: float) -> None:
        shape = sprites.person(self.rng, self.style.coats, self.style.trousers)
        self.standing.append(Standing(shape, x, z, 0.9, self.between((1.55, 1.9))))

    def walkers(self, side: int, sign: int) -> None:
        """People, alone or in pairs, and parked bicycles on one sidewalk."""
        inner, outer = self.street.kerb[side] + self.street.verge[side], self.street.lot[side]
        for _ in range(self.rng.poisson(self.style.crowd * 3.5)):
            z, x = 4.5 + 22 * self.rng.random() ** 1.3, sign * self.between((inner + 0.5, outer - 0.4))
            for k in range(1 + self.chance(0.35)):
                self.walker(x + 0.65 * k, z + 0.1 * k)
        for _ in range(self.rng.integers(0, 3)):
            x = sign * (outer - 0.9 if self.chance(0.6) else inner + 0.7)
            shape = sprites.parked_bicycle(self.rng, self.style.cars)
            self.standing.append(
                Standing(shape, x, self.between((4.5, 18)), 1.9 * self.between((0.65, 1)), 1.15)
            )

    def parked_cars(self) -> None:
        """A row of cars in each parking lane, none on the crossing."""
        gap = self.street.crossing or (2 * FAR, 2 * FAR)
        for side, sign in ((0, -1), (1, 1)):
            z = self.between((3, 8))
            while self.street.parking[side] and z < 60:
                if self.chance(self.style.traffic + 0.15) and (z + 8 < gap[0] or z > gap[1] + 3):
                    kind, colour = "van" if self.chance(0.2) else "car", pick(self.rng, self.style.cars)
                    x = sign * (self.street.kerb[side] - 1.05)
                    with self.canvas.one_thing():
                        Vehicle(kind, x, z, bool(side), colour, False).draw(self.canvas, self.sun)
                z += self.between((5.5, 7.5))

    def traffic(self) -> None:
        """Cars, vans and buses in every lane, and cyclists along the kerbs."""
        street = self.street
        for lane in range(street.lanes + 1):
            away = lane <= street.lanes // 2 if street.lanes > 1 else lane == 0
            x, z = -lane * street.lane + self.between((-0.2, 0.2)), self.between((7, 22))
            while z < 65:
                if self.chance(self.style.traffic):
                    kind = str(self.rng.choice(["car", "van", "bus"], p=[0.62, 0.17, 0.21]))
                    colour = pick(self.rng, self.style.buses if kind == "bus" else self.style.cars)
                    car = Vehicle(kind, x, z, away, colour, True)
                    with self.canvas.one_thing():
                        car.draw(self.canvas, self.sun)
                    z += car.body.long
                z += self.between((6, 16))
        for _ in range(self.rng.integers(1, 3)):
            side, sign = (1, 1) if self.chance(0.7) else (0, -1)
            x = sign * (street.kerb[side] - 0.9 - 2.1 * street.parking[side])
            shape = sprites.cyclist(self.rng, self.style.coats, self.style.cars)
            self.standing.append(
                Standing(shape, x, self.between((5, 14)), 1.9 * self.between((0.6, 1)), 1.85)
            )

    def crossing_people(self) -> None:
        """Now and then people on the road, at the zebra where there is one."""
        if self.chance(0.4):
            gap = self.street.crossing
            z = gap[0] - 2 if gap else self.between((9, 20))
            for _ in range(self.rng.integers(1, 4)):
                self.walker(self.between((-self.street.kerb[0], self.street.kerb[1])), z)
