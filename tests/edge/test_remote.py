"""Streams over real connections of this machine: MJPEG, RTSP and HLS, broken off and back again, too fast, silent."""

from __future__ import annotations

import time
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from clips import times_and_frames, write_playlist
from recordings import Run, lines_of, predict, segments_of, with_password
from servers import Faults, rtsp, web

from pipeline.edge import connection, remote
from pipeline.edge.runtime import Segmenter
from pipeline.edge.sources import Source


@pytest.fixture
def run(tmp_path: Path, tiny_model: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    return partial(predict, tmp_path, tiny_model, capfd)


def test_a_live_playlist_is_recorded_at_its_pace_until_it_ends(tmp_path: Path, run: Run) -> None:
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


def test_whatever_a_frame_leads_to_those_before_are_kept(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
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


def test_mjpeg_that_comes_back_is_one_recording(tmp_path: Path, run: Run) -> None:
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


def test_rtsp_that_comes_back_is_one_recording(tmp_path: Path, run: Run) -> None:
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


def test_segments_begin_after_so_many_seconds_and_never_collide(tmp_path: Path, run: Run) -> None:
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
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
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


@pytest.mark.parametrize("server", [web, rtsp])
def test_a_connection_that_falls_silent_is_lost(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, server: Any
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
