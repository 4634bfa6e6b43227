"""The command mic-edge: segment pictures with one .onnx file, or show what it says of itself."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.edge.errors import UserError

# numpy, Pillow and onnxruntime are imported by the commands: --help and usage errors stay quick.
if TYPE_CHECKING:
    from pipeline.edge.manifest import Manifest

_SOME_FAILED = 5
_INTERRUPTED = 130
_SAVE = ("overlay", "index", "confidence", "json")

_EXIT_CODES = (
    "exit codes: 0 good, 2 usage, 3 bad model, 4 no such provider, 5 some inputs failed, 130 interrupted"
)


def main(argv: list[str] | None = None) -> int:
    """Run mic-edge and return its exit code; mistakes of the user's are one sentence on stderr."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.command(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted: the results written so far are complete.", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of stdout has gone (mic-edge ... | head); Python must not flush into it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mic-edge", description=__doc__, epilog=_EXIT_CODES)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    predict = commands.add_parser(
        "predict",
        help="segment pictures",
        description="Segment pictures. One JSON line per picture on stdout, progress on stderr.",
        epilog=_EXIT_CODES,
    )
    predict.add_argument(
        "inputs", nargs="+", type=Path, metavar="INPUT", help="picture file, or folder (recursive)"
    )
    predict.add_argument("--model", required=True, type=Path, help="the .onnx file")
    predict.add_argument("--out", required=True, type=Path, help="folder for the results; made if absent")
    predict.add_argument(
        "--save",
        type=_save_list,
        default=("overlay", "index", "json"),
        metavar="WHAT",
        help=f"comma-separated, of {', '.join(_SAVE)} (default: overlay,index,json)",
    )
    predict.add_argument(
        "--provider", choices=("cpu", "cuda"), default="cpu", help="where to run (default: cpu)"
    )
    predict.add_argument(
        "--threads", type=_thread_count, metavar="N", help="CPU threads (default: all cores)"
    )
    predict.add_argument(
        "--palette",
        choices=("cityscapes", "safe"),
        default="cityscapes",
        help="overlay colours; safe: told apart by colour-blind people too (default: cityscapes)",
    )
    predict.set_defaults(command=_predict)

    info = commands.add_parser("info", help="show a model's manifest", description="Show a model's manifest.")
    info.add_argument("model", type=Path, metavar="MODEL", help="the .onnx file")
    info.add_argument("--json", action="store_true", help="print the manifest as JSON")
    info.set_defaults(command=_info)
    return parser


def _save_list(text: str) -> tuple[str, ...]:
    items = tuple(dict.fromkeys(item.strip() for item in text.split(",") if item.strip()))
    unknown = [item for item in items if item not in _SAVE]
    if unknown or not items:
        raise argparse.ArgumentTypeError(
            f"unknown item {(unknown or [text])[0]!r}: choose of {', '.join(_SAVE)}"
        )
    return items


def _thread_count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of threads: use 1 or more")
    return int(text)


def _predict(arguments: argparse.Namespace) -> int:
    from pipeline.edge.predict import plan, predict
    from pipeline.edge.runtime import Segmenter

    jobs = plan(arguments.inputs, arguments.out)
    segmenter = Segmenter(arguments.model, arguments.provider, arguments.threads)
    progress = _Progress(len(jobs))
    failed = predict(jobs, segmenter, arguments.save, arguments.palette == "safe", progress.report)
    progress.end(failed, arguments.out)
    return _SOME_FAILED if failed else 0


