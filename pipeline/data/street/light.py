"""Light of the drawn scenes: a clear day, a night and a fog over one canvas, and the camera's sensor.

All light is linear until `develop` adds the sensor's noise and encodes with gamma 2.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.data.street.canvas import Canvas, Colour, Light, noise

GAMMA = 2.2


@dataclass(frozen=True)
class Skyline:
    """Building front at x = side * distance with its height per metre of z, for cast shadows."""

    x: float
    heights: np.ndarray


def encode(linear: np.ndarray) -> np.ndarray:
    """Linear light -> display value, both 0..1."""
    return np.clip(linear, 0, 1) ** (1 / GAMMA)


def apply_fog(image: np.ndarray, depth: np.ndarray, beta: float, airlight: np.ndarray) -> np.ndarray:
    """Koschmieder's law I*t + A*(1-t), t = exp(-beta*d).

    image: (H, W, 3) linear light; depth: (H, W) metres, may be infinite; beta: 1/m; airlight: (3,).
    """
    t = np.exp(-beta * depth)[..., None]
    return (image * t + airlight * (1 - t)).astype(np.float32)


def _clouds(canvas: Canvas, rng: np.random.Generator, sky: np.ndarray) -> np.ndarray:
    """Cloudiness 0..1 of the sky pixels (rows, columns of `sky`)."""
    ray = canvas.rays[sky]
    up = np.maximum(ray[:, 1], 0.0) + 0.12
    shift = rng.uniform(0, 256, 2)
    u, v = ray[:, 0] / up * 45 + shift[0], ray[:, 2] / up * 30 + shift[1]
    cover = rng.uniform(0.42, 0.62)
    return np.clip((noise(u, v) - cover) * 5 + 0.5, 0, 1) * np.clip(up * 4, 0, 1)


def _fill_sky(
    canvas: Canvas, linear: np.ndarray, low: Colour, high: Colour, cloud: Colour, rng: np.random.Generator
) -> None:
    sky = np.isinf(canvas.depth)
    if not sky.any():
        return
    height = np.clip(canvas.rays[sky][:, 1] * 2.2, 0, 1)[:, None]
    colour = np.array(low) * (1 - height) + np.array(high) * height
    puff = _clouds(canvas, rng, sky)[:, None]
    linear[sky] = colour * (1 - puff) + np.array(cloud) * puff


def _in_sun(canvas: Canvas, sun: np.ndarray, skylines: list[Skyline]) -> np.ndarray:
    """Where sunlight arrives past the building fronts, float (H, W)."""
    lit, (across, up, ahead) = canvas.visible.copy(), _points(canvas)
    to_right, to_top, to_front = sun.tolist()
    for line in skylines:
        if line.x * to_right <= 0:
            continue
        reach = (line.x - across) * (1 / to_right)
        z = np.clip(ahead + reach * to_front, 0, len(line.heights) - 1).astype(np.int32)
        lit[(reach > 0.05) & (up + reach * to_top < line.heights[z])] = 0
    return lit


def _points(canvas: Canvas) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """World x, y and z of every pixel, each (H, W); the sky is put 500 m away."""
    depth, (x, y, z) = np.minimum(canvas.depth, 500), canvas.eye.tolist()
    return x + depth * canvas.rays_across, y + depth * canvas.rays_up, z + depth * canvas.rays_ahead


def light_day(
    canvas: Canvas, rng: np.random.Generator, sun: np.ndarray, skylines: list[Skyline]
) -> np.ndarray:
    """Clear day, linear (H, W, 3): sun with cast shadows, blue sky light, clouds."""
    facing = np.maximum(canvas.normal @ sun.astype(np.float32), 0) * _in_sun(canvas, sun, skylines)
    bluish = np.array((0.34, 0.40, 0.52), np.float32) * rng.uniform(0.9, 1.15)
    warm = np.array((1.45, 1.32, 1.1), np.float32) * rng.uniform(0.85, 1.15)
    ambient = canvas.open * (0.8 + 0.2 * canvas.normal[..., 1])
    linear = canvas.albedo * (ambient[..., None] * bluish + facing[..., None] * warm)
    _fill_sky(canvas, linear, (0.62, 0.72, 0.82), (0.16, 0.33, 0.68), (0.85, 0.86, 0.88), rng)
    return linear


def light_fog(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """Fog, linear (H, W, 3): shadowless grey light, then Koschmieder with a visibility of 30 to 150 m."""
    ambient = canvas.open * (0.7 + 0.3 * canvas.normal[..., 1])
    linear = (
        canvas.albedo * ambient[..., None] * np.array((0.62, 0.64, 0.66), np.float32) + 0.3 * canvas.emission
    )
    visibility = float(np.exp(rng.uniform(np.log(30), np.log(150))))
    tint = rng.uniform(0.94, 1.06)
    airlight = np.array((0.58 * tint, 0.6, 0.61 / tint), np.float32) * rng.uniform(0.7, 1.1)
    # Visibility is where contrast falls to 5 %: exp(-beta * V) = 0.05, as Foggy Cityscapes defines it.
    return apply_fog(linear, canvas.depth, 2.996 / visibility, airlight)


def _around(
    canvas: Canvas, place: np.ndarray, reach: float
) -> tuple[float, float, float, slice, slice] | None:
    """Column, row, depth of a place, and the window of `reach` metres around it; None if not in view."""
    cam = canvas.axes @ (place - canvas.eye)
    if cam[2] < 1.0:
        return None
    x, y = (canvas.centre[i] + sign * canvas.focal * cam[i] / cam[2] for i, sign in ((0, 1), (1, -1)))
    radius = max(6.0, canvas.focal * reach / cam[2])
    rows = slice(max(0, int(y - radius)), min(canvas.height, int(y + radius) + 2))
    cols = slice(max(0, int(x - radius)), min(canvas.width, int(x + radius) + 2))
    if rows.start >= rows.stop or cols.start >= cols.stop:
        return None
    return float(x), float(y), float(cam[2]), rows, cols


def _add_glow(canvas: Canvas, linear: np.ndarray, light: Light) -> None:
    """Halo of a lamp that is in view and not hidden: a bright core and a wide faint skirt."""
    found = _around(canvas, light.place, 3 * light.glow)
    if found is None:
        return
    x, y, depth, rows, cols = found
    if not (0 <= x < canvas.width and 0 <= y < canvas.height) or canvas.depth[int(y), int(x)] < depth - 0.6:
        return
    radius = max(2.0, canvas.focal * light.glow / depth)
    dy, dx = np.arange(rows.start, rows.stop)[:, None] - y, np.arange(cols.start, cols.stop)[None] - x
    square = (dx**2 + dy**2) / radius**2
    halo = 1.2 * np.exp(-6 * square) + 0.1 * np.exp(-0.6 * square)
    linear[rows, cols] += (halo[..., None] * np.array(light.colour)).astype(np.float32)


def _shine(canvas: Canvas, light: Light, points: tuple[np.ndarray, ...], normal: np.ndarray) -> tuple | None:
    """Irradiance of one lamp without its colour, and its window; it fades to nothing at the lamp's reach."""
    reach = 25.0 if light.power > 2 else 7.0
    found = _around(canvas, light.place, reach)
    if found is None:
        return None
    *_, rows, cols = found
    x, y, z = (float(p) - q[rows, cols] for p, q in zip(light.place, points, strict=True))
    square = x * x + y * y + z * z
    toward = (x * normal[0][rows, cols] + y * normal[1][rows, cols] + z * normal[2][rows, cols]) / np.sqrt(
        square
    )
    fade = np.maximum(1 / (square + 2.0) - 1 / (reach**2 + 2.0), 0)
    return light.power * np.maximum(toward * 0.85 + 0.15, 0) * fade, rows, cols


