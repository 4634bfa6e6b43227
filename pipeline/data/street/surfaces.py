"""Surfaces of a drawn street: facades with rows of windows, walls, fences and hedges."""

from __future__ import annotations

import numpy as np

from pipeline.data.street.canvas import Colour, Paint, noise

WARM, COLD = (1.0, 0.62, 0.26), (0.8, 0.9, 1.0)  # light behind windows


def pick(rng: np.random.Generator, colours: tuple[Colour, ...], spread: float = 0.15) -> Colour:
    """One of the colours, a little lighter or darker and a little off its hue."""
    which, light, *hue = rng.random(5).tolist()
    tone = 1 - spread + 2 * spread * light
    r, g, b = colours[int(which * len(colours))]
    r, g, b = (
        min(0.95, max(0.005, c * tone * (0.94 + 0.12 * h))) for c, h in zip((r, g, b), hue, strict=True)
    )
    return r, g, b


def upright(x0: float, z0: float, x1: float, z1: float, height: float, foot: float = 0.0) -> np.ndarray:
    """Corners of an upright rectangle over the ground line (x0, z0)-(x1, z1)."""
    return np.array([[x0, foot, z0], [x1, foot, z1], [x1, height, z1], [x0, height, z0]], np.float32)


def facade(
    rng: np.random.Generator, axis: int, height: float, colours: tuple[Colour, ...], ribbon: bool
) -> Paint:
    """Rows of windows over shops; ribbon: bands of glass. axis: 0 (x) or 2 (z) runs along it."""
    base = np.array(pick(rng, colours), np.float32)
    trim = np.clip(base * rng.uniform(1.25, 1.8), 0, 0.8) if rng.random() < 0.6 else base * 0.55
    storey, ground = rng.uniform(2.9, 3.5), rng.uniform(3.2, 4.2)
    bay = rng.uniform(3.2, 5.0) if ribbon else rng.uniform(1.9, 2.9)
    half_w = rng.uniform(0.42, 0.47) if ribbon else rng.uniform(0.2, 0.3)
    low, high = (
        (rng.uniform(0.3, 0.4), rng.uniform(0.85, 0.92)) if ribbon else (0.27, rng.uniform(0.75, 0.85))
    )
    awning, shops = (
        np.array(pick(rng, ((0.5, 0.05, 0.05), (0.05, 0.12, 0.35), (0.05, 0.25, 0.1), (0.5, 0.35, 0.1)))),
        rng.random() < 0.65,
    )
    lit_share, table, shift = (
        rng.uniform(0.1, 0.35),
        rng.random(256).astype(np.float32),
        rng.integers(0, 256, 2),
    )
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
            tone = (
                1 + 1.2 * grain + 0.5 * (noise(np.floor(u / stone_w + 0.5 * (row % 2)) * 37, row * 53) - 0.5)
            )
            return np.clip(base * (tone * (1 - 0.4 * mortar * fade))[:, None], 0, 1), None, None
        bar = np.abs((u / pitch) % 1 - 0.5)
        rail = (
            (np.abs(v - 0.25) < 0.07)
            | (np.abs(v % 1.3 - 1.05) < 0.07)
            | (np.abs((u / 2.4) % 1 - 0.5) < 0.035)
        )
        tone = (1 + grain) * (0.75 + 0.5 * (bar > 0.25))
        solid = np.where(rail | (bar > 0.24), 1.0, 0.92 if planks else 0.35)
        return np.clip(base * tone[:, None], 0, 1), None, solid.astype(np.float32)

    return paint
