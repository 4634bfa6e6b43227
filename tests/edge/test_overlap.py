"""Overlapped work: order, one item ahead and one behind, errors that arrive."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing

import pytest

from pipeline.edge.overlap import abreast, ahead, arriving, behind


def test_items_come_in_order_and_only_one_is_made_ahead() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for i in range(100):
            made.append(i)
            yield i

    for item in ahead(items()):
        assert len(made) <= item + 2
    assert made == list(range(100))
    with closing(ahead(items())) as stopped:
        assert next(stopped) == 0


def test_items_are_made_in_another_thread_while_one_is_in_use() -> None:
    second_made = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        second_made.set()
        yield 2

    together = ahead(items())
    assert next(together) == 1
    assert second_made.wait(10), "the second is made before it is asked for"
    assert list(together) == [2]


def test_what_making_raises_arrives_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("the second")

    together = ahead(items())
    assert next(together) == 1
    with pytest.raises(ValueError, match="the second"):
        next(together)


def test_tasks_run_in_order_and_their_errors_arrive() -> None:
    done: list[int] = []
    with behind() as do:
        for i in range(5):
            do(lambda i=i: done.append(i))
    assert done == [0, 1, 2, 3, 4]

    def fail() -> None:
        raise ValueError("while saving")

    def run(*tasks: Callable[[], None]) -> None:
        with behind() as do:
            for task in tasks:
                do(task)

    for tasks in ((fail,), (fail, lambda: done.append(9))):
        with pytest.raises(ValueError, match="while saving"):
            run(*tasks)
    assert 9 not in done


def test_several_are_worked_on_at_once_and_come_in_order() -> None:
    both = threading.Barrier(2)  # passed by two threads together or not at all

    def work(item: int) -> int:
        both.wait(10)
        return 10 * item

    assert list(abreast(work, range(6), 2)) == [0, 10, 20, 30, 40, 50]
    assert list(abreast(str, range(3), 1)) == ["0", "1", "2"]


def test_no_more_are_taken_than_are_worked_on() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for i in range(100):
            taken.append(i)
            yield i

    for item in abreast(lambda item: item, items(), 3):
        assert len(taken) <= item + 3
    assert len(taken) == 100
    with closing(abreast(lambda item: item, items(), 2)) as stopped:
        assert next(stopped) == 0


def test_what_working_raises_arrives_in_its_place() -> None:
    def work(item: int) -> int:
        if item == 1:
            raise ValueError("the second")
        return item

    together = abreast(work, range(4), 2)
    assert next(together) == 0
    with pytest.raises(ValueError, match="the second"):
        next(together)


def test_what_arrives_comes_in_order_and_waits_where_nothing_may_be_dropped() -> None:
    made: list[int] = []

    def items() -> Generator[int]:
        for i in range(100):
            made.append(i)
            yield i

    for item in arriving(items(), 3):
        assert len(made) <= item + 5, "three wait, one is made"
    assert made == list(range(100))


def test_the_newest_that_arrived_are_kept_and_the_others_counted() -> None:
    dropped: list[int] = []
    all_made = threading.Event()

    def items() -> Generator[int]:
        yield from range(20)
        all_made.set()

    together = arriving(items(), 3, lambda: dropped.append(1))
    taken = [next(together)]
    assert all_made.wait(10)
    taken += together
    assert taken[-3:] == [17, 18, 19]
    assert taken == sorted(taken)
    assert len(taken) + len(dropped) == 20


def test_what_arriving_raises_comes_after_the_items_before() -> None:
    def items() -> Generator[int]:
        yield 1
        raise ValueError("the second")

    together = arriving(items(), 3)
    assert next(together) == 1
    with pytest.raises(ValueError, match="the second"):
        next(together)


def test_nobody_waits_for_one_that_hangs() -> None:
    end = threading.Event()

    def items() -> Generator[int]:
        yield 1
        end.wait()

    with closing(arriving(items(), 3)) as together:
        assert next(together) == 1
    end.set()