def light_night(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """Night, linear (H, W, 3): own headlights, street lamps, lit windows, other cars; dark sky."""
    points, normal = _points(canvas), np.ascontiguousarray(np.moveaxis(canvas.normal, 2, 0))
    cast = np.array((1.0, 0.72, 0.42) if rng.random() < 0.6 else (0.85, 0.95, 1.0), np.float32)
    irradiance = (0.034 * canvas.open * (0.75 + 0.25 * canvas.normal[..., 1]))[..., None] * (0.5 + 0.5 * cast)
    # Low beam: inverse square in depth, 15 degrees wide, cut off above the horizon.
    across, below = canvas.ray_x, -canvas.rays_up
    lobe = np.exp(-((across / 0.5) ** 2)) * (0.06 + 1 / (1 + np.exp(-(below - 0.0) / 0.025)))
    distance = np.where(np.isinf(canvas.depth), 1e3, np.maximum(canvas.depth, 3.0))
    # On the road the beam grazes; roughness keeps some of it coming back.
    meets = 0.35 + 0.65 * np.abs(normal[2])
    head = 9.0 * rng.uniform(0.7, 1.3) * lobe * meets / distance**2
    irradiance += head[..., None] * np.array((1.0, 0.95, 0.82), np.float32)
    for light in canvas.lights:
        found = _shine(canvas, light, points, normal) if light.power > 0.5 else None
        if found is not None:
            shine, rows, cols = found
            colour = np.array(light.colour, np.float32) * (cast if light.power > 2 else 1.0)
            irradiance[rows, cols] += shine[..., None] * colour
    linear = canvas.albedo * irradiance + 0.30 * rng.uniform(0.6, 1.2) * canvas.emission
    _fill_sky(canvas, linear, (0.006, 0.005, 0.005), (0.001, 0.0012, 0.002), (0.007, 0.006, 0.006), rng)
    for light in canvas.lights:
        _add_glow(canvas, linear, light)
    return linear.astype(np.float32)


def expose(linear: np.ndarray, mean: float) -> np.ndarray:
    """Scale light until the encoded picture's mean is `mean` (0..1): the camera's automatic exposure."""
    low, high = 1e-3, 1e3
    sample = linear[::8, ::8]
    for _ in range(12):
        gain = np.sqrt(low * high)
        low, high = (gain, high) if encode(sample * gain).mean() < mean else (low, gain)
    return linear * np.float32(np.sqrt(low * high))


def develop(linear: np.ndarray, rng: np.random.Generator, electrons: float, read: float) -> np.ndarray:
    """Sensor: Poisson shot noise of `electrons` at white, read noise of `read` electrons; uint8 (H, W, 3)."""
    signal = rng.poisson(np.clip(linear, 0, 1.5) * electrons) + rng.normal(0, read, linear.shape)
    return np.round(encode(signal / electrons) * 255).astype(np.uint8)
