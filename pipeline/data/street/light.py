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


def _in_sun(canvas: Canvas, points: np.ndarray, sun: np.ndarray, skylines: list[Skyline]) -> np.ndarray:
    """Where sunlight arrives past the building fronts, float (H, W)."""
    lit = canvas.visible.copy()
    for line in skylines:
        if line.x * sun[0] <= 0:
            continue
        reach = (line.x - points[..., 0]) / sun[0]
        z = np.clip(points[..., 2] + reach * sun[2], 0, len(line.heights) - 1).astype(np.int32)
        lit[(reach > 0.05) & (points[..., 1] + reach * sun[1] < line.heights[z])] = 0
    return lit


def _points(canvas: Canvas) -> np.ndarray:
    return canvas.eye + np.where(np.isinf(canvas.depth), 500.0, canvas.depth)[..., None] * canvas.rays


def light_day(
    canvas: Canvas, rng: np.random.Generator, sun: np.ndarray, skylines: list[Skyline]
) -> np.ndarray:
    """Clear day, linear (H, W, 3): sun with cast shadows, blue sky light, clouds."""
    facing = np.maximum(canvas.normal @ sun.astype(np.float32), 0) * _in_sun(
        canvas, _points(canvas), sun, skylines
    )
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


def _add_glow(canvas: Canvas, linear: np.ndarray, light: Light) -> None:
    """Halo of a lamp that is in view and not hidden: a bright core and a wide faint skirt."""
    cam = canvas.axes @ (light.place - canvas.eye)
    if cam[2] < 1.0:
        return
    x, y = (
        canvas.centre[0] + canvas.focal * cam[0] / cam[2],
        canvas.centre[1] - canvas.focal * cam[1] / cam[2],
    )
    if not (0 <= x < canvas.width and 0 <= y < canvas.height) or canvas.depth[int(y), int(x)] < cam[2] - 0.6:
        return
    radius = max(2.0, canvas.focal * light.glow / cam[2])
    reach = int(3 * radius) + 1
    rows = slice(max(0, int(y) - reach), min(canvas.height, int(y) + reach + 1))
    cols = slice(max(0, int(x) - reach), min(canvas.width, int(x) + reach + 1))
    dy, dx = np.arange(rows.start, rows.stop)[:, None] - y, np.arange(cols.start, cols.stop)[None] - x
    square = (dx**2 + dy**2) / radius**2
    halo = 1.2 * np.exp(-6 * square) + 0.1 * np.exp(-0.6 * square)
    linear[rows, cols] += (halo[..., None] * np.array(light.colour)).astype(np.float32)


def light_night(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """Night, linear (H, W, 3): own headlights, street lamps, lit windows, other cars; dark sky."""
    points, normal = (np.ascontiguousarray(np.moveaxis(a, 2, 0)) for a in (_points(canvas), canvas.normal))
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
        if light.power < 0.5:
            continue
        x, y, z = (float(p) - q for p, q in zip(light.place, points, strict=True))
        square = x * x + y * y + z * z
        cosine = (x * normal[0] + y * normal[1] + z * normal[2]) / np.sqrt(square)
        shine = light.power * np.maximum(cosine * 0.85 + 0.15, 0) / (square + 2.0)
        irradiance += shine[..., None] * (
            np.array(light.colour, np.float32) * (cast if light.power > 2 else 1.0)
        )
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
