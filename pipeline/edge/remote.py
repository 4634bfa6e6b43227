"""Streams, cameras and videos on a web server: with a time limit, reconnected, in the order and pace they arrive."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Self

from pipeline.edge.addresses import SCHEMES, scheme
from pipeline.edge.container import Frame, choose_stream, lenient, upright_rgb
from pipeline.edge.errors import ImageError
from pipeline.edge.sources import Source
from pipeline.edge.streams import say

if TYPE_CHECKING:
    import av
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

_ANSWER_SECONDS = 10.0
_LONGEST_PAUSE = 30.0
_CUT_SECONDS = 0.5  # streams of sound end that much before what their header says
_CUT_SHARE, _CUT_BYTES = 0.95, 4096  # packets are that much shorter than their files, and headers follow
_WITH_INDEX = ("mp4", "matroska")
_DRIFT_SECONDS = 5.0  # a camera that sets its clock, or times that begin anew
_CLOCK = Fraction(1, 90000)


class StreamReader:
    """An open address or camera; use it with `with`. Raises ImageError where it does not answer or holds no video.

    What says how long it is (a file on a web server) is read to its end, and after a break from where it was. What
    does not (a camera) is `endless`: it has no sound here, its times are those of its arrival, and it is tried again
    until no frame has come for `reconnect` seconds. `frames` is to be called from one thread, `stop` from any.
    """

    def __init__(self, source: Source, reconnect: float, every: int = 1) -> None:
        self.name = source.name
        self._address = source.address
        self._device = source.path
        self._reconnect = reconnect
        self._every = every
        self._containers = ExitStack()
        self._stopped = threading.Event()
        self._read = threading.Event()  # set while no frame is being read
        self._read.set()
        self.failure: str | None = None
        """Once the frames are read: why there are no more."""
        self.reconnects = 0
        self.dropped = 0
        self.audio_after: list[av.Packet] = []
        self._connection = self._connect()
        container, video = self._connection.container, self._connection.video
        self.duration = self._connection.duration
        self.endless = self._address is None or (
            self.duration is None and (self._connection.playlist or container.size <= 0)
        )
        self.rate = min(video.average_rate or Fraction(25), Fraction(120)) / every
        self.time_base = _CLOCK if self.endless else video.time_base or _CLOCK
        self.sample_aspect_ratio = video.sample_aspect_ratio
        self.audio: list[AudioStream] = [] if self.endless else list(container.streams.audio)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        # One that hangs in a read keeps its connection until the process ends: closing it now would crash.
        if self._read.wait(1):
            self._containers.close()

    def stop(self) -> None:
        """Let `frames` end with the next frame, or the pause between two attempts at once."""
        self._stopped.set()

    def drop(self) -> None:
        """Count a frame that was pushed out by newer ones."""
        self.dropped += 1

    def frames(self) -> Generator[Frame]:
        """The frames in order, their times growing; `number` counts all, also those left out for `every`."""
        self._read.clear()
        try:
            yield from self._endless() if self.endless else self._to_the_end()
        except (
            Exception
        ) as error:  # what a frame's numbers lead to, memory included: the frames before are kept
            self.failure = f"{self.name} breaks off ({_why(error)}): what came before is kept."
        finally:
            self._read.set()

    def _to_the_end(self) -> Iterator[Frame]:
        last, number = -1, 0
        heard: dict[int, int] = {}  # by stream, the time of the last packet of sound
        sound: list[av.Packet] = []
        while True:
            before, begun = number, time.perf_counter()
            for decoded, packets in self._connection.frames(self._stopped, self.audio):
                for packet in packets:
                    at = packet.dts or 0
                    if at > heard.get(packet.stream_index, at - 1):
                        heard[packet.stream_index] = at
                        sound.append(packet)
                at = round(
                    self._connection.seconds(decoded, number / (self.rate * self._every)) / self.time_base
                )
                if at <= last:
                    continue  # seen before the break
                last, number = at, number + 1
                if (number - 1) % self._every == 0:
                    yield self._frame(decoded, number - 1, at, begun, sound)
                    sound, begun = [], time.perf_counter()
            self.audio_after = sound
            if not number and not self._stopped.is_set() and self._connection.lost is None:
                self.failure = f"{self.name} holds no frame: check the address."
                return
            lost = self._connection.lost or self._cut(last)
            if lost is None or self._stopped.is_set():
                return
            if self.reconnects and number == before:
                self.failure = (
                    f"{self.name} breaks off after {number} frames ({lost}), now as before: try later."
                )
                return
            if not self._again(number, lost, time.monotonic()):
                return
            container = self._connection.container
            if any(name in container.format.name for name in _WITH_INDEX):  # others are read from the start
                with contextlib.suppress(OSError):
                    container.seek(round(last * self.time_base * _microseconds()))

    def _cut(self, last: int) -> str | None:
        """What is missing where a connection ended without a word."""
        end = max(float(last * self.time_base), self._connection.end)
        if self.duration is not None and end < self.duration - _CUT_SECONDS:
            return f"at {end:.1f} s of {self.duration:.1f} s"
        size, reached = self._connection.container.size, self._connection.reached
        if self.duration is None and reached < size * _CUT_SHARE - _CUT_BYTES:
            return f"at {reached} of {size} bytes"
        return None

    def _endless(self) -> Iterator[Frame]:
        last, number = -1, 0
        start = alive = time.monotonic()
        step = max(1, round(1 / (self.rate * self._every) / _CLOCK))
        while True:
            shift: int | None = None
            begun = time.perf_counter()
            for decoded, _ in self._connection.frames(self._stopped, []):
                alive = time.monotonic()
                if number == 0:
                    start = alive
                now = round((alive - start) / _CLOCK)
                told = self._connection.told(decoded)
                if told is None:
                    at = now if self._connection.untimed else last + step
                else:
                    if shift is None or abs(told + shift - now) * _CLOCK > _DRIFT_SECONDS:
                        shift = max(now, last + step if last >= 0 else 0) - told
                    at = told + shift
                last, number = max(at, last + 1), number + 1
                if self._connection.playlist and self._stopped.wait(max(0, last - now) * float(_CLOCK)):
                    return
                if (number - 1) % self._every == 0:
                    yield self._frame(decoded, number - 1, last, begun, [])
                begun = time.perf_counter()
            if self._stopped.is_set() or not self._again(number, self._connection.lost or "it ended", alive):
                return

    def _frame(
        self, decoded: av.VideoFrame, number: int, at: int, begun: float, sound: list[av.Packet]
    ) -> Frame:
        image = upright_rgb(decoded, self._connection.reformatter)
        read = (time.perf_counter() - begun) * 1000
        return Frame(number, image, decoded, at, float(at * self.time_base), sound, read, self.reconnects)

    def _again(self, number: int, lost: str, alive: float) -> bool:
        """Connect anew after 1, 2, 4, ... 30 seconds, until `reconnect` seconds after the last frame, `alive`."""
        if self._reconnect <= 0:
            self.failure = f"{self.name} breaks off after {number} frames ({lost}); --reconnect tries again."
            return False
        say(f"{self.name} was lost after {number} frames ({lost}): trying again.")
        pause = 1.0
        while (left := alive + self._reconnect - time.monotonic()) > 0:
            if self._stopped.wait(min(pause, left)):
                return False
            with contextlib.suppress(ImageError):
                connection = self._connect()
                if connection.playlist and self.endless and connection.duration is not None:
                    say(f"{self.name} has ended.")  # as a playlist says in its last line
                    return False
                self._connection = connection
                self.reconnects += 1
                say(f"{self.name} is back.")
                return True
            pause = min(2 * pause, _LONGEST_PAUSE)
        self.failure = (
            f"{self.name} was lost after {number} frames ({lost}) and did not come back within "
            f"{self._reconnect:g} s: see whether it is on."
        )
        return False

    def _connect(self) -> _Connection:
        from av.error import FFmpegError

        try:
            container = self._open()
        except (FFmpegError, OSError) as error:
            fix = "check the address" if self._address else "see whether it is plugged in and free"
            raise ImageError(f"{self.name} cannot be read ({_why(error)}): {fix}.") from None
        self._containers.enter_context(container)
        if container.format.name.endswith("_pipe"):
            raise ImageError(f"{self.name} is a single picture: download it and name the file.")
        return _Connection(container, choose_stream(container, self.name))

    def _open(self) -> InputContainer:
        import av

        if self._address is None:
            return av.open(str(self._device), format="v4l2", **lenient())
        if scheme(self._address) not in SCHEMES:
            raise ImageError(f"{self.name} is no address that can be read: use {', '.join(SCHEMES)}.")
        # RTP inside the RTSP connection where the server can: through firewalls, and without lost packets.
        options = {"rtsp_flags": "prefer_tcp"} if scheme(self._address).startswith("rtsp") else {}
        return av.open(
            self._address, options=options, timeout=(_ANSWER_SECONDS, _ANSWER_SECONDS), **lenient()
        )


@dataclass
class _Connection:
    """One of the connections that make up a recording; `frames` says in `lost` why it ended."""

    container: InputContainer
    video: VideoStream
    lost: str | None = None
    end: float = 0.0
    """Seconds up to which packets have come."""
    reached: int = 0
    """Bytes up to there, where the format tells."""

    def __post_init__(self) -> None:
        from av.video.reformatter import VideoReformatter

        self.reformatter = VideoReformatter()
        self.untimed = "mjpeg" in self.container.format.name  # its times are made up, of 25 frames a second
        # A playlist's frames come by the segment, seconds of them at once, and its size is not the video's.
        self.playlist = self.container.format.name == "hls"
        seconds = float((self.container.duration or 0) / _microseconds())
        self.duration = seconds if seconds > 0 else None
        self._start = Fraction(self.container.start_time or 0) / _microseconds()

    def frames(
        self, stopped: threading.Event, audio: list[AudioStream]
    ) -> Iterator[tuple[av.VideoFrame, list[av.Packet]]]:
        """Each frame that decodes, with the sound since the one before, its times from the start."""
        from av.error import FFmpegError

        indices = {stream.index for stream in audio}
        sound: list[av.Packet] = []
        try:
            for packet in self.container.demux():
                if stopped.is_set():
                    return
                if packet.is_corrupt:
                    continue  # cut off by the break: it comes whole with the next connection
                if packet.pts is not None and packet.time_base is not None:
                    until = (packet.pts + (packet.duration or 0)) * packet.time_base - self._start
                    self.end = max(self.end, float(until))
                self.reached = max(self.reached, (packet.pos or 0) + packet.size)
                if packet.stream_index in indices and packet.dts is not None:
                    sound.append(self._from_start(packet))
                if packet.stream_index != self.video.index:
                    continue
                decoded: list[Any] = []
                with contextlib.suppress(FFmpegError):  # streams lose packets
                    decoded = packet.decode()
                for frame in decoded:
                    yield frame, sound
                    sound = []
        except (FFmpegError, OSError) as error:
            self.lost = _why(error)

    def seconds(self, frame: av.VideoFrame, otherwise: Fraction | float) -> Fraction:
        if frame.pts is None or frame.time_base is None:
            return Fraction(otherwise)
        return frame.pts * frame.time_base - self._start

    def told(self, frame: av.VideoFrame) -> int | None:
        """The frame's own time in units of _CLOCK; None where it has none worth believing."""
        if self.untimed or frame.pts is None or frame.time_base is None:
            return None
        return round(frame.pts * frame.time_base / _CLOCK)

    def _from_start(self, packet: av.Packet) -> av.Packet:
        shift = round(self._start / packet.time_base)  # type: ignore[operator]
        packet.dts = packet.dts - shift  # type: ignore[operator]
        packet.pts = None if packet.pts is None else packet.pts - shift
        return packet


def _why(error: Exception) -> str:
    """FFmpeg's reason alone: the error's own text holds the address."""
    from av.error import ExitError, ProtocolNotFoundError

    if isinstance(error, ProtocolNotFoundError):
        return "this PyAV's FFmpeg does not know the protocol"
    if isinstance(error, ExitError):
        return f"no answer within {_ANSWER_SECONDS:g} s"
    return getattr(error, "strerror", None) or type(error).__name__


def _microseconds() -> int:
    """How many of FFmpeg's own units a second has."""
    import av

    return av.time_base
