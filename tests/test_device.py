"""Work side by side: in order, alone in each thread, no further ahead than needed, and without traces."""

import itertools
import threading

import pytest
import torch

from dcgan.device import side_by_side


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
def test_results_come_in_order_from_threads_that_compute_alone():
    barrier = threading.Barrier(3, timeout=10)  # three are at work at once

    def work(number):
        barrier.wait()
        return number, torch.get_num_threads(), threading.current_thread().name

    results = list(side_by_side(work, range(9)))
    assert [number for number, _, _ in results] == list(range(9))
    assert {threads for _, threads, _ in results} == {1}
    assert len({name for _, _, name in results}) == 3


@pytest.mark.usefixtures("three_threads")
def test_it_leaves_no_trace():
    running = threading.active_count()
    assert list(side_by_side(abs, [-1])) == [1]
    assert list(side_by_side(abs, [])) == []
    begins_with = []
    new = threading.Thread(target=lambda: begins_with.append(torch.get_num_threads()))
    new.start()
    new.join()
    assert [torch.get_num_threads(), *begins_with] == [3, 3]
    assert threading.active_count() == running


@pytest.mark.usefixtures("three_threads")
def test_it_reads_little_ahead_and_can_be_left():
    read = itertools.count()
    results = side_by_side(abs, read)
    assert next(results) == 0
    results.close()
    assert next(read) <= 7


@pytest.mark.usefixtures("three_threads")
def test_an_error_comes_through():
    results = side_by_side(lambda number: 1 // number, [1, 0, 1])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_with_one_thread_there_are_no_others():
    assert torch.get_num_threads() == 1
    assert list(side_by_side(lambda _: threading.current_thread(), range(3))) == [threading.main_thread()] * 3
