"""main_guard: what ends a stage is one sentence and an exit code; a defect keeps its traceback."""

from __future__ import annotations

import errno
import os

import pytest

from pipeline.edge.errors import CannotWrite, UserError
from pipeline.run.stage import main_guard


def disk(number: int) -> OSError:
    return OSError(number, os.strerror(number), "models/mic.pt")


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (UserError("params.yaml: seed"), 2, "params.yaml: seed"),
        (CannotWrite("full"), 6, "full"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (disk(errno.ENOSPC), 2, "models/mic.pt"),
        (disk(errno.EDQUOT), 2, "quota"),
        (disk(errno.EROFS), 2, "a folder that can be written"),
        (disk(errno.EACCES), 2, "models/mic.pt"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "the output folder"),
        (MemoryError(), 2, "batch_size"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), 2, "batch_size"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), 2, "batch_size"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), 2, "batch_size"),
    ],
)
def test_one_sentence(
    raised: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> int:
        raise raised

    with pytest.raises(SystemExit) as ended:
        main_guard(command)
    printed = capsys.readouterr().err
    assert ended.value.code == code
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1
    assert said in printed


@pytest.mark.parametrize(
    "defect", [RuntimeError("shapes differ"), OSError(errno.EBADF, "bad"), KeyError("x")]
)
def test_defects_keep_their_traceback(defect: Exception) -> None:
    def command() -> int:
        raise defect

    with pytest.raises(type(defect)):
        main_guard(command)
