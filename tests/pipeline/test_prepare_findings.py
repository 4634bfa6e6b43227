"""Every finding that prepare refuses to pass on: one sentence each, all at once, and nothing written."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PIL import Image
from projects import Project


@pytest.fixture
def project(folders_project: Project) -> Project:
    """Instead of the one with drawn streets."""
    return folders_project


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
