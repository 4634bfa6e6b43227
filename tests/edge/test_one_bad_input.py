"""Whatever one input raises, at whatever step, it fails alone: one sentence, exit code 5, the others are written."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter
from clips import write_clip
from PIL import Image

from pipeline.edge import container, predict, render
from pipeline.edge.errors import BadModel, CannotWrite, ImageError, UserError
from pipeline.edge.failure import FAILURES, sentence
from pipeline.edge.runtime import Segmenter

Run = Callable[..., tuple[int, list[dict[str, Any]], str]]


def instance(kind: type[Exception]) -> Exception:
    if issubclass(kind, UnicodeDecodeError):
        return kind("utf-8", b"\xff", 0, 1, "no start byte")
    if issubclass(kind, UnicodeEncodeError):
        return kind("utf-8", "\ud800", 0, 1, "a surrogate")
    if issubclass(kind, UnicodeTranslateError):
        return kind("\ud800", 0, 1, "a surrogate")
    if issubclass(kind, ExceptionGroup):
        return kind("several", [ValueError("one")])
    return kind()


EXCEPTIONS: dict[str, Exception] = {
    name: instance(kind)
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, Exception)
}
EXCEPTIONS |= {
    "an OSError as systems raise it": OSError(5, "Input/output error"),
    "two lines": ValueError("first\nsecond"),
    "no text": ValueError(""),
    "refused": ImageError("It is refused."),
    "another mistake": UserError("It is a mistake."),
}


def check_all_others_are_written(out: Path, records: list[dict[str, Any]], bad: list[str]) -> None:
    failed = {Path(r["input"]).name: r["error"] for r in records if "error" in r}
    assert sorted(failed) == sorted(bad)
    assert all(told.endswith(".") and "\n" not in told for told in failed.values())
    assert len((out / FAILURES).read_text().splitlines()) == len(bad)
    for record in records:
        if "error" not in record:
            assert all(Path(path).exists() for path in record["outputs"].values())


@pytest.mark.parametrize("step", ["reading", "fitting", "finishing", "drawing"])
def test_whatever_a_picture_raises_it_fails_alone(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Each builtin exception once, between good pictures; a picture's width tells which one it raises."""
    folder = tmp_path / "in"
    folder.mkdir()
    by_width = dict(enumerate(EXCEPTIONS.items(), 10))
    for width in by_width:
        Image.new("RGB", (width, 8), (0, 250, 0)).save(folder / f"{width:03}_bad.png")
        Image.new("RGB", (4, 4)).save(folder / f"{width:03}_good.png")

    def raise_for(width: int) -> None:
        if width in by_width:
            raise by_width[width][1]

    honest_read, honest_prepare, honest_finish = predict.read_image, Segmenter.prepare, Segmenter.finish
    honest_overlay = render.overlay

    def read(path: Path, notes: list[str]) -> np.ndarray:
        image = honest_read(path, notes=notes)
        raise_for(image.shape[1])
        return image

    def prepare(self: Segmenter, image: np.ndarray) -> Any:
        raise_for(image.shape[1])
        return honest_prepare(self, image)

    def finish(self: Segmenter, raw: Any) -> Any:
        raise_for(raw.prepared.original[1])
        return honest_finish(self, raw)

    def overlay(image: np.ndarray, classes: np.ndarray, safe: bool) -> Any:
        raise_for(image.shape[1])
        return honest_overlay(image, classes, safe=safe)

    patched = {
        "reading": (predict, "read_image", read),
        "fitting": (Segmenter, "prepare", prepare),
        "finishing": (Segmenter, "finish", finish),
        "drawing": (render, "overlay", overlay),
    }[step]
    monkeypatch.setattr(*patched)
    code, records, errors = run(folder)
    assert code == 5
    assert len(records) == 2 * len(EXCEPTIONS)
    check_all_others_are_written(tmp_path / "out", records, [f"{width:03}_bad.png" for width in by_width])
    assert "Traceback" not in errors


