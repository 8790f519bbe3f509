"""What the machine offers, also where the system does not say all of it."""

import os

from core import machine


def test_no_more_cores_than_there_are(monkeypatch):
    assert 1 <= machine.available_cores() <= (os.cpu_count() or 1)
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert machine.available_cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert machine.available_cores() == 1
