"""The page's temporary folder: private, bounded, and gone afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.folder import Folder, remove_leftovers

DAY = 86400.0


def test_it_is_private_and_gone_in_the_end(tmp_path: Path) -> None:
    with Folder(tmp_path / "new", 10**9, DAY) as folder:
        (folder.new() / "picture.png").write_bytes(b"x")
        assert os.name == "nt" or folder.path.stat().st_mode & 0o077 == 0
    assert list((tmp_path / "new").iterdir()) == []


def test_only_files_inside_are_held(tmp_path: Path) -> None:
    outside = tmp_path / "outside.png"
    outside.write_bytes(b"x")
    with Folder(tmp_path, 10**9, DAY) as folder:
        inside = folder.new() / "picture.png"
        inside.write_bytes(b"x")
        assert folder.holds(str(inside)) == inside
        assert folder.holds(f"{inside.parent}/../{inside.parent.name}/picture.png") == inside
        named = inside.with_name("in_use")  # as the lock is, but a visitor's
        named.write_bytes(b"x")
        assert folder.holds(str(named)) == named
        link, back = folder.path / "link.png", folder.path / "back.png"
        link.symlink_to(outside)
        back.symlink_to(inside)
        loop = folder.path / "loop"
        loop.symlink_to(loop)
        assert folder.holds(str(back)) == inside
        refused = [
            outside,
            link,
            loop,
            inside.parent,
            folder.path,
            folder.path / "in_use",
            tmp_path / "no.png",
        ]
        texts = [
            *map(str, refused),
            "",
            "\x00",
            "a" * 10**5,
            f"{inside}\x00",
            f"file://{inside}",
            "picture.png",
        ]
        assert [text for text in texts if folder.holds(text) is not None] == []


def test_the_oldest_go_when_there_is_no_room(tmp_path: Path) -> None:
    with Folder(tmp_path, 3 * 2**20, DAY) as folder:
        own = folder.new()
        folder.keep()
        made = []
        for age in range(6, 0, -1):
            made.append(folder.new())
            (made[-1] / "picture").write_bytes(bytes(2**20 - 2**16))
            os.utime(made[-1], (age, age) if age == 6 else None)
        folder.make_room()
        assert own.exists()
        assert [path.exists() for path in made][:3] == [False, False, False]
        assert made[-1].exists()
        folder.make_room(3 * 2**20)
        assert [path for path in made if path.exists()] == []


def test_what_is_too_old_goes(tmp_path: Path) -> None:
    with Folder(tmp_path, 10**9, DAY) as folder:
        old = folder.new()
        os.utime(old, (1, 1))
        new = folder.new()
        assert not old.exists()
        assert new.exists()


def test_folders_of_killed_pages_are_removed_and_no_others(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from app.folder import Folder\n"
        f"folder = Folder(Path({str(tmp_path)!r}), 10**9, 1e5)\n"
        "(folder.new() / 'picture.png').write_bytes(b'x')\n"
        "os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False)
    killed = next(tmp_path.iterdir())
    strangers = [tmp_path / "mic_adapt_page_1_a", tmp_path / "mic_adapt_pages", tmp_path / "other"]
    for stranger in strangers:
        stranger.mkdir()
    with Folder(tmp_path, 10**9, DAY) as alive:
        assert not killed.exists()
        remove_leftovers(tmp_path)
        assert alive.path.exists()
        assert all(stranger.exists() for stranger in strangers)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_no_picture(tmp_path: Path) -> None:
    with Folder(tmp_path, 10**9, DAY) as folder:
        pipe = folder.path / "pipe"
        os.mkfifo(pipe)
        assert folder.holds(str(pipe)) is None
