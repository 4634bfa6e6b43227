"""Pictures and videos to results on disk: the next is read and the one before saved while the network runs."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.edge import render
from pipeline.edge.checksum import manifest_sha256
from pipeline.edge.coco import FILE, write_coco
from pipeline.edge.failure import FAILURES, list_failures, sentence
from pipeline.edge.finished import Finished, Stamp, stamp
from pipeline.edge.images import read_image
from pipeline.edge.overlap import abreast, ahead, behind
from pipeline.edge.progress import Progress
from pipeline.edge.results import SHAPES, beside, findings, remove_abandoned, shapes_json, write_atomic
from pipeline.edge.runtime import Prepared, RawOutput, Segmenter
from pipeline.edge.sources import Source
from pipeline.edge.video import Recording, predict_video

_SAVE = {
    "picture": ("overlay", "index", "json"),
    "video": ("overlay", "json"),  # a picture of each frame only when asked for
    "camera": ("overlay", "json"),
    "stream": ("overlay", "json"),
}
_ORDER = ("video", "stream", "camera")  # what may have no end comes last
_JPEG_SIDE = 65500
# Pictures on the network at the same time, each on its part of the CPU threads: on two cores a video takes 0.87 of the
# time that it takes frame by frame, where a thread that reads or saves holds up the other one of the network.
AT_ONCE = 2

Report = Callable[[Source, dict[str, Any], Stamp | None], None]


def predict(
    sources: list[Source],
    segmenter: Segmenter,
    out: Path,
    save: tuple[str, ...] | None,
    safe: bool,
    overwrite: bool,
    recording: Recording,
) -> int:
    """Segment what no earlier run did and save what `save` names (None: what suits each kind); count failures.

    One JSON line for each on stdout: its results, or "error" with a sentence. The failures are listed in
    failures.txt in `out`, too. Raises BadModel when the model fails and UserError when a result cannot be written.
    """
    model = {"model": segmenter.manifest.name, "onnx": segmenter.graph_sha256}
    settings = [model["onnx"], manifest_sha256(segmenter.manifest.raw), safe, segmenter.precision]
    if segmenter.ignore is not None:
        settings.append(segmenter.ignore.sha256)
    whole_set = save is not None and "coco" in save
    if save is not None:  # coco.json is put together of the pictures' masks
        save = tuple(dict.fromkeys("rle" if item == "coco" else item for item in save))
    remove_abandoned(out)
    finished = Finished(out, hashlib.sha256(json.dumps(settings).encode()).hexdigest(), recording.every)
    to_do = [s for s in sources if overwrite or not finished.holds(s, save or _SAVE[s.kind])]
    pictures = [s for s in to_do if s.kind == "picture"]
    videos = sorted((s for s in to_do if s.kind != "picture"), key=lambda s: _ORDER.index(s.kind))
    progress = Progress(len(pictures), len(videos), len(sources) - len(to_do))

    def report(source: Source, record: dict[str, Any], seen: Stamp | None) -> None:
        if "error" not in record and source.kind in ("picture", "video"):
            finished.add(source, seen, record["outputs"])
        progress.finished("picture" if source.kind == "picture" else "video", record)

    predict_pictures(pictures, segmenter, save or _SAVE["picture"], safe, model, report)
    for video in videos:
        seen = stamp(video.path)
        record = predict_video(video, segmenter, save or _SAVE[video.kind], safe, model, progress, recording)
        report(video, record, seen)
        if record.get("interrupted"):
            break
    if whole_set:
        write_coco(finished.pictures("rle"), segmenter.manifest.classes, out / FILE)
    list_failures(progress.failures, out)
    progress.end(out, out / FAILURES)
    return len(progress.failures)


@dataclass(frozen=True)
class _Loaded:
    source: Source
    seen: Stamp | None
    image: np.ndarray
    prepared: Prepared
    read_milliseconds: float
    warnings: list[str]


@dataclass(frozen=True)
class _Failed:
    source: Source
    sentence: str


def predict_pictures(
    sources: list[Source],
    segmenter: Segmenter,
    save: tuple[str, ...],
    safe: bool,
    model: dict[str, str],
    report: Report,
) -> None:
    """`report` gets every picture's record, in order, from the saving thread; no more than five are held."""

    def run(picture: _Loaded | _Failed) -> Callable[[], None]:
        if isinstance(picture, _Failed):
            return partial(report, picture.source, _failed(picture.source, picture.sentence), None)
        raw = segmenter.run(picture.prepared)

        def finish() -> None:
            try:
                record = _save(picture, raw, segmenter, save, safe, model)
            except Exception as error:
                record = _failed(picture.source, sentence(error, picture.source.path))
            report(picture.source, record, picture.seen)

        return finish

    with (
        closing(ahead(_load(sources, segmenter))) as pictures,
        closing(abreast(run, pictures, segmenter.at_once)) as to_save,
        behind() as do,
    ):
        for task in to_save:
            do(task)


def _load(sources: list[Source], segmenter: Segmenter) -> Iterator[_Loaded | _Failed]:
    for source in sources:
        start = time.perf_counter()
        seen = stamp(source.path)
        if source.fault:
            yield _Failed(source, source.fault)
            continue
        try:
            warnings: list[str] = []
            image = read_image(source.path, notes=warnings)
            read = (time.perf_counter() - start) * 1000
            loaded = _Loaded(source, seen, image, segmenter.prepare(image), read, warnings)
        except Exception as error:  # decoders have no types of their own
            yield _Failed(source, sentence(error, source.path))
        else:
            yield loaded


def _save(
    picture: _Loaded,
    raw: RawOutput,
    segmenter: Segmenter,
    save: tuple[str, ...],
    safe: bool,
    model: dict[str, str],
) -> dict[str, Any]:
    """The picture's record, once its results are in place."""
    target = picture.source.target
    result = segmenter.finish(raw)
    height, width = result.classes.shape
    outputs: dict[str, str] = {}

    def write(kind: str, ending: str, content: bytes) -> None:
        path = beside(target, ending)
        write_atomic(path, content)
        outputs[kind] = str(path)

    if "overlay" in save:
        drawn = render.overlay(picture.image, result.classes, safe=safe)
        if max(height, width) <= _JPEG_SIDE:
            write("overlay", "_overlay.jpg", render.overlay_jpeg(drawn))
        else:
            write("overlay", "_overlay.png", render.overlay_png(drawn))
    if "index" in save:
        write("index", "_index.png", render.index_png(result.classes))
    if "confidence" in save:
        write("confidence", "_confidence.png", render.confidence_png(result.confidence))
    for kind, ending in SHAPES.items():
        if kind in save:
            known = segmenter.manifest.classes
            write(kind, ending, shapes_json(kind, str(picture.source.path), result.classes, known))
    if "json" in save:
        outputs["json"] = str(beside(target, ".json"))
    record = {
        "input": str(picture.source.path),
        "outputs": outputs,
        "height": height,
        "width": width,
        **findings(result, picture.read_milliseconds),
        **model,
        **({"warnings": picture.warnings} if picture.warnings else {}),
    }
    if "json" in save:  # last: where it stands, the picture's other results are complete
        write_atomic(Path(outputs["json"]), (json.dumps(record) + "\n").encode())
    return record


def _failed(source: Source, told: str) -> dict[str, Any]:
    return {"input": str(source.path), "error": told}
