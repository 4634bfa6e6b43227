"""Work that overlaps: the next item is made, some are worked on and the last one is saved in threads of their own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from threading import Condition, Thread
from typing import Any, TypeVar

from pipeline.edge.interruption import held

T = TypeVar("T")
R = TypeVar("R")
_END: Any = object()
_LOOK_SECONDS = 0.1  # a signal waits no longer than this, whatever the threads do


class _Pool:
    """A thread pool that a signal cannot break: every call into its Python code is held."""

    def __init__(self, width: int) -> None:
        with held():
            self._workers = ThreadPoolExecutor(width)

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *_: object) -> None:
        with held():
            self._workers.shutdown()

    def submit(self, work: Callable[..., R], *arguments: Any) -> Future[R]:
        with held():
            return self._workers.submit(work, *arguments)


def _result(future: Future[R]) -> R:
    while True:
        with held():
            if wait([future], _LOOK_SECONDS).done:
                return future.result()


def ahead(items: Iterable[T]) -> Generator[T]:
    """The items in order, the next one made in a thread while this one is in use; close it when stopping early."""
    iterator = iter(items)
    with _Pool(1) as maker:
        following: Future[T] = maker.submit(next, iterator, _END)
        while (item := _result(following)) is not _END:
            following = maker.submit(next, iterator, _END)
            yield item


def arriving(items: Generator[T], room: int, drop: Callable[[], None] | None = None) -> Generator[T]:
    """The items in order, made in a thread of its own that nobody waits for: what it reads may hang.

    `room` of them wait. One more pushes out the oldest, and `drop` is called; without `drop` it waits itself.
    """
    waiting: deque[T] = deque()
    change = Condition()
    state: dict[str, Any] = {"closed": False, "ended": False, "error": None}

    def make() -> None:
        try:
            with closing(items):
                for item in items:
                    with change:
                        while drop is None and len(waiting) == room and not state["closed"]:
                            change.wait()
                        if state["closed"]:
                            return
                        if drop is not None and len(waiting) == room:
                            waiting.popleft()
                            drop()
                        waiting.append(item)
                        change.notify_all()
        except BaseException as error:  # raised where the items are taken
            state["error"] = error
        finally:
            with change:
                state["ended"] = True
                change.notify_all()

    try:
        with held():
            Thread(target=make, daemon=True).start()
        while True:
            with held(), change:
                if not waiting and not state["ended"]:
                    change.wait(_LOOK_SECONDS)
                    continue
                if not waiting:
                    break
                item = waiting.popleft()
                change.notify_all()
            yield item
        if state["error"] is not None:
            raise state["error"]
    finally:
        with held(), change:
            state["closed"] = True
            change.notify_all()


def abreast(work: Callable[[T], R], items: Iterable[T], width: int) -> Generator[R]:
    """work(item) in the order of the items, for `width` of them at a time; close it when stopping early."""
    with _Pool(width) as workers:
        running: deque[Future[R]] = deque()
        for item in items:
            running.append(workers.submit(work, item))
            if len(running) == width:
                yield _result(running.popleft())
        while running:
            yield _result(running.popleft())


@contextmanager
def behind() -> Iterator[Callable[[Callable[[], None]], None]]:
    """Gives `do(task)`, which runs the task in a thread once the one before is through.

    So at most one waits and memory stays flat; what a task raises is raised by the next `do` or at the end.
    """
    with _Pool(1) as doer:
        last: Future[None] | None = None

        def do(task: Callable[[], None]) -> None:
            nonlocal last
            if last is not None:
                _result(last)
            last = doer.submit(task)

        yield do
        if last is not None:
            _result(last)
