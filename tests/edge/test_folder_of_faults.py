"""A folder of 300 with every fault that is known: each is one sentence, all the others are written, exit code 5."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import write_clip, write_noise
from PIL import Image, features

from pipeline.edge.failure import FAILURES
from pipeline.edge.log import LOG

ROOT = Path(__file__).resolve().parents[2]
INPUTS = 300

Make = Callable[[Path], object]


def content(data: bytes) -> Make:
    return lambda path: path.write_bytes(data)


def encoded(kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (60, 40), (250, 0, 0)).save(stream, kind, **options)
    return stream.getvalue()


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut(codec: str) -> Make:
    return lambda path: half(write_noise(path, codec))


def pixels(path: Path, width: int, height: int) -> None:
    Image.new("1", (width, height)).save(path)


FAILING: dict[str, tuple[Make, str]] = {
    "one pixel wide.mkv": (lambda p: write_clip(p, range(0, 120, 40), size=(40, 1)), "at least 2 x 2"),
    "one pixel.png": (lambda p: pixels(p, 1, 1), "at least 2 x 2"),
    "200 megapixels.png": (lambda p: pixels(p, 20_000, 10_000), "178 megapixels"),
    "cut.avi": (cut("mpeg4"), "breaks off after"),
    "cut.ts": (cut("mpeg2video"), "cut.ts"),
    "cut.mp4": (cut("libx264"), "no video that can be read"),
    "cut.jpg": (content(encoded("JPEG")[:400]), "damaged or cut short"),
    "cut.png": (content(encoded("PNG")[:60]), "cut.png"),
    "empty.jpg": (content(b""), "is empty"),
    "empty.mp4": (content(b""), "is empty"),
    "text.jpg": (content(b"<!DOCTYPE html>"), "perhaps a web page"),
    "text.mp4": (content(b"no video"), "no video that can be read"),
    "phone.heic": (content(b"\0\0\0\x18ftypheic" + bytes(40)), "HEIC"),
    "phone.HIF": (content(b"\0\0\0\x18ftypheic" + bytes(40)), "HEIC"),
    "named heic.jpg": (content(b"\0\0\0\x18ftypmif1" + bytes(40)), "HEIC"),
    "camera.dng": (content(encoded("TIFF")), "raw file"),
    "new.jxl": (content(b"\xff\x0a" + bytes(40)), "JPEG XL"),
    "layers.psd": (content(b"8BPS" + bytes(40)), "Photoshop"),
    "gone.png": (lambda p: p.symlink_to("nowhere.png"), "a link to a file that is not there"),
    "round.png": (lambda p: p.symlink_to("round.png"), "cannot be opened"),
    "pipe.png": (os.mkfifo, "is a pipe"),
    "pipe.mp4": (os.mkfifo, "is a pipe"),
}
GOOD: dict[str, Make] = {
    f"{'x' * 240}.jpg": content(encoded("JPEG")),
    f"{'夜' * 80}.png": content(encoded("PNG")),
    "new\nline.png": content(encoded("PNG")),
    "-.png": content(encoded("PNG")),
    "A.PNG": content(encoded("PNG")),
    "a.png": content(encoded("PNG")),
    "coco.png": content(encoded("PNG")),
    "a_rle.png": content(encoded("PNG")),
    "12 bits.png": lambda p: Image.fromarray(np.full((40, 60), 4095, np.uint16)).save(p),
    "pages.tif": content(encoded("TIFF", save_all=True, append_images=[Image.new("RGB", (60, 40))])),
    "whole.avi": lambda p: write_noise(p, "mpeg4"),
    "whole.ts": lambda p: write_noise(p, "mpeg2video"),
    "two pixels.mkv": lambda p: write_clip(p, range(0, 120, 40), size=(2, 2)),
}
if sys.platform == "linux":  # others keep their names in Unicode
    GOOD["no utf-8 \udcff.png"] = content(encoded("PNG"))
if features.check("avif"):
    GOOD["new.avif"] = content(encoded("AVIF"))
if features.check("jpg_2000"):
    GOOD["new.jp2"] = content(encoded("JPEG2000"))


def mic_edge(folder: Path, *arguments: str, stdin: bytes = b"") -> tuple[int, list[dict[str, Any]], str]:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.edge", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        input=stdin,
        capture_output=True,
        timeout=500,
        check=False,
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode()


def make_folder_that_nobody_can_list(folder: Path) -> None:
    """Not even root: its path is longer than systems take."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(-(-4200 // 200)):
        os.mkdir("d" * 199, dir_fd=here)
        below = os.open("d" * 199, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


@pytest.mark.skipif(os.name == "nt", reason="Windows takes few of these names")
def test_all_others_are_written(tmp_path: Path, tiny_model: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    (folder / "below").mkdir(parents=True)
    for name, (make, _) in FAILING.items():
        make(folder / name)
    for name, make in GOOD.items():
        make(folder / name)
    for i in range(INPUTS - len(FAILING) - len(GOOD)):
        (folder / "below" / f"{i:03}.png").write_bytes(encoded("PNG"))
    # An earlier run that was killed, its log damaged, inside the folder; and one of the same results folder.
    model = ("--model", str(tiny_model))
    assert mic_edge(tmp_path, "predict", "in/a.png", *model, "--out", "in/earlier")[0] == 0
    assert mic_edge(tmp_path, "predict", "in/below/000.png", *model, "--out", "out")[0] == 0
    for log in (folder / "earlier" / LOG, out / LOG):
        log.write_bytes(b"\xff\xfe\0no utf-8\n" + log.read_bytes() + b'{"cut off')
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for name in (".b_overlay.jpg", "below/.c_index.png"):
        (out / "below").mkdir(exist_ok=True)
        part = out / f"{name}.{gone.pid}.part"
        part.write_bytes(b"half")
    for i in range(8):
        (folder / "below" / f"loop{i}").symlink_to(folder)
    make_folder_that_nobody_can_list(folder)
    (folder / "disk").symlink_to("/nowhere/at/all")
    (folder / "notes.txt").write_text("no picture")

    listed = b"in/below/001.png\0in/below/nul.png\nmissing.png\nin/below\n"
    code, records, errors = mic_edge(
        tmp_path,
        "predict",
        "in",
        "nowhere.png",
        "-",
        *model,
        "--out",
        "out",
        "--save",
        "json,overlay",
        stdin=listed,
    )

    assert code == 5
    assert "Traceback" not in errors
    told = {record["input"]: record.get("error", "") for record in records}
    assert len(told) == len(records) == INPUTS + 4
    failed = {name: error for name, error in told.items() if error}
    (unlisted,) = (name for name in failed if "ddd" in name)
    assert failed[unlisted].endswith("cannot be searched (File name too long): check its permissions.")
    nul = "in/below/001.png\0in/below/nul.png"
    assert set(failed) == {f"in/{name}" for name in FAILING} | {unlisted, nul, "missing.png", "nowhere.png"}
    for name, (_, says) in FAILING.items():
        assert says in failed[f"in/{name}"], name
        assert failed[f"in/{name}"].endswith(".")
        assert "\n" not in failed[f"in/{name}"]
    assert "has a NUL in its name" in failed[nul]
    assert len((out / FAILURES).read_bytes().splitlines()) == len(failed)

    written = [record for record in records if "error" not in record]
    paths = [path for record in written for path in record["outputs"].values()]
    assert len(paths) == len(set(paths)) == 2 * len(written)
    assert all((tmp_path / path).stat().st_size for path in paths)
    assert {r["input"]: r["warnings"] for r in written if "warnings" in r} == {
        "in/12 bits.png": ["no value in it exceeds 4095: read with 4095 as white"],
        "in/pages.tif": ["it has several pages or frames: the first is taken"],
    }
    assert not list(out.rglob("*.part"))
    assert "note: in/earlier holds results of an earlier run: the folder is left out." in errors
    assert "note: in/disk is a link that cannot be followed" in errors
    assert "note: in: files of other kinds are left out (.txt 1)." in errors
    assert errors.count("note: ") == 3, "each once, though all of it is reached in two ways"
    assert f"warning: out/{LOG} is damaged in line 1" in errors

    code, again, errors = mic_edge(
        tmp_path, "predict", "in", *model, "--out", "out", "--save", "json,overlay"
    )
    assert code == 5
    assert {record["input"] for record in again} == {f"in/{name}" for name in FAILING} | {unlisted}
    assert f"{len(written)} already done" in errors
