"""Video files through PyAV: frames upright with their own times, the sound between them, and what was cut off."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

import numpy as np

from pipeline.edge.backend import reason
from pipeline.edge.errors import ImageError, UserError
from pipeline.edge.files import require_file
from pipeline.edge.sources import Source
from pipeline.edge.truncation import missing_bytes

# PyAV is an extra, and pictures do without it.
if TYPE_CHECKING:
    import av
    from av.audio.stream import AudioStream
    from av.codec.context import CodecContext
    from av.container import InputContainer
    from av.video.reformatter import VideoReformatter
    from av.video.stream import VideoStream

_FIX = "copy or save it again"
_CUT_SECONDS = 0.5  # streams of sound files end that much before what their header says


def without_pyav(sources: list[Source]) -> list[Source]:
    """`sources` with a fault for each video where PyAV is missing. Raises UserError where they are nothing else."""
    videos = [source for source in sources if source.kind != "picture"]
    if not videos or importlib.util.find_spec("av") is not None:
        return sources
    told = "{} is a video, which needs PyAV: pip install mic-adapt[video]."
    if len(videos) == len(sources):
        raise UserError(told.format(videos[0].name))
    return [s if s.kind == "picture" else replace(s, fault=told.format(s.name)) for s in sources]


@dataclass(frozen=True)
class Frame:
    """A decoded frame, upright."""

    number: int
    """Of all frames, from 0, those included that are left out."""
    image: np.ndarray
    """uint8 (H, W, 3) RGB."""
    decoded: av.VideoFrame
    """The same as it lies in the file."""
    time: int
    """In units of the reader's time_base, from the start of the file or recording."""
    seconds: float
    """The same in seconds."""
    audio: list[av.Packet]
    """What the file holds of sound since the frame before."""
    read_milliseconds: float
    connection: int = 0
    """How often the stream was connected anew before it."""


class Reader(Protocol):
    """What gives the frames: a VideoReader or a stream's."""

    name: str
    failure: str | None
    """Once the frames are read: what kept the rest from being read."""
    endless: bool
    """A camera or stream: only the user ends it, or a fault."""
    duration: float | None
    """Seconds; None where nobody says."""
    time_base: Fraction
    rate: Fraction
    """Frames a second, about."""
    sample_aspect_ratio: Fraction | None
    audio: list[AudioStream]
    audio_after: list[av.Packet]
    """Once the frames are read: the sound after the last."""


