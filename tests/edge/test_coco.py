"""mic-edge predict --save rle, polygons, coco: files that their readers take, also of a resumed run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import write_clip
from PIL import Image

from pipeline.edge.classes import CLASSES
from pipeline.edge.cli import main
from pipeline.edge.rle import decode

COLOURS = {"a": (250, 0, 0), "b": (0, 250, 0), "c": (0, 0, 250)}


@pytest.fixture
def run(tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]):
    """predict into tmp_path/out: exit code and the JSON lines of stdout."""

    def run(*arguments: object, model: Path = tiny_model) -> tuple[int, list[dict[str, Any]], str]:
        options = ["--model", model, "--out", tmp_path / "out", "--threads", 1]
        code = main(["predict", *(str(a) for a in (*arguments, *options))])
        captured = capsys.readouterr()
        return code, [json.loads(line) for line in captured.out.splitlines()], captured.err

    return run


@pytest.fixture
def street(tmp_path: Path) -> Path:
    """Pictures a, b and wet/c, half of one colour, half blue."""
    for name in ("a.png", "b.png", "wet/c.png"):
        path = tmp_path / "street" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = np.zeros((40, 60, 3), np.uint8)
        image[:, :30], image[:, 30:] = COLOURS[path.stem], COLOURS["c"]
        Image.fromarray(image).save(path)
    return tmp_path / "street"


def loaded(path: Path):
    """By pycocotools, which prints while it reads."""
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    return coco.COCO(str(path))


def test_coco_json_holds_every_picture_as_pycocotools_reads_it(tmp_path: Path, street: Path, run) -> None:
    code, records, _ = run(street, "--save", "coco,index")
    assert (code, len(records)) == (0, 3)
    assert set(records[0]["outputs"]) == {"rle", "index"}
    data = loaded(tmp_path / "out" / "coco.json")
    assert [(c["id"], c["name"]) for c in data.loadCats(data.getCatIds())] == [
        (c.id, c.name) for c in CLASSES
    ]
    by_name = {image["file_name"]: image for image in data.loadImgs(data.getImgIds())}
    assert set(by_name) == {r["input"] for r in records}
    ids = [annotation["id"] for annotation in data.dataset["annotations"]]
    assert ids == list(range(1, len(ids) + 1))
    for record in records:
        image = by_name[record["input"]]
        assert (image["height"], image["width"]) == (40, 60)
        index = np.array(Image.open(record["outputs"]["index"]))
        annotations = data.loadAnns(data.getAnnIds(imgIds=[image["id"]]))
        assert {a["category_id"] for a in annotations} == set(np.unique(index).tolist())
        for annotation in annotations:
            mask = data.annToMask(annotation) == 1
            assert np.array_equal(mask, index == annotation["category_id"])
            assert (annotation["area"], annotation["iscrowd"]) == (mask.sum(), 0)
            y, x = np.nonzero(mask)
            box = [x.min(), y.min(), x.max() - x.min() + 1, y.max() - y.min() + 1]
            assert annotation["bbox"] == box


def test_a_resumed_run_keeps_what_earlier_ones_did(tmp_path: Path, street: Path, run) -> None:
    whole = street / "b.png"
    sound = whole.read_bytes()
    whole.write_bytes(b"broken")
    assert run(street, "--save", "coco")[0] == 5
    names = [
        image["file_name"] for image in json.loads((tmp_path / "out" / "coco.json").read_text())["images"]
    ]
    assert names == [str(street / "a.png"), str(street / "wet" / "c.png")]
    whole.write_bytes(sound)
    code, records, _ = run(street, "--save", "coco")
    assert (code, [r["input"] for r in records]) == (0, [str(whole)])
    data = json.loads((tmp_path / "out" / "coco.json").read_text())
    assert [i["file_name"] for i in data["images"]] == [
        str(street / n) for n in ("a.png", "b.png", "wet/c.png")
    ]
    before = (tmp_path / "out" / "coco.json").read_bytes()
    assert run(street, "--save", "coco")[1] == []
    assert (tmp_path / "out" / "coco.json").read_bytes() == before


def test_pictures_of_another_model_are_left_out(tmp_path: Path, street: Path, run, make_model) -> None:
    run(street, "--save", "coco")
    run(street / "a.png", "--save", "coco", model=make_model(first_class=5))
    data = json.loads((tmp_path / "out" / "coco.json").read_text())
    assert [i["file_name"] for i in data["images"]] == [str(street / "a.png")]
    assert {a["category_id"] for a in data["annotations"]} == {5, 7}


def test_masks_that_were_edited_are_a_sentence(tmp_path: Path, street: Path, run) -> None:
    run(street, "--save", "rle")
    (tmp_path / "out" / "a_rle.json").write_text("{}")
    code, _, errors = run(street, "--save", "coco")
    assert code == 2
    assert "a_rle.json is not what --save rle wrote" in errors
    assert not (tmp_path / "out" / "coco.json").exists()


@pytest.mark.parametrize(
    ("first", "second"), [("coco.png", "a.png"), ("a_rle.png", "a.png"), ("Coco.png", "b.png")]
)
def test_names_never_collide_with_them(tmp_path: Path, run, first: str, second: str) -> None:
    for name in (first, second):
        Image.new("RGB", (20, 10), COLOURS["a"]).save(tmp_path / name)
    code, records, _ = run(tmp_path / first, tmp_path / second, "--save", "json,coco")
    assert code == 0
    files = [path for record in records for path in record["outputs"].values()]
    assert len({f.lower() for f in [*files, str(tmp_path / "out" / "coco.json")]}) == 5
    for record in records:
        assert json.loads(Path(record["outputs"]["json"]).read_text()) == record
        assert json.loads(Path(record["outputs"]["rle"]).read_text())["masks"][0]["name"] == "road"


def test_polygons_and_masks_of_a_picture_and_of_each_frame(tmp_path: Path, street: Path, run) -> None:
    code, (record,), _ = run(street / "a.png", "--save", "polygons,rle")
    assert code == 0
    geojson = json.loads(Path(record["outputs"]["polygons"]).read_text())
    assert geojson["input"] == record["input"]
    assert [f["properties"]["name"] for f in geojson["features"]] == ["road", "building"]
    (((*left, _),),) = geojson["features"][0]["geometry"]["coordinates"]
    assert sorted(left) == [[0, 0], [0, 40], [30, 0], [30, 40]]

    code, (record,), _ = run(
        write_clip(tmp_path / "v.mp4", range(0, 200, 40)), "--save", "index,rle,polygons"
    )
    assert code == 0
    for kind, suffix in (("rle", "json"), ("polygons", "geojson"), ("index", "png")):
        names = sorted(p.name for p in Path(record["outputs"][kind]).iterdir())
        assert names == [f"{i:06d}.{suffix}" for i in range(5)]
    index = np.array(Image.open(Path(record["outputs"]["index"]) / "000003.png"))
    masks = json.loads((Path(record["outputs"]["rle"]) / "000003.json").read_text())["masks"]
    assert {m["id"] for m in masks} == set(np.unique(index).tolist())
    for mask in masks:
        assert np.array_equal(decode(mask["segmentation"]["counts"], *index.shape), index == mask["id"])
