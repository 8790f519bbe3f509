"""The machine, made up where it is too good."""

import collections
import os
import platform
import shutil
import types

import psutil
import pytest

from pipeline.doctor import machine

Usage = collections.namedtuple("Usage", "total used free")
CPU = "processor : 0\nmodel name : Some CPU\nflags : {}\n\nprocessor : 1\nflags : avx\n"


@pytest.fixture
def cpu(tmp_path, monkeypatch):
    """Makes up the processor's flags."""
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "cpuinfo")
    return lambda flags: (tmp_path / "cpuinfo").write_text(CPU.format(flags))


def test_what_this_machine_has(look):
    found = look(machine)
    assert set(found) == {"system", "processor", "memory", "disk"}
    assert found["system"].facts["kernel"] == platform.release()
    assert found["memory"].facts["total"] == psutil.virtual_memory().total


def test_the_instructions_that_tensorflow_needs(look, cpu):
    cpu("fpu avx avx2")
    found = look(machine)["processor"]
    assert (found.status, found.facts["flags"]) == ("ok", ["avx", "avx2"])
    assert "Some CPU" in found.found
    cpu("fpu sse4_2")
    assert look(machine)["processor"].status == "problem"


def test_a_system_that_says_nothing_of_its_processor(look, cpu):
    assert look(machine)["processor"].status == "ok"


@pytest.mark.parametrize(
    ("available", "limit", "status"),
    [(8e9, None, "ok"), (1e9, None, "warning"), (8e9, 1e9, "warning"), (8e9, 2**62, "ok")],
)
def test_little_memory_is_told(look, monkeypatch, available, limit, status):
    memory = types.SimpleNamespace(total=int(16e9), available=int(available))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(machine, "memory_limit", lambda: limit and int(limit))
    found = look(machine)["memory"]
    assert found.status == status
    assert ("container" in found.found) == (limit == 1e9)


@pytest.mark.parametrize(("free", "status"), [(9e9, "ok"), (1e9, "warning"), (1e6, "problem")])
def test_a_full_disk_is_told(look, monkeypatch, free, status):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(int(1e10), 0, int(free)))
    assert look(machine)["disk"].status == status


def test_a_folder_that_may_not_be_written_to(look, monkeypatch, tmp_path):
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path)
    found = look(machine, f"run.workspace={tmp_path}/runs")["disk"]
    assert (found.status, found.found) == ("problem", f"{tmp_path}: may not be written to")


def test_a_file_where_a_folder_is_wanted(look, tmp_path):
    (tmp_path / "runs").touch()
    found = look(machine, f"run.workspace={tmp_path}/runs")["disk"]
    assert (found.status, found.found) == ("problem", f"{tmp_path}/runs: a file, not a folder")
