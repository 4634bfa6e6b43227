"""One connection to a stream, camera or web server: opened with a time limit, what it gives, and why it ended."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from pipeline.edge.addresses import SCHEMES, scheme
from pipeline.edge.container import choose_stream, lenient
from pipeline.edge.errors import ImageError
from pipeline.edge.sources import Source

if TYPE_CHECKING:
    import av
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

_ANSWER_SECONDS = 10.0
_HOLE_SECONDS = 1.0  # FFmpeg leaves out a playlist's segments that the server does not have, without a word


def connect(source: Source) -> Connection:
    """Raises ImageError where it does not answer or holds no video."""
    from av.error import FFmpegError

    name = source.name
    if source.address and scheme(source.address) not in SCHEMES:
        raise ImageError(f"{name} is no address that can be read: use {', '.join(SCHEMES)}.")
    try:
        container = _open(source)
    except (FFmpegError, OSError) as error:
        fix = "check the address" if source.address else "see whether it is plugged in and free"
        raise ImageError(f"{name} cannot be read ({why(error)}): {fix}.") from None
    try:
        if container.format.name.endswith("_pipe"):
            raise ImageError(f"{name} is a single picture: download it and name the file.")
        return Connection(container, choose_stream(container, name))
    except ImageError:
        container.close()
        raise


def _open(source: Source) -> InputContainer:
    import av

    if not source.address:
        return av.open(str(source.path), format="v4l2", **lenient())
    # RTP inside the RTSP connection where the server can: through firewalls, and without lost packets.
    options = {"rtsp_flags": "prefer_tcp"} if scheme(source.address).startswith("rtsp") else {}
    limits = (_ANSWER_SECONDS, _ANSWER_SECONDS)
    return av.open(source.address, options=options, timeout=limits, **lenient())


@dataclass
class Connection:
    """One of the connections that make up a recording; `frames` says in `lost` why it ended."""

    container: InputContainer
    video: VideoStream
    lost: str | None = None
    end: float = 0.0
    """Seconds up to which packets have come."""
    reached: int = 0
    """Bytes up to there, where the format tells."""
    broken: int = 0
    """Packets after the first frame that were damaged, and segments missing between others."""

    def __post_init__(self) -> None:
        from av.video.reformatter import VideoReformatter

        self.reformatter = VideoReformatter()
        self.untimed = "mjpeg" in self.container.format.name  # its times are made up, of 25 frames a second
        # A playlist's frames come by the segment, seconds of them at once, and its size is not the video's.
        self.playlist = self.container.format.name == "hls"
        seconds = float((self.container.duration or 0) / microseconds())
        self.duration = seconds if seconds > 0 else None
        self._start = Fraction(self.container.start_time or 0) / microseconds()

    def frames(
        self, stopped: threading.Event, audio: list[AudioStream]
    ) -> Iterator[tuple[av.VideoFrame, list[av.Packet]]]:
        """Each frame that decodes, with the sound since the one before, its times from the start."""
        from av.error import FFmpegError

        begun = False
        indices = {stream.index for stream in audio}
        sound: list[av.Packet] = []
        try:
            for packet in self.container.demux():
                if stopped.is_set():
                    return
                if packet.is_corrupt:
                    self.broken += begun
                    continue  # cut off by a break: it comes whole with the next connection
                if packet.pts is not None and packet.time_base is not None:
                    at = float(packet.pts * packet.time_base - self._start)
                    self.broken += self.playlist and begun and at > self.end + _HOLE_SECONDS
                    self.end = max(self.end, at + float((packet.duration or 0) * packet.time_base))
                self.reached = max(self.reached, (packet.pos or 0) + packet.size)
                if packet.stream_index in indices and packet.dts is not None:
                    sound.append(self._from_start(packet))
                if packet.stream_index != self.video.index:
                    continue
                try:
                    decoded: list[Any] = packet.decode()
                except FFmpegError:  # streams lose packets
                    self.broken += begun
                    continue
                for frame in decoded:
                    begun = True
                    self.broken += frame.is_corrupt
                    yield frame, sound
                    sound = []
        except (FFmpegError, OSError) as error:
            self.lost = why(error)

    def seconds(self, frame: av.VideoFrame, otherwise: Fraction | float) -> Fraction:
        """The frame's time from the start."""
        if frame.pts is None or frame.time_base is None:
            return Fraction(otherwise)
        return frame.pts * frame.time_base - self._start

    def told(self, frame: av.VideoFrame) -> Fraction | None:
        """The frame's own time in seconds, from wherever; None where it has none worth believing."""
        if self.untimed or frame.pts is None or frame.time_base is None:
            return None
        return frame.pts * frame.time_base

    def _from_start(self, packet: av.Packet) -> av.Packet:
        shift = round(self._start / packet.time_base)  # type: ignore[operator]
        packet.dts = packet.dts - shift  # type: ignore[operator]
        packet.pts = None if packet.pts is None else packet.pts - shift
        return packet


def why(error: Exception) -> str:
    """FFmpeg's reason alone: the error's own text holds the address."""
    from av.error import ExitError, ProtocolNotFoundError

    if isinstance(error, ProtocolNotFoundError):
        return "this PyAV's FFmpeg does not know the protocol"
    if isinstance(error, ExitError):
        return f"no answer within {_ANSWER_SECONDS:g} s"
    return getattr(error, "strerror", None) or type(error).__name__


def microseconds() -> int:
    """How many of FFmpeg's own units a second has."""
    import av

    return av.time_base
