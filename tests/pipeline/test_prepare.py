"""Prepare on tiny data sets: the index and report it writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from projects import HEIGHT, OUTPUTS, SHEETS, WIDTH, Project

from pipeline import prepare
from pipeline.data.index import read_index
from pipeline.run.workspace import Workspace


@pytest.fixture
def project(folders_project: Project) -> Project:
    """Instead of the one with drawn streets."""
    return folders_project


def test_index_and_report_of_folders(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare.main([]) == 0
    assert sorted(project.leftovers()) == sorted(Path(p).name for p in OUTPUTS + SHEETS)
    source, target = (read_index(Workspace().index(d)) for d in ("source", "target"))
    assert [r.split for r in source] == ["train"] * 4 + ["val"] * 2
    assert [r.image for r in target] == [f"night/pictures/n{i}.png" for i in range(3)]
    assert {(r.label, r.pixels, r.condition) for r in target} == {(None, None, "night")}

    ids = np.array(Image.open(source[0].label or ""))
    assert source[0].pixels is not None
    counts = {i: n for i, n in enumerate(source[0].pixels) if n}
    assert counts == {0: (ids == 0).sum(), 13: (ids == 1).sum(), 10: (ids == 2).sum()}
    assert (source[0].height, source[0].width) == (HEIGHT, WIDTH)

    report = json.loads((project.root / "metrics/data.json").read_text())
    train = report["source"]["splits"]["train"]
    assert train["conditions"] == {"clear": 4}
    assert train["sizes"] == {"48x32": 4}
    assert sum(train["class_shares"].values()) == pytest.approx(1, abs=1e-4)
    assert train["ignored_share"] == pytest.approx(0.25, abs=0.05)
    assert report["target"]["splits"] == {
        "train": {
            "pictures": 3,
            "labelled": 0,
            "conditions": {"night": 3},
            "sizes": {"48x32": 3},
            "ignored_share": None,
            "class_shares": None,
            "class_pictures": None,
        }
    }
    assert 90 < report["grey_gap"] < 110  # means of 127 and 30
    assert any("bicycle" in w and "never learned" in w for w in report["warnings"])
    assert "the target has no val split, so it gets no score" in report["warnings"]
    printed = capsys.readouterr().out
    assert "warning:" in printed
    assert "night 3" in printed


def test_contact_sheets_show_pictures_and_label_colours(project: Project) -> None:
    project.label("day/train_labels/train_0.png", ids=(1,))
    prepare.main([])
    source, target = (np.array(Image.open(project.root / sheet).convert("RGB")) for sheet in SHEETS)
    assert source.shape[1] == target.shape[1] == 1320
    assert (source == (0, 0, 142)).all(-1).sum() > 200 * 200  # the car label below its picture
    assert (target < 60).all(-1).sum() > 100 * 100


def test_target_labels_are_used_for_scores_alone(project: Project) -> None:
    for i in range(3):
        project.label(f"night/labels/n{i}.png")
        project.picture(f"night/val/v{i}.png")
        project.label(f"night/val_labels/v{i}.png")
    (project.root / "night/labels/n0.png").write_bytes(b"never opened")
    project.target |= {
        "train": {"images": "pictures", "labels": "labels"},
        "val": {"images": "val", "labels": "val_labels"},
        "id_map": project.source["id_map"],
    }
    project.write()
    prepare.main([])
    target = read_index(Workspace().index("target"))
    assert [(r.split, r.label) for r in target] == [("train", None)] * 3 + [
        ("val", f"night/val_labels/v{i}.png") for i in range(3)
    ]
    assert all((r.pixels is None) == (r.split == "train") for r in target)


def test_lists_and_sub_folders(project: Project) -> None:
    for name in ("york/a.b", "leeds/c"):
        project.picture(f"day/towns/{name}.png")
        project.label(f"day/town_labels/{name}.png")
    (project.root / "day/list.txt").write_text("york/a.b.png\n\nleeds/c\n")
    (project.root / "day/towns/._c.png").write_bytes(b"a file that macOS leaves behind")
    project.source["train"] = {"images": "towns", "labels": "town_labels", "list": "list.txt"}
    project.write()
    prepare.main([])
    train = [r.image for r in read_index(Workspace().index("source")) if r.split == "train"]
    assert train == ["day/towns/york/a.b.png", "day/towns/leeds/c.png"]


def test_the_same_data_gives_the_same_index(project: Project) -> None:
    prepare.main([])
    first = [(project.root / output).read_bytes() for output in OUTPUTS]
    prepare.main([])
    assert [(project.root / output).read_bytes() for output in OUTPUTS] == first


def test_a_picture_twice_in_one_split_is_a_warning(project: Project) -> None:
    again = project.root / "night/pictures/n9.png"
    again.write_bytes((project.root / "night/pictures/n0.png").read_bytes())
    prepare.main([])
    warnings = json.loads((project.root / "metrics/data.json").read_text())["warnings"]
    assert any("n0.png and night/pictures/n9.png (target train) are the same picture" in w for w in warnings)


def test_the_command_itself(project: Project) -> None:
    project.label("day/val_labels/val_1.png", size=(16, 24))
    repository = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.prepare"],
        cwd=project.root,
        env={"PYTHONPATH": str(repository), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: prepare found 1 problem in the data")
    assert project.leftovers() == []
