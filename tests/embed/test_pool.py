"""The pool and the reader ahead: bounded, in order, and no hang after an error."""

import threading
import time
from collections.abc import Iterator

import pytest

from embed.pool import Pool, ahead


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool(2)
    made.grow(1)
    yield made
    made.close()


def test_every_task_is_run_once(pool: Pool) -> None:
    pool.grow(4)
    assert pool.threads == 4
    lock, seen = threading.Lock(), []

    def task(number: int) -> None:
        with lock:
            seen.append(number)

    for number in range(500):
        pool.put(lambda number=number: task(number))  # type: ignore[misc]
    pool.join()
    assert sorted(seen) == list(range(500))


def test_put_waits_while_the_queue_is_full(pool: Pool) -> None:
    gate, put = threading.Event(), []
    for _ in range(3):  # one runs, two wait
        pool.put(gate.wait)

    def one_more() -> None:
        pool.put(lambda: None)
        put.append(True)

    thread = threading.Thread(target=one_more)
    thread.start()
    time.sleep(0.05)
    assert not put
    gate.set()
    thread.join(5)
    assert put
    pool.join()


def test_the_first_error_reaches_whoever_puts_or_joins_and_what_waited_is_dropped(pool: Pool) -> None:
    gate, run = threading.Event(), []

    def fail() -> None:
        gate.wait()
        raise ValueError("task 1")

    pool.put(fail)
    pool.put(lambda: run.append(2))
    gate.set()
    with pytest.raises(ValueError, match="task 1"):
        pool.join()
    with pytest.raises(ValueError, match="task 1"):
        pool.put(lambda: None)
    assert not run


def test_an_error_wakes_a_stage_that_waits_for_the_next(pool: Pool) -> None:
    """A decode thread that waits for room at the encoders must not wait for ever when they fail."""
    before, gate = Pool(2), threading.Event()
    before.grow(1)

    def fail() -> None:
        gate.wait()
        raise OSError("disk full")

    for task in (fail, gate.wait, gate.wait):
        pool.put(task)  # type: ignore[arg-type]
    before.put(lambda: pool.put(lambda: None))
    gate.set()
    with pytest.raises(OSError, match="disk full"):
        before.join()
    before.close()


def test_close_waits_for_what_runs_and_drops_the_rest() -> None:
    pool, gate, run = Pool(5), threading.Event(), []
    pool.grow(1)
    pool.put(lambda: (gate.wait(), run.append(1))[0])  # type: ignore[func-returns-value]
    pool.put(lambda: run.append(2))
    threading.Timer(0.05, gate.set).start()
    while pool._running == 0:
        time.sleep(0.001)
    pool.close()
    assert run == [1]
    with pytest.raises(RuntimeError, match="closed"):
        pool.put(lambda: None)


def test_each_thread_begins_with_what_it_was_given() -> None:
    begun: list[str] = []
    pool = Pool(2, lambda: begun.append(threading.current_thread().name))
    pool.grow(3)
    pool.put(lambda: None)
    pool.join()
    pool.close()
    assert len(set(begun)) == 3


def test_ahead_gives_the_items_in_order_and_makes_no_more_than_asked() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(10):
            made.append(number)
            yield number

    taken = ahead(items(), 2)
    assert next(taken) == 0
    time.sleep(0.05)
    assert len(made) <= 4
    assert [0, *taken] == list(range(10))


def test_ahead_raises_what_the_maker_raised_after_the_items_before() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("row 2")

    taken = ahead(items(), 2)
    assert next(taken) == 1
    with pytest.raises(ValueError, match="row 2"):
        next(taken)


def test_ahead_can_be_left_early() -> None:
    taken = ahead(iter(range(100)), 3)
    assert next(taken) == 0
    taken.close()  # type: ignore[attr-defined]
