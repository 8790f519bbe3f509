"""What the machine offers, also where the system does not say all of it."""

import os

import pytest

from core import machine


def test_no_more_cores_than_there_are(monkeypatch):
    assert 1 <= machine.available_cores() <= (os.cpu_count() or 1)
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert machine.available_cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert machine.available_cores() == 1


@pytest.mark.parametrize(
    ("membership", "files", "limit"),
    [
        # Version 2: the least of its own and of those above; "max" is none.
        ("0::/a/b", {"a/b/memory.max": "max", "a/memory.max": "900"}, 900),
        ("0::/a/b", {"a/b/memory.max": "300", "a/memory.max": "900"}, 300),
        ("0::/", {"memory.max": "700"}, 700),
        ("0::/a", {}, None),
        # Version 1; inside a container the folder of its own group is the uppermost.
        (
            "5:cpu:/a\n4:memory:/docker/x",
            {"memory/memory.limit_in_bytes": "500", "cpu/a/memory.limit_in_bytes": "1"},
            500,
        ),
        ("4:cpu:/a", {"memory.max": "700"}, None),
    ],
)
def test_a_container_limits_memory(tmp_path, monkeypatch, membership, files, limit):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    (tmp_path / "cgroup").write_text(f"{membership}\n")
    monkeypatch.setattr(machine, "_MEMBERSHIP", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "_GROUPS", tmp_path)
    assert machine.memory_limit() == limit


def test_no_limit_where_the_system_has_no_control_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_MEMBERSHIP", tmp_path / "none")
    assert machine.memory_limit() is None
