"""Overlays of video frames, drawn on the planes that a video stores: Y in full, U and V for blocks of 2 x 2 pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from pipeline.edge.classes import NUM_CLASSES, palette
from pipeline.edge.render import OPACITY

# PyAV is an extra, and pictures do without it.
if TYPE_CHECKING:
    import av
    from av.video.plane import VideoPlane

# Matrices by their numbers in H.273, by which swscale calls these two as well.
_BT709, _BT601 = 1, 5
_READ_AS = {_BT709: _BT709, _BT601: _BT601, 6: _BT601, 2: _BT601}  # 2: the file does not say
_FULL_RANGE = 2


class PlaneOverlay:
    """What `render.overlay` draws, on frames in yuv420p: a quarter of the time of the way there and back through RGB.

    All are of one matrix, that of the video's first frame where it is BT.601 or BT.709.
    """

    def __init__(self, first: av.VideoFrame, safe: bool) -> None:
        import av

        self.matrix = _READ_AS.get(first.colorspace, _BT709)
        colours = av.VideoFrame.from_ndarray(palette(safe)[None], "rgb24")
        planes = colours.reformat(format="yuv444p", dst_colorspace=self.matrix).planes
        self._lookup = [_pixels(plane, (1, 256))[0].tolist() for plane in planes]

    def draw(self, decoded: av.VideoFrame, image: np.ndarray, classes: np.ndarray) -> av.VideoFrame:
        """The colours of `classes`, uint8 (H, W), laid over the frame in a new one; an odd last row or column is lost.

        `image` is `decoded` upright in RGB, taken where its own planes do not serve.
        """
        import av

        # Chroma is stored for blocks of 2 x 2.
        height, width = (side // 2 * 2 for side in classes.shape)
        classes = classes[:height, :width]
        if self._serves(decoded):
            planes = decoded.planes
        else:
            even = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(image[:height, :width]), "rgb24")
            planes = even.reformat(format="yuv420p", dst_colorspace=self.matrix).planes
        drawn = av.VideoFrame(width, height, "yuv420p")
        blocks = classes[::2, ::2]
        for ids, plane, target, lookup in zip(
            (classes, blocks, blocks), planes, drawn.planes, self._lookup, strict=True
        ):
            colours = Image.fromarray(ids).point(lookup)
            picture = Image.fromarray(_pixels(plane, ids.shape))
            mixed = _pixels(target, ids.shape)
            mixed[:] = Image.blend(picture, colours, OPACITY)
            unknown = ids >= NUM_CLASSES
            if unknown.any():
                mixed[unknown] = np.array(picture)[unknown]
        return drawn

    def _serves(self, decoded: av.VideoFrame) -> bool:
        plain = decoded.format.name == "yuv420p" and decoded.color_range != _FULL_RANGE
        return plain and not decoded.rotation and _READ_AS.get(decoded.colorspace) == self.matrix


def _pixels(plane: VideoPlane, size: tuple[int, ...]) -> np.ndarray:
    """A plane's top left, uint8 `size`, as a view: its rows end with bytes that are no pixels."""
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)  # type: ignore[arg-type]  a buffer it is
    return rows[: size[0], : size[1]]
