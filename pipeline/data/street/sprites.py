"""Upright pictures of a drawn street: people, cyclists, bicycles, trees, signs, traffic lights and lamps."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from pipeline.data.street.canvas import Colour, Pen, Sprite, noise_tile
from pipeline.data.street.surfaces import pick
from pipeline.edge.classes import ID_OF, IGNORE

POLE, LIGHT, SIGN = ID_OF["pole"], ID_OF["traffic light"], ID_OF["traffic sign"]
GREEN, PERSON, RIDER, BICYCLE = ID_OF["vegetation"], ID_OF["person"], ID_OF["rider"], ID_OF["bicycle"]
SKIN = ((0.55, 0.33, 0.22), (0.4, 0.22, 0.13), (0.2, 0.1, 0.06), (0.62, 0.42, 0.32))
HAIR = ((0.03, 0.02, 0.015), (0.12, 0.07, 0.03), (0.3, 0.22, 0.1), (0.2, 0.2, 0.2))
GREY = (0.14, 0.14, 0.15)


def person(rng: np.random.Generator, coats: tuple[Colour, ...], trousers: tuple[Colour, ...]) -> Sprite:
    """A walker, 0.9 m x 1.8 m."""
    pen = Pen(0.9, 1.8, 64)
    coat, legs = pick(rng, coats), pick(rng, trousers)
    step, skirt = rng.uniform(0.06, 0.26), rng.random() < 0.25
    for s, dim in ((-1, 1.0), (1, 0.75)):
        leg = (legs[0] * dim, legs[1] * dim, legs[2] * dim)
        foot = s * step
        pen.area(
            [(s * 0.02 - 0.1, 0.95), (s * 0.02 + 0.1, 0.95), (foot + 0.08, 0.06), (foot - 0.08, 0.06)],
            leg,
            PERSON,
        )
        pen.box(foot - 0.09, 0.0, foot + 0.13, 0.08, (0.02, 0.02, 0.02), PERSON)
    if skirt:
        pen.area([(-0.17, 1.0), (0.17, 1.0), (0.26, 0.5), (-0.26, 0.5)], coat, PERSON)
    pen.area([(-0.24, 1.46), (0.24, 1.46), (0.2, 0.85), (-0.2, 0.85)], coat, PERSON)
    dark = (coat[0] * 0.7, coat[1] * 0.7, coat[2] * 0.7)
    for s in (-1, 1):
        swing = s * rng.uniform(0.0, 0.12)
        pen.area(
            [(s * 0.2, 1.46), (s * 0.3, 1.4), (s * 0.33 + swing, 0.85), (s * 0.24 + swing, 0.85)],
            dark,
            PERSON,
        )
        pen.disc(s * 0.29 + swing, 0.83, 0.05, 0.06, SKIN[0], PERSON)
    skin, hair = pick(rng, SKIN), pick(rng, HAIR)
    pen.box(-0.06, 1.42, 0.06, 1.55, skin, PERSON)
    pen.disc(0, 1.66, 0.12, 0.14, hair, PERSON)
    if rng.random() < 0.6:
        pen.disc(0.01, 1.62, 0.1, 0.11, skin, PERSON)
    if rng.random() < 0.3:
        bag = pick(rng, coats)
        pen.box(0.22, 0.75, 0.42, 1.1, bag, PERSON)
    return pen.sprite()


def bicycle(pen: Pen, colour: Colour) -> None:
    """A bicycle from the side, wheels 1.1 m apart, into a pen of at least 1.9 m x 1.2 m."""
    for x in (-0.55, 0.55):
        pen.disc(x, 0.36, 0.36, 0.36, (0.03, 0.03, 0.03), BICYCLE)
        pen.disc(x, 0.36, 0.27, 0.27, (0.2, 0.2, 0.21), BICYCLE, opacity=0.35)
        pen.disc(x, 0.36, 0.06, 0.06, (0.3, 0.3, 0.3), BICYCLE)
    for line in (
        [(-0.55, 0.36), (-0.2, 0.85), (-0.05, 0.36), (-0.55, 0.36)],
        [(-0.2, 0.82), (0.4, 0.85), (-0.05, 0.36)],
        [(0.55, 0.36), (0.38, 1.0)],
    ):
        pen.line(line, colour, BICYCLE, 0.09)
    pen.line([(-0.22, 0.8), (-0.26, 0.95)], GREY, BICYCLE, 0.06)
    pen.line([(-0.38, 0.97), (-0.12, 0.97)], (0.02, 0.02, 0.02), BICYCLE, 0.09)
    pen.line([(0.28, 1.05), (0.48, 1.02)], (0.02, 0.02, 0.02), BICYCLE, 0.07)


def parked_bicycle(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Sprite:
    """A bicycle without a rider, 1.9 m x 1.15 m."""
    pen = Pen(1.9, 1.15, 64)
    bicycle(pen, pick(rng, colours))
    return pen.sprite()


def cyclist(rng: np.random.Generator, coats: tuple[Colour, ...], colours: tuple[Colour, ...]) -> Sprite:
    """A bicycle with its rider, 1.9 m x 1.85 m."""
    pen = Pen(1.9, 1.85, 64)
    bicycle(pen, pick(rng, colours))
    coat, legs, skin = (
        pick(rng, coats),
        pick(rng, ((0.03, 0.04, 0.07), (0.05, 0.05, 0.05), (0.12, 0.1, 0.08))),
        pick(rng, SKIN),
    )
    pen.area(
        [(-0.38, 1.05), (-0.12, 1.02), (0.14, 0.62), (0.02, 0.2), (-0.1, 0.22), (-0.02, 0.6)], legs, RIDER
    )
    pen.area([(-0.4, 1.0), (-0.08, 0.98), (0.2, 1.45), (0.02, 1.56), (-0.2, 1.45)], coat, RIDER)
    pen.line(
        [(0.1, 1.42), (0.25, 1.15), (0.4, 1.08)], (coat[0] * 0.7, coat[1] * 0.7, coat[2] * 0.7), RIDER, 0.11
    )
    pen.disc(0.17, 1.66, 0.12, 0.14, skin, RIDER)
    helmet = pick(rng, ((0.6, 0.6, 0.6), (0.5, 0.05, 0.04), (0.05, 0.05, 0.06), (0.06, 0.15, 0.5)))
    pen.area([(0.03, 1.68), (0.3, 1.68), (0.28, 1.77), (0.2, 1.82), (0.08, 1.8)], helmet, RIDER)
    return pen.sprite()


def sign_post(rng: np.random.Generator) -> Sprite:
    """A sign on its post, 1.1 m x 3.2 m."""
    pen = Pen(1.1, 3.2, 48)
    pen.box(-0.07, 0, 0.07, 3.0, (0.25, 0.25, 0.26), POLE)
    white, red, blue = (0.8, 0.8, 0.8), (0.62, 0.02, 0.02), (0.02, 0.09, 0.45)
    kind = rng.integers(5)
    if kind == 0:
        pen.disc(0, 2.65, 0.5, 0.5, red, SIGN)
        pen.disc(0, 2.65, 0.36, 0.36, white, SIGN)
        pen.box(-0.16, 2.5, -0.04, 2.8, (0.02, 0.02, 0.02), SIGN)
        pen.box(0.04, 2.5, 0.16, 2.8, (0.02, 0.02, 0.02), SIGN)
    elif kind == 1:
        pen.area([(-0.54, 2.2), (0.54, 2.2), (0, 3.15)], red, SIGN)
        pen.area([(-0.34, 2.32), (0.34, 2.32), (0, 2.92)], white, SIGN)
    elif kind == 2:
        pen.disc(0, 2.65, 0.5, 0.5, blue, SIGN)
        pen.area(
            [(-0.1, 2.3), (0.1, 2.3), (0.1, 2.7), (0.25, 2.7), (0, 3.02), (-0.25, 2.7), (-0.1, 2.7)],
            white,
            SIGN,
        )
    elif kind == 3:
        pen.box(-0.48, 2.15, 0.48, 3.15, blue, SIGN)
        pen.box(-0.3, 2.35, 0.3, 2.95, white, SIGN)
    else:
        pen.area([(-0.54, 2.65), (0, 2.1), (0.54, 2.65), (0, 3.19)], white, SIGN)
        pen.area([(-0.4, 2.65), (0, 2.25), (0.4, 2.65), (0, 3.05)], (0.75, 0.5, 0.03), SIGN)
    return pen.sprite()


def traffic_light(rng: np.random.Generator) -> Sprite:
    """A traffic light on its pole, 0.7 m x 3.7 m."""
    pen = Pen(0.7, 3.7, 48)
    pen.box(-0.1, 0, 0.1, 2.5, (0.16, 0.17, 0.17), POLE)
    pen.box(-0.33, 2.3, 0.33, 3.68, (0.02, 0.022, 0.02), LIGHT)
    on = rng.choice([0, 0, 1, 2, 2])
    lamps = (((0.9, 0.05, 0.03), 3.44), ((0.9, 0.5, 0.03), 3.0), ((0.05, 0.8, 0.3), 2.56))
    for i, ((r, g, b), y) in enumerate(lamps):
        lit = i == on
        dim = 1.0 if lit else 0.08
        pen.disc(0, y, 0.19, 0.19, (r * dim, g * dim, b * dim), LIGHT, (r, g, b) if lit else (0, 0, 0))
    return pen.sprite()


@lru_cache(maxsize=2)
def lamp_post(reach: float) -> Sprite:
    """A street lamp 6.2 m high whose arm reaches sideways by `reach` metres (signed), 4 m wide."""
    pen = Pen(4.0, 6.2, 32)
    pen.area([(-0.14, 0), (0.14, 0), (0.09, 6.0), (-0.09, 6.0)], (0.13, 0.14, 0.14), POLE)
    pen.line([(0, 5.9), (reach, 6.1)], (0.13, 0.14, 0.14), POLE, 0.12)
    low, high = (reach - 0.6, reach) if reach > 0 else (reach, reach + 0.6)
    pen.box(low, 5.96, high, 6.12, (0.5, 0.5, 0.45), POLE)
    return pen.sprite()


@lru_cache(maxsize=2)
def trees(kind: str) -> tuple[Sprite, ...]:
    """Sixteen trees, 4 : 5 in width to height, to be tinted with a leaf colour; kind is round or cone.

    Trunk and crown are both vegetation, as in Cityscapes.
    """
    tile, shapes = noise_tile(), []
    rng = np.random.default_rng(7 if kind == "round" else 8)
    y, x = np.mgrid[0:160, 0:128].astype(np.float32)
    x, y = (x - 63.5) / 64, (159.5 - y) / 160  # x in -1..1, y 0 (foot) .. 1
    for _ in range(8):
        crown = np.zeros_like(x)
        if kind == "round":
            for _ in range(9):
                a, r = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.5)
                cx, cy, size = r * np.cos(a) * 1.0, 0.66 + 0.34 * r * np.sin(a), rng.uniform(0.3, 0.45)
                crown = np.maximum(crown, 1.3 - np.hypot((x - cx) / size, (y - cy) / size * 1.75))
            trunk = (np.abs(x - 0.03 * np.sin(6 * y)) < 0.075) & (y < 0.6)
        else:
            layers = rng.integers(4, 7)
            part = ((y - 0.1) * layers / 0.9) % 1
            reach = (1.05 - y) * 0.62 * (1.12 - 0.4 * part)
            crown = np.where((y > 0.1), 0.5 + 3 * (reach - np.abs(x)), 0)
            trunk = (np.abs(x) < 0.06) & (y < 0.2)
        r0, c0 = rng.integers(0, 96, 2)
        leaves = tile[r0 : r0 + 160, c0 : c0 + 128]
        fine = np.kron(rng.random((80, 64)), np.ones((2, 2)))
        solid = crown + 0.9 * (leaves - 0.5) + 0.25 * (fine - 0.5) > 0.5
        tone = np.clip(0.35 + 0.75 * leaves + 0.5 * (fine - 0.5) + 0.5 * (y - 0.55) - 0.18 * x, 0.12, 2.0)
        # Bark is given relative to a green leaf, since the tint falls on both.
        albedo = (tone[..., None] * np.where(solid[..., None], (1.0, 1.0, 1.0), (0.9, 0.4, 1.0))).astype(
            np.float32
        )
        label = np.where(solid | trunk, GREEN, IGNORE).astype(np.uint8)
        for turn in (slice(None), slice(None, None, -1)):
            shapes.append(
                Sprite(
                    albedo[:, turn], np.zeros_like(albedo), np.ones(label.shape, np.float32), label[:, turn]
                )
            )
    return tuple(shapes)
