"""Small videos made by the tests: a red left half, a blue right half and a green bar on top."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.error import InvalidDataError

HEIGHT, WIDTH = 64, 96
RED, GREEN, BLUE = (250, 0, 0), (0, 250, 0), (0, 0, 250)
CLOCKWISE = [0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30]
"""The display matrix of a phone held upright: x runs down, y to the left."""


def picture(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    image = np.empty((height, width, 3), np.uint8)
    image[:, : width // 2], image[:, width // 2 :] = RED, BLUE
    image[:16] = GREEN
    return image


def write_clip(
    path: Path,
    milliseconds: Sequence[int],
    matrix: list[int] | None = None,
    audio: str | None = None,
    size: tuple[int, int] = (HEIGHT, WIDTH),
    title: str = "",
) -> Path:
    """A video with a frame at each of these times; `audio` is the codec of a second stream of noise."""
    options = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as file:
        file.metadata["title"] = title
        stream = cast(Any, file.add_stream("libx264", rate=25))
        stream.height, stream.width = size
        stream.pix_fmt = "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        if matrix:
            stream.set_display_matrix(matrix)
        sound = cast(Any, file.add_stream(audio, rate=48000, layout="mono")) if audio else None
        heard = 0
        for time in milliseconds:
            frame = av.VideoFrame.from_ndarray(picture(*size), "rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            file.mux(stream.encode(frame))
            while sound and heard * 1024 / 48 < time:
                noise = np.random.default_rng(heard).integers(-9999, 9999, (1, 1024)).astype(np.int16)
                samples = av.AudioFrame.from_ndarray(noise, "s16", "mono")
                samples.sample_rate, samples.pts = 48000, heard * 1024
                samples.time_base = Fraction(1, 48000)
                file.mux(sound.encode(samples))
                heard += 1
        file.mux(stream.encode(None))
        if sound:
            file.mux(sound.encode(None))
    return path


def write_playlist(folder: Path) -> None:
    """vod.m3u8, an HLS playlist, and its 10 segments of 10 frames."""
    options = {"hls_time": "0.4", "hls_list_size": "0", "hls_segment_filename": str(folder / "segment%d.ts")}
    with av.open(str(folder / "vod.m3u8"), "w", format="hls", options=options) as file:
        stream = cast(Any, file.add_stream("libx264", rate=25))
        stream.height, stream.width = HEIGHT, WIDTH
        stream.pix_fmt, stream.options = "yuv420p", {"g": "10", "tune": "zerolatency"}
        for number in range(100):
            frame = av.VideoFrame.from_ndarray(picture(), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def write_noise(path: Path, codec: str, muxer: str | None = None, **options: str) -> Path:
    """100 frames of moving noise: nothing in it is easy to conceal."""
    still = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    with av.open(str(path), "w", format=muxer, options=options) as file:
        stream = cast(Any, file.add_stream(codec, rate=25))
        stream.height, stream.width, stream.gop_size = HEIGHT, WIDTH, 12
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for i in range(100):
            frame = av.VideoFrame.from_ndarray(np.roll(still, 2 * i, 1), "rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def times_and_frames(path: Path) -> tuple[list[float], list[np.ndarray]]:
    """Seconds and pixels of every frame that decodes, as it lies in the file."""
    frames: list[Any] = []
    with av.open(str(path)) as file:
        for packet in file.demux(video=0):
            with contextlib.suppress(InvalidDataError):
                frames += packet.decode()
    return [round(float(f.time or 0), 4) for f in frames], [f.to_ndarray(format="rgb24") for f in frames]


def sound_packets(path: Path) -> list[tuple[float, bytes]]:
    """Time and content of every sound packet."""
    with av.open(str(path)) as file:
        packets = [p for p in file.demux(audio=0) if p.pts is not None]
        return [(round(float(cast(int, p.pts) * cast(Fraction, p.time_base)), 3), bytes(p)) for p in packets]
