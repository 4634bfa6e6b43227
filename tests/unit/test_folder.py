"""Walking folders: every picture is listed once or counted among what is left out."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data.folder import is_hidden, walk
from pipeline.data.masks import masks_among

FOLDERS = st.sampled_from(
    ["a", "b.png", "1", "Ü", "@eaDir", ".git", "__MACOSX", "Thumbs", "lost+found", "$RECYCLE.BIN", "x y"]
)
FILES = st.builds(
    str.__add__,
    st.text("aZ0._- ~\nü€'[", min_size=1, max_size=8).filter(lambda name: name.strip(".") != ""),
    st.sampled_from([".png", ".JPG", ".webp"]),
)
PATHS = st.tuples(st.lists(FOLDERS, max_size=3), FILES).map(lambda parts: "/".join([*parts[0], parts[1]]))


@settings(max_examples=60, deadline=None)
@given(paths=st.sets(PATHS, max_size=12))
def test_every_picture_is_listed_or_counted(paths: set[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = set()
        for name in sorted(paths):
            path = Path(folder, name)
            if path.is_dir() or any(parent.is_file() for parent in path.parents):
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            made.add(name)
        walked = walk(Path(folder))
        visible = {name for name in made if not any(is_hidden(part) for part in name.split("/"))}
        assert set(walked.files) == visible
        assert all(path == Path(folder, name) for name, path in walked.files.items())
        assert walked.hidden.total() == len(made) - len(visible)


def test_links(tmp_path: Path) -> None:
    for name in ("root/real", "root/z", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "p.png").touch()
    root = tmp_path / "root"
    (root / "a").symlink_to("real")  # sorts first, but the real folder keeps its name
    (root / "real" / "up").symlink_to("..")
    (root / "far").symlink_to("../elsewhere")
    (root / "self").symlink_to("self")
    (root / "gone.png").symlink_to("nothing.png")
    os.mkfifo(root / "pipe.png")
    walked = walk(root)
    assert list(walked.files) == ["far/p.png", "real/p.png", "z/p.png"]
    assert walked.repeated == [root / "a"]
    assert sorted(walked.broken) == [root / "gone.png", root / "self"]
    assert walked.odd == [root / "pipe.png"]
    assert list(walk(root, repeat=True).files) == ["a/p.png", "far/p.png", "real/p.png", "z/p.png"]


@pytest.mark.parametrize(
    ("mask", "picture"),
    [
        ("a_mask", "a"),
        ("mask_a", "a"),
        ("a_gtFine_labelIds", "a_leftImg8bit"),
        ("a_gtFine_color", "a_leftImg8bit"),
        ("SegmentationClass/a", "JPEGImages/a"),
        ("masks/night/a", "night/a"),
        ("a-ground truth", "A"),
        ("a_instanceIds", "a"),
    ],
)
def test_masks_are_known_by_the_names_of_their_pictures(mask: str, picture: str) -> None:
    assert masks_among([picture, mask, "other"]) == [mask]
    assert masks_among([mask, "other"]) == []
    assert masks_among([picture, "label_park", "unmasked", "other"]) == []