def test_whatever_a_video_raises_it_fails_alone(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    clip = write_clip(tmp_path / "clip.mp4", range(0, 120, 40)).read_bytes()
    names = dict(zip((f"{i:03}_bad.mp4" for i in range(len(EXCEPTIONS))), EXCEPTIONS.values(), strict=True))
    for name in (*names, "a_good.mp4", "z_good.mp4"):
        (folder / name).write_bytes(clip)
    honest = container.VideoReader.frames

    def frames(self: container.VideoReader) -> Any:
        name = Path(self.name).name
        if name in names:
            raise names[name]
        yield from honest(self)

    monkeypatch.setattr(container.VideoReader, "frames", frames)
    code, records, _ = run(folder)
    assert (code, len(records)) == (5, len(names) + 2)
    # In a generator a StopIteration is its end, or Python's own RuntimeError of it.
    check_all_others_are_written(tmp_path / "out", records, list(names))


def test_of_a_video_whose_decoder_raises_the_frames_before_are_kept(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", range(0, 400, 40))
    honest, calls = container.upright_rgb, []

    def upright(frame: av.VideoFrame, reformatter: VideoReformatter) -> np.ndarray:
        calls.append(1)
        if len(calls) == 5:
            raise MemoryError
        return honest(frame, reformatter)

    monkeypatch.setattr(container, "upright_rgb", upright)
    code, (record,), _ = run(clip)
    assert (code, record["frames"]) == (5, 4)
    assert "breaks off after 4 frames (MemoryError)" in record["error"]


@pytest.mark.parametrize("error", [BadModel("The model is bad."), CannotWrite("The disk is full.")])
def test_what_is_no_inputs_fault_ends_the_run(error: UserError) -> None:
    with pytest.raises(type(error)):
        sentence(error, "a.jpg")


def test_a_video_one_pixel_wide_is_refused_and_the_rest_is_done(
    tmp_path: Path, run: Run, shared: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "0.mkv").write_bytes((shared / "cases/edge/tiny1_one_pixel.mkv").read_bytes())
    for i, size in enumerate(((1, 40), (40, 1), (2, 2), (3, 5))):
        write_clip(folder / f"{i + 1}_{size[0]}x{size[1]}.mkv", range(0, 120, 40), size=size)
    Image.new("RGB", (8, 8)).save(folder / "z.png")
    code, records, _ = run(folder)
    assert code == 5
    told = {Path(r["input"]).stem: r.get("error", "") for r in records}
    assert {name for name, error in told.items() if error} == {"0", "1_1x40", "2_40x1"}
    assert "is 1 x 1 pixels: give a video of at least 2 x 2." in told["0"]
    check_all_others_are_written(tmp_path / "out", records, ["0.mkv", "1_1x40.mkv", "2_40x1.mkv"])


def test_pictures_and_sound_under_a_videos_name(tmp_path: Path, run: Run) -> None:
    import av

    folder = tmp_path / "in"
    folder.mkdir()
    for kind in ("JPEG", "PNG", "BMP"):
        Image.new("RGB", (32, 24)).save(folder / f"{kind}.mp4", kind)
    clip = write_clip(tmp_path / "clip.mp4", range(0, 120, 40))
    (folder / "video.jpg").write_bytes(clip.read_bytes())
    (folder / "empty.mp4").touch()
    with av.open(str(folder / "sound.mp4"), "w") as file:
        sound: Any = file.add_stream("aac", rate=48000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.int16), "s16", "mono")
        silence.sample_rate = 48000
        file.mux(sound.encode(silence))
        file.mux(sound.encode(None))
    write_cover(folder / "cover.mp4")
    Image.new("RGB", (8, 8)).save(folder / "z.png")
    code, records, _ = run(folder)
    assert code == 5
    told = {Path(r["input"]).name: r.get("error", "") for r in records}
    for kind in ("JPEG", "PNG", "BMP"):
        assert "is a picture, not a video" in told[f"{kind}.mp4"]
    assert "holds no video: name" in told["sound.mp4"]
    assert "holds no video but a cover picture" in told["cover.mp4"]
    assert "is not a picture that can be read" in told["video.jpg"]
    assert "is empty (0 bytes)" in told["empty.mp4"]
    assert not told["z.png"]


def write_cover(path: Path) -> None:
    """An mp4 with silence and a cover picture, as music files have."""
    import av
    from av.stream import Disposition

    with av.open(str(path), "w") as file:
        sound: Any = file.add_stream("aac", rate=48000, layout="mono")
        cover: Any = file.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 32, 24, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(np.zeros((24, 32, 3), np.uint8), "rgb24")
        file.mux(cover.encode(picture))
        file.mux(cover.encode(None))
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.int16), "s16", "mono")
        silence.sample_rate = 48000
        file.mux(sound.encode(silence))
        file.mux(sound.encode(None))
