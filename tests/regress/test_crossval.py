"""Jobs beside each other: in order, on one thread each, the first failure raised and the rest not begun."""

import threading
import time
from functools import partial

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from regress.crossval import in_threads


def limits() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_results_are_in_the_order_of_the_jobs() -> None:
    def later(number: int) -> int:
        time.sleep(0.01 * (5 - number))
        return number

    assert in_threads([partial(later, number) for number in range(6)]) == list(range(6))


def test_the_first_failure_is_raised_and_the_rest_not_begun() -> None:
    begun: list[int] = []
    failed = threading.Event()

    def job(number: int) -> None:
        begun.append(number)
        if number == 0:
            failed.set()
            raise KeyError("first")
        failed.wait(10)
        time.sleep(0.05)

    with pytest.raises(KeyError, match="first"):
        in_threads([partial(job, number) for number in range(100)])
    assert len(begun) < 20


@pytest.mark.parametrize("fails", [False, True])
def test_a_job_computes_on_one_thread_and_afterwards_all_is_as_before(fails: bool) -> None:
    seen: list[tuple[set[int], int]] = []

    def job() -> None:
        seen.append((limits(), torch.get_num_threads()))
        if fails:
            raise RuntimeError("fails")

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with threadpool_limits(2):
            before = limits()
            if fails:
                with pytest.raises(RuntimeError, match="fails"):
                    in_threads([job], torch=True)
            else:
                in_threads([job, job], torch=True)
            assert (limits(), torch.get_num_threads()) == (before, 2)
    finally:
        torch.set_num_threads(threads)
    assert all(found == ({1}, 1) for found in seen)
    assert seen
