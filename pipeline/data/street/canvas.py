"""Canvas of the drawn scenes: a pinhole camera, a depth buffer, flat faces and upright pictures.

World axes in metres: x right, y up, z ahead; the ground is y = 0. Colours are linear light in 0..1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from pipeline.edge.classes import ID_OF, IGNORE

NEAR = 0.4  # metres; faces are clipped here
Colour = tuple[float, float, float]
# points (n, 3), depth (n,) -> albedo (n, 3), emission (n, 3) or None, opacity (n,) or None
Paint = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray | None, np.ndarray | None]]


@lru_cache(maxsize=1)
def noise_tile() -> np.ndarray:
    """Fractal noise, float32 (256, 256) in 0..1, repeating at its edges."""
    rng = np.random.default_rng(20221)
    total = np.zeros((256, 256), np.float32)
    for octave in range(2, 9):
        n = 2**octave
        grid = rng.random((n, n)).astype(np.float32)
        grid = np.pad(grid, 2, mode="wrap")
        big = Image.fromarray(grid).resize(((n + 4) * 256 // n, (n + 4) * 256 // n), Image.Resampling.BICUBIC)
        edge = 2 * 256 // n
        total += np.asarray(big)[edge : edge + 256, edge : edge + 256] / octave
    total -= total.min()
    return total / total.max()


def noise(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Noise of 0..1 at positions u, v counted in tile pixels."""
    return noise_tile()[v.astype(np.int32) & 255, u.astype(np.int32) & 255]


@dataclass
class Light:
    """A lamp that shines at night: place (3,), linear colour, power (no unit), glow radius in metres."""

    place: np.ndarray
    colour: Colour
    power: float
    glow: float


