"""`python -m pipeline.bench.stress`: mic-edge at its limits, as a process: what it wrote, listed, answered and took.

A folder of 10 000 tiny pictures with 20 broken ones, twice; a picture of 12 000 x 9 000; a video cut off in the
middle, twice. Prints the table, writes metrics/stress.json, and ends with 1 where a fact is not as it should be.
The model is models/night/mic.onnx told to fit pictures into 64 x 64, so that 10 000 end in minutes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.table import Table

from pipeline.bench.clip import count_frames
from pipeline.bench.stress_inputs import (
    BROKEN_KINDS,
    cut_clip,
    draw_folder,
    draw_huge,
    small_model,
)
from pipeline.edge.errors import UserError
from pipeline.run.files import write_json
from pipeline.run.machine import machine, peak_mib
from pipeline.run.stage import main_guard
from pipeline.run.workspace import Workspace

SOME_FAILED = 5
POLL_S = 0.02
WIDTH = 120  # of the table, wherever it is printed


@dataclass(frozen=True)
class Run:
    """One `mic-edge predict` as a process."""

    exit_code: int
    seconds: float
    peak_mib: float | None
    records: list[dict[str, Any]]
    """The JSON lines of its stdout."""
    errors: str
    failures: dict[str, str]
    """What failures.txt lists: path to sentence."""

    @property
    def failed(self) -> list[str]:
        return [record["input"] for record in self.records if "error" in record]


@dataclass(frozen=True)
class Case:
    """A row of the table; `wrong` has a sentence for each fact that is not as it should be."""

    name: str
    inputs: str
    written: int
    failed: int
    listed: int
    exit_code: int
    seconds: float
    peak_mib: float | None
    wrong: list[str]


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m pipeline.bench.stress [--images N] [--broken N] [--huge WIDTHxHEIGHT] [--frames N]`"""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=10_000, help="pictures in the folder (default: 10000)")
    parser.add_argument("--broken", type=int, default=20, help="of which cannot be read (default: 20)")
    parser.add_argument(
        "--huge", type=_size, default=(12_000, 9_000), help="WIDTHxHEIGHT (default: 12000x9000)"
    )
    parser.add_argument(
        "--frames", type=int, default=300, help="of the video before it is cut (default: 300)"
    )
    args = parser.parse_args(argv)
    if not len(BROKEN_KINDS) <= args.broken < args.images:
        raise UserError(f"--broken {args.broken}: use at least {len(BROKEN_KINDS)} and fewer than --images.")
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        model = small_model(root / "model.onnx")
        cases = [
            *folder(root / "folder", model, args.images, args.broken),
            huge(root / "huge", model, args.huge),
            *cut_video(root / "video", model, args.frames),
        ]
    device = machine("cpu")
    rows = {case.name: asdict(case) for case in cases}
    write_json(Workspace().stress, rows | {"machine": device, "date": date.today().isoformat()})
    console = Console(width=WIDTH)
    console.print(table(cases, device))
    for case in cases:
        for sentence in case.wrong:
            console.print(f"WRONG {case.name}: {sentence}", highlight=False, soft_wrap=True)
    return int(any(case.wrong for case in cases))


def folder(root: Path, model: Path, images: int, broken: int) -> list[Case]:
    """All sound pictures are written, the broken ones listed; the second run tries these again and none other."""
    bad = {str(path) for path in draw_folder(root / "in", images, broken)}
    good = {str(path) for path in (root / "in").iterdir()} - bad
    first = predict(root / "in", model, root / "out")
    written = [r for r in first.records if "error" not in r]
    facts = {
        "every sound picture has its results": {r["input"] for r in written} == good,
        "the results are whole and at the picture's own size": all(map(whole_at_own_size, written)),
        "the broken pictures, and no others, fail": set(first.failed) == bad == set(first.failures),
        "each failure has its sentence": all(first.failures.values()),
        "nothing half-written is left": not list((root / "out").rglob("*.part")),
        f"the exit code is {SOME_FAILED}": first.exit_code == SOME_FAILED,
    }
    before = _times(root / "out")
    second = predict(root / "in", model, root / "out")
    facts_again = {
        "the broken pictures alone are tried again": {r["input"] for r in second.records} == bad,
        "they are listed again": set(second.failures) == bad,
        "it says how many are done": f"{len(good)} already done" in second.errors,
        "no result is written again": _times(root / "out") == before,
        f"the exit code is {SOME_FAILED}": second.exit_code == SOME_FAILED,
    }
    inputs = f"{images} pictures, {broken} of them broken"
    return [_case("folder", inputs, first, facts), _case("folder, again", "the same", second, facts_again)]


