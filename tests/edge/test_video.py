"""mic-edge predict on videos: upright, their own times, their sound, broken ones, nothing half-written."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import CLOCKWISE, HEIGHT, WIDTH, sound_packets, times_and_frames, write_clip
from PIL import Image

from pipeline.edge import video_writer
from pipeline.edge.cli import main
from pipeline.edge.errors import BadModel
from pipeline.edge.log import LOG
from pipeline.edge.runtime import Segmenter

STEADY = range(0, 800, 40)
UNSTEADY = [0, 40, 80, 200, 210, 250, 400, 1000, 1010, 1100]


@pytest.fixture
def run(tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]):
    """predict into tmp_path/out: exit code, the JSON lines of stdout, stderr."""

    def run(*arguments: object) -> tuple[int, list[dict[str, Any]], str]:
        options = ["--model", tiny_model, "--out", tmp_path / "out", "--threads", 1]
        code = main(["predict", *(str(a) for a in (*arguments, *options))])
        captured = capsys.readouterr()
        return code, [json.loads(line) for line in captured.out.splitlines()], captured.err

    return run


def frame_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_variable_frame_rate_is_kept(tmp_path: Path, run) -> None:
    clip = write_clip(tmp_path / "dash.mkv", UNSTEADY)
    code, (record,), errors = run(clip)
    assert code == 0
    out = tmp_path / "out"
    assert record["outputs"] == {"overlay": str(out / "dash_overlay.mp4"), "json": str(out / "dash.jsonl")}
    assert (record["frames"], record["height"], record["width"]) == (10, HEIGHT, WIDTH)
    assert sorted(p.name for p in out.iterdir()) == [LOG, "dash.jsonl", "dash_overlay.mp4"]
    times, frames = times_and_frames(out / "dash_overlay.mp4")
    assert times == [t / 1000 for t in UNSTEADY]
    lines = frame_lines(out / "dash.jsonl")
    assert [line["time"] for line in lines] == times
    assert [line["frame"] for line in lines] == list(range(10))
    assert set(lines[0]["milliseconds"]) == {"read", "prepare", "network", "finish"}
    assert lines[0]["classes"] == pytest.approx(
        {"road": 0.375, "building": 0.375, "sidewalk": 0.25}, abs=0.02
    )
    # 0.45 of the red picture and 0.55 of the colour of road
    np.testing.assert_allclose(frames[0][40, 20], [0.45 * 250 + 0.55 * 128, 35, 70], atol=8)
    assert "1 video in" in errors


def test_a_rotated_video_comes_out_upright(tmp_path: Path, run) -> None:
    clip = write_clip(tmp_path / "phone.mp4", STEADY, matrix=CLOCKWISE)
    assert times_and_frames(clip)[1][0].shape == (HEIGHT, WIDTH, 3), "stored lying on its side"
    code, (record,), _ = run(clip, "--save", "overlay,index")
    assert code == 0
    assert (record["height"], record["width"]) == (WIDTH, HEIGHT)
    assert times_and_frames(Path(record["outputs"]["overlay"]))[1][0].shape == (WIDTH, HEIGHT, 3)
    index = np.array(Image.open(tmp_path / "out" / "phone_index" / "000000.png"))
    # Turned clockwise, the bar (class 1) is at the right, red (0) above and blue (2) below.
    assert (index[20, 10], index[80, 10], index[50, 60]) == (0, 2, 1)


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "aac"), ("a.mkv", "libopus"), ("a.ts", "mp2")])
def test_sound_is_copied(tmp_path: Path, run, name: str, codec: str) -> None:
    clip = write_clip(tmp_path / name, STEADY, audio=codec)
    code, (record,), errors = run(clip)
    assert code == 0
    assert "left out" not in errors
    before, after = sound_packets(clip), sound_packets(Path(record["outputs"]["overlay"]))
    assert [content for _, content in after] == [content for _, content in before]
    apart = [times_and_frames(clip)[0][0] - before[0][0], record_apart(record, after)]
    assert apart[0] == pytest.approx(apart[1], abs=0.002), "picture and sound keep their distance"


def record_apart(record: dict[str, Any], sound: list[tuple[float, bytes]]) -> float:
    return times_and_frames(Path(record["outputs"]["overlay"]))[0][0] - sound[0][0]


def test_sound_that_no_mp4_holds_is_left_out_and_said(tmp_path: Path, run) -> None:
    clip = write_clip(tmp_path / "a.mkv", STEADY, audio="pcm_u8")
    code, (record,), errors = run(clip)
    assert code == 0
    assert "an mp4 holds no pcm_u8 sound" in errors
    assert len(times_and_frames(Path(record["outputs"]["overlay"]))[0]) == len(STEADY)


def test_sound_of_a_codec_unknown_to_ffmpeg_is_left_out_and_said(tmp_path: Path, run) -> None:
    """New phones add a second sound of their own (apac)."""
    clip = write_clip(tmp_path / "a.mov", STEADY, audio="pcm_s16le")
    clip.write_bytes(clip.read_bytes().replace(b"sowt", b"zzzz"))
    code, (record,), errors = run(clip)
    assert (code, record["frames"]) == (0, len(STEADY))
    assert "an mp4 holds no unknown sound, left out" in errors


def test_a_video_of_a_codec_unknown_to_ffmpeg_is_said(tmp_path: Path, run) -> None:
    clip = write_clip(tmp_path / "a.mov", STEADY)
    clip.write_bytes(clip.read_bytes().replace(b"avc1", b"zzzz"))
    code, (record,), _ = run(clip)
    assert code == 5
    assert record["error"].endswith(
        "holds a video that cannot be decoded: copy it again or save it as H.264."
    )


@pytest.mark.parametrize("name", ["cut.mp4", "cut.mkv"])
def test_of_a_video_cut_off_all_that_decodes_is_written(tmp_path: Path, run, name: str) -> None:
    whole = write_clip(tmp_path / name, range(0, 4000, 40), audio="aac").read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) * 6 // 10])
    decoded = len(times_and_frames(tmp_path / name)[0])
    assert 0 < decoded < 100
    for _ in range(2):  # it is not noted as done
        code, (record,), errors = run(tmp_path / name)
        assert code == 5
        assert record["frames"] == decoded
        assert len(times_and_frames(Path(record["outputs"]["overlay"]))[0]) == decoded
        assert len(frame_lines(Path(record["outputs"]["json"]))) == decoded
        assert f"breaks off after {decoded} frames" in record["error"]
        assert "of 4.0 s" in record["error"]
        assert f"error: {record['error']}" in errors
        listed = (tmp_path / "out" / "failures.txt").read_text()
        assert listed == f"{tmp_path / name}\t{record['error']}\n"


def test_what_is_no_video_fails_and_the_others_are_done(tmp_path: Path, run) -> None:
    (tmp_path / "in").mkdir()
    write_clip(tmp_path / "in" / "good.mp4", STEADY)
    (tmp_path / "in" / "bad.mp4").write_bytes(b"no video")
    Image.new("RGB", (40, 30), (250, 0, 0)).save(tmp_path / "in" / "good.png")
    code, records, errors = run(tmp_path / "in")
    assert code == 5
    picture, bad, good = records
    assert picture["outputs"]["index"].endswith("good_index.png")
    assert "bad.mp4 is no video that can be read" in bad["error"]
    assert good["outputs"]["overlay"].endswith("good_overlay.mp4")
    assert "1 picture and 2 videos in" in errors
    code, records, errors = run(tmp_path / "in")
    assert (code, [r["input"] for r in records]) == (5, [str(tmp_path / "in" / "bad.mp4")])
    assert "2 already done" in errors


def test_odd_sizes_and_a_picture_of_each_frame(tmp_path: Path, run) -> None:
    clip = write_clip(tmp_path / "odd.mkv", STEADY, size=(65, 97))
    code, (record,), _ = run(clip, "--save", "overlay,index,confidence")
    assert code == 0
    assert times_and_frames(Path(record["outputs"]["overlay"]))[1][0].shape == (64, 96, 3)
    for kind in ("index", "confidence"):
        names = sorted(p.name for p in Path(record["outputs"][kind]).iterdir())
        assert names == [f"{i:06d}.png" for i in range(20)]
    assert Image.open(tmp_path / "out" / "odd_index" / "000019.png").size == (97, 65)


def test_a_title_that_is_not_utf8_is_no_reason_to_refuse(tmp_path: Path, run) -> None:
    clip = write_clip(tmp_path / "a.mkv", STEADY, title="ABCDEFGH")
    clip.write_bytes(clip.read_bytes().replace(b"ABCDEFGH", b"AB\xe4\xffEFGH"))
    code, (record,), _ = run(clip)
    assert (code, record["frames"]) == (0, len(STEADY))


def test_without_h264_it_is_mpeg4(tmp_path: Path, run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_writer, "_CODECS", ("mpeg4",))
    clip = write_clip(tmp_path / "a.ts", UNSTEADY)
    start = times_and_frames(clip)[0][0]
    code, (record,), _ = run(clip)
    assert code == 0
    times, _ = times_and_frames(Path(record["outputs"]["overlay"]))
    assert times == pytest.approx([t - start for t in times_and_frames(clip)[0]], abs=1e-4)


def test_a_model_that_fails_leaves_nothing(tmp_path: Path, run, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_clip(tmp_path / "a.mp4", STEADY)
    honest, calls = Segmenter.run, []

    def failing(self: Segmenter, prepared: Any) -> Any:
        calls.append(1)
        if len(calls) == 10:
            raise BadModel("it broke")
        return honest(self, prepared)

    monkeypatch.setattr(Segmenter, "run", failing)
    code, records, errors = run(clip, "--save", "overlay,index,json")
    assert (code, records) == (3, [])
    assert "error: it broke" in errors
    assert [path.name for path in (tmp_path / "out").iterdir()] == [LOG]


def test_without_pyav_the_extra_is_named(tmp_path: Path, run, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_clip(tmp_path / "a.mp4", STEADY)
    monkeypatch.setitem(sys.modules, "av", None)
    code, records, errors = run(clip)
    assert (code, records) == (2, [])
    assert errors == f"error: {clip} is a video, which needs PyAV: pip install mic-adapt[video].\n"
    assert not (tmp_path / "out").exists()
