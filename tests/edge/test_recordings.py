"""Recordings without an end: what signals, kills and closed pipes leave of them; cameras."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from clips import times_and_frames, write_clip
from recordings import SECRET, Run, lines_of, predict, segments_of, started, with_password
from servers import Faults, web

from pipeline.edge.runtime import Segmenter


@pytest.fixture
def run(tmp_path: Path, tiny_model: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    return partial(predict, tmp_path, tiny_model, capfd)


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
        inputs = [with_password(f"{address}/live.mjpeg"), f"{address}/live.mjpeg?2", "--reconnect", "600"]
        with started(tmp_path, tiny_model, *inputs) as process:
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


def test_segments_that_were_reported_outlive_a_kill(tmp_path: Path, tiny_model: Path) -> None:
    segments: list[dict[str, Any]] = []
    with (
        web(tmp_path, Faults()) as address,
        started(tmp_path, tiny_model, f"{address}/live.mjpeg", "--segment", "0.2") as process,
    ):
        assert process.stdout is not None
        while len(segments) < 2:
            segments += segments_of([json.loads(process.stdout.readline())])
        process.kill()
    for segment in segments:
        assert len(times_and_frames(Path(segment["outputs"]["overlay"]))[0]) == segment["frames"]
        assert len(lines_of(segment)) == segment["frames"]


def test_a_reader_that_goes_ends_the_recording_and_it_is_kept(tmp_path: Path, tiny_model: Path) -> None:
    """As of `mic-edge ... | head` or of a terminal that closes."""
    with (
        web(tmp_path, Faults()) as address,
        started(tmp_path, tiny_model, f"{address}/live.mjpeg") as process,
    ):
        assert process.stdout is not None
        assert process.stderr is not None
        assert "frame" in json.loads(process.stdout.readline())
        process.stdout.close()
        errors = process.stderr.read()
        process.wait(60)
    assert "Traceback" not in errors
    (overlay,) = (tmp_path / "out").glob("*_overlay_000.mp4")
    (lines,) = (tmp_path / "out").glob("*_000.jsonl")
    assert len(times_and_frames(overlay)[0]) == len(lines.read_text().splitlines()) >= 1
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
    tmp_path: Path, run: Run, camera: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
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


def test_a_camera_that_is_unplugged_comes_back(
    tmp_path: Path, run: Run, camera: Callable[[str], None]
) -> None:
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


def test_a_camera_that_is_not_one_fails_alone(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.edge.sources._camera_device", lambda number: tmp_path / "none")
    write_clip(tmp_path / "good.mp4", range(0, 200, 40))
    code, records, _ = run("7", tmp_path / "good.mp4")
    assert code == 5
    assert [r.get("frames") for r in records] == [5, None]
    assert "see whether it is plugged in and free" in records[1]["error"]


def test_a_second_input_without_an_end_is_refused(run: Run) -> None:
    for pair in (("rtsp://a:geheim7@x/1", "rtsp://y/1"), ("udp://@:5000", "srt://h:1")):
        code, records, errors = run(*pair)
        assert (code, records) == (2, [])
        assert "is a second input without an end" in errors
