"""Tasks run in order, few at a time, and a dead worker is noticed."""

import multiprocessing
import signal

import pytest

from core.errors import DexmatchError
from data import workers


def test_outcomes_come_in_the_order_of_tasks():
    results = workers.run_in_order("builtins:str", range(20), 2, lambda _: None)
    assert list(results) == [str(number) for number in range(20)]


def test_workers_import_nothing_of_the_current_folder(monkeypatch, foreign_folder):
    monkeypatch.chdir(foreign_folder)
    assert list(workers.run_in_order("builtins:str", [1], 1, lambda _: None)) == ["1"]


def test_tasks_are_taken_when_there_is_room():
    taken = []

    def tasks():
        for number in range(100):
            taken.append(number)
            yield number

    results = workers.run_in_order("builtins:str", tasks(), 1, lambda _: None)
    next(results)
    assert len(taken) <= 3
    results.close()
    assert not multiprocessing.active_children()


def test_a_killed_worker_is_a_clear_error():
    with pytest.raises(DexmatchError, match="worker process was killed"):
        list(workers.run_in_order("os:_exit", [1], 1, lambda _: None))
    assert not multiprocessing.active_children()


def test_an_error_in_a_worker_comes_through():
    with pytest.raises(ValueError, match="invalid literal"):
        list(workers.run_in_order("builtins:int", ["x", "1"], 1, lambda _: None))


def test_progress_is_told():
    told = []
    list(workers.run_in_order("time:sleep", [0.5], 1, told.append))
    assert told


def test_ctrl_c_does_not_reach_the_workers():
    blocked = "__import__('signal').pthread_sigmask(0, [])"
    (signals,) = workers.run_in_order("builtins:eval", [blocked], 1, lambda _: None)
    assert signals == {signal.SIGINT}
