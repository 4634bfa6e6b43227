"""The overlay of a video through PyAV: an mp4 that appears whole, frames at their own times, sound passed on."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

import numpy as np

from pipeline.edge.container import Frame, Reader
from pipeline.edge.planes import PlaneOverlay
from pipeline.edge.results import cannot_write, part

# PyAV is an extra, and pictures do without it.
if TYPE_CHECKING:
    import av
    from av.audio.stream import AudioStream
    from av.codec.context import CodecContext
    from av.container import OutputContainer
    from av.video.stream import VideoStream

_CODECS = ("libx264", "libopenh264", "mpeg4")
_MPEG4_TIME_BASE = Fraction(
    1, 60000
)  # MPEG-4 stores 16 bits; whole for 25, 30, 29.97, 50 and 60 frames a second
_BT709 = 1  # primaries and transfer of HD video in H.273
_LIMITED = 1


class VideoWriter:
    """The overlay: an mp4 made beside `path` and renamed to it by `finish`; leaving `with` before that leaves nothing.

    H.264 where PyAV has an encoder of it, else MPEG-4. Frames keep their times, sound streams are copied.
    Raises UserError when it cannot be written.
    """

    def __init__(self, path: Path, reader: Reader, safe: bool) -> None:
        self._path = path
        self._reader = reader
        self._safe = safe
        self._overlay: PlaneOverlay | None = None
        self._container: OutputContainer | None = None
        self._video: VideoStream | None = None
        self._audio: dict[int, AudioStream] = {}
        self.left_out: list[str] = []
        """Sound codecs that an mp4 cannot hold."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(Exception):  # half a file, thrown away: what its end lacks does not matter
            if self._container is not None:
                self._container.close()
        part(self._path).unlink(missing_ok=True)

    def add(self, frame: Frame, classes: np.ndarray) -> None:
        """Draw `classes`, uint8 (H, W), over the frame and encode that in its place."""
        from av.error import FFmpegError

        try:
            self._overlay = self._overlay or PlaneOverlay(frame.decoded, self._safe)
            picture = self._overlay.draw(frame.decoded, frame.image, classes)
            container, video = self._opened(picture, self._overlay.matrix)
            picture = picture.reformat(video.width, video.height)  # a stream may change its size
            picture.pts, picture.time_base = frame.time, self._reader.time_base
            self._copy(frame.audio)
            container.mux(video.encode(picture))
        except (FFmpegError, OSError) as error:
            raise cannot_write(self._path, error) from None

    def finish(self) -> None:
        """Write what the encoder holds back and the sound after the last frame, close, and rename."""
        from av.error import FFmpegError

        if self._container is None or self._video is None:
            return
        try:
            self._copy(self._reader.audio_after)
            self._container.mux(self._video.encode(None))
            self._container.close()
            part(self._path).replace(self._path)
        except (FFmpegError, OSError) as error:
            raise cannot_write(self._path, error) from None

    def _opened(self, first: av.VideoFrame, matrix: int) -> tuple[OutputContainer, VideoStream]:
        """The file and its picture stream, made with the first picture, which alone tells the upright size."""
        import av

        if self._container is not None and self._video is not None:
            return self._container, self._video
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # The index at the front: a browser shows the video before it has all of it.
        container = av.open(str(part(self._path)), "w", format="mp4", options={"movflags": "+faststart"})
        self._container = container
        codec = next(name for name in _CODECS if name in av.codecs_available)
        exact = codec != "mpeg4"
        video = cast("VideoStream", container.add_stream(codec, rate=self._reader.rate))
        video.width, video.height, video.pix_fmt = first.width, first.height, "yuv420p"
        if codec == "libx264":
            # A fifth of the processor time of "veryfast" at 20, which the network needs; 1 dB (of 51) and, the
            # stiller the scene, up to 1.7 times the size are its price.
            video.options = {"preset": "ultrafast", "crf": "23"}
        else:
            video.bit_rate = int(0.2 * first.width * first.height * self._reader.rate)
        encoder = video.codec_context
        encoder.time_base = self._reader.time_base if exact else _MPEG4_TIME_BASE
        encoder.colorspace, encoder.color_primaries, encoder.color_trc = matrix, _BT709, _BT709
        encoder.color_range = _LIMITED
        if self._reader.sample_aspect_ratio:
            encoder.sample_aspect_ratio = self._reader.sample_aspect_ratio
        for stream in self._reader.audio:
            decoder = cast(
                "CodecContext | None", stream.codec_context
            )  # none of a codec that FFmpeg does not know
            if decoder is not None and decoder.name in container.supported_codecs:
                self._audio[stream.index] = container.add_stream_from_template(stream)
            else:
                self.left_out.append("unknown" if decoder is None else decoder.name)
        self._video = video
        return container, video

    def _copy(self, packets: list[av.Packet]) -> None:
        assert self._container is not None
        for packet in packets:
            stream = self._audio.get(packet.stream_index)
            if stream is not None:
                packet.stream = stream
                self._container.mux(packet)
