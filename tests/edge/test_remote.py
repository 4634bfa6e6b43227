"""Streams over real connections of this machine: MJPEG, RTSP and files over HTTP, broken off and back again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from clips import sound_packets, times_and_frames, write_clip, write_noise, write_playlist
from servers import Faults, rtsp, web

from pipeline.edge import connection, remote
from pipeline.edge.cli import main
from pipeline.edge.runtime import Segmenter
from pipeline.edge.sources import Source

ROOT = Path(__file__).resolve().parents[2]
SECRET = "geheim7"


@pytest.fixture
def run(tmp_path: Path, tiny_model: Path, capfd: pytest.CaptureFixture[str]):
    """predict into tmp_path/out: exit code, the JSON lines of stdout, stderr."""

    def run(*arguments: object) -> tuple[int, list[dict[str, Any]], str]:
        options = ["--model", tiny_model, "--out", tmp_path / "out", "--threads", 1]
        code = main(["predict", *(str(a) for a in (*arguments, *options))])
        captured = capfd.readouterr()  # what FFmpeg prints itself included
        for path in (tmp_path / "out").rglob("*"):
            assert SECRET not in path.name
            assert not path.is_file() or SECRET.encode() not in path.read_bytes()
        assert SECRET not in captured.out + captured.err
        return code, [json.loads(line) for line in captured.out.splitlines()], captured.err

    return run


def with_password(address: str) -> str:
    return address.replace("://", f"://admin:{SECRET}@") + f"?token={SECRET}"


def lines_of(record: dict[str, Any]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(record["outputs"]["json"]).read_text().splitlines()]


def segments_of(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if "segment" in line]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_on_a_web_server_is_a_video_with_an_end(tmp_path: Path, run, name: str, ranges: bool) -> None:
    clip = write_clip(tmp_path / name, range(0, 2000, 40), audio="mp2" if name == "a.ts" else "aac")
    with web(tmp_path, Faults(), ranges) as address:
        code, (record,), _ = run(with_password(f"{address}/{name}"))
    host = address.removeprefix("http://")
    assert (code, record["input"]) == (0, f"http://***@{host}/{name}?***")
    assert (record["frames"], record["dropped"], record["reconnects"]) == (50, 0, 0)
    named = Path(record["outputs"]["overlay"]).name
    assert named == f"{host.replace(':', '_')}_a_overlay.mp4"
    assert len(times_and_frames(Path(record["outputs"]["overlay"]))[0]) == 50
    kept = [content for _, content in sound_packets(Path(record["outputs"]["overlay"]))]
    assert kept == [content for _, content in sound_packets(clip)]
    assert [line["frame"] for line in lines_of(record)] == list(range(50))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_that_breaks_off_goes_on_where_it_was(tmp_path: Path, run, name: str, ranges: bool) -> None:
    clip = write_clip(tmp_path / name, range(0, 4000, 40), audio="mp2" if name == "a.ts" else "aac")
    faults = Faults()
    faults.cut_after = [clip.stat().st_size * 6 // 10]
    with web(tmp_path, faults, ranges) as address:
        code, (record,), errors = run(f"{address}/{name}")
    assert code == 0, record
    assert (record["frames"], record["dropped"]) == (100, 0)
    if name != "a.ts" or not ranges:  # there FFmpeg looks at the end first, on a connection of its own
        assert record["reconnects"] == 1
        assert "trying again" in errors
    expected, _ = times_and_frames(clip)
    times, _ = times_and_frames(Path(record["outputs"]["overlay"]))
    assert [t - times[0] for t in times] == pytest.approx([t - expected[0] for t in expected], abs=1e-3)
    assert [line["frame"] for line in lines_of(record)] == list(range(100))
    kept = [content for _, content in sound_packets(Path(record["outputs"]["overlay"]))]
    assert kept == [content for _, content in sound_packets(clip)]


def test_a_file_that_ends_too_early_for_good_fails_and_is_kept(tmp_path: Path, run) -> None:
    clip = write_clip(tmp_path / "a.mp4", range(0, 4000, 40), audio="aac")
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 6 // 10])
    with web(tmp_path, Faults()) as address:
        code, (record,), _ = run(f"{address}/a.mp4")
    assert code == 5
    assert "breaks off after" in record["error"]
    assert 0 < record["frames"] < 100, record
    assert len(times_and_frames(Path(record["outputs"]["overlay"]))[0]) == record["frames"]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.mov"])
def test_a_damaged_file_on_a_web_server_is_said(tmp_path: Path, run, name: str) -> None:
    clip = write_noise(tmp_path / name, "mjpeg" if name == "a.avi" else "libx264")
    content = bytearray(clip.read_bytes())
    with web(tmp_path, Faults()) as address:
        assert run(f"{address}/{name}")[0] == 0
        content[len(content) // 2 : len(content) // 2 + 3000] = bytes(3000)
        clip.write_bytes(content)
        code, (record,), _ = run(f"{address}/{name}")
    assert code == 5
    assert "is damaged" in record["error"] or "breaks off" in record["error"]
    assert 0 < record["frames"] <= 100


def test_a_playlist_with_an_end_is_a_video(tmp_path: Path, run) -> None:
    write_playlist(tmp_path)
    with web(tmp_path, Faults()) as address:
        code, (record,), _ = run(with_password(f"{address}/vod.m3u8"))
    assert (code, record["frames"], record["dropped"]) == (0, 100, 0)
    assert [line["frame"] for line in lines_of(record)] == list(range(100))


def test_a_playlist_with_a_hole_is_said(tmp_path: Path, run) -> None:
    write_playlist(tmp_path)
    for number in (4, 5, 6):
        (tmp_path / f"segment{number}.ts").unlink()
    with web(tmp_path, Faults()) as address:
        code, (record,), _ = run(f"{address}/vod.m3u8")
    assert (code, 60 <= record["frames"] <= 70) == (5, True)
    assert "is damaged" in record["error"]


def test_a_live_playlist_is_recorded_at_its_pace_until_it_ends(tmp_path: Path, run) -> None:
    write_playlist(tmp_path)
    with web(tmp_path, Faults()) as address:
        code, lines, errors = run(with_password(f"{address}/live.m3u8"), "--segment", "1")
    record = lines[-1]
    assert (code, record["interrupted"]) == (0, False)
    assert "has ended" in errors
    assert record["frames"] + record["dropped"] == 100
    assert record["seconds"] == pytest.approx(99 / 25, abs=0.5)
    assert record["segments"] == len(segments_of(lines)) >= 2


def test_a_live_playlists_frames_are_read_no_faster_than_they_are_shown(tmp_path: Path) -> None:
    write_playlist(tmp_path)
    with (
        web(tmp_path, Faults()) as address,
        remote.StreamReader(Source("stream", Path("a"), Path("a"), f"{address}/live.m3u8"), 2) as reader,
    ):
        assert reader.endless
        begun = time.monotonic()
        numbers = []
        for frame in reader.frames():
            assert frame.seconds <= time.monotonic() - begun + 0.1
            numbers.append(frame.number)
    assert numbers == list(range(100))
    assert reader.failure is None


def test_a_playlist_reads_no_file_of_this_machine(tmp_path: Path, run) -> None:
    write_playlist(tmp_path)
    text = (tmp_path / "vod.m3u8").read_text()
    (tmp_path / "files.m3u8").write_text(text.replace("segment", f"file://{tmp_path}/segment"))
    with web(tmp_path, Faults()) as address:
        code, (record,), _ = run(f"{address}/files.m3u8")
    assert (code, "cannot be read" in record["error"]) == (5, True)


def test_whatever_a_frame_leads_to_those_before_are_kept(
    tmp_path: Path, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, calls = remote.upright_rgb, []

    def failing(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 5:
            raise MemoryError
        return honest(*arguments)

    monkeypatch.setattr(remote, "upright_rgb", failing)
    with web(tmp_path, Faults()) as address:
        code, lines, _ = run(with_password(f"{address}/live.mjpeg"))
    assert code == 5
    assert "MemoryError" in lines[-1]["error"]
    (segment,) = segments_of(lines)
    assert segment["frames"] + lines[-1]["dropped"] == 4
    assert len(times_and_frames(Path(segment["outputs"]["overlay"]))[0]) == segment["frames"]


def test_mjpeg_that_comes_back_is_one_recording(tmp_path: Path, run) -> None:
    faults = Faults()
    faults.cut_after = [12, 12, 12]
    faults.refuse = [False, True, False, False, True, True, True, True, True, True, True, True]
    faults.sizes = [(64, 96), (64, 96), (80, 96)]
    with web(tmp_path, faults) as address:
        code, lines, errors = run(with_password(f"{address}/live.mjpeg"), "--reconnect", "3")
    assert code == 5
    assert "was lost after" in errors
    assert "is back" in errors
    *rest, record = lines
    assert "did not come back within 3 s" in record["error"]
    assert (record["segments"], record["reconnects"], record["interrupted"]) == (3, 2, False)
    segments = segments_of(rest)
    assert [s["segment"] for s in segments] == [0, 1, 2]
    assert [(s["height"], s["width"]) for s in segments] == [(64, 96), (64, 96), (80, 96)]
    names = [Path(s["outputs"]["overlay"]).name for s in segments]
    assert [name.rpartition("_")[2] for name in names] == ["000.mp4", "001.mp4", "002.mp4"]
    assert len({s["begun"] for s in segments}) == 3
    frames = [line for s in segments for line in lines_of(s)]
    assert [line | {"input": record["input"]} for line in frames] == [
        li for li in rest if "segment" not in li
    ]
    assert sum(s["frames"] for s in segments) == record["frames"] == len(frames)
    assert record["frames"] + record["dropped"] == frames[-1]["frame"] + 1
    assert all(a["frame"] < b["frame"] and a["time"] < b["time"] for a, b in pairwise(frames))
    gaps = [lines_of(b)[0]["time"] - lines_of(a)[-1]["time"] for a, b in pairwise(segments)]
    assert all(gap >= 1 for gap in gaps), "the pause before it connects again is in the times"
    for segment in segments:
        times, pictures = times_and_frames(Path(segment["outputs"]["overlay"]))
        assert times[0] == 0
        assert len(times) == segment["frames"]
        assert pictures[0].shape[:2] == (segment["height"], segment["width"])
        told = [line["time"] - lines_of(segment)[0]["time"] for line in lines_of(segment)]
        assert times == pytest.approx(told, abs=0.002)


def test_rtsp_that_comes_back_is_one_recording(tmp_path: Path, run) -> None:
    faults = Faults()
    faults.cut_after = [25, 25]
    faults.refuse = [False, False, *[True] * 20]
    with rtsp(faults) as address:
        code, lines, _ = run(with_password(address), "--reconnect", "3", "--save", "overlay,json,index")
    assert code == 5
    *rest, record = lines
    assert record["input"] == "rtsp://***@" + address.removeprefix("rtsp://") + "?***"
    assert "did not come back" in record["error"]
    assert (record["segments"], record["reconnects"]) == (2, 1)
    frames = [line for s in segments_of(rest) for line in lines_of(s)]
    assert record["frames"] + record["dropped"] == frames[-1]["frame"] + 1
    assert record["frames"] >= 4
    assert all(a["time"] < b["time"] for a, b in pairwise(frames))
    for segment in segments_of(rest):
        assert len(times_and_frames(Path(segment["outputs"]["overlay"]))[0]) == segment["frames"]
        numbers = [int(p.stem) for p in sorted(Path(segment["outputs"]["index"]).iterdir())]
        assert numbers == [line["frame"] for line in lines_of(segment)]


def test_segments_begin_after_so_many_seconds_and_never_collide(tmp_path: Path, run) -> None:
    taken: set[str] = set()
    faults = Faults()
    faults.cut_after = [40, 40]
    with web(tmp_path, faults) as address:
        for _ in range(2):
            code, lines, _ = run(
                f"{address}/live.mjpeg", "--reconnect", "0", "--segment", "0.5", "--every", "2"
            )
            assert code == 5
            assert "breaks off after 40 frames" in lines[-1]["error"]
            segments = segments_of(lines)
            assert len(segments) >= 3
            for segment in segments:
                times = [line["time"] for line in lines_of(segment)]
                assert times[-1] - times[0] < 0.5
                assert all(line["frame"] % 2 == 0 for line in lines_of(segment))
            paths = {path for s in segments for path in s["outputs"].values()}
            assert len(paths) == 2 * len(segments)
            assert not paths & taken
            taken |= paths
    assert sorted(str(p) for p in (tmp_path / "out").glob("[!.f]*")) == sorted(taken)


def test_a_slow_network_drops_frames_and_does_not_lag(
    tmp_path: Path, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Segmenter.run

    def slow(self: Segmenter, prepared: Any) -> Any:
        time.sleep(0.3)
        return honest(self, prepared)

    monkeypatch.setattr(Segmenter, "run", slow)
    faults = Faults()
    faults.cut_after = [60]
    with web(tmp_path, faults) as address:
        code, lines, _ = run(f"{address}/live.mjpeg", "--reconnect", "0")
    record = lines[-1]
    assert code == 5
    assert record["dropped"] > 20
    assert record["frames"] + record["dropped"] == 60
    numbers = [line["frame"] for line in lines if "frame" in line]
    assert numbers[-1] == 59, "the newest frames are kept"


def test_what_cannot_be_reached_fails_alone(tmp_path: Path, run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_ANSWER_SECONDS", 1.0)
    write_clip(tmp_path / "good.mp4", range(0, 200, 40))
    write_clip(tmp_path / "sound.mp4", range(0, 200, 40))
    from PIL import Image

    Image.new("RGB", (20, 20)).save(tmp_path / "still.png")
    (tmp_path / "text.mp4").write_text("no video")
    with web(tmp_path, Faults()) as address:
        wrong = [
            "http://127.0.0.1:9/a.mp4",
            f"{address}/nothing.mp4",
            f"{address}/silent",
            f"{address}/still.png",
            f"{address}/text.mp4",
            f"ftp://admin:{SECRET}@127.0.0.1:9/a.mp4",
        ]
        code, records, errors = run(
            *(with_password(a) if "ftp" not in a else a for a in wrong), tmp_path / "good.mp4"
        )
    assert code == 5
    says = ["efused", "404", "no answer within 1 s", "a single picture", "Invalid data", "use rtsp"]
    assert len(records) == len(wrong) + 1
    failed = [r["error"] for r in records if "error" in r]
    for part, error in zip(says, failed, strict=True):
        assert part in error
        assert f"error: {error}" in errors
    assert "Traceback" not in errors
    assert (tmp_path / "out" / "good_overlay.mp4").is_file()


@pytest.mark.parametrize("server", [web, rtsp])
def test_a_connection_that_falls_silent_is_lost(
    tmp_path: Path, run, monkeypatch: pytest.MonkeyPatch, server: Any
) -> None:
    monkeypatch.setattr(connection, "_ANSWER_SECONDS", 1.0)
    faults = Faults()
    faults.cut_after, faults.stall = [10], True
    with server(*([tmp_path] if server is web else []), faults) as address:
        stream = address + "/live.mjpeg" if server is web else address
        code, lines, _ = run(with_password(stream), "--reconnect", "0")
    assert code == 5
    assert "no answer within 1 s" in lines[-1]["error"]
    assert 0 < lines[-1]["frames"] <= 10


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_keeps_the_segment_and_ends_the_run(
    tmp_path: Path, tiny_model: Path, number: int, lost: bool
) -> None:
    """While frames come, and while a lost stream is waited for."""
    faults = Faults()
    if lost:
        faults.cut_after, faults.refuse = [10], [False, False, *[True] * 99]
    with web(tmp_path, faults) as address:
        command = [sys.executable, "-m", "pipeline.edge.cli", "predict", "--reconnect", "600"]
        command += [with_password(f"{address}/live.mjpeg"), f"{address}/live.mjpeg?2"]
        with subprocess.Popen(
            [*command, "--model", str(tiny_model), "--out", str(tmp_path / "out")],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  no threads here
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            first = process.stdout.readline()
            told = process.stderr.readline() if lost else ""
            process.send_signal(number)
            rest, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "trying again" in told or not lost
    assert SECRET not in first + rest + told + errors
    lines = [json.loads(line) for line in (first + rest).splitlines()]
    (segment,), record = segments_of(lines), lines[-1]
    assert record["interrupted"]
    assert record["frames"] == segment["frames"] >= 1
    assert len(times_and_frames(Path(segment["outputs"]["overlay"]))[0]) == segment["frames"]
    assert not list((tmp_path / "out").glob(".*.part"))


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets camera 7 give what is at an address."""

    def plug_in(address: str) -> None:
        import av

        opened = av.open

        def open_camera(name: str, *arguments: Any, **options: Any) -> Any:
            if name == "/dev/video7":
                assert options.pop("format") == "v4l2"
                name = address
            return opened(name, *arguments, **options)

        monkeypatch.setattr(av, "open", open_camera)
        monkeypatch.setattr(
            "pipeline.edge.sources._camera_device", lambda number: Path(f"/dev/video{number}")
        )

    return plug_in


