"""What is made once is made once, whoever asks, and no more is kept than was allowed."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regress.memo import Memo


def test_threads_that_ask_for_one_key_have_it_made_once() -> None:
    memo, made, together = Memo[list[int]](), Counter[int](), threading.Barrier(8)

    def ask(asker: int) -> list[int]:
        together.wait()

        def make() -> list[int]:
            made[asker % 2] += 1
            return [asker % 2]

        return memo.get(asker % 2, make)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(8)))
    assert made == {0: 1, 1: 1}
    assert all(found[i] is found[i % 2] for i in range(8))


def test_one_key_does_not_wait_for_another() -> None:
    memo, begun, told = Memo[int](), threading.Event(), threading.Event()

    def slow() -> int:
        begun.set()
        assert told.wait(60)
        return 1

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(memo.get, "slow", slow)
        assert begun.wait(60)
        assert memo.get("quick", lambda: 2) == 2  # while the other is being made
        told.set()
        assert first.result() == 1


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 40)), max_size=40), st.integers(0, 200))
def test_no_more_is_kept_than_the_budget(asked: list[tuple[int, int]], budget: int) -> None:
    memo, kept = Memo[bytes](budget, len), dict[int, bytes]()
    for key, size in asked:
        new = bytes(size)
        found = memo.get(key, lambda new=new: new)
        assert found is kept.get(key, new)
        if key not in kept and sum(map(len, kept.values())) + size <= budget:
            kept[key] = new
    assert sum(map(len, kept.values())) <= budget


def test_what_fails_is_raised_and_made_anew() -> None:
    memo = Memo[int]()
    with pytest.raises(ZeroDivisionError):
        memo.get("key", lambda: 1 // 0)
    assert memo.get("key", lambda: 3) == 3


def test_arrays_are_kept_as_they_are() -> None:
    memo = Memo[np.ndarray](8 * 3, lambda array: array.nbytes)
    kept = memo.get("a", lambda: np.zeros(3))
    assert memo.get("a", lambda: np.ones(3)) is kept
    assert memo.get("b", lambda: np.ones(1)) is not memo.get("b", lambda: np.ones(1))  # no room: made each time