def huge(root: Path, model: Path, size: tuple[int, int]) -> Case:
    """Everything that can be saved of one very large picture."""
    picture = draw_huge(root / "in" / "huge.jpg", size)
    run = predict(picture, model, root / "out", "--save", "overlay,index,confidence,json")
    outputs = run.records[0].get("outputs", {}) if run.records else {}
    facts = {
        "all its results are written": set(outputs) == {"overlay", "index", "confidence", "json"},
        "overlay and index are whole and at its own size": bool(outputs)
        and whole_at_own_size(run.records[0]),
        "the size is the picture's": [(r.get("width"), r.get("height")) for r in run.records] == [size],
        "the exit code is 0": run.exit_code == 0,
    }
    return _case("huge picture", f"{size[0]} x {size[1]} JPEG", run, facts)


def cut_video(root: Path, model: Path, frames: int) -> list[Case]:
    """Of a video cut off in the middle every frame that decodes is written; it is never noted as done."""
    clip = cut_clip(root / "in" / "cut.mp4", frames)
    decodable = count_frames(clip)
    cases = []
    for name in ("cut video", "cut video, again"):
        run = predict(clip, model, root / "out")
        record = run.records[0] if run.records else {}
        outputs = record.get("outputs", {})
        facts = {
            "it is tried": len(run.records) == 1,
            "frames are left and frames are lost": 0 < decodable < frames,
            "every frame that decodes is written": record.get("frames") == decodable,
            "the overlay video has them all": count_frames(Path(outputs.get("overlay", ""))) == decodable,
            "each has its line": "json" in outputs and _lines(Path(outputs["json"])) == decodable,
            "it is listed": list(run.failures) == [str(clip)] and "breaks off" in run.failures[str(clip)],
            f"the exit code is {SOME_FAILED}": run.exit_code == SOME_FAILED,
        }
        inputs = f"{frames} frames, {decodable} of them decode"
        cases.append(_case(name, inputs, run, facts, record.get("frames", 0)))
    return cases


def predict(source: Path, model: Path, out: Path, *options: str) -> Run:
    """Run mic-edge to its end."""
    command = [sys.executable, "-m", "pipeline.edge.cli", "predict", str(source), "--model", str(model)]
    started, peak = time.monotonic(), None
    # Files, not pipes: nobody empties a pipe while this waits and looks at the memory.
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        process = subprocess.Popen([*command, "--out", str(out), *options], stdout=stdout, stderr=stderr)
        while process.poll() is None:
            peak = peak_mib(process.pid) or peak
            time.sleep(POLL_S)
        seconds = time.monotonic() - started
        for stream in (stdout, stderr):
            stream.seek(0)
        records, errors = [json.loads(line) for line in stdout], stderr.read()
    listed = out / "failures.txt"
    lines = listed.read_text().splitlines() if listed.exists() else []
    failures = {path: sentence for path, _, sentence in (line.partition("\t") for line in lines)}
    return Run(process.returncode, seconds, peak, records, errors, failures)


def whole_at_own_size(record: dict[str, Any]) -> bool:
    """Whether a picture's results can be read to their end, overlay and index at the picture's size."""
    outputs = record["outputs"]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            for kind in {"overlay", "index"} & set(outputs):
                with Image.open(outputs[kind]) as result:
                    result.load()
                    if result.size != (record["width"], record["height"]):
                        return False
        return json.loads(Path(outputs["json"]).read_text()) == record
    except (OSError, ValueError):
        return False


def table(cases: Sequence[Case], device: str) -> Table:
    """A row for each case."""
    columns = ("case", "inputs", "written", "failed", "listed", "exit code", "seconds", "peak MiB", "holds")
    shown = Table(*columns, title=f"mic-edge at its limits on {device}")
    for case in cases:
        peak = "-" if case.peak_mib is None else f"{case.peak_mib:.0f}"
        counts = (str(n) for n in (case.written, case.failed, case.listed, case.exit_code))
        shown.add_row(
            case.name, case.inputs, *counts, f"{case.seconds:.1f}", peak, "NO" if case.wrong else "yes"
        )
    return shown


def _case(name: str, inputs: str, run: Run, facts: dict[str, bool], written: int | None = None) -> Case:
    done = len(run.records) - len(run.failed) if written is None else written
    wrong = [f"{fact}: not so" for fact, holds in facts.items() if not holds]
    if wrong and run.errors:
        wrong.append(f"stderr ends with {run.errors.splitlines()[-1]!r}")
    return Case(
        name,
        inputs,
        done,
        len(run.failed),
        len(run.failures),
        run.exit_code,
        run.seconds,
        run.peak_mib,
        wrong,
    )


def _times(out: Path) -> dict[str, int]:
    """When each result was written; the list of failures is none."""
    return {str(p): p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file() and p.name != "failures.txt"}


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def _size(text: str) -> tuple[int, int]:
    width, x, height = text.partition("x")
    if not x or not (width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is no size: use WIDTHxHEIGHT, such as 12000x9000")
    return int(width), int(height)


if __name__ == "__main__":
    main_guard(main)
