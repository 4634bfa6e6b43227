"""Streams, cameras and videos on a web server: with a time limit, reconnected, in the order and pace they arrive."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from fractions import Fraction
from typing import TYPE_CHECKING, Self

from pipeline.edge.connection import Connection, connect, microseconds, why
from pipeline.edge.container import Frame, upright_rgb
from pipeline.edge.errors import ImageError
from pipeline.edge.sources import Source
from pipeline.edge.streams import say

if TYPE_CHECKING:
    import av
    from av.audio.stream import AudioStream

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
        self._source = source
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
        self.endless = source.kind == "camera" or (
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
        except Exception as error:  # what a frame's numbers lead to, memory included
            self.failure = f"{self.name} breaks off ({why(error)}): what came before is kept."
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
            lost = self._connection.lost or self._cut(last)
            if lost is None or self._stopped.is_set():
                self.failure = self._amiss(number)
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
                    container.seek(round(last * self.time_base * microseconds()))

    def _cut(self, last: int) -> str | None:
        """What is missing where a connection ended without a word."""
        end = max(float(last * self.time_base), self._connection.end)
        if self.duration is not None and end < self.duration - _CUT_SECONDS:
            return f"at {end:.1f} s of {self.duration:.1f} s"
        size, reached = self._connection.container.size, self._connection.reached
        if self.duration is None and reached < size * _CUT_SHARE - _CUT_BYTES:
            return f"at {reached} of {size} bytes"
        return None

    def _amiss(self, number: int) -> str | None:
        """What is wrong with a file that was read to its end."""
        if not number:
            return f"{self.name} holds no frame: check the address."
        if self._connection.broken:
            parts = f"{self._connection.broken} parts of it could not be decoded whole"
            return f"{self.name} is damaged: {parts}; copy or save it again."
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
                seconds = self._connection.told(decoded)
                if seconds is None:
                    at = now if self._connection.untimed else last + step
                else:
                    told = round(seconds / _CLOCK)
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

    def _connect(self) -> Connection:
        made = connect(self._source)
        self._containers.enter_context(made.container)
        return made
