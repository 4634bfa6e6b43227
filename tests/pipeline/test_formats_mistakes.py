"""What is wrong with a downloaded data set, in one sentence: what was expected, what is there, what to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drawing import Miniature
from miniatures import Block, build
from PIL import Image
from projects import prepared

from pipeline.edge.errors import UserError

Problems = Callable[..., str]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def problems() -> Problems:
    """The findings of prepare with a data set as the source, or as the target."""

    def run(block: Block, domain: str = "source") -> str:
        camvid = build("camvid", Path("camvid"))
        with pytest.raises(UserError) as caught:
            prepared(*((block, camvid) if domain == "source" else (camvid, block)))
        return str(caught.value)

    return run


def test_wrong_layout(problems: Problems) -> None:
    block = build("cityscapes", Path("city"))
    Path("city/leftImg8bit").rename("city/pictures")
    message = problems(block)
    assert "found 1 problem" in message
    assert (
        "1. data.source.root: there is no leftImg8bit/ in city, which holds gtFine/, pictures/: put "
        "leftImg8bit_trainvaltest.zip there, packed or unpacked" in message
    )


def test_another_data_set(problems: Problems) -> None:
    block = build("gta", Path("gta")) | {"format": "acdc"}
    assert (
        "data.target.root: there is no rgb_anon/fog/ in gta, which holds images/, labels/: put "
        "rgb_anon_trainvaltest.zip there"
        in problems(block, "target").replace("rgb_anon/fog in", "rgb_anon/fog/ in")
    )


def test_root_of_a_list_of_targets(problems: Problems) -> None:
    acdc = build("acdc", Path("acdc"))
    camvid = build("camvid", Path("camvid"))
    with pytest.raises(UserError, match=r"1\. data\.target\.1\.root: folder nowhere does not exist"):
        prepared(camvid, [acdc, {"format": "dark_zurich", "root": "nowhere"}])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cityscapes", "city/leftImg8bit has test, train, val"),
        ("acdc", "city/rgb_anon/fog has test, test_ref, train, train_ref, val, val_ref"),
        ("mapillary", "city has testing, training, validation"),
        ("foggy_zurich", "(splits there: light, medium, testv2)"),
        ("bdd100k", "(splits there: 10k/test, 10k/train, 10k/val, 100k/train, 100k/val)"),
        ("comma10k", "(splits there: train, val)"),
    ],
)
def test_wrong_split_lists_those_there(problems: Problems, name: str, expected: str) -> None:
    block = build(name, Path("city")) | {"val": "vla"}
    message = problems(block, "target")
    assert "data.target.val" in message
    assert "'vla'" in message
    assert expected in message


@pytest.mark.parametrize("domain", ["source", "target"])
def test_missing_label_archive_is_named(problems: Problems, domain: str) -> None:
    block = build("cityscapes", Path("city"), zipped=True)
    Path("city/gtFine_trainvaltest.zip").unlink()
    assert (
        f"data.{domain}.root: there is no gtFine/ in city, which holds leftImg8bit_trainvaltest.zip: put "
        "gtFine_trainvaltest.zip there, packed or unpacked" in problems(block, domain)
    )


def test_some_labels_are_missing(problems: Problems) -> None:
    block = build("acdc", Path("acdc"))
    next(Path("acdc/gt/night/train").rglob("*_labelTrainIds.png")).unlink()
    assert "data.source.train: 1 of 2 pictures have no label of the same name" in problems(block)


def test_a_split_without_labels_is_no_source(problems: Problems) -> None:
    block = build("foggy_zurich", Path("fog"))
    assert "split 'light' has no labels, which the source needs: name another" in problems(block)


def test_synthia_without_its_labels(problems: Problems) -> None:
    block = build("synthia", Path("synthia"))
    shutil.rmtree("synthia/GT/LABELS")
    message = problems(block)
    assert "found 1 problem" in message
    assert "there is no GT/LABELS/ in synthia, which holds GT/, RGB/" in message
    assert "put GT/LABELS/ of SYNTHIA_RAND_CITYSCAPES.rar there" in message


def test_archives_that_cannot_be_read_in_place(problems: Problems) -> None:
    Path("synthia").mkdir()
    Path("synthia/SYNTHIA_RAND_CITYSCAPES.rar").write_bytes(b"Rar!")
    message = problems({"format": "synthia", "root": "synthia"})
    assert "unpack SYNTHIA_RAND_CITYSCAPES.rar there (only .zip archives are read in place)" in message


def test_synthia_labels_saved_again_in_eight_bits(problems: Problems) -> None:
    block = build("synthia", Path("synthia"))
    path = Path("synthia/GT/LABELS/0000002.png")
    Image.open(path).save(path)
    assert (
        f"label {path} is no 16-bit colour PNG, so it is not the official file of GT/LABELS; unpack that again"
        in problems(block)
    )


def test_a_damaged_archive(problems: Problems) -> None:
    block = build("cityscapes", Path("city"), zipped=True)
    archive = Path("city/gtFine_trainvaltest.zip")
    archive.write_bytes(archive.read_bytes()[:-200])
    assert "data.source.root: city/gtFine_trainvaltest.zip is no sound .zip archive" in problems(block)


def test_a_damaged_picture_in_an_archive(problems: Problems) -> None:
    m = Miniature("cityscapes")
    block = build("cityscapes", Path("city"), zipped=True)
    name = "leftImg8bit/train/aachen/aachen_000009_000019_leftImg8bit.png"
    m.text("leftImg8bit_trainvaltest.zip", name, "no picture")
    m.label("gtFine_trainvaltest.zip", "gtFine/train/aachen/aachen_000009_000019_gtFine_labelIds.png", (7,))
    m.write(Path("city"), zipped=True)
    assert f"city/leftImg8bit_trainvaltest.zip/{name} is not a picture" in problems(block)


def test_an_id_the_data_set_does_not_have(problems: Problems) -> None:
    block = build("acdc", Path("acdc"))
    path = next(Path("acdc/gt").rglob("*_gt_labelTrainIds.png"))
    Image.fromarray(np.full((48, 64), 33, np.uint8)).save(path)
    message = problems(block)
    assert "label id 33 is not in the id map of the source" in message
    assert "format acdc does not have it" in message


def test_attributes_are_needed_to_pick_by_them(problems: Problems) -> None:
    block = build("bdd100k", Path("bdd")) | {"weather": ["rainy"]}
    shutil.rmtree("bdd/labels/det_20")
    assert "put bdd100k_det_20_labels_trainval.zip there" in problems(block, "target")
    (Path("bdd/labels/det_20")).mkdir()
    (Path("bdd/labels/det_20/det_train.json")).write_text('[{"name": "a.jpg", ')
    assert "bdd/labels/det_20/det_train.json is no JSON list of frames" in problems(block, "target")


def test_a_list_with_names_of_no_picture(problems: Problems) -> None:
    block = build("gta", Path("gta")) | {"train_list": "train.txt"}
    Path("gta/train.txt").write_text("00001.png\n77777.png\n")
    assert "data.source.train_list: 1 of its 2 names are no pictures of the train splits (77777)" in problems(
        block
    )


def test_a_target_of_test_pictures_alone(problems: Problems) -> None:
    block = build("nighttime_driving", Path("night"))
    assert "data.target has no picture for training: name a train split" in problems(block, "target")


def test_gta_labels_of_another_size() -> None:
    # Published code skips such pairs; the download has a few.
    block, camvid = build("gta", Path("gta")), build("camvid", Path("camvid"))
    m = Miniature("many")
    for i in range(100, 200):
        m.picture("", f"images/{i:05d}.png")
        m.palette_label("", f"labels/{i:05d}.png", (7,))
    m.write(Path("gta"), zipped=False)
    Image.new("P", (64, 40)).save("gta/labels/00001.png")
    records, _, report = prepared(block, camvid)
    assert len(records) == 103
    assert any("1 pictures of data.source have a label of another size" in w for w in report["warnings"])
    Image.new("P", (64, 40)).save("gta/labels/00002.png")
    with pytest.raises(UserError, match=r"found 2 problems(.|\n)*00001\.png is 64x40 pixels"):
        prepared(block, camvid)


def test_a_class_that_never_occurs_is_a_warning() -> None:
    report = prepared(build("synthia", Path("synthia")), build("cityscapes", Path("city")))[2]
    assert (
        "no pixel in the source training labels, so they are never learned: terrain, truck, train"
        in report["warnings"]
    )
