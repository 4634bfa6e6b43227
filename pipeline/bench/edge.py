"""mic-edge: files to saved results against session.run alone, and how much of the rest the overlap hides."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from pipeline.bench.clip import EXAMPLES, NIGHT_MODEL, draw_clip
from pipeline.bench.row import Row, medians_in_turn
from pipeline.edge.container import VideoReader
from pipeline.edge.images import read_image
from pipeline.edge.predict import AT_ONCE, predict_pictures
from pipeline.edge.progress import Progress
from pipeline.edge.runtime import Prepared, RawOutput, Segmentation, Segmenter
from pipeline.edge.sources import Source
from pipeline.edge.video import Recording, predict_video

# As where nothing is asked for.
SAVED = {"picture": ("overlay", "index", "json"), "video": ("overlay", "json")}
STEPS = ("read and prepare", "network", "finish and save")
PICTURES, ROUNDS = 200, 3
CLIP_SECONDS, CLIP_RATE, CLIP_SIZE = 60, 10, (720, 1280)


def rows() -> list[Row]:
    """Pictures and a video."""
    with tempfile.TemporaryDirectory() as folder:
        return [pictures(Path(folder)), video(Path(folder))]


def pictures(folder: Path) -> Row:
    """Picture files of several sizes to saved results."""
    model = Watched(NIGHT_MODEL)
    jobs = edge_jobs(PICTURES, folder)
    inputs = [model.prepare(read_image(path)) for path in dict.fromkeys(job.path for job in jobs)]
    what = f"{len(jobs)} pictures of {len(inputs)} sizes and contents"
    return _row("edge_image", 1.25, what, model, lambda: save_pictures(jobs, model), inputs, len(jobs))


def video(folder: Path) -> Row:
    """A video file to its overlay video and a line for each frame."""
    model = Watched(NIGHT_MODEL)
    frames = CLIP_SECONDS * CLIP_RATE
    clip = draw_clip(folder / "clip.mp4", frames, CLIP_SIZE, CLIP_RATE)
    job = Source("video", clip, folder / "video")
    with VideoReader(job) as reader:
        inputs = [model.prepare(frame.image) for frame in islice(reader.frames(), 20)]
    what = f"{CLIP_SECONDS} s of {CLIP_SIZE[1]}x{CLIP_SIZE[0]} at {CLIP_RATE} frames/s"
    return _row("edge_video", 1.15, what, model, lambda: save_video(job, model), inputs, frames)


class Watched(Segmenter):
    """A segmenter as of `mic-edge predict` that adds up the seconds of each step, whichever thread takes it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, at_once=AT_ONCE)
        self.seconds: dict[str, float] = defaultdict(float)
        self._saving = 0.0

    def finish(self, raw: RawOutput) -> Segmentation:
        self._saving = time.perf_counter()
        return super().finish(raw)

    def saved(self) -> None:
        """The results of what `finish` gave are on disk; called by the thread that saves."""
        self.seconds[STEPS[2]] += time.perf_counter() - self._saving

    def add(self, milliseconds: dict[str, float], count: int = 1) -> None:
        """Of a record, for `count` pictures or frames."""
        prepare, network, _ = STEPS
        self.seconds[prepare] += (milliseconds["read"] + milliseconds["prepare"]) * count / 1000
        self.seconds[network] += milliseconds["network"] * count / 1000


class _Frames(Progress):
    """Hears of every frame that is saved; shows nothing."""

    def __init__(self, model: Watched) -> None:
        super().__init__(0, 1, 0)
        self._model = model

    def frame(self, name: str, number: int, share: float | None, seconds: float) -> None:
        self._model.saved()


def save_pictures(jobs: list[Source], model: Watched) -> None:
    """What `mic-edge predict` does with pictures."""

    def report(_source: Source, record: dict[str, Any], _stamp: object) -> None:
        model.saved()
        model.add(record["milliseconds"])

    predict_pictures(jobs, model, SAVED["picture"], False, {"model": model.manifest.name}, report)


def save_video(job: Source, model: Watched) -> None:
    """What `mic-edge predict` does with a video."""
    name = {"model": model.manifest.name}
    record = predict_video(job, model, SAVED["video"], False, name, _Frames(model), Recording())
    model.add(record["milliseconds"], record["frames"])


def edge_jobs(count: int, out: Path) -> list[Source]:
    """`count` pictures for mic-edge, the page's examples over and over."""
    examples = sorted([*EXAMPLES.glob("*.jpg"), *EXAMPLES.glob("*.png")])
    chosen = enumerate(islice(cycle(examples), count))
    return [Source("picture", path, out / f"{i:03d}") for i, path in chosen]


def _row(
    name: str,
    budget: float,
    what: str,
    model: Watched,
    whole: Callable[[], None],
    inputs: list[Prepared],
    count: int,
) -> Row:
    """`whole` against `count` runs of the network on `inputs`, one after the other with all threads.

    The split is that of the last run.
    """
    last: dict[str, tuple[float, float]] = {}
    bare_model = Segmenter(model.path)

    def end_to_end() -> float:
        model.seconds.clear()
        return timed("whole", whole)

    def alone() -> float:
        return timed("alone", lambda: [bare_model.run(prepared) for prepared in islice(cycle(inputs), count)])

    def timed(key: str, work: Callable[[], object]) -> float:
        started, busy = time.perf_counter(), time.process_time()
        work()
        last[key] = time.perf_counter() - started, time.process_time() - busy
        return last[key][0]

    wall, bare = medians_in_turn(end_to_end, alone, ROUNDS)
    split = " + ".join(f"{step} {model.seconds[step]:.1f}" for step in STEPS)
    detail = (
        f"{what} to saved results {wall:.1f} s, session.run alone {bare:.1f} s; by thread {split} = "
        f"{sum(model.seconds.values()):.1f} s within {last['whole'][0]:.1f} s; processor {last['whole'][1]:.1f} s, "
        f"session.run alone {last['alone'][1]:.1f} s ({model.path.parent.name}/{model.path.name} at "
        f"{'x'.join(map(str, model.manifest.training_size))})"
    )
    return Row(name, wall / bare, budget, detail)
