"""The machine: its name in words, its memory."""

from __future__ import annotations

import ctypes
import platform
import re
from pathlib import Path

from pipeline.edge.providers import cores

# Of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def machine(device: str) -> str:
    """The processor behind `device`, "cpu" or "cuda"."""
    if device == "cuda":
        import torch  # the stages that only time .onnx files on a CPU start without it

        return torch.cuda.get_device_name()
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line
        ]
        name = models[0] if models else name
    return f"CPU {name}, {cores()} cores"


def peak_mib(process: int | str = "self") -> float | None:
    """Peak memory of a running process so far, MiB; None where the system does not tell or the process has ended.

    Linux' ru_maxrss would begin with what the parent had.
    """
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    except OSError:
        return None
    return int(found[1]) / 1024 if found else None


def keep_freed_memory() -> bool:
    """Have glibc keep what is freed for the next tensor of that size; False where there is another C library.

    It hands large blocks back at once, and fetching those of every pass anew takes an eighth of a training step on a
    CPU and a third of an evaluation's pass.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all([mallopt(_TRIM_THRESHOLD, 2**31 - 1), mallopt(_MMAP_THRESHOLD, 2**30)])
