"""Prepare on data that is stored or named so that it would be silently wrong: refused, or said."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from projects import HEIGHT, WIDTH, Project

from pipeline import prepare
from pipeline.data.index import read_index
from pipeline.edge.errors import UserError
from pipeline.params import load_params
from pipeline.run.workspace import Workspace

# Case -> what is said, and whether nothing is written.
CASES = {
    "01-palette-order-per-file": ("the palettes of the labels of data.source differ", True),
    "02-one-bit-255-becomes-1": ("3 of 3 labels of data.source are stored in 1 bit a pixel", False),
    "03-jpeg-labels": ("is a JPEG file, which may change class ids", True),
    "05-exif-180-label-unturned": ("2 of 3 labelled pictures of data.source are turned by EXIF", False),
    "06-masks-beside-pictures": ("1 of 3 files are masks of the other pictures", False),
    "07-symlinked-subfolder": ("1 links were copied as text and are not followed (more)", False),
    "08-target-label-names-differ": ("data.target.val: 1 of 1 pictures have no label of the same name", True),
}


@pytest.fixture
def project(folders_project: Project) -> Project:
    """Instead of the one with drawn streets."""
    return folders_project


@pytest.fixture
def warned(project: Project) -> Callable[[], str]:
    """Runs the stage on sound data and gives its warnings."""

    def run() -> str:
        project.write()
        return "\n".join(prepare.run(load_params(), Workspace())["warnings"])

    return run


@pytest.mark.parametrize("case", CASES)
def test_reported_cases(case: str, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said, refused = CASES[case]
    folder = shared / "cases" / case
    if not folder.is_dir():
        pytest.skip(f"no case at {folder}")
    shutil.copytree(folder, tmp_path / "case", symlinks=True, copy_function=shutil.copyfile)
    for path in (tmp_path / "case").rglob("*"):
        path.chmod(0o755)
    (tmp_path / "case").chmod(0o755)
    monkeypatch.chdir(tmp_path / "case")
    link = Path("d/night/train/more")  # a link is text in a copy that was made without links
    if link.is_symlink():
        link.unlink()
        link.write_text("../../../elsewhere")
    if refused:
        with pytest.raises(UserError) as caught:
            prepare.run(load_params(), Workspace())
        assert said in str(caught.value)
    else:
        assert any(said in warning for warning in prepare.run(load_params(), Workspace())["warnings"])


def test_sound_data_gives_no_such_warning(warned: Callable[[], str]) -> None:
    assert all("score" in line or "never learned" in line for line in warned().splitlines())


def test_linked_folders_are_followed_once(project: Project, warned: Callable[[], str]) -> None:
    project.picture("elsewhere/b.png", brightest=60)
    pictures = project.root / "night/pictures"
    (pictures / "more").symlink_to("../../elsewhere")
    (pictures / "again").symlink_to("../../elsewhere")
    (pictures / "loop").symlink_to(".")
    assert "1 link to a folder that is listed under another name" in warned()
    assert len(read_index(Workspace().index("target"))) == 4


def test_a_link_to_nowhere(project: Project, refusal: Callable[[], str]) -> None:
    (project.root / "night/pictures/more").symlink_to("/nowhere/at/all")
    assert "data.target.train.images: 1 link to nowhere (night/pictures/more)" in refusal()


def test_a_folder_that_may_not_be_opened(
    project: Project, refusal: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project.picture("night/pictures/closed/a.png")
    scandir = os.scandir

    def refuse(path: str | Path = ".") -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr("pipeline.data.folder.os.scandir", refuse)
    assert "1 folder cannot be opened (night/pictures/closed)" in refusal()


@pytest.mark.parametrize(
    "folder",
    ["@eaDir", ".thumbnails", "__MACOSX", "lost+found", "$RECYCLE.BIN", ".ipynb_checkpoints", ".git"],
)
def test_folders_of_storage_boxes(project: Project, warned: Callable[[], str], folder: str) -> None:
    project.picture(f"night/pictures/{folder}/n0.jpg")
    (project.root / "night/pictures/._n0.jpg").write_bytes(b"AppleDouble")
    (project.root / "night/pictures/Thumbs.db").write_bytes(b"")
    said = warned()
    assert "2 hidden pictures and thumbnails are left out" in said
    assert f"{folder} 1" in said
    assert len(read_index(Workspace().index("target"))) == 3


def test_kinds_that_are_not_read(project: Project, warned: Callable[[], str]) -> None:
    for name in ("a.heic", "b.HEIC", "c.dng", "notes.txt"):
        (project.root / "night/pictures" / name).write_bytes(b"....ftypheic")
    project.picture("night/pictures/d.png").rename(project.root / "night/pictures/d.png~")
    said = warned()
    assert "3 files of kinds that are not read are left out (.heic 2, .dng 1)" in said
    assert "1 pictures are left out because their names do not end like a picture's (d.png~)" in said


@pytest.mark.parametrize("name", ["n0_mask", "n0_labelIds", "masks/n0", "gt/n0_seg", "N0_GroundTruth"])
def test_masks_among_the_pictures(project: Project, warned: Callable[[], str], name: str) -> None:
    project.label(f"night/pictures/{name}.png")
    assert "1 of 4 files are masks of the other pictures" in warned()
    assert len(read_index(Workspace().index("target"))) == 3


def test_masks_under_names_of_their_own(project: Project, warned: Callable[[], str]) -> None:
    Image.fromarray(np.repeat(np.arange(4, dtype=np.uint8), 12 * 32).reshape(4 * 32, 12)).save(
        project.root / "night/pictures/x1.png"
    )
    assert "1 of 4 pictures of data.target have a few flat colours, as masks have" in warned()


def test_pictures_that_are_read_otherwise_than_seen(project: Project, warned: Callable[[], str]) -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 60, (HEIGHT, WIDTH, 4), np.uint8)
    Image.fromarray(pixels).save(project.root / "night/pictures/clear.png")
    Image.fromarray(pixels[..., 0]).save(project.root / "night/pictures/grey.png")
    frames = [Image.fromarray(rng.integers(0, 60, (HEIGHT, WIDTH, 3), np.uint8)) for _ in range(2)]
    frames[0].save(project.root / "night/pictures/pages.tif", save_all=True, append_images=frames[1:])
    pixels[..., 3] = 255
    pixels[..., 0] += 1
    Image.fromarray(pixels).save(project.root / "night/pictures/opaque.png")
    said = warned()
    assert "1 of 7 pictures of data.target are partly transparent and are laid over mid-grey" in said
    assert "1 of 7 pictures of data.target are stored in grey" in said
    assert "1 of 7 pictures of data.target hold several frames or pages" in said


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_pictures_turned_in_place(project: Project, warned: Callable[[], str], orientation: int) -> None:
    turned(project.root / "day/train/train_0.jpg", orientation)
    assert "1 of 6 labelled pictures of data.source are turned by EXIF" in warned()


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_pictures_turned_sideways(project: Project, refusal: Callable[[], str], orientation: int) -> None:
    turned(project.root / "day/train/train_0.jpg", orientation)
    assert f"turned by its EXIF orientation {orientation} as the label is not" in refusal()


def test_a_label_that_is_turned_like_its_picture(project: Project, warned: Callable[[], str]) -> None:
    for name in ("day/train/train_0.jpg", "day/train_labels/train_0.png"):
        turned(project.root / name, 6)
    assert "EXIF" not in warned()


def turned(path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(path) as picture:
        picture.load()
    picture.save(path, exif=exif)


def test_greys_that_an_optimiser_numbered_anew(project: Project, refusal: Callable[[], str]) -> None:
    for path in (project.root / "day").glob("*_labels/*.png"):
        ids = np.array(Image.open(path))
        picture = Image.fromarray(np.searchsorted((0, 1, 2, 9), ids).astype(np.uint8))
        picture.putpalette(bytes(grey for grey in (0, 1, 2, 9) for _ in range(3)))
        picture.save(path)
    assert "6 labels of data.source number their greys in a palette" in refusal()


def test_labels_resized_smoothly(project: Project, warned: Callable[[], str]) -> None:
    project.source["id_map"] = dict.fromkeys(range(256), "road")
    for path in (project.root / "day").glob("*_labels/*.png"):
        coarse = Image.fromarray(np.random.default_rng(2).choice(np.array((0, 200), np.uint8), (4, 6)))
        coarse.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR).save(path)
    said = warned()
    assert "6 of 6 labels of data.source have ids in between along the borders" in said


def test_many_unknown_ids_are_one_sentence(project: Project, refusal: Callable[[], str]) -> None:
    project.label("day/train_labels/train_0.png", ids=tuple(range(0, 247, 13)))
    message = refusal()
    assert "found 1 problem" in message
    assert "18 label ids are not in the id map of the source (from 13 to 234" in message
    assert "all multiples of 13" in message


@pytest.mark.parametrize("name", ["v0_mask.png", "v0.png.png", "V0.png", "sub/v0_gtFine_labelIds.png"])
def test_target_labels_under_other_names(project: Project, refusal: Callable[[], str], name: str) -> None:
    project.picture("night/val/v0.png")
    project.label(f"night/val_labels/{name}")
    project.target |= {
        "val": {"images": "val", "labels": "val_labels"},
        "id_map": project.source["id_map"],
    }
    message = refusal()
    assert "data.target.val: 1 of 1 pictures have no label of the same name (v0)" in message
    assert name.startswith("sub/") or f"call labels such as night/val_labels/{name}" in message


def test_composed_and_decomposed_names_are_one(project: Project, warned: Callable[[], str]) -> None:
    project.picture("night/val/u\u0308.png")
    project.label("night/val_labels/\u00fc.png")
    project.target |= {
        "val": {"images": "val", "labels": "val_labels"},
        "id_map": project.source["id_map"],
    }
    warned()
    assert [r.label is None for r in read_index(Workspace().index("target"))] == [True, True, True, False]


def test_folders_and_files_where_the_other_is_expected(project: Project, refusal: Callable[[], str]) -> None:
    project.target["train"] = {"images": "pictures", "list": "pictures"}
    project.source["train"]["images"] = "train/train_0.jpg"
    message = refusal()
    assert "night/pictures is a folder: name a text file" in message
    assert "day/train/train_0.jpg is a file: name the folder" in message


def test_names_that_are_no_text(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    odd = os.fsencode(project.root / "night/pictures") + b"/a\n\xff.png"
    Path(os.fsdecode(odd)).write_bytes((project.root / "night/pictures/n0.png").read_bytes())
    prepare.main([])
    (warning,) = [
        w for w in json.loads((project.root / "metrics/data.json").read_text())["warnings"] if "same" in w
    ]
    assert "a\\n\\udcff.png" in warning
    assert "\n" not in warning
    capsys.readouterr()
