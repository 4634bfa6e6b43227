"""Pictures on disk to results on disk: the next is read and the previous one saved while the network runs."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.edge import render
from pipeline.edge.classes import CLASSES
from pipeline.edge.errors import ImageError, UserError
from pipeline.edge.images import image_files, read_image
from pipeline.edge.runtime import Prepared, RawOutput, Segmenter

_JPEG_SIDE = 65500


@dataclass(frozen=True)
class Job:
    """A picture and the path, without suffix, that its results begin with."""

    source: Path
    target: Path


@dataclass(frozen=True)
class _Loaded:
    image: np.ndarray
    prepared: Prepared
    read_milliseconds: float


def plan(inputs: list[Path], out: Path) -> list[Job]:
    """What to do for these inputs: results keep the path below the folder given, and never collide.

    `out` may lie inside an input folder; what is in it is not taken for input. Raises UserError for a missing
    input, a folder without pictures, or an `out` that is a file or an input folder itself.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file: name a folder.")
    jobs: list[Job] = []
    seen: set[Path] = set()
    taken: set[str] = set()
    for item in inputs:
        if item.is_dir() and item.resolve() == out.resolve():
            raise UserError(f"--out {out} is also an input: name another folder for the results.")
        inside = out.resolve() if item.is_dir() else None
        for file in image_files([item]):
            name = Path(os.path.abspath(file))  # not resolved: links to one picture are pictures of their own
            if name in seen or (inside is not None and inside in file.resolve().parents):
                continue
            seen.add(name)
            below = file.relative_to(item) if item.is_dir() else Path(file.name)
            jobs.append(Job(file, out / _free_name(below.with_suffix(""), taken)))
    if not jobs:
        raise UserError(f"No picture to do: the inputs hold only results below --out {out}.")
    return jobs


def predict(
    jobs: list[Job],
    segmenter: Segmenter,
    save: tuple[str, ...],
    safe: bool,
    report: Callable[[dict[str, Any]], None],
) -> int:
    """Segment every picture, save what `save` names of overlay, index, confidence, json; count failures.

    `report` gets one record per picture, in order, from the saving thread: its results, or "error" with a
    sentence. Raises BadModel when the model fails and UserError when a result cannot be written.
    """
    failed = 0
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        saving: Future[None] | None = None
        for job, loading in _read_ahead(jobs, segmenter, reader):
            record: dict[str, Any] = {"input": str(job.source)}
            loaded = loading.result()
            if isinstance(loaded, _Loaded):
                raw = segmenter.run(loaded.prepared)
                work = partial(_save, job, loaded, raw, segmenter, save, safe, record, report)
            else:
                failed += 1
                work = partial(report, record | {"error": str(loaded)})
            if saving is not None:
                saving.result()  # so that no more than three pictures are held: being read, run and saved
            saving = writer.submit(work)
        if saving is not None:
            saving.result()
    return failed


def write_atomic(path: Path, content: bytes) -> None:
    """Write beside and rename, so that a file is whole or absent. Raises UserError."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        raise UserError(f"Cannot write {path} ({error.strerror}): check space and permissions.") from None
    finally:
        part.unlink(missing_ok=True)


def _free_name(name: Path, taken: set[str]) -> Path:
    free, number = name, 1
    while str(free).lower() in taken:  # lower: some file systems do not tell A.png from a.png
        number += 1
        free = name.with_name(f"{name.name}_{number}")
    taken.add(str(free).lower())
    return free


def _read_ahead(
    jobs: list[Job], segmenter: Segmenter, reader: ThreadPoolExecutor
) -> Iterator[tuple[Job, Future[_Loaded | ImageError]]]:
    following = reader.submit(_load, jobs[0], segmenter)
    for i, job in enumerate(jobs):
        current = following
        current.exception()  # wait, then let the next one be read while this one runs
        if i + 1 < len(jobs):
            following = reader.submit(_load, jobs[i + 1], segmenter)
        yield job, current


def _load(job: Job, segmenter: Segmenter) -> _Loaded | ImageError:
    start = time.perf_counter()
    try:
        image = read_image(job.source)
    except ImageError as error:
        return error
    read = (time.perf_counter() - start) * 1000
    return _Loaded(image, segmenter.prepare(image), read)


def _save(
    job: Job,
    loaded: _Loaded,
    raw: RawOutput,
    segmenter: Segmenter,
    save: tuple[str, ...],
    safe: bool,
    record: dict[str, Any],
    report: Callable[[dict[str, Any]], None],
) -> None:
    result = segmenter.finish(raw)
    height, width = result.classes.shape
    files: dict[str, tuple[Path, Callable[[], bytes]]] = {}
    if "overlay" in save:
        as_jpeg = max(height, width) <= _JPEG_SIDE
        encode = render.overlay_jpeg if as_jpeg else render.overlay_png
        files["overlay"] = (
            _beside(job.target, "_overlay.jpg" if as_jpeg else "_overlay.png"),
            lambda: encode(render.overlay(loaded.image, result.classes, safe=safe)),
        )
    if "index" in save:
        files["index"] = _beside(job.target, "_index.png"), lambda: render.index_png(result.classes)
    if "confidence" in save:
        files["confidence"] = (
            _beside(job.target, "_confidence.png"),
            lambda: render.confidence_png(result.confidence),
        )
    for path, content in files.values():
        write_atomic(path, content())
    outputs = {kind: str(path) for kind, (path, _) in files.items()}
    if "json" in save:
        outputs["json"] = str(_beside(job.target, ".json"))
    times = {"read": loaded.read_milliseconds, **result.milliseconds}
    record |= {
        "outputs": outputs,
        "height": height,
        "width": width,
        "classes": {
            CLASSES[i].name: round(share, 6) for i, share in render.class_shares(result.classes).items()
        },
        "mean_confidence": round(result.mean_confidence, 4),
        "milliseconds": {step: round(value, 2) for step, value in times.items()},
        "model": segmenter.manifest.name,
    }
    if "json" in save:  # last: where it stands, the picture's other results are complete
        write_atomic(Path(outputs["json"]), (json.dumps(record) + "\n").encode())
    report(record)


def _beside(target: Path, ending: str) -> Path:
    return target.with_name(target.name + ending)