class _Progress:
    """JSON lines on stdout; on stderr a counter (a line every 10 s without a terminal) and the failures."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._start = self._shown = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def report(self, record: dict[str, Any]) -> None:
        print(json.dumps(record), flush=True)  # ASCII: safe for any locale and file name
        self._done += 1
        if "error" in record:
            self._say(f"error: {record['error']}")
        now = time.monotonic()
        if self._terminal:
            print(f"\r{self._done}/{self._total} pictures", end="", file=sys.stderr, flush=True)
        elif now - self._shown >= 10:
            self._shown = now
            self._say(f"{self._done}/{self._total} pictures")

    def end(self, failed: int, out: Path) -> None:
        seconds = time.monotonic() - self._start
        failures = f", {failed} failed" if failed else ""
        self._say(f"{self._total} pictures in {seconds:.1f} s{failures}; results in {out}")

    def _say(self, text: str) -> None:
        print(f"\r\033[K{text}" if self._terminal else text, file=sys.stderr, flush=True)


def _info(arguments: argparse.Namespace) -> int:
    from pipeline.edge.runtime import Segmenter

    manifest = Segmenter(arguments.model).manifest
    print(manifest.to_json() if arguments.json else _describe(manifest, arguments.model), end="")
    return 0


def _describe(manifest: Manifest, path: Path) -> str:
    raw = manifest.raw
    height, width = manifest.training_size
    shape = f"[N, H, W, 3] RGB, H and W multiples of {manifest.stride}"
    if manifest.fixed_size is not None:
        shape = "[1, {}, {}, 3] RGB, every picture padded to it".format(*manifest.fixed_size)
    network = manifest.network
    parameters = f"{network['parameters']:,} parameters"
    adapted = manifest.method != "source_only" and manifest.conditions
    untrained = [c.name for c in manifest.classes if c.id not in manifest.trained_classes]
    lines = [
        f"{manifest.name} ({path}, {path.stat().st_size / 1e6:.1f} MB)",
        f"method        {manifest.method}, seed {manifest.seed}, {manifest.created}",
        f"network       {network['architecture']}, {network['encoder']}, {parameters}",
        f"adapted to    {', '.join(manifest.conditions) if adapted else 'nothing'}",
        f"input         image: uint8 {shape}",
        f"              fitted to {height} x {width} (height x width), {raw['input']['resize']}",
        f"              padded {raw['input']['pad']}",
        f"output        classes: {raw['output']['classes']}",
        f"              confidence: {raw['output']['confidence']}",
        f"classes       {', '.join(f'{c.id} {c.name}' for c in manifest.classes)}",
        f"never seen    {', '.join(untrained) or 'none'} (classes without a training label)",
        *_scores(manifest),
        f"parity        {_inline(manifest.parity)}",
        f"quantisation  {_inline(manifest.quantisation)}",
        f"hashes        {_inline(manifest.hashes)}",
        f"licences      code {raw['licences']['code']}; weights {raw['licences']['weights']}",
        *(f"              data {item}" for item in raw["licences"]["data"]),
        f"intended use  {manifest.intended_use}",
        *_titled("fails on", manifest.known_failures),
    ]
    return "\n".join(lines) + "\n"


def _scores(manifest: Manifest) -> list[str]:
    lines: list[str] = []
    for domain in ("source", "target"):
        scores = manifest.metrics[domain]
        if scores is None:
            lines.append(f"{domain + ' val':<14}no labels, no score")
            continue
        lines.append(f"{domain + ' val':<14}{_summary(scores)}")
        per_class = scores.get("per_class") or {}
        known = [f"{name} {_share(iou)}" for name, iou in per_class.items() if iou is not None]
        if known:
            lines.append(f"              IoU {', '.join(known)}")
        for condition, values in (scores.get("conditions") or {}).items():
            lines.append(f"  {condition:<12}{_summary(values)}")
    return lines


def _summary(scores: dict[str, Any]) -> str:
    named = {
        "mIoU": scores.get("miou"),
        "pixel accuracy": scores.get("pixel_accuracy"),
        "ECE": scores.get("ece"),
    }
    return (
        ", ".join(f"{name} {_share(value)}" for name, value in named.items() if value is not None)
        or "no score"
    )


def _share(value: float) -> str:
    return f"{value * 100:.1f} %"


def _inline(values: dict[str, Any] | None) -> str:
    if not values:
        return "none"
    return ", ".join(f"{key} {'none' if value is None else value}" for key, value in values.items())


def _titled(title: str, items: tuple[str, ...]) -> list[str]:
    first, *rest = items or ("nothing recorded",)
    return [f"{title:<14}{first}", *(f"{'':14}{item}" for item in rest)]


if __name__ == "__main__":
    sys.exit(main())
