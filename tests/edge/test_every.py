"""mic-edge predict --every N: of videos one frame of N, under its own number and time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from clips import sound_packets, times_and_frames, write_clip

from pipeline.edge.cli import main

UNSTEADY = [0, 40, 80, 200, 210, 250, 400, 1000, 1010, 1100]


@pytest.fixture
def run(tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]):
    """predict into tmp_path/out: the JSON lines of stdout."""

    def run(*arguments: object) -> list[dict[str, Any]]:
        options = ["--model", tiny_model, "--out", tmp_path / "out", "--threads", 1]
        assert main(["predict", *(str(a) for a in (*arguments, *options))]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


@pytest.mark.parametrize("every", [1, 3, 4, 10, 99])
def test_frames_keep_their_numbers_and_times(tmp_path: Path, run, every: int) -> None:
    clip = write_clip(tmp_path / "a.mkv", UNSTEADY)
    (record,) = run(clip, "--every", every, "--save", "overlay,index,json")
    numbers = list(range(0, 10, every))
    times = [UNSTEADY[n] / 1000 for n in numbers]
    lines = [json.loads(line) for line in Path(record["outputs"]["json"]).read_text().splitlines()]
    assert record["frames"] == len(numbers)
    assert [(line["frame"], line["time"]) for line in lines] == list(zip(numbers, times, strict=True))
    assert times_and_frames(Path(record["outputs"]["overlay"]))[0] == times
    names = sorted(path.name for path in Path(record["outputs"]["index"]).iterdir())
    assert names == [f"{n:06d}.png" for n in numbers]


def test_the_sound_stays_whole(tmp_path: Path, run) -> None:
    clip = write_clip(tmp_path / "a.mp4", range(0, 2000, 40), audio="aac")
    (record,) = run(clip, "--every", 7)
    kept = [content for _, content in sound_packets(Path(record["outputs"]["overlay"]))]
    assert kept == [content for _, content in sound_packets(clip)]


def test_other_frames_are_done_again_and_pictures_are_not(tmp_path: Path, run) -> None:
    from PIL import Image

    (tmp_path / "in").mkdir()
    Image.new("RGB", (20, 20)).save(tmp_path / "in" / "a.png")
    write_clip(tmp_path / "in" / "b.mp4", UNSTEADY)
    assert len(run(tmp_path / "in", "--every", 2)) == 2
    assert len(run(tmp_path / "in", "--every", 2)) == 0
    assert [r["frames"] for r in run(tmp_path / "in")] == [10]
    assert len(run(tmp_path / "in", "--every", 1)) == 0
