"""A video or camera segmented: an overlay video, a JSON line for each frame, and a picture of each if asked for."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any, Self

from pipeline.edge import render
from pipeline.edge.container import Frame, VideoReader
from pipeline.edge.errors import CannotWrite
from pipeline.edge.failure import sentence
from pipeline.edge.overlap import abreast, ahead, behind
from pipeline.edge.progress import Progress
from pipeline.edge.results import SHAPES, LineFile, beside, findings, part, shapes_json, write_atomic
from pipeline.edge.runtime import Prepared, RawOutput, Segmentation, Segmenter
from pipeline.edge.sources import Source
from pipeline.edge.streams import say
from pipeline.edge.video_writer import VideoWriter

_OF_EACH_FRAME = ("index", "confidence", *SHAPES)


def predict_video(
    source: Source,
    segmenter: Segmenter,
    save: tuple[str, ...],
    safe: bool,
    model: dict[str, str],
    progress: Progress,
) -> dict[str, Any]:
    """Decoding, network and saving overlap; gives the video's record.

    Of a video that breaks off, the frames that decode are saved and the record has an "error", too. A camera
    has no end: its frames' lines go to stdout as well, and Ctrl-C ends the recording, which is kept.
    """
    record: dict[str, Any] = {"input": str(source.path)}
    try:
        with VideoReader(source) as reader:
            record |= _segmented(source, reader, segmenter, save, safe, progress) | model
            return record | ({"error": reader.failure} if reader.failure else {})
    except Exception as error:  # FFmpeg and what is drawn from its frames have no types of their own
        return record | {"error": sentence(error, source.path)}


def _segmented(
    source: Source,
    reader: VideoReader,
    segmenter: Segmenter,
    save: tuple[str, ...],
    safe: bool,
    progress: Progress,
) -> dict[str, Any]:
    ended: BaseException | None = None
    with _Results(source, reader, segmenter, save, safe, progress) as results:
        try:
            with (
                closing(ahead(_prepared(reader, segmenter))) as frames,
                closing(abreast(partial(_run, segmenter), frames, segmenter.at_once)) as answers,
                behind() as do,
            ):
                for frame, raw in answers:
                    do(partial(results.add, frame, raw))
        except (KeyboardInterrupt, CannotWrite) as error:  # the latter of stdout, when a terminal closes
            if source.kind != "camera":
                raise
            ended = error
        record = results.finish()
    if ended is not None and not isinstance(ended, KeyboardInterrupt):
        raise ended
    return record


def _prepared(reader: VideoReader, segmenter: Segmenter) -> Iterator[tuple[Frame, Prepared]]:
    for frame in reader.frames():
        yield frame, segmenter.prepare(frame.image)


def _run(segmenter: Segmenter, frame: tuple[Frame, Prepared]) -> tuple[Frame, RawOutput]:
    return frame[0], segmenter.run(frame[1])


class _Results:
    """Everything saved of one video: made beside, renamed by `finish`; leaving `with` before that leaves nothing."""

    def __init__(
        self,
        source: Source,
        reader: VideoReader,
        segmenter: Segmenter,
        save: tuple[str, ...],
        safe: bool,
        progress: Progress,
    ) -> None:
        self._source = source
        self._duration = reader.duration
        self._segmenter = segmenter
        self._progress = progress
        self._parts = ExitStack()
        self._overlay = beside(source.target, "_overlay.mp4")
        self._writer: VideoWriter | None = None
        if "overlay" in save:
            self._writer = self._parts.enter_context(VideoWriter(self._overlay, reader, safe))
        self._folders = {k: beside(source.target, f"_{k}") for k in _OF_EACH_FRAME if k in save}
        for folder in self._folders.values():
            self._parts.callback(shutil.rmtree, part(folder), ignore_errors=True)
        self._lines: LineFile | None = None
        if "json" in save:
            self._lines = self._parts.enter_context(LineFile(beside(source.target, ".jsonl")))
        self._begun = time.monotonic()
        self._size = (0, 0)
        self._count = 0
        self._seconds = 0.0
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
            write_atomic(*self._picture(kind, part(folder) / f"{self._count:06d}", result))
        found = findings(result, frame.read_milliseconds)
        line = {"frame": self._count, "time": round(frame.seconds, 6), **found}
        if self._lines is not None:
            self._lines.add(line)
        if self._source.kind == "camera":
            self._progress.line({"input": str(self._source.path), **line})
        height, width = result.classes.shape
        self._size = height, width
        self._count += 1
        self._seconds = frame.seconds
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
        return beside(target, suffix), shapes_json(kind, str(self._source.path), result.classes, known)

    def finish(self) -> dict[str, Any]:
        """Put everything in its place and give the video's record, numbers as means over the frames."""
        if not self._count:
            return {"outputs": {}, "frames": 0}
        outputs: dict[str, str] = {}
        if self._writer is not None:
            self._writer.finish()
            outputs["overlay"] = str(self._overlay)
            for codec in self._writer.left_out:
                say(f"{self._source.path}: an mp4 holds no {codec} sound, left out.")
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
            "mean_confidence": round(self._confidence / n, 4),
            "milliseconds": {step: round(total / n, 2) for step, total in self._milliseconds.items()},
        }
