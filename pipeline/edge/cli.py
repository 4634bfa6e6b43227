"""The command mic-edge: segment pictures and videos with one .onnx file, describe, time and verify it."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from pipeline.edge import interruption
from pipeline.edge.errors import BadModel, CannotWrite, ProviderMissing, ReaderGone, UserError
from pipeline.edge.providers import PRECISIONS, PROVIDERS
from pipeline.edge.streams import flush, say, write_line

# numpy, Pillow and onnxruntime are imported by the commands: --help and usage errors stay quick.

_SOME_FAILED = 5
_SAVE = ("overlay", "index", "confidence", "json", "rle", "polygons", "coco")

_EXIT_CODES = (
    f"exit codes: 0 good, {UserError.exit_code} usage, {BadModel.exit_code} bad model, "
    f"{ProviderMissing.exit_code} no such provider, {_SOME_FAILED} some inputs failed, "
    f"{CannotWrite.exit_code} cannot write, {interruption.EXIT_CODE} interrupted"
)


def main(argv: list[str] | None = None) -> int:
    """Run mic-edge and return its exit code; mistakes of the user's are one sentence on stderr."""
    try:
        return _run(argv)
    except ReaderGone as error:
        return error.exit_code
    except UserError as error:
        say(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        say(interruption.SENTENCE)
        return interruption.EXIT_CODE


def _run(argv: list[str] | None) -> int:
    try:
        arguments = _parser().parse_args(argv)
    finally:
        flush()  # what --help printed
    return arguments.command(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mic-edge", description=__doc__, epilog=_EXIT_CODES)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    predict = commands.add_parser(
        "predict",
        help="segment pictures and videos",
        description="Segment pictures and videos. One JSON line for each on stdout, progress on stderr. "
        "What an earlier run into the same folder did is not done again.",
        epilog=_EXIT_CODES,
    )
    predict.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="picture, video (needs mic-adapt[video]), folder (recursive), quoted pattern such as "
        "'shots/**/*.jpg', number of a camera, address (rtsp, http, ...), or - for files, folders and addresses on "
        "stdin, one a line",
    )
    predict.add_argument(
        "-0", "--null", action="store_true", help="what is on stdin ends with a NUL each, as of find -print0"
    )
    predict.add_argument("--model", required=True, type=_path, help="the .onnx file")
    predict.add_argument("--out", required=True, type=_path, help="folder for the results; made if absent")
    predict.add_argument(
        "--save",
        type=_save_list,
        metavar="WHAT",
        help=f"comma-separated, of {', '.join(_SAVE)} (default: overlay,index,json; videos: overlay,json); "
        "coco: one file for all pictures",
    )
    predict.add_argument("--overwrite", action="store_true", help="do again what an earlier run did")
    predict.add_argument(
        "--every",
        type=_count("frames"),
        default=1,
        metavar="N",
        help="of videos one frame of N (default: all)",
    )
    predict.add_argument(
        "--segment",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="cameras and streams: begin a new file after so long; 0: never (default: 60)",
    )
    predict.add_argument(
        "--reconnect",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="cameras and streams: try again for so long after the last frame; 0: do not (default: 60)",
    )
    predict.add_argument(
        "--ignore",
        type=_path,
        metavar="MASK",
        help="black and white picture of the inputs' shape: what is white (a bonnet, a time stamp) gets no class",
    )
    _add_machine_options(predict)
    predict.add_argument(
        "--palette",
        choices=("cityscapes", "safe"),
        default="cityscapes",
        help="overlay colours; safe: told apart by colour-blind people too (default: cityscapes)",
    )
    predict.set_defaults(command=_predict)

    info = commands.add_parser("info", help="show a model's manifest", description="Show a model's manifest.")
    info.add_argument("model", type=_path, metavar="MODEL", help="the .onnx file")
    info.add_argument("--json", action="store_true", help="print the manifest as JSON")
    _add_no_verify(info)
    info.set_defaults(command=_info)

    bench = commands.add_parser(
        "bench",
        help="time models on this machine",
        description="Time models on this machine, a picture at a time, end to end without reading and saving files.",
        epilog=_EXIT_CODES,
    )
    bench.add_argument("models", nargs="+", type=_path, metavar="MODEL", help="the .onnx files to compare")
    bench.add_argument(
        "--size",
        nargs="+",
        action="extend",
        type=_size,
        default=[],
        metavar="HxW",
        help="picture sizes, such as 720x1280 (default: the training size)",
    )
    bench.add_argument("--runs", type=_count("runs"), default=50, metavar="N", help="pictures (default: 50)")
    _add_machine_options(bench)
    bench.add_argument("--json", action="store_true", help="print a JSON line for each row")
    bench.set_defaults(command=_bench)

    verify = commands.add_parser(
        "verify",
        help="check a model file",
        description="Check a model file: hashes, manifest, graph, and its answer to the picture stored in it.",
        epilog=_EXIT_CODES,
    )
    verify.add_argument("model", type=_path, metavar="MODEL", help="the .onnx file")
    _add_provider(verify)
    verify.set_defaults(command=_verify)
    return parser


