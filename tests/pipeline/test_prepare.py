"""Prepare on tiny data sets: the index and report it writes, and every finding it refuses to pass on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from pipeline import prepare
from pipeline.data.index import read_index
from pipeline.params import Params, load_params
from pipeline.stage import main_guard
from pipeline.workspace import Workspace

HEIGHT, WIDTH = 32, 48
OUTPUTS = ("data/index/source.jsonl", "data/index/target.jsonl", "metrics/data.json")
SHEETS = ("metrics/data_source.png", "metrics/data_target.png")

Block = dict[str, Any]


class Project:
    """A folder with params.yaml, a `folders` source in day/ and an unlabelled `folders` target in night/."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rng = np.random.default_rng(0)
        for split, count in (("train", 4), ("val", 2)):
            for i in range(count):
                self.picture(f"day/{split}/{split}_{i}.jpg")
                self.label(f"day/{split}_labels/{split}_{i}.png")
        for i in range(3):
            self.picture(f"night/pictures/n{i}.png", brightest=60)
        self.source: Block = {
            "format": "folders",
            "root": "day",
            "train": {"images": "train", "labels": "train_labels"},
            "val": {"images": "val", "labels": "val_labels"},
            "id_map": {0: "road", 1: "car", 2: "sky", 9: "ignore"},
        }
        self.target: Block = {
            "format": "folders",
            "root": "night",
            "condition": "night",
            "train": {"images": "pictures"},
        }
        self.write()

    def write(self) -> None:
        content = {
            "data": {"source": self.source, "target": self.target, "size": [HEIGHT, WIDTH]},
            "network": {"architecture": "fpn", "encoder": "none"},
            "train": {"steps": 1, "batch_size": 1, "crop": [32, 32], "optimiser": {"lr": 1.0}},
        }
        (self.root / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")

    def picture(self, name: str, brightest: int = 255) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(self.rng.integers(0, brightest, (HEIGHT, WIDTH, 3), np.uint8)).save(path)
        return path

    def label(
        self, name: str, size: tuple[int, int] = (HEIGHT, WIDTH), ids: tuple[int, ...] = (0, 1, 2, 9)
    ) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(self.rng.choice(np.array(ids, np.uint8), size)).save(path)
        return path

    def leftovers(self) -> list[str]:
        """Every file that prepare wrote, hidden and temporary ones included."""
        folders = [self.root / "data", self.root / "metrics"]
        return [p.name for folder in folders for p in folder.rglob("*") if p.is_file()]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


@pytest.fixture
def refusal(project: Project, capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Runs the stage as the command does: exit code 2, nothing left; gives stderr."""

    def run() -> str:
        for output in (*OUTPUTS, *SHEETS):  # from an earlier, good run
            (project.root / output).parent.mkdir(parents=True, exist_ok=True)
            (project.root / output).write_text("{}")
        project.write()
        with pytest.raises(SystemExit) as stopped:
            main_guard(lambda: prepare.main([]))
        assert stopped.value.code == 2
        assert project.leftovers() == []
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return printed.err

    return run


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


def test_missing_folder(project: Project, refusal: Callable[[], str]) -> None:
    project.source["train"]["images"] = "pictures"
    assert refusal().startswith(
        "error: prepare found 1 problem in the data and wrote no index:\n"
        "  1. data.source.train.images: folder day/pictures does not exist; "
        f"{project.root}/day holds train/, train_labels/, val/, val_labels/: "
        "correct the path or put the files there\n"
    )


def test_missing_root(project: Project, refusal: Callable[[], str]) -> None:
    project.target["root"] = "knight"
    message = refusal()
    assert "data.target.root: folder knight does not exist" in message
    assert "day/, metrics/, night/, params.yaml" in message.replace("data/, ", "")


def test_missing_list(project: Project, refusal: Callable[[], str]) -> None:
    project.target["train"]["list"] = "all.txt"
    assert "data.target.train.list: there is no list night/all.txt" in refusal()


def test_empty_target_folder(project: Project, refusal: Callable[[], str]) -> None:
    (project.root / "night/empty").mkdir()
    project.target["train"]["images"] = "empty"
    assert (
        "1. data.target.train.images: folder night/empty holds no picture (it holds nothing): "
        "put the pictures there or correct the path" in refusal()
    )


def test_truncated_picture_and_label(project: Project, refusal: Callable[[], str]) -> None:
    for name in ("night/pictures/n1.png", "day/train_labels/train_2.png"):
        path = project.root / name
        path.write_bytes(path.read_bytes()[:-60])
    message = refusal()
    assert "found 2 problems" in message
    assert "night/pictures/n1.png is damaged or cut short" in message
    assert "label day/train_labels/train_2.png cannot be decoded" in message


def test_label_of_another_size(project: Project, refusal: Callable[[], str]) -> None:
    project.label("day/val_labels/val_1.png", size=(16, 24))
    assert (
        "1. label day/val_labels/val_1.png is 24x16 pixels but its picture day/val/val_1.jpg is 48x32: "
        "export the label at the size of the picture\n" in refusal()
    )


def test_label_id_outside_the_map(project: Project, refusal: Callable[[], str]) -> None:
    project.label("day/train_labels/train_1.png", ids=(0, 7))
    project.label("day/train_labels/train_3.png", ids=(7, 255))
    message = refusal()
    assert "found 2 problems" in message
    assert "label id 7 is not in the id map of the source (" in message
    assert "in 2 labels, the first is day/train_labels/train_1.png)" in message
    assert "add `7: <class name or ignore>` to data.source.id_map" in message
    assert "label id 255 is not in the id map" in message


def test_missing_labels(project: Project, refusal: Callable[[], str]) -> None:
    (project.root / "day/val_labels/val_0.png").unlink()
    assert "data.source.val: 1 of 2 pictures have no label of the same name (val_0)" in refusal()


def test_source_without_a_label_folder(project: Project, refusal: Callable[[], str]) -> None:
    del project.source["val"]["labels"]
    assert "data.source.val.labels is missing: the source needs a label for every picture" in refusal()


def test_a_source_of_ignored_pixels_alone(project: Project, refusal: Callable[[], str]) -> None:
    project.source["id_map"] = dict.fromkeys((0, 1, 2, 9), "ignore")
    assert "all pixels of the source training labels are ignored" in refusal()


@pytest.mark.parametrize("other", ["day/val/copy.png", "night/pictures/copy.png"])
def test_same_picture_in_two_splits(project: Project, refusal: Callable[[], str], other: str) -> None:
    # Found by pixels: another name and another compression, but equal when decoded.
    first = project.picture("day/train/first.png")
    project.label("day/train_labels/first.png")
    Image.open(first).save(project.root / other, compress_level=0)
    project.label("day/val_labels/copy.png")
    where = "source val" if "val" in other else "target train"
    assert (
        f"1. day/train/first.png (source train) and {other} ({where}) are the same picture: "
        "take it off one of the lists" in refusal()
    )


def test_all_findings_come_at_once(project: Project, refusal: Callable[[], str]) -> None:
    project.label("day/train_labels/train_0.png", size=(8, 8))
    project.label("day/train_labels/train_1.png", ids=(33,))
    (project.root / "day/val/val_0.jpg").write_bytes(b"not a picture")
    project.target["train"]["images"] = "none"
    message = refusal()
    assert "found 4 problems" in message
    for i, part in enumerate(
        ("is not a picture", "8x8 pixels", "label id 33", "night/none does not exist"), 1
    ):
        assert part in message, part
        assert f"\n  {i}. " in message


def test_many_alike_findings_are_counted(project: Project, refusal: Callable[[], str]) -> None:
    for i in range(30):
        (project.root / f"night/pictures/broken{i}.png").write_bytes(b"x")
    message = refusal()
    assert "10 more files of the target cannot be used for like reasons" in message
    assert message.count("broken") == 20


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
