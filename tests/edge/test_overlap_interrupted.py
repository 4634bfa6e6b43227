"""A signal at any moment of overlapped work: it is never lost, and no lock stays taken for ever."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import os, signal, sys, threading
from contextlib import closing
from pipeline.edge.interruption import clean_up_first
from pipeline.edge.overlap import abreast, ahead, arriving, behind

name, number = sys.argv[1], int(sys.argv[2])
entered, enter = 0, threading.Condition.__enter__

def counting(condition):
    # Right after a lock is taken and before anybody is there to release it: the worst moment.
    global entered
    took = enter(condition)
    if threading.get_ident() == threading.main_thread().ident:
        entered += 1
        if entered == number:
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(100):
                pass  # the handler runs between two instructions
    return took

def work():
    if name == "ahead":
        yield from ahead(iter(range(5)))
    elif name == "abreast":
        yield from abreast(abs, range(5), 2)
    elif name == "arriving":
        with closing(arriving((i for i in range(5)), 2)) as items:
            yield from items
    else:
        with behind() as do:
            for i in range(5):
                do(lambda: None)
                yield i

threading.Condition.__enter__ = counting
try:
    with clean_up_first():
        done = list(work())
except KeyboardInterrupt:
    print("interrupted")
else:
    print("whole", done, entered)
"""


def ended(name: str, number: int) -> str:
    """What the work of `name` says when the signal comes as it takes its `number`th lock."""
    command = [sys.executable, "-c", SCRIPT, name, str(number)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.parametrize("name", ["ahead", "abreast", "arriving", "behind"])
def test_a_signal_at_any_lock_ends_the_work(name: str) -> None:
    locks = int(ended(name, 10**9).split()[-1])
    assert locks > 5
    for number in range(1, locks + 1, max(1, locks // 12)):
        said = ended(name, number)  # how often a thread is waited for differs from run to run
        assert said == "interrupted\n" or int(said.split()[-1]) < number, f"lock {number} of {locks}: {said}"