def _add_provider(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--provider", choices=PROVIDERS, default="cpu", help="where to run (default: cpu)")
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="f32",
        help="what openvino computes in: f32 answers as the others, bf16 is faster where the CPU has it and gives some "
        "pixels another class, auto is OpenVINO's choice (default: f32)",
    )


def _add_no_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-verify",
        dest="verify",
        action="store_false",
        help="load a model whose bytes are not what its own hashes tell of",
    )


def _add_machine_options(parser: argparse.ArgumentParser) -> None:
    _add_provider(parser)
    _add_no_verify(parser)
    parser.add_argument(
        "--allow-cpu", action="store_true", help="where the provider is missing, warn and run on the CPU"
    )
    parser.add_argument(
        "--threads", type=_count("threads"), metavar="N", help="CPU threads (default: all cores)"
    )


def _path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("it is empty: name one")
    return Path(text)


def _save_list(text: str) -> tuple[str, ...]:
    items = tuple(dict.fromkeys(item.strip() for item in text.split(",") if item.strip()))
    unknown = [item for item in items if item not in _SAVE]
    if unknown or not items:
        raise argparse.ArgumentTypeError(
            f"unknown item {(unknown or [text])[0]!r}: choose of {', '.join(_SAVE)}"
        )
    return items


def _count(of: str) -> Callable[[str], int]:
    def count(text: str) -> int:
        if not text.isdecimal() or int(text) < 1:
            raise argparse.ArgumentTypeError(f"{text!r} is no number of {of}: use 1 or more")
        return int(text)

    return count


def _seconds(text: str) -> float:
    if not re.fullmatch(r"\d{1,9}(\.\d{1,6})?", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds: use 0 or more, such as 60")
    return float(text)


def _size(text: str) -> tuple[int, int]:
    height, x, width = text.lower().partition("x")
    if not x or not (height.isdecimal() and width.isdecimal()) or min(int(height), int(width)) < 2:
        raise argparse.ArgumentTypeError(f"{text!r} is no size: use HEIGHTxWIDTH, such as 720x1280")
    return int(height), int(width)


def _predict(arguments: argparse.Namespace) -> int:
    from pipeline.edge.container import without_pyav
    from pipeline.edge.ignore import read_ignore_mask
    from pipeline.edge.predict import AT_ONCE, predict
    from pipeline.edge.runtime import Segmenter
    from pipeline.edge.sources import plan
    from pipeline.edge.video import Recording

    stdin = None if sys.stdin is None else sys.stdin.buffer
    planned = plan(arguments.inputs, arguments.out, stdin, arguments.null)
    sources = without_pyav(planned.sources)
    for note in planned.notes:
        say(f"note: {note}")
    machine = arguments.provider, arguments.threads, arguments.allow_cpu, AT_ONCE
    ignore = None if arguments.ignore is None else read_ignore_mask(arguments.ignore)
    segmenter = Segmenter(arguments.model, *machine, arguments.precision, arguments.verify, ignore)
    safe = arguments.palette == "safe"
    with interruption.clean_up_first():
        recording = Recording(arguments.every, arguments.segment, arguments.reconnect)
        failed = predict(
            sources, segmenter, arguments.out, arguments.save, safe, arguments.overwrite, recording
        )
    return _SOME_FAILED if failed else 0


def _info(arguments: argparse.Namespace) -> int:
    from pipeline.edge.describe import describe
    from pipeline.edge.runtime import Segmenter

    manifest = Segmenter(arguments.model, verify=arguments.verify).manifest
    write_line((manifest.to_json() if arguments.json else describe(manifest, arguments.model)).rstrip("\n"))
    return 0


def _bench(arguments: argparse.Namespace) -> int:
    from pipeline.edge.bench import bench, table

    machine = arguments.provider, arguments.threads, arguments.allow_cpu
    machine = *machine, arguments.precision, arguments.verify
    rows = bench(arguments.models, arguments.size, arguments.runs, *machine)
    write_line("\n".join(json.dumps(row.as_json()) for row in rows) if arguments.json else table(rows))
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from pipeline.edge.verify import verify

    failed = False
    for check in verify(arguments.model, arguments.provider, arguments.precision):
        write_line(str(check))
        failed = failed or check.holds is False
    return BadModel.exit_code if failed else 0


if __name__ == "__main__":
    sys.exit(main())