@dataclass
class Canvas:
    """Pinhole picture of size (height, width) with one record per pixel; lit later by scene_conditions.

    depth is metres along the optical axis, infinite where there is sky. visible is 1 where the sun can
    reach (0 in cast shadows), open is the share of the sky light that arrives.
    """

    height: int
    width: int
    focal: float
    horizon: float
    eye: np.ndarray
    yaw: float
    pitch: float
    lights: list[Light] = field(default_factory=list)
    # ground polygons (k, 3) with the shares of sun and of sky light that still arrive
    shadows: list[tuple[np.ndarray, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        h, w = self.height, self.width
        s, c, sp, cp = np.sin(self.yaw), np.cos(self.yaw), np.sin(self.pitch), np.cos(self.pitch)
        self.axes = np.array([[c, 0, -s], [s * sp, cp, c * sp], [s * cp, -sp, c * cp]], np.float32)
        # The pitch moves the horizon too, so the principal row is where the tilted axis lands.
        self.centre = (w / 2, self.horizon - self.focal * np.tan(self.pitch))
        self.ray_x = ((np.arange(w) + 0.5 - self.centre[0]) / self.focal).astype(np.float32)
        self.ray_y = ((self.centre[1] - np.arange(h) - 0.5) / self.focal).astype(np.float32)
        right, up, ahead = self.axes
        self.rays = self.ray_x[None, :, None] * right + self.ray_y[:, None, None] * up + ahead
        self.rays_across, self.rays_up, self.rays_ahead = np.ascontiguousarray(np.moveaxis(self.rays, 2, 0))
        self.depth = np.full((h, w), np.inf, np.float32)
        self.label = np.full((h, w), ID_OF["sky"], np.uint8)
        self.albedo = np.zeros((h, w, 3), np.float32)
        self.emission = np.zeros((h, w, 3), np.float32)
        self.normal = np.zeros((h, w, 3), np.float32)
        self.visible = np.ones((h, w), np.float32)
        self.open = np.ones((h, w), np.float32)
        self.on_ground = np.zeros((h, w), bool)
        self.thing = np.zeros((h, w), np.int32)  # number of the object that a pixel shows; 0: none
        self.things = 0
        self._drawn = 0

    @contextmanager
    def one_thing(self) -> Iterator[None]:
        """What is drawn within is one object and has a number of its own in `thing`."""
        self.things += 1
        self._drawn = self.things
        try:
            yield
        finally:
            self._drawn = 0

    def project(self, points: np.ndarray) -> tuple[list[float], list[float]]:
        """Polygon (n, 3) in the world -> columns and rows of its corners, after clipping at NEAR."""
        cam = ((np.asarray(points, np.float32) - self.eye) @ self.axes.T).tolist()
        if min(c[2] for c in cam) < NEAR:
            kept = []
            for a, b in zip(cam, cam[1:] + cam[:1], strict=True):
                if a[2] >= NEAR:
                    kept.append(a)
                if (a[2] >= NEAR) != (b[2] >= NEAR):
                    share = (NEAR - a[2]) / (b[2] - a[2])
                    kept.append([p + (q - p) * share for p, q in zip(a, b, strict=True)])
            cam = kept
        (cx, cy), f = self.centre, self.focal
        return [cx + f * c[0] / c[2] for c in cam], [cy - f * c[1] / c[2] for c in cam]

    def _window(self, corners: np.ndarray) -> tuple[slice, slice, np.ndarray] | None:
        """Rows, columns and mask of the pixels inside a projected polygon; None if it is out of view."""
        px, py = self.project(corners)
        if len(px) < 3:
            return None
        x0, x1 = max(0, int(min(px))), min(self.width, int(max(px)) + 2)
        y0, y1 = max(0, int(min(py))), min(self.height, int(max(py)) + 2)
        if x0 >= x1 or y0 >= y1:
            return None
        stencil = Image.new("L", (x1 - x0, y1 - y0))
        outline = [(x - x0 - 0.5, y - y0 - 0.5) for x, y in zip(px, py, strict=True)]
        ImageDraw.Draw(stencil).polygon(outline, fill=1)
        mask = np.frombuffer(stencil.tobytes(), np.bool_).reshape(y1 - y0, x1 - x0)
        return slice(y0, y1), slice(x0, x1), mask

    def face(
        self,
        corners: np.ndarray,
        label: int,
        paint: Paint | Colour,
        emission: Colour | None = None,
        nearer: float = 1.0,
    ) -> None:
        """Draw a flat polygon (k, 3) where it is in front; nearer < 1 lets details win over their surface."""
        corners = np.asarray(corners, np.float32)
        found = self._window(corners)
        if found is None:
            return
        rows, cols, mask = found
        (ax, ay, az), (bx, by, bz) = (corners[1] - corners[0]).tolist(), (corners[2] - corners[0]).tolist()
        normal = np.array([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], np.float32)
        offset = normal @ (corners[0] - self.eye)
        if offset > 0:  # the normal looks at the eye
            normal, offset = -normal, -offset
        # In camera axes the plane's slope is a sum of one term a column and one a row.
        right, up, ahead = (self.axes @ normal).tolist()
        slope = self.ray_x[cols] * right + (self.ray_y[rows] * up + ahead)[:, None]
        t = offset / np.where(slope < 0, slope, -1e-9)
        row, column = np.nonzero(mask & (t * nearer < self.depth[rows, cols]))
        if not len(row):
            return
        t = t[row, column]
        where = (row + rows.start) * self.width + (column + cols.start)
        light: np.ndarray | Colour | None = emission
        if callable(paint):
            points = self.eye + t[:, None] * self.rays.reshape(-1, 3)[where]
            albedo, light, opacity = paint(points, t)
            if opacity is not None:
                behind = self.albedo.reshape(-1, 3)[where]
                albedo = behind + (albedo - behind) * opacity[:, None]
        else:
            albedo = paint
        self._write(
            where, t, normal / np.sqrt(normal @ normal), label, albedo, 0.0 if light is None else light
        )

    def _write(
        self,
        where: np.ndarray,
        t: np.ndarray,
        normal: np.ndarray | Colour,
        label: np.ndarray | int,
        albedo: np.ndarray | Colour,
        emission: np.ndarray | Colour | float,
    ) -> None:
        """Replace the record of the pixels `where` (flat indices, (n,))."""
        self.depth.reshape(-1)[where] = t
        self.label.reshape(-1)[where] = label
        self.on_ground.reshape(-1)[where] = False
        self.thing.reshape(-1)[where] = self._drawn
        self.normal.reshape(-1, 3)[where] = normal
        self.albedo.reshape(-1, 3)[where] = albedo
        self.emission.reshape(-1, 3)[where] = emission

    def sprite(
        self, sprite: Sprite, x: float, z: float, width: float, height: float, tint: Colour = (1, 1, 1)
    ) -> None:
        """Stand a flat picture upright at (x, z), facing along the street; draw far ones first."""
        left, right, top = x - width / 2, x + width / 2, height
        found = self._window(np.array([[left, 0, z], [right, 0, z], [right, top, z], [left, top, z]]))
        if found is None:
            return
        rows, cols, mask = found
        h, w = sprite.label.shape
        t = (z - float(self.eye[2])) / self.rays_ahead[rows, cols]
        column = (t * self.rays_across[rows, cols] + (float(self.eye[0]) - left)) * (w / width)
        row = (t * self.rays_up[rows, cols] + (float(self.eye[1]) - top)) * (-h / height)
        column = np.clip(column, 0, w - 1).astype(np.int32)
        row = np.clip(row, 0, h - 1).astype(np.int32)
        i, j = np.nonzero(mask & (t < self.depth[rows, cols]) & (sprite.label[row, column] != IGNORE))
        if not len(i):
            return
        where = (i + rows.start) * self.width + (j + cols.start)
        row, column = row[i, j], column[i, j]
        behind = self.albedo.reshape(-1, 3)[where]
        front = np.minimum(sprite.albedo[row, column] * np.array(tint, np.float32), 1)
        albedo = behind + (front - behind) * sprite.opacity[row, column][:, None]
        label, emission = sprite.label[row, column], sprite.emission[row, column]
        # Rounded things: they take light from the camera's side and some from above.
        with self.one_thing():
            self._write(where, t[i, j], (0, 0.35, -0.94), label, albedo, emission)

    def cast_shadows(self) -> None:
        """Darken what is left of the ground under the collected shadows, once everything stands."""
        for corners, visible, open_ in self.shadows:
            found = self._window(corners)
            if found is not None:
                rows, cols, mask = found
                mask = mask & self.on_ground[rows, cols]
                self.visible[rows, cols][mask] *= visible
                self.open[rows, cols][mask] *= open_


@dataclass(frozen=True)
class Sprite:
    """Flat picture: albedo, emission (h, w, 3) linear; opacity (h, w) 0..1; label (h, w), 255 = nothing."""

    albedo: np.ndarray
    emission: np.ndarray
    opacity: np.ndarray
    label: np.ndarray


class Pen:
    """Draws shapes given in metres (origin at the foot's middle) into colour, light and label at once."""

    def __init__(self, width: float, height: float, scale: float = 48.0) -> None:
        self.half, self.top, self.scale = width / 2, height, scale
        size = (max(2, round(width * scale)), max(2, round(height * scale)))
        self.colour, self.light = Image.new("RGBA", size), Image.new("RGB", size)
        self.label = Image.new("L", size, IGNORE)
        self.pens = [ImageDraw.Draw(i) for i in (self.colour, self.light, self.label)]

    def _fills(
        self, colour: Colour, label: int, light: Colour, opacity: float
    ) -> list[tuple[int, ...] | int]:
        rgb = tuple(round(255 * min(1.0, max(0.0, c)) ** (1 / 2.2)) for c in colour)
        return [(*rgb, round(255 * opacity)), tuple(round(255 * c) for c in light), label]

    def _at(self, points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        return [((x + self.half) * self.scale, (self.top - y) * self.scale) for x, y in points]

    def area(
        self,
        points: list[tuple[float, float]],
        colour: Colour,
        label: int,
        light: Colour = (0, 0, 0),
        opacity: float = 1.0,
    ) -> None:
        for pen, fill in zip(self.pens, self._fills(colour, label, light, opacity), strict=True):
            pen.polygon(self._at(points), fill=fill)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, label: int) -> None:
        self.area([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour, label)

    def disc(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        colour: Colour,
        label: int,
        light: Colour = (0, 0, 0),
        opacity: float = 1.0,
    ) -> None:
        (x0, y0), (x1, y1) = self._at([(x - rx, y + ry), (x + rx, y - ry)])
        for pen, fill in zip(self.pens, self._fills(colour, label, light, opacity), strict=True):
            pen.ellipse((x0, y0, x1, y1), fill=fill)

    def line(self, points: list[tuple[float, float]], colour: Colour, label: int, thick: float) -> None:
        for pen, fill in zip(self.pens, self._fills(colour, label, (0, 0, 0), 1.0), strict=True):
            pen.line(self._at(points), fill=fill, width=max(1, round(thick * self.scale)), joint="curve")

    def sprite(self) -> Sprite:
        rgba = np.asarray(self.colour)
        share = np.arange(256, dtype=np.float32) / 255
        return Sprite(
            (share**2.2)[rgba[..., :3]],
            share[np.asarray(self.light)],
            share[rgba[..., 3]],
            np.asarray(self.label),
        )
