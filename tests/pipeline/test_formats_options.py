"""Options of the data sets in their official layout, and several targets at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from miniatures import Block, build
from projects import params_for, prepared

from pipeline.data.formats import read_record_label
from pipeline.data.index import Record, of_split
from pipeline.data.loaders import TrainingBatches
from pipeline.data.read_ahead import training_loader


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def target() -> Callable[..., list[Record]]:
    """Prepares a data set as the target and gives its records."""

    def run(name: str, /, **options: object) -> list[Record]:
        return prepared(build("cityscapes", Path("city")), build(name, Path(name)) | options)[1]

    return run


def names(records: list[Record], split: str) -> list[str]:
    return [Path(r.image).stem for r in records if r.split == split]


def test_fog_density(target: Callable[..., list[Record]]) -> None:
    assert all(r.image.endswith("_beta_0.005.png") for r in target("foggy_cityscapes", beta=0.005))
    assert all(r.image.endswith("_beta_0.02.png") for r in target("foggy_cityscapes"))


def test_acdc_conditions_and_clear_pictures(target: Callable[..., list[Record]]) -> None:
    records = target("acdc", conditions=["night", "fog"], train=["train", "train_ref"])
    assert Counter((r.split, r.condition) for r in records) == {
        ("train", "night"): 2,
        ("train", "fog"): 2,
        ("train", "clear"): 4,
        ("val", "night"): 1,
        ("val", "fog"): 1,
    }


def test_dark_zurich_times(target: Callable[..., list[Record]]) -> None:
    records = target("dark_zurich", times=["twilight", "day"])
    assert Counter((r.split, r.condition) for r in records) == {
        ("train", "twilight"): 1,
        ("train", "day"): 1,
        ("val", "night"): 2,
    }


@pytest.mark.parametrize(
    ("options", "train", "val"),
    [
        ({"timeofday": ["night"]}, ["a-1"], ["b-1"]),
        ({"timeofday": ["night"], "train": "100k/train"}, ["d-1"], ["b-1"]),
        ({"timeofday": ["dawn/dusk", "daytime"], "train": "100k/train"}, ["d-0", "d-2"], ["b-0"]),
        ({"weather": ["clear"], "train": ["10k/train", "100k/train"]}, ["a-0", "d-1", "d-2"], ["b-1"]),
        ({"train": ["100k/train", "10k/test"]}, ["d-0", "d-1", "d-2", "c-0"], ["b-0", "b-1"]),
    ],
)
def test_bdd100k_by_attributes(
    target: Callable[..., list[Record]], options: Block, train: list[str], val: list[str]
) -> None:
    records = target("bdd100k", **options)
    assert names(records, "train") == train
    assert names(records, "val") == val


def test_bdd100k_conditions_come_from_the_attributes(target: Callable[..., list[Record]]) -> None:
    records = target("bdd100k", train=["10k/train", "100k/train"])
    assert {Path(r.image).stem: r.condition for r in records} == {
        "a-0": "clear",
        "a-1": "night",  # and rainy
        "a-2": "unknown",
        "b-0": "snow",
        "b-1": "night",
        "d-0": "fog",
        "d-1": "night",
        "d-2": "dusk",
    }


def test_bdd100k_attributes_of_the_release_of_2018(target: Callable[..., list[Record]]) -> None:
    build("bdd100k", Path("bdd100k"))
    old = Path("bdd100k/labels/det_20/det_train.json")
    frames = old.read_text()

    def renamed(name: str, root: Path) -> Block:
        block = build(name, root)
        for split in ("train", "val"):
            (root / f"labels/det_20/det_{split}.json").rename(
                root / f"labels/bdd100k_labels_images_{split}.json"
            )
        return block

    block = renamed("bdd100k", Path("older")) | {"timeofday": ["night"]}
    records = prepared(build("cityscapes", Path("city")), block)[1]
    assert names(records, "train") == ["a-1"]
    assert frames == Path("older/labels/bdd100k_labels_images_train.json").read_text()


def test_bdd100k_does_not_train_on_what_it_scores() -> None:
    block = build("bdd100k", Path("bdd100k")) | {"train": "100k/val"}
    _, records, report = prepared(build("cityscapes", Path("city")), block)
    assert names(records, "train") == ["e-0"]
    assert names(records, "val") == ["b-0", "b-1"]
    assert any("1 pictures of the train splits are also in the val splits" in w for w in report["warnings"])


def test_bdd100k_says_how_many_have_no_attributes() -> None:
    block = build("bdd100k", Path("bdd100k")) | {"timeofday": ["night"]}
    report = prepared(build("cityscapes", Path("city")), block)[2]
    assert any("1 pictures have no attributes and are left out" in w for w in report["warnings"])


def test_comma10k_night_list_and_validation_rule(target: Callable[..., list[Record]]) -> None:
    build("comma10k", Path("comma10k"))
    night = "0001_a23b0de0bc12dcba_2018-06-24--00-29-19_17_1.png\n"
    Path("comma10k/night.txt").write_text(night)
    records = target("comma10k", night_list="night.txt")
    assert {n[:4] for n in names(records, "train")} == {"0000", "0001", "0008"}
    assert all(n.endswith("9") for n in names(records, "val"))
    assert [r.condition for r in records if Path(r.image).name in night] == ["night"]


def test_comma10k_small_edition_of_the_shared_data(shared: Path) -> None:
    folder = shared / "data" / "comma10k-mini"
    if not folder.is_dir():
        pytest.skip(f"no comma10k at {folder}")
    block = {"format": "comma10k", "root": str(folder), "train": "day", "val": ["night", "dusk"]}
    records = prepared(build("cityscapes", Path("city")), block)[1]
    assert Counter((r.split, r.condition) for r in records) == {
        ("train", "mixed"): 6,
        ("val", "night"): 1,
        ("val", "dusk"): 1,
    }
    # 20.7 % of all pixels are road or lane marking by the data set's own table.
    road = [r.pixels[0] / (r.height * r.width) for r in records if r.pixels]
    assert 0.1 < sum(road) / len(road) < 0.3
    assert all(sum(r.pixels[1:]) == 0 for r in records if r.pixels)


def test_gta_lists(target: Callable[..., list[Record]]) -> None:
    build("gta", Path("gta"))
    Path("gta/val.txt").write_text("00002.png\n")
    Path("gta/train.txt").write_text("images/00003.png\n00004\n")
    rest = target("gta", val_list="val.txt")
    assert (names(rest, "train"), names(rest, "val")) == (["00001", "00003", "00004"], ["00002"])
    chosen = target("gta", train_list="train.txt", val_list="val.txt")
    assert (names(chosen, "train"), names(chosen, "val")) == (["00003", "00004"], ["00002"])


def test_official_list_inside_an_archive() -> None:
    block = build("foggy_driving", Path("fog"), zipped=True)
    block |= {"val_list": "lists_file_names/leftImg8bit_testdense_filenames.txt"}
    records = prepared(build("cityscapes", Path("city")), [block, build("camvid", Path("camvid"))])[1]
    assert [Path(r.image).name for r in records if r.data_set == 0] == ["public_00001_000000_leftImg8bit.png"]


def test_several_targets_read_their_labels_by_their_own_maps() -> None:
    blocks = [build(name, Path(name)) for name in ("dark_zurich", "camvid", "foggy_driving")]
    source = build("cityscapes", Path("city"))
    _, records, report = prepared(source, blocks)
    assert Counter(r.data_set for r in records) == {0: 5, 1: 5, 2: 3}
    data = params_for(source, blocks).data
    for record in (r for r in records if r.label):
        label = read_record_label(record, data)
        assert [(label == i).sum() for i in range(19)] == record.pixels
    assert report["target"]["splits"]["val"]["conditions"] == {"clear": 2, "fog": 3, "night": 2}


@pytest.mark.parametrize(("protocol", "count"), [(16, 16), (13, 13)])
def test_synthia_protocol_restricts_the_scored_classes(protocol: int, count: int) -> None:
    source = build("synthia", Path("synthia")) | {"protocol": protocol}
    target = build("cityscapes", Path("city"))
    data = params_for(source, target).data
    assert len(data.scored_classes) == count
    assert {9, 14, 16}.isdisjoint(data.scored_classes)
    assert ({3, 4, 5} <= set(data.scored_classes)) == (protocol == 16)
    report = prepared(source, target)[2]
    assert not any("so their score is 0" in w for w in report["warnings"])
    assert params_for(target, source).data.scored_classes == tuple(range(19))


@pytest.mark.parametrize("workers", [0, 2])
def test_training_batches_come_out_of_archives(workers: int) -> None:
    source = build("synthia", Path("synthia"), zipped=True)
    target = [build(name, Path(name), zipped=True) for name in ("acdc", "foggy_zurich")]
    sources, targets, _ = prepared(source, target)
    params = params_for(source, target)
    train = params.train.model_copy(update={"steps": 8, "batch_size": 2, "workers": workers})
    params = params.model_copy(update={"train": train})
    drawn = TrainingBatches(of_split(sources, "train"), of_split(targets, "train"), params)
    batches = list(training_loader(drawn, params.train))
    assert len(batches) == 8
    assert all(".zip/" in f for b in batches for f in (*b["source_files"], *b["target_files"]))
    assert {f.split("/")[0] for b in batches for f in b["target_files"]} == {"acdc", "foggy_zurich"}
    classes = {int(c) for b in batches for c in b["source_label"].unique()}
    assert classes == {*range(19), 255} - {9, 14, 16}
