"""Folders and .zip archives as one tree, and reading from archives by threads and processes at once."""

from __future__ import annotations

import multiprocessing
import os
import zipfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipeline.data.archives import Tree, inside_archive, open_archive, read_bytes
from pipeline.data.labels import read_label_ids
from pipeline.data.pictures import read_picture
from pipeline.edge.errors import ImageError, UserError


def pack(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def unpack(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def test_folders_and_archives_are_one_tree(tmp_path: Path) -> None:
    unpack(tmp_path, {"images/a.png": b"unpacked", "readme.txt": b""})
    pack(tmp_path / "one.zip", {"images/a.png": b"packed", "images/sub/b.png": b"b"})
    pack(tmp_path / "two.ZIP", {"images/c.png": b"c", "labels/c.png": b"", "images/": b""})
    tree = Tree(tmp_path)
    assert {name: read_bytes(path) for name, path in tree.files("images").items()} == {
        "a.png": b"unpacked",
        "c.png": b"c",
        "sub/b.png": b"b",
    }
    assert tree.folders("") == ["images", "labels"]
    assert tree.folders("images") == ["sub"]
    assert tree.file("labels", "c.png") == tmp_path / "two.ZIP" / "labels" / "c.png"
    assert tree.file("labels", "d.png") is None
    assert tree.files("nothing") == {}


@pytest.mark.parametrize("wrapper", ["", "bdd100k/", "bdd100k_images/bdd100k/"])
def test_wrapping_folders_are_looked_through(tmp_path: Path, wrapper: str) -> None:
    files = {f"{wrapper}images/10k/a.jpg": b"a"}
    unpack(tmp_path / "plain", files)
    pack(tmp_path / "packed" / "x.zip", files)
    for root in ("plain", "packed"):
        assert list(Tree(tmp_path / root).files("images/10k")) == ["a.jpg"]


def test_the_folder_itself_goes_before_a_wrapped_one(tmp_path: Path) -> None:
    unpack(tmp_path, {"images/a.png": b"", "old/images/b.png": b""})
    assert list(Tree(tmp_path).files("images")) == ["a.png"]


def test_hidden_files_and_those_of_macos_are_left_out(tmp_path: Path) -> None:
    unpack(tmp_path, {"images/._a.png": b"", "images/.x/b.png": b"", ".cache/labels/a.png": b""})
    pack(tmp_path / "a.zip", {"images/c.png": b"", "__MACOSX/images/._c.png": b"", "images/._c.png": b""})
    tree = Tree(tmp_path)
    assert list(tree.files("images")) == ["c.png"]
    assert tree.files("labels") == {}


def test_an_archive_alone_is_a_root(tmp_path: Path) -> None:
    path = pack(tmp_path / "all.zip", {"data/images/a.png": b"a"})
    assert list(Tree(path).files("images")) == ["a.png"]


def test_a_folder_called_zip_is_no_archive(tmp_path: Path) -> None:
    unpack(tmp_path, {"data.zip/a.png": b"a"})
    assert inside_archive(tmp_path / "data.zip" / "a.png") is None
    assert read_bytes(tmp_path / "data.zip" / "a.png") == b"a"


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"a.png": b"nothing", "b.png": b""})
    with pytest.raises(ImageError, match=r"a\.zip/none\.png; check the archive"):
        read_picture(path / "none.png")
    with pytest.raises(ImageError, match=r"a\.zip/a\.png is not a picture"):
        read_picture(path / "a.png")
    with pytest.raises(ImageError, match=r"a\.zip/b\.png is empty"):
        read_picture(path / "b.png")
    with pytest.raises(UserError, match=r"label .*a\.zip/none\.png does not exist"):
        read_label_ids(path / "none.png")
    with pytest.raises(UserError, match=r"label .*a\.zip/a\.png cannot be decoded"):
        read_label_ids(path / "a.png")
    (tmp_path / "b.zip").write_bytes(b"PK nothing")
    with pytest.raises(UserError, match=r"b\.zip is no sound \.zip archive"):
        Tree(tmp_path)


def test_a_damaged_file_in_a_sound_archive(tmp_path: Path) -> None:
    path = pack(
        tmp_path / "a.zip", {"a.png": bytes(np.random.default_rng(0).integers(0, 256, 5000, np.uint8))}
    )
    content = bytearray(path.read_bytes())
    content[2000] ^= 255
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.zip/a\.png is damaged .*download the archive again"):
        read_bytes(path / "a.png")


def contents(count: int) -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    return {f"{i}.bin": rng.integers(0, 256, 20_000, np.uint8).tobytes() for i in range(count)}


def test_threads_read_at_once(tmp_path: Path) -> None:
    files = contents(40)
    path = pack(tmp_path / "a.zip", files)
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda name: read_bytes(path / name), list(files) * 5))
    assert read == list(files.values()) * 5


def read_all(path: Path, names: list[str]) -> tuple[int, list[bytes]]:
    return os.getpid(), [read_bytes(path / name) for name in names]


def test_forked_processes_read_at_once(tmp_path: Path) -> None:
    files = contents(40)
    path = pack(tmp_path / "a.zip", files)
    parents = open_archive(path)  # a fork would share its position
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        jobs = [pool.submit(read_all, path, list(files)) for _ in range(6)]
        mine = [parents.read(name) for name in files]
        answers = [job.result() for job in jobs]
    assert mine == list(files.values())
    assert all(read == mine for _, read in answers)
    assert os.getpid() not in {process for process, _ in answers}
