"""Videos on a web server: whole, broken off, damaged, as files and as playlists."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from clips import sound_packets, times_and_frames, write_clip, write_noise, write_playlist
from recordings import SECRET, Run, lines_of, predict, with_password
from servers import Faults, web

from pipeline.edge import connection


@pytest.fixture
def run(tmp_path: Path, tiny_model: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    return partial(predict, tmp_path, tiny_model, capfd)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_on_a_web_server_is_a_video_with_an_end(
    tmp_path: Path, run: Run, name: str, ranges: bool
) -> None:
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
def test_a_file_that_breaks_off_goes_on_where_it_was(
    tmp_path: Path, run: Run, name: str, ranges: bool
) -> None:
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


def test_a_file_that_ends_too_early_for_good_fails_and_is_kept(tmp_path: Path, run: Run) -> None:
    clip = write_clip(tmp_path / "a.mp4", range(0, 4000, 40), audio="aac")
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 6 // 10])
    with web(tmp_path, Faults()) as address:
        code, (record,), _ = run(f"{address}/a.mp4")
    assert code == 5
    assert "breaks off after" in record["error"]
    assert 0 < record["frames"] < 100, record
    assert len(times_and_frames(Path(record["outputs"]["overlay"]))[0]) == record["frames"]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.mov"])
def test_a_damaged_file_on_a_web_server_is_said(tmp_path: Path, run: Run, name: str) -> None:
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


def test_a_playlist_with_an_end_is_a_video(tmp_path: Path, run: Run) -> None:
    write_playlist(tmp_path)
    with web(tmp_path, Faults()) as address:
        code, (record,), _ = run(with_password(f"{address}/vod.m3u8"))
    assert (code, record["frames"], record["dropped"]) == (0, 100, 0)
    assert [line["frame"] for line in lines_of(record)] == list(range(100))


def test_a_playlist_with_a_hole_is_said(tmp_path: Path, run: Run) -> None:
    write_playlist(tmp_path)
    for number in (4, 5, 6):
        (tmp_path / f"segment{number}.ts").unlink()
    with web(tmp_path, Faults()) as address:
        code, (record,), _ = run(f"{address}/vod.m3u8")
    assert (code, 60 <= record["frames"] <= 70) == (5, True)
    assert "is damaged" in record["error"]


def test_a_playlist_reads_no_file_of_this_machine(tmp_path: Path, run: Run) -> None:
    write_playlist(tmp_path)
    text = (tmp_path / "vod.m3u8").read_text()
    (tmp_path / "files.m3u8").write_text(text.replace("segment", f"file://{tmp_path}/segment"))
    with web(tmp_path, Faults()) as address:
        code, (record,), _ = run(f"{address}/files.m3u8")
    assert (code, "cannot be read" in record["error"]) == (5, True)


def test_what_cannot_be_reached_fails_alone(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
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
