"""Memory that is freed is kept for the next tensor, in a process of its own: the setting is the process's."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import torch
from pipeline.run.machine import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
sizes = [2**20 * n for n in (16, 48, 5)]
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for size in sizes:
        torch.empty(size, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
for _ in range(8):
    faults()  # until the heap has its size
print(sum(faults() for _ in range(5)))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_freed_memory_is_not_fetched_anew() -> None:
    def faults(mode: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, mode], check=True, capture_output=True, text=True
        )
        return int(done.stdout)

    # 5 rounds of 48 MiB, above what glibc keeps of itself, are 120 pages of 2 MiB, or 61 000 of 4 KiB.
    assert faults("as it is") > 100
    assert faults("keep") < 10