def test_a_camera_ends_with_ctrl_c_and_keeps_what_it_recorded(
    tmp_path: Path, run, camera: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, calls = Segmenter.run, []

    def interrupted(self: Segmenter, prepared: Any) -> Any:
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return honest(self, prepared)

    monkeypatch.setattr(Segmenter, "run", interrupted)
    monkeypatch.chdir(tmp_path)
    with web(tmp_path, Faults()) as address:
        camera(f"{address}/live.mjpeg")
        for name in ("camera7", "camera7_2"):
            calls.clear()
            code, lines, _ = run("7")
            assert code == 0
            assert ["frame" in line for line in lines] == [*[True] * 7, False, False]
            segment, record = lines[-2:]
            assert segment["outputs"]["overlay"] == str(tmp_path / "out" / f"{name}_overlay_000.mp4")
            assert (record["input"], record["segments"], record["frames"]) == ("/dev/video7", 1, 7)
            assert record["interrupted"]
            assert len(times_and_frames(tmp_path / "out" / f"{name}_overlay_000.mp4")[0]) == 7
            assert len(lines_of(segment)) == 7


def test_a_camera_that_is_unplugged_comes_back(tmp_path: Path, run, camera: Callable[[str], None]) -> None:
    faults = Faults()
    faults.cut_after = [10, 10]
    faults.refuse = [False, False, *[True] * 20]
    with web(tmp_path, faults) as address:
        camera(f"{address}/live.mjpeg")
        code, lines, errors = run("7", "--reconnect", "2")
    record = lines[-1]
    assert code == 5
    assert "/dev/video7 is back" in errors
    assert "did not come back within 2 s" in record["error"]
    assert (record["segments"], record["reconnects"]) == (2, 1)
    assert record["frames"] + record["dropped"] == 20


def test_a_camera_that_is_not_one_fails_alone(tmp_path: Path, run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.edge.sources._camera_device", lambda number: tmp_path / "none")
    write_clip(tmp_path / "good.mp4", range(0, 200, 40))
    code, records, _ = run("7", tmp_path / "good.mp4")
    assert code == 5
    assert [r.get("frames") for r in records] == [5, None]
    assert "see whether it is plugged in and free" in records[1]["error"]


def test_a_second_input_without_an_end_is_refused(run) -> None:
    for pair in (("rtsp://a:geheim7@x/1", "rtsp://y/1"), ("udp://@:5000", "srt://h:1")):
        code, records, errors = run(*pair)
        assert (code, records) == (2, [])
        assert "is a second input without an end" in errors
