"""mic-edge at its limits, small: every fact that the command `pipeline.bench.stress` states, and that it can fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.bench import stress
from pipeline.bench.stress_inputs import BROKEN_KINDS, draw_folder, small_model
from pipeline.edge.errors import ImageError, UserError
from pipeline.edge.images import read_image
from pipeline.edge.runtime import Segmenter

SMALL = ["--images", "60", "--broken", "6", "--huge", "1500x1200", "--frames", "60"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """metrics/stress.json of a small run."""
    folder = tmp_path_factory.mktemp("stress")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert stress.main(SMALL) == 0
    return json.loads((folder / "metrics" / "stress.json").read_text())


def test_a_folder_with_broken_pictures(written: dict[str, Any]) -> None:
    first, second = written["folder"], written["folder, again"]
    assert first["wrong"] == second["wrong"] == []
    assert counts(first) == (54, 6, 6, 5)
    assert counts(second) == (0, 6, 6, 5), "the second run tries the broken ones alone"


def test_a_huge_picture(written: dict[str, Any]) -> None:
    case = written["huge picture"]
    assert (case["wrong"], counts(case)) == ([], (1, 0, 0, 0))


def test_a_video_cut_off(written: dict[str, Any]) -> None:
    for case in (written["cut video"], written["cut video, again"]):
        assert case["wrong"] == []
        frames, *rest = counts(case)
        assert 0 < frames < 60
        assert f"{frames} of them decode" in case["inputs"]
        assert rest == [1, 1, 5]


def counts(case: dict[str, Any]) -> tuple[int, ...]:
    return tuple(case[key] for key in ("written", "failed", "listed", "exit_code"))


def test_broken_pictures_are_broken_and_the_others_distinct(tmp_path: Path) -> None:
    bad = draw_folder(tmp_path / "in", 40, len(BROKEN_KINDS))
    assert len(bad) == len(BROKEN_KINDS)
    for path in bad:
        with pytest.raises(ImageError):
            read_image(path)
    good = sorted(set((tmp_path / "in").iterdir()) - set(bad))
    assert len({read_image(path).tobytes() for path in good}) == 40 - len(bad)


def test_the_quick_model_is_the_night_model_at_another_size(tmp_path: Path) -> None:
    assert Segmenter(small_model(tmp_path / "model.onnx")).manifest.training_size == (64, 64)


def test_a_result_cut_short_or_of_another_size_is_seen(tmp_path: Path) -> None:
    overlay, record_file = tmp_path / "a_overlay.jpg", tmp_path / "a.json"
    Image.effect_noise((40, 30), 50).save(overlay)
    record = {"width": 40, "height": 30, "outputs": {"overlay": str(overlay), "json": str(record_file)}}
    record_file.write_text(json.dumps(record))
    assert stress.whole_at_own_size(record)
    assert not stress.whole_at_own_size(record | {"width": 41})
    overlay.write_bytes(overlay.read_bytes()[:300])
    assert not stress.whole_at_own_size(record)


def test_what_is_wrong_is_told_and_exits_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = stress.Run(0, 1.0, None, [], "", {})
    monkeypatch.setattr(stress, "predict", lambda *_: run)
    monkeypatch.chdir(tmp_path)
    assert stress.main([*SMALL, "--huge", "30x20", "--frames", "30"]) == 1
    shown = capsys.readouterr().out
    assert "WRONG folder: the exit code is 5: not so" in shown
    assert "WRONG huge picture: all its results are written: not so" in shown
    assert "WRONG cut video: it is listed: not so" in shown


@pytest.mark.parametrize("broken", ["3", "60"])
def test_a_count_that_is_none_is_refused(broken: str) -> None:
    with pytest.raises(UserError, match=f"--broken {broken}"):
        stress.main(["--images", "60", "--broken", broken])
