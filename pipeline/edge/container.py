"""Video files through PyAV: frames upright with their own times, audio passed on, an mp4 that appears whole."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np

from pipeline.edge.errors import ImageError, UserError
from pipeline.edge.planes import PlaneOverlay
from pipeline.edge.results import cannot_write, part
from pipeline.edge.sources import Source

# PyAV is an extra, and pictures do without it.
if TYPE_CHECKING:
    import av
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.video.stream import VideoStream

_CODECS = ("libx264", "libopenh264", "mpeg4")
_MPEG4_TIME_BASE = Fraction(
    1, 60000
)  # MPEG-4 stores 16 bits; whole for 25, 30, 29.97, 50 and 60 frames a second
_BT709 = 1  # primaries and transfer of HD video in H.273
_LIMITED = 1
_CUT_SECONDS = 0.5  # streams of sound files end that much before what their header says


def require_pyav(name: Path) -> None:
    """Raises UserError where PyAV is missing; `name` is the video that needs it."""
    try:
        import av  # noqa: F401
    except ImportError:
        raise UserError(f"{name} is a video, which needs PyAV: pip install mic-adapt[video].") from None


@dataclass(frozen=True)
class Frame:
    """A decoded frame, upright."""

    image: np.ndarray
    """uint8 (H, W, 3) RGB."""
    decoded: av.VideoFrame
    """The same as it lies in the file."""
    time: int
    """In units of the reader's time_base, from the start of the file."""
    seconds: float
    audio: list[av.Packet]
    """What the file holds of sound since the frame before."""
    read_milliseconds: float


class VideoReader:
    """An open video or camera; use it with `with`. Raises ImageError for what cannot be opened."""

    def __init__(self, source: Source) -> None:
        import av
        from av.error import FFmpegError
        from av.video.reformatter import VideoReformatter

        self.name = str(source.path)
        self.failure: str | None = None
        """Once the frames are read: what kept the rest from being read."""
        camera = source.kind == "camera"
        self._fix = "see whether it is plugged in and free" if camera else "copy or save it again"
        # Before 19 PyAV refuses a file over a title that is not UTF-8, unless told; since then it does not ask.
        lenient: dict[str, Any] = (
            {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
        )
        try:
            self._container = av.open(self.name, format="v4l2" if camera else None, **lenient)
        except (FFmpegError, OSError) as error:
            raise ImageError(
                f"{self.name} is no video that can be read ({error.strerror}): {self._fix}."
            ) from None
        video = self._container.streams.best("video")
        if video is None:
            self._container.close()
            raise ImageError(f"{self.name} holds no video: name a file with pictures in it.")
        self._video: VideoStream = video  # type: ignore[assignment]
        self._reformatter = VideoReformatter()  # a frame's own would be set up anew for each frame
        # PyAV's own threading stays: with a thread a frame, the last frames before a break are lost.
        self.time_base: Fraction = self._video.time_base or Fraction(1, 90000)
        self.rate = min(self._video.average_rate or Fraction(25), Fraction(120))
        self.sample_aspect_ratio = self._video.sample_aspect_ratio
        self.audio: list[AudioStream] = list(self._container.streams.audio)
        self.audio_after: list[av.Packet] = []
        """Once the frames are read: the sound after the last."""
        self.duration: float | None = (
            None if camera else (self._container.duration or 0) / av.time_base or None
        )
        """Seconds; None where the file does not say."""
        self._start = Fraction(self._container.start_time or 0, av.time_base)
        # Other formats have their duration estimated from the file as it is, cut or not.
        self._states_duration = any(name in self._container.format.name for name in ("mp4", "matroska"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def frames(self) -> Iterator[Frame]:
        """All frames that decode, in order; times grow, also where the file's own are missing or fall back."""
        from av.error import FFmpegError

        audio: list[av.Packet] = []
        last, count, broken, end = -1, 0, 0, 0.0
        begun = time.perf_counter()
        try:
            for packet in self._container.demux():
                if packet.pts is not None and packet.time_base is not None:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                if packet.stream in self.audio and packet.dts is not None:
                    audio.append(self._from_start(packet))
                if packet.stream is not self._video:
                    continue
                try:
                    decoded: list[Any] = packet.decode()
                except FFmpegError:
                    broken += 1
                    continue
                for frame in decoded:
                    last = max(self._time(frame, last), last + 1)
                    count += 1
                    rgb = self._reformatter.reformat(frame, format="rgb24").to_ndarray()
                    image = _upright(rgb, frame.rotation)
                    read = (time.perf_counter() - begun) * 1000
                    yield Frame(image, frame, last, float(last * self.time_base), audio, read)
                    audio, begun = [], time.perf_counter()
        except FFmpegError as error:
            self.failure = f"{self.name} breaks off after {count} frames ({error.strerror}): {self._fix}."
        self.audio_after = audio
        end -= float(self._start)
        if self._states_duration and self.duration and end < self.duration - _CUT_SECONDS:
            self.failure = (
                f"{self.name} breaks off after {count} frames, at {end:.1f} s of {self.duration:.1f} s: "
                f"{self._fix}."
            )
        elif broken and not self.failure:
            self.failure = f"{self.name} is damaged: {broken} parts of it could not be decoded; {self._fix}."
        elif not count and not self.failure:
            self.failure = f"{self.name} holds no frame: {self._fix}."

    def _time(self, frame: av.VideoFrame, last: int) -> int:
        if frame.pts is None:
            return last + round(1 / (self.rate * self.time_base)) if last >= 0 else 0
        return frame.pts - round(self._start / self.time_base)

    def _from_start(self, packet: av.Packet) -> av.Packet:
        shift = round(self._start / packet.time_base)  # type: ignore[operator]
        packet.dts = packet.dts - shift  # type: ignore[operator]
        packet.pts = None if packet.pts is None else packet.pts - shift
        return packet


class VideoWriter:
    """The overlay: an mp4 made beside `path` and renamed to it by `finish`; leaving `with` before that leaves nothing.

    H.264 where PyAV has an encoder of it, else MPEG-4. Frames keep their times, sound streams are copied.
    Raises UserError when it cannot be written.
    """

    def __init__(self, path: Path, reader: VideoReader, safe: bool) -> None:
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
            raise cannot_write(self._path, error.strerror) from None

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
            raise cannot_write(self._path, error.strerror) from None

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
            if stream.codec_context.name in container.supported_codecs:
                self._audio[stream.index] = container.add_stream_from_template(stream)
            else:
                self.left_out.append(stream.codec_context.name)
        self._video = video
        return container, video

    def _copy(self, packets: list[av.Packet]) -> None:
        assert self._container is not None
        for packet in packets:
            stream = self._audio.get(packet.stream_index)
            if stream is not None:
                packet.stream = stream
                self._container.mux(packet)


def _upright(image: np.ndarray, rotation: int) -> np.ndarray:
    """(H, W, 3) turned by the degrees of its display matrix, which run counter-clockwise."""
    return np.ascontiguousarray(np.rot90(image, round(rotation / 90)))
