"""The bench of mic-edge, small: what it runs, and that the split adds up what the threads did."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.bench import edge, memory
from pipeline.bench.clip import NIGHT_MODEL, count_frames, draw_clip
from pipeline.edge.images import read_image

ROOT = Path(__file__).resolve().parents[2]


def test_a_clip_has_its_frames_size_and_rate(tmp_path: Path) -> None:
    import av

    clip = draw_clip(tmp_path / "a.mp4", 30, (90, 160), 10)
    assert count_frames(clip) == 30
    with av.open(str(clip)) as file:
        stream = file.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (160, 90, 10)
        first, second, *_ = (frame.to_ndarray(format="rgb24") for frame in file.decode(stream))
    assert (first != second).any(), "something moves"
    clip.write_bytes(clip.read_bytes()[:-2000])
    assert 0 < count_frames(clip) < 30
    clip.write_bytes(b"no video")
    assert count_frames(clip) == 0


def test_pictures_are_of_several_sizes_and_all_saved(tmp_path: Path) -> None:
    jobs = edge.edge_jobs(9, tmp_path)
    assert len({read_image(job.path).shape for job in jobs}) > 2
    model = edge.Watched(NIGHT_MODEL)
    edge.save_pictures(jobs, model)
    assert len(list(tmp_path.iterdir())) == 9 * len(edge.SAVED["picture"])
    assert set(model.seconds) == set(edge.STEPS)
    assert min(model.seconds.values()) > 0


@pytest.mark.parametrize(("row", "budget"), [(edge.pictures, 1.25), (edge.video, 1.15)])
def test_a_row_tells_the_split(row, budget: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "PICTURES", 4)
    monkeypatch.setattr(edge, "CLIP_SECONDS", 1)
    monkeypatch.setattr(edge, "CLIP_RATE", 5)
    monkeypatch.setattr(edge, "CLIP_SIZE", (90, 160))
    monkeypatch.setattr(edge, "ROUNDS", 1)
    measured = row(tmp_path)
    assert measured.budget == budget
    assert measured.ratio > 0
    shares = {step: float(re.search(rf"{step} ([\d.]+)", measured.detail)[1]) for step in edge.STEPS}  # type: ignore[index]
    together = float(re.search(r"= ([\d.]+) s within", measured.detail)[1])  # type: ignore[index]
    assert sum(shares.values()) == pytest.approx(together, abs=0.2)
    assert "night/mic.onnx at 360x640" in measured.detail


def test_memory_of_a_video_is_measured_without_drawing_it() -> None:
    session = memory.peak_mib_of("edge_video", 2, ROOT / "params.yaml")
    assert 10 < session < 1000