class VideoReader:
    """An open video file; use it with `with`. Raises ImageError for what cannot be opened.

    Of its frames `every` N-th is given, the first one included.
    """

    def __init__(self, source: Source, every: int = 1) -> None:
        import av
        from av.error import FFmpegError
        from av.video.reformatter import VideoReformatter

        self.name = str(source.path)
        self.failure: str | None = None
        self.endless = False
        self._every = every
        require_file(source.path, self.name, "video")
        self._missing = missing_bytes(source.path)
        try:
            # "file:", for FFmpeg takes what stands before a colon in a name for a protocol.
            self._container = av.open(f"file:{self.name}", **lenient())
        except (FFmpegError, OSError) as error:
            why = f"{self._missing} or more bytes are missing" if self._missing else error.strerror
            raise ImageError(f"{self.name} is no video that can be read ({why}): {_FIX}.") from None
        try:
            if self._container.format.name.endswith("_pipe"):
                raise ImageError(f"{self.name} is a picture, not a video: give it a picture's suffix.")
            self._video = choose_stream(self._container, self.name)
        except ImageError:
            self._container.close()
            raise
        self._reformatter = VideoReformatter()  # a frame's own would be set up anew for each frame
        # PyAV's own threading stays: with a thread a frame, the last frames before a break are lost.
        self.time_base: Fraction = self._video.time_base or Fraction(1, 90000)
        self.rate = min(self._video.average_rate or Fraction(25), Fraction(120)) / every
        self.sample_aspect_ratio = self._video.sample_aspect_ratio
        self.audio: list[AudioStream] = list(self._container.streams.audio)
        self.audio_after: list[av.Packet] = []
        self.duration: float | None = (self._container.duration or 0) / av.time_base or None
        self._start = Fraction(self._container.start_time or 0, av.time_base)
        self._promised = self._promised_seconds()

    def _promised_seconds(self) -> float | None:
        """How long the file's own header says it is; other formats' is an estimate from the file, cut or not."""
        name = self._container.format.name
        if any(known in name for known in ("mp4", "matroska", "flv")):
            return self.duration
        if name == "avi" and self._video.frames:
            return float(self._video.frames * self.time_base)
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def frames(self) -> Iterator[Frame]:
        """All frames that decode, in order; times grow, also where the file's own are missing or fall back."""
        from av.error import FFmpegError

        audio: list[av.Packet] = []
        last, count, broken = -1, 0, 0
        end, gap = float(self._start), 0.0
        begun = time.perf_counter()
        begins = (
            False  # recordings of a broadcast begin in the middle: nothing decodes before the first key frame
        )
        try:
            for packet in self._container.demux():
                at = packet.dts if packet.pts is None else packet.pts
                if at is not None and packet.time_base is not None:
                    gap = max(gap, float(at * packet.time_base) - end)
                    end = max(end, float((at + (packet.duration or 0)) * packet.time_base))
                begins = begins or count > 0 or (packet.stream is self._video and packet.is_keyframe)
                broken += packet.is_corrupt and begins
                if packet.stream in self.audio and packet.dts is not None:
                    audio.append(self._from_start(packet))
                if packet.stream is not self._video:
                    continue
                try:
                    decoded: list[Any] = packet.decode()
                except FFmpegError:
                    broken += begins
                    continue
                for frame in decoded:
                    last = max(self._time(frame, last), last + 1)
                    broken += frame.is_corrupt and not packet.is_corrupt
                    if count % self._every == 0:
                        image = upright_rgb(frame, self._reformatter)
                        read = (time.perf_counter() - begun) * 1000
                        yield Frame(count, image, frame, last, float(last * self.time_base), audio, read)
                        audio, begun = [], time.perf_counter()
                    count += 1
        except Exception as error:  # FFmpeg's own and what its numbers lead to, memory included
            self.failure = f"{self.name} breaks off after {count} frames ({reason(error)}): {_FIX}."
        self.audio_after = audio
        self.failure = self.failure or self._what_is_missing(count, broken, end - float(self._start), gap)

    def _what_is_missing(self, count: int, broken: int, end: float, gap: float) -> str | None:
        """A sentence where the file promises more than `count` frames up to `end` seconds, or parts are damaged.

        `gap` is the longest time, in seconds, between two packets: so long may the last frame stand.
        """
        breaks_off = f"{self.name} breaks off after {count} frames"
        missing = f"{self._missing} or more bytes are missing"
        if not count:
            return f"{self.name} holds no frame{f', {missing}' if self._missing else ''}: {_FIX}."
        if self._promised and end < self._promised - max(_CUT_SECONDS, gap):
            return f"{breaks_off}, at {end:.1f} s of {self._promised:.1f} s: {_FIX}."
        if self._missing:
            return f"{breaks_off}, {missing}: {_FIX}."
        if broken:
            return f"{self.name} is damaged: {broken} parts of it could not be decoded whole; {_FIX}."
        return None

    def _time(self, frame: av.VideoFrame, last: int) -> int:
        if frame.pts is None:
            return last + round(1 / (self.rate * self._every * self.time_base)) if last >= 0 else 0
        return frame.pts - round(self._start / self.time_base)

    def _from_start(self, packet: av.Packet) -> av.Packet:
        shift = round(self._start / packet.time_base)  # type: ignore[operator]
        packet.dts = packet.dts - shift  # type: ignore[operator]
        packet.pts = None if packet.pts is None else packet.pts - shift
        return packet


def choose_stream(container: InputContainer, name: str) -> VideoStream:
    """The moving pictures of a file. Raises ImageError where there are none, or of less than 2 x 2 pixels."""
    from av.stream import Disposition

    videos = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    best = container.streams.best("video")
    video = best if best in videos else next(iter(videos), None)
    if video is None:
        cover = " but a cover picture" if best is not None else ""
        raise ImageError(f"{name} holds no video{cover}: name a file with moving pictures.")
    if cast("CodecContext | None", video.codec_context) is None:  # a codec that FFmpeg does not know
        raise ImageError(f"{name} holds a video that cannot be decoded: copy it again or save it as H.264.")
    width, height = cast("VideoStream", video).width, cast("VideoStream", video).height
    if width and height and min(width, height) < 2:
        raise ImageError(f"{name} is {width} x {height} pixels: give a video of at least 2 x 2.")
    return video  # type: ignore[return-value]


def lenient() -> dict[str, Any]:
    """For av.open: before 19 PyAV refuses a file over a title that is not UTF-8, unless told; then it does not ask."""
    import av

    return {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}


def upright_rgb(frame: av.VideoFrame, reformatter: VideoReformatter) -> np.ndarray:
    """uint8 (H, W, 3), turned by the degrees of its display matrix, which run counter-clockwise."""
    rgb = reformatter.reformat(frame, format="rgb24").to_ndarray()
    return np.ascontiguousarray(np.rot90(rgb, round(frame.rotation / 90)))
