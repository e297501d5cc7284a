"""Threads behind a bounded queue: whoever puts a task waits when it is full, so a fast stage cannot outrun a slow one.

`concurrent.futures` has no bound on what waits, and with decoded pictures that is all of them in memory.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
Task = Callable[[], None]


class Pool:
    """Runs tasks in threads, in the order they came. The first exception of one is raised by `put` and `join`.

    Args:
        limit: tasks that may wait for a thread.
        begin: called once by each thread before its first task.
    """

    def __init__(self, limit: int, begin: Task | None = None) -> None:
        self._limit, self._begin = limit, begin
        self._tasks: deque[Task] = deque()
        self._threads: list[threading.Thread] = []
        self._running = 0
        self._closed = False
        self._error: BaseException | None = None
        # One condition for all would wake every idle thread at every task: 0.3 ms with 16 of them
        lock = threading.Lock()
        self._room, self._work_there, self._idle = (threading.Condition(lock) for _ in range(3))

    def grow(self, threads: int) -> None:
        """Have at least this many threads."""
        while len(self._threads) < threads:
            thread = threading.Thread(target=self._work, daemon=True)
            self._threads.append(thread)
            thread.start()

    @property
    def threads(self) -> int:
        return len(self._threads)

    def put(self, task: Task) -> None:
        """Queue a task, when there is room."""
        with self._room:
            self._room.wait_for(lambda: len(self._tasks) < self._limit or self._stopped)
            self._check()
            self._tasks.append(task)
            self._work_there.notify()

    def join(self) -> None:
        """Wait until every task is done."""
        with self._idle:
            self._idle.wait_for(lambda: not (self._tasks or self._running) or self._stopped)
            self._check()

    def close(self) -> None:
        """Drop what waits and wait for what runs."""
        with self._idle:
            self._closed = True
            self._tasks.clear()
            self._work_there.notify_all()
            self._stop_waiting()
        for thread in self._threads:
            thread.join()

    @property
    def _stopped(self) -> bool:
        return self._closed or self._error is not None

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
        if self._closed:
            raise RuntimeError("the pool is closed")

    def _stop_waiting(self) -> None:
        self._room.notify_all()
        self._idle.notify_all()

    def _work(self) -> None:
        if self._begin is not None:
            self._begin()
        while True:
            with self._work_there:
                self._work_there.wait_for(lambda: self._tasks or self._closed)
                if self._closed:
                    return
                task = self._tasks.popleft()
                self._running += 1
                self._room.notify()
            try:
                task()
            except BaseException as error:  # of any kind: it belongs to whoever waits, and is raised there
                with self._idle:
                    self._error = self._error or error
                    self._tasks.clear()
                    self._stop_waiting()
            finally:
                with self._idle:
                    self._running -= 1
                    if not (self._tasks or self._running):
                        self._idle.notify_all()


def ahead(items: Iterator[T], n: int) -> Iterator[T]:
    """The items, made in a thread of their own up to n ahead of their use."""
    end = object()
    with ThreadPoolExecutor(1) as maker:
        made = deque(maker.submit(next, items, end) for _ in range(n))
        while (item := made.popleft().result()) is not end:
            made.append(maker.submit(next, items, end))
            yield item  # type: ignore[misc]  # not the end
