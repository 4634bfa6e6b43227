"""Prepare on CamVid, small and real, and on the embedded scenes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from projects import Project

from pipeline import prepare
from pipeline.data.index import read_index
from pipeline.params import Params, load_params
from pipeline.run.workspace import Workspace


@pytest.fixture
def project(folders_project: Project) -> Project:
    """Instead of the one with drawn streets."""
    return folders_project


class TestCamVid:
    """The camvid format: images/, labels/, splits/, ids 0..11."""

    @pytest.fixture
    def camvid(self, project: Project) -> Project:
        for split, count in (("day", 3), ("day_val", 2), ("dusk", 2)):
            names = [f"{split}_{i}" for i in range(count)]
            for name in names:
                project.picture(f"camvid/images/{name}.jpg")
                project.label(f"camvid/labels/{name}.png", ids=(0, 3, 8, 11))
            path = project.root / f"camvid/splits/{split}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(names) + "\n")
        project.source = {"format": "camvid", "root": "camvid", "train": "day", "val": "day_val"}
        project.target = {"format": "camvid", "root": "camvid", "train": "dusk", "condition": "dusk"}
        project.write()
        return project

    def test_index(self, camvid: Project) -> None:
        prepare.main([])
        source, target = (read_index(Workspace().index(d)) for d in ("source", "target"))
        assert [r.image for r in source if r.split == "val"] == [
            f"camvid/images/day_val_{i}.jpg" for i in (0, 1)
        ]
        assert all(r.pixels and {i for i, n in enumerate(r.pixels) if n} == {0, 10, 13} for r in source)
        assert [(r.label, r.condition) for r in target] == [(None, "dusk")] * 2

    def test_unknown_split_lists_those_there(self, camvid: Project, refusal: Callable[[], str]) -> None:
        camvid.target["val"] = "night"
        assert (
            "data.target.val: there is no list camvid/splits/night.txt (lists there: day, day_val, dusk): "
            "name one of these or add it" in refusal()
        )

    def test_split_in_source_and_target(self, camvid: Project, refusal: Callable[[], str]) -> None:
        camvid.target["train"] = "day"
        assert refusal().count("are the same picture") == 3

    def test_unknown_id(self, camvid: Project, refusal: Callable[[], str]) -> None:
        camvid.label("camvid/labels/day_0.png", ids=(0, 12))
        message = refusal()
        assert "label id 12 is not in the id map of the source" in message
        assert "format camvid does not have it; mend the labels" in message

    def test_a_listed_picture_that_is_not_there(self, camvid: Project, refusal: Callable[[], str]) -> None:
        (camvid.root / "camvid/images/day_1.jpg").unlink()
        assert "data.source.train: 1 of 3 listed pictures do not exist (day_1)" in refusal()

    def test_a_name_listed_twice(self, camvid: Project, refusal: Callable[[], str]) -> None:
        (camvid.root / "camvid/splits/dusk.txt").write_text("dusk_0\ndusk_1\ndusk_0\n")
        assert "camvid/splits/dusk.txt lists dusk_0 more than once" in refusal()


def test_scenes_are_drawn_and_indexed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    counts = {"source_train": 2, "source_val": 1, "target_train": 2, "target_val": 2}
    scenes = {"format": "scenes", "root": "data/scenes"}
    params = Params.model_validate(
        {
            "data": {
                "source": scenes | {"train": "source_train", "val": "source_val"},
                "target": scenes | {"train": "target_train", "val": "target_val"},
                "scenes": {"seed": 1, "height": 64, "width": 64} | counts,
                "size": [64, 64],
            },
            "network": {"architecture": "fpn", "encoder": "none"},
            "train": {"steps": 1, "batch_size": 1, "crop": [32, 32], "optimiser": {"lr": 1.0}},
        }
    )
    report = prepare.run(params, Workspace())
    target = read_index(Workspace().index("target"))
    assert [(r.split, r.condition, r.label is None) for r in target] == [
        ("train", "night", True),
        ("train", "fog", True),
        ("val", "night", False),
        ("val", "fog", False),
    ]
    assert report["source"]["splits"]["train"]["conditions"] == {"clear": 2}


def test_real_camvid_to_dusk(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shared / "data" / "camvid"
    if not folder.is_dir():
        pytest.skip(f"no CamVid at {folder}")
    monkeypatch.chdir(tmp_path)
    camvid = {"format": "camvid", "root": str(folder)}
    content = {
        "data": {
            "source": camvid | {"train": "source_val"},
            "target": camvid | {"train": "target_train_unlabelled", "val": "target_val", "condition": "dusk"},
            "size": [360, 480],
        },
        "network": {"architecture": "fpn", "encoder": "none"},
        "train": {"steps": 1, "batch_size": 1, "crop": [256, 256], "optimiser": {"lr": 1.0}},
    }
    Path("params.yaml").write_text(yaml.safe_dump(content))
    report = prepare.run(load_params(), Workspace())
    # Figures of the data set's own description; its class shares count void as a class.
    val = report["target"]["splits"]["val"]
    assert (val["pictures"], val["labelled"]) == (28, 28)
    assert val["ignored_share"] == pytest.approx(0.05574, abs=1e-4)
    assert val["class_shares"]["car"] * (1 - val["ignored_share"]) == pytest.approx(0.08098, abs=1e-4)
    assert val["class_pictures"]["fence"] == 0
    assert val["class_pictures"]["bicycle"] == 20
    assert report["target"]["splits"]["train"]["labelled"] == 0
    assert report["source"]["grey"]["mean"] == pytest.approx(129.5, abs=0.2)
