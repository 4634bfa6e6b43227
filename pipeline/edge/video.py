"""A video, camera or stream segmented: an overlay video, a JSON line for each frame, a picture of each if asked for."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

from pipeline.edge import render
from pipeline.edge.container import Frame, Reader, VideoReader
from pipeline.edge.errors import CannotWrite
from pipeline.edge.failure import sentence
from pipeline.edge.overlap import abreast, ahead, arriving, behind
from pipeline.edge.progress import Progress
from pipeline.edge.remote import StreamReader
from pipeline.edge.results import SHAPES, LineFile, beside, findings, part, shapes_json, write_atomic
from pipeline.edge.runtime import Prepared, RawOutput, Segmentation, Segmenter
from pipeline.edge.segments import Segments
from pipeline.edge.sources import Source
from pipeline.edge.streams import say
from pipeline.edge.video_writer import VideoWriter

_OF_EACH_FRAME = ("index", "confidence", *SHAPES)
_WAITING_FRAMES = 4  # a sixth of a second of most cameras: so far may the network be behind


@dataclass(frozen=True)
class Recording:
    """How videos, cameras and streams are taken."""

    every: int = 1
    """One frame of so many."""
    segment: float = 60.0
    """Seconds of a file of what has no end; 0: one file."""
    reconnect: float = 60.0
    """Seconds without a frame after which a lost stream is given up."""


def predict_video(
    source: Source,
    segmenter: Segmenter,
    save: tuple[str, ...],
    safe: bool,
    model: dict[str, str],
    progress: Progress,
    recording: Recording,
) -> dict[str, Any]:
    """Decoding, network and saving overlap; gives the video's record.

    Of a video that breaks off, the frames that decode are saved and the record has an "error", too. A camera or
    stream has no end: it is kept in segments, whose records go to stdout as do its frames' lines, and Ctrl-C ends
    the recording ("interrupted"), which is kept.
    """
    record: dict[str, Any] = {"input": source.name}
    if source.fault:
        return record | {"error": source.fault}
    try:
        with _opened(source, recording) as reader:
            record |= _segmented(source, reader, segmenter, save, safe, model, progress, recording) | model
            return record | ({"error": reader.failure} if reader.failure else {})
    except Exception as error:  # FFmpeg and what is drawn from its frames have no types of their own
        told = sentence(error, source.name)
        return record | {"error": told.replace(source.address, source.name) if source.address else told}


def _opened(source: Source, recording: Recording) -> VideoReader | StreamReader:
    if source.kind in ("stream", "camera"):
        return StreamReader(source, recording.reconnect, recording.every)
    return VideoReader(source, recording.every)


def _segmented(
    source: Source,
    reader: VideoReader | StreamReader,
    segmenter: Segmenter,
    save: tuple[str, ...],
    safe: bool,
    model: dict[str, str],
    progress: Progress,
    recording: Recording,
) -> dict[str, Any]:
    def results(segment: int | None = None) -> _Results:
        return _Results(source, reader, segmenter, save, safe, progress, segment)

    def report(record: dict[str, Any]) -> None:
        progress.line({"input": source.name, **record, **model})

    ended: BaseException | None = None
    with Segments(results, recording.segment, report) if reader.endless else results() as saved:
        try:
            with (
                closing(_prepared(reader, segmenter)) as frames,
                closing(abreast(partial(_run, segmenter), frames, segmenter.at_once)) as answers,
                behind() as do,
            ):
                for frame, raw in answers:
                    do(partial(saved.add, frame, raw))
        except (KeyboardInterrupt, CannotWrite) as error:  # the latter of stdout, when a terminal closes
            if not reader.endless:
                raise
            ended = error
        record = saved.finish()
    if ended is not None and not isinstance(ended, KeyboardInterrupt):
        raise ended
    if isinstance(reader, StreamReader):
        record |= {"dropped": reader.dropped, "reconnects": reader.reconnects}
    return record | ({"interrupted": ended is not None} if reader.endless else {})


def _prepared(reader: VideoReader | StreamReader, segmenter: Segmenter) -> Generator[tuple[Frame, Prepared]]:
    """A file's frames are prepared ahead; of a stream's only those that are taken, so that it is read at its pace."""
    if isinstance(reader, VideoReader):
        with closing(ahead((f, segmenter.prepare(f.image)) for f in reader.frames())) as frames:
            yield from frames
    else:
        drop = reader.drop if reader.endless else None
        with closing(arriving(reader.frames(), _WAITING_FRAMES, drop)) as frames:
            for frame in frames:
                yield frame, segmenter.prepare(frame.image)


def _run(segmenter: Segmenter, frame: tuple[Frame, Prepared]) -> tuple[Frame, RawOutput]:
    return frame[0], segmenter.run(frame[1])


class _Results:
    """Everything saved of one video: made beside, renamed by `finish`; leaving `with` before that leaves nothing."""

    def __init__(
        self,
        source: Source,
        reader: Reader,
        segmenter: Segmenter,
        save: tuple[str, ...],
        safe: bool,
        progress: Progress,
        segment: int | None = None,
    ) -> None:
        self._source = source
        self._endless = reader.endless
        self._duration = reader.duration
        number = "" if segment is None else f"_{segment:03d}"
        self._segmenter = segmenter
        self._progress = progress
        self._parts = ExitStack()
        self._overlay = beside(source.target, f"_overlay{number}.mp4")
        self._writer: VideoWriter | None = None
        if "overlay" in save:
            self._writer = self._parts.enter_context(VideoWriter(self._overlay, reader, safe))
        self._folders = {k: beside(source.target, f"_{k}{number}") for k in _OF_EACH_FRAME if k in save}
        for folder in self._folders.values():
            self._parts.callback(shutil.rmtree, part(folder), ignore_errors=True)
        self._lines: LineFile | None = None
        if "json" in save:
            self._lines = self._parts.enter_context(LineFile(beside(source.target, f"{number}.jsonl")))
        self._begun = time.monotonic()
        self._size = (0, 0)
        self._count = 0
        self._seconds = 0.0
        self._ignored: dict[str, float] = {}
        self._confidence = 0.0
        self._shares = Counter[str]()
        self._milliseconds = Counter[str]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._parts.close()

    def add(self, frame: Frame, raw: RawOutput) -> None:
        """Save one frame; called in order, from one thread."""
        result = self._segmenter.finish(raw)
        if self._writer is not None:
            self._writer.add(frame, result.classes)
        for kind, folder in self._folders.items():
            write_atomic(*self._picture(kind, part(folder) / f"{frame.number:06d}", result))
        found = findings(result, frame.read_milliseconds)
        line = {"frame": frame.number, "time": round(frame.seconds, 6), **found}
        if self._lines is not None:
            self._lines.add(line)
        if self._endless:
            self._progress.line({"input": self._source.name, **line})
        height, width = result.classes.shape
        self._size = height, width
        self._count += 1
        self._seconds = frame.seconds
        self._ignored = {"ignored": found["ignored"]} if "ignored" in found else {}
        self._confidence += found["mean_confidence"]
        self._shares.update(found["classes"])
        self._milliseconds.update(found["milliseconds"])
        share = min(frame.seconds / self._duration, 1.0) if self._duration else None
        self._progress.frame(self._source.path.name, self._count, share, time.monotonic() - self._begun)

    def _picture(self, kind: str, target: Path, result: Segmentation) -> tuple[Path, bytes]:
        """One file of one frame: path and content."""
        if kind == "index":
            return beside(target, ".png"), render.index_png(result.classes)
        if kind == "confidence":
            return beside(target, ".png"), render.confidence_png(result.confidence)
        known = self._segmenter.manifest.classes
        suffix = Path(SHAPES[kind]).suffix
        return beside(target, suffix), shapes_json(kind, self._source.name, result.classes, known)

    def finish(self) -> dict[str, Any]:
        """Put everything in its place and give the video's record, numbers as means over the frames."""
        if not self._count:
            return {"outputs": {}, "frames": 0}
        outputs: dict[str, str] = {}
        if self._writer is not None:
            self._writer.finish()
            outputs["overlay"] = str(self._overlay)
            for codec in self._writer.left_out:
                say(f"{self._source.name}: an mp4 holds no {codec} sound, left out.")
        for kind, folder in self._folders.items():
            shutil.rmtree(folder, ignore_errors=True)
            part(folder).replace(folder)
            outputs[kind] = str(folder)
        if self._lines is not None:  # last: where it stands, the video's other results are complete
            outputs["json"] = str(self._lines.finish())
        n = self._count
        return {
            "outputs": outputs,
            "height": self._size[0],
            "width": self._size[1],
            "frames": n,
            "seconds": round(self._seconds, 6),
            "classes": {name: round(total / n, 6) for name, total in self._shares.most_common()},
            **self._ignored,
            "mean_confidence": round(self._confidence / n, 4),
            "milliseconds": {step: round(total / n, 2) for step, total in self._milliseconds.items()},
        }
