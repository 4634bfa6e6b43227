"""Videos drawn for measurements: a picture of the page, panned from side to side."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.error import FFmpegError
from PIL import Image

PROJECT = Path(__file__).resolve().parents[2]
EXAMPLES = PROJECT / "app" / "examples"
NIGHT_MODEL = PROJECT / "models" / "night" / "mic.onnx"
STEP = 6  # pixels from frame to frame


def draw_clip(path: Path, frames: int, size: tuple[int, int], rate: int) -> Path:
    """An H.264 video of `frames` frames, (height, width) = `size`, `rate` a second.

    Its index lies at the front and it has a key frame a second, as cameras do, so that half a file is of use.
    """
    height, width = size
    scene = _scene(height, width + width // 4)
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as file:
        stream = cast(
            Any, file.add_stream("libx264", rate=rate, options={"preset": "veryfast", "g": str(rate)})
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for left in _pan(frames, scene.shape[1] - width):
            pixels = np.ascontiguousarray(scene[:, left : left + width])
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        file.mux(stream.encode(None))
    return path


def count_frames(path: Path) -> int:
    """Frames that decode, also of a video that breaks off; 0 where there is none."""
    count = 0
    with contextlib.suppress(FFmpegError, OSError), av.open(str(path)) as file:
        for packet in file.demux(video=0):
            with contextlib.suppress(FFmpegError):
                count += len(packet.decode())
    return count


def _scene(height: int, width: int) -> np.ndarray:
    with Image.open(EXAMPLES / "night_highway.jpg") as picture:
        return np.asarray(picture.convert("RGB").resize((width, height), Image.Resampling.BICUBIC))


def _pan(frames: int, room: int) -> Sequence[int]:
    """Left edges, there and back again."""
    return [abs((STEP * i + room) % (2 * room) - room) for i in range(frames)]
