"""One run of a stage at a time in a project folder: a second would overwrite what the first writes."""

from __future__ import annotations

import errno
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.edge.errors import UserError
from pipeline.run.workspace import Workspace

WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


@contextmanager
def alone(workspace: Workspace, work: str) -> Iterator[None]:
    """Within it no other process does the same `work`, such as "train mic", in this folder.

    The lock is the system's, which lets go of it when the process ends, however that ends.

    Raises:
        UserError: another process does it now.
    """
    path = workspace.lock(work)
    path.parent.mkdir(parents=True, exist_ok=True)
    holder = path.with_suffix(".txt")
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(
            f"{work} already runs in {workspace.root.resolve()} ({_said_by(holder)}): wait for it, stop it, or work in "
            "another folder"
        ) from None
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        print(
            f"warning: {path.parent} is on a disk without locks: start {work} once at a time", file=sys.stderr
        )
    try:
        now = datetime.now().strftime("%Y-%m-%d %H:%M")
        holder.write_text(f"process {os.getpid()} on {platform.node()}, since {now}", encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _said_by(holder: Path) -> str:
    try:
        return holder.read_text(encoding="utf-8") or "just begun"
    except OSError:
        return "just begun"
