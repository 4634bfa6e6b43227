"""Videos cut short or damaged: said for every container that can tell, and no false alarm for sound ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from clips import write_clip, write_noise
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.edge.container import VideoReader
from pipeline.edge.errors import ImageError
from pipeline.edge.sources import Source
from pipeline.edge.truncation import missing_bytes

KINDS: dict[str, tuple[str, dict[str, str]]] = {
    "index first.mp4": ("libx264", {"movflags": "faststart"}),
    "index last.mp4": ("libx264", {}),
    "fragments.mp4": ("libx264", {"movflags": "frag_keyframe+empty_moov"}),
    "a.mov": ("libx264", {}),
    "a.3gp": ("libx264", {}),
    "a.m4v": ("libx264", {}),
    "a.mkv": ("libx264", {}),
    "live.mkv": ("libx264", {"live": "1"}),
    "a.webm": ("libvpx", {}),
    "motion jpeg.avi": ("mjpeg", {}),
    "mpeg4.avi": ("mpeg4", {}),
    "h264.avi": ("libx264", {}),
    "a.wmv": ("wmv2", {}),
    "a.flv": ("libx264", {}),
    "a.mpg": ("mpeg2video", {}),
    "h264.ts": ("libx264", {}),
    "mpeg2.ts": ("mpeg2video", {}),
    "a.m2ts": ("libx264", {"muxer": "mpegts", "mpegts_m2ts_mode": "1"}),
}
TRANSPORT = ("a.mpg", "h264.ts", "mpeg2.ts", "a.m2ts")
OPEN_ENDED = (*TRANSPORT, "fragments.mp4", "live.mkv", "a.flv")
"""Cut between two of their parts, these are whole, only shorter: so may a broadcast or recording end."""


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    return {name: write_noise(folder / name, codec, **options) for name, (codec, options) in KINDS.items()}


def failure(path: Path) -> tuple[int, str]:
    """Frames read, and what is said of the rest."""
    try:
        with VideoReader(Source("video", path, path)) as reader:
            return sum(1 for _ in reader.frames()), reader.failure or ""
    except ImageError as error:
        return 0, str(error)


def cut(path: Path, share: float, to: Path) -> Path:
    whole = path.read_bytes()
    to.write_bytes(whole[: int(len(whole) * share)])
    return to


@pytest.mark.parametrize("name", KINDS)
def test_a_whole_video_raises_no_alarm(clips: dict[str, Path], name: str) -> None:
    assert failure(clips[name]) == (100, "")
    assert missing_bytes(clips[name]) == 0


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("name", [name for name in KINDS if name not in TRANSPORT])
def test_a_video_cut_off_is_said(clips: dict[str, Path], tmp_path: Path, name: str, share: float) -> None:
    frames, said = failure(cut(clips[name], share, tmp_path / name))
    assert frames <= 100
    assert "breaks off after" in said or "missing" in said or "is damaged" in said, (frames, said)


@pytest.mark.parametrize("name", TRANSPORT)
def test_a_transport_stream_cut_inside_a_packet_is_said(
    clips: dict[str, Path], tmp_path: Path, name: str
) -> None:
    size = clips[name].stat().st_size
    for share in (0.3, 0.5, 0.9):
        frames, said = failure(
            cut(clips[name], (int(size * share) // 192 * 192 + 100) / size, tmp_path / name)
        )
        assert 0 < frames < 101
        assert "breaks off after" in said or "is damaged" in said, (share, frames, said)


def test_the_truncated_avi_that_ended_well(shared: Path) -> None:
    frames, said = failure(shared / "cases" / "edge" / "trunc_half.avi")
    assert frames == 18
    assert "breaks off after 18 frames, at 1.8 s of 6.0 s" in said


@pytest.mark.parametrize("times", [[0, 40, 80, 5000], [0, 2000, 4000, 9000], [0]])
@pytest.mark.parametrize("ending", ["mkv", "mp4", "avi", "flv", "ts", "mov"])
def test_few_frames_far_apart_raise_no_alarm(tmp_path: Path, times: list[int], ending: str) -> None:
    assert failure(write_clip(tmp_path / f"a.{ending}", times)) == (len(times), "")


def test_a_longer_sound_than_picture_raises_no_alarm(tmp_path: Path) -> None:
    for name, codec in (("a.mp4", "aac"), ("a.mkv", "libopus")):
        assert failure(write_clip(tmp_path / name, [*range(0, 400, 40), 3000], audio=codec))[1] == ""


@settings(max_examples=40, deadline=None)
@given(share=st.floats(0.01, 0.999), name=st.sampled_from([n for n in KINDS if n not in OPEN_ENDED]))
def test_wherever_a_file_with_sizes_is_cut_bytes_are_missing(
    clips: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, share: float, name: str
) -> None:
    cut_off = cut(clips[name], share, tmp_path_factory.getbasetemp() / f"cut {name}")
    assert failure(cut_off)[1]
    assert missing_bytes(cut_off) > 0


@settings(max_examples=200, deadline=None)
@given(
    data=st.binary(max_size=300),
    head=st.sampled_from([b"", b"RIFF\0\0\0\1AVI ", b"\x1a\x45\xdf\xa3", b"OggS"]),
)
def test_any_bytes_can_be_asked(tmp_path_factory: pytest.TempPathFactory, data: bytes, head: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(head + data)
    assert missing_bytes(path) >= 0
