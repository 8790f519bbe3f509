"""Runs that are killed or stopped by bad data, and runs that go on from earlier ones."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from results.metadata import CACHED, NEW
from results.workspace import INSIDE

pytestmark = pytest.mark.slow


def kill_in(component, project, logged="", **settings):
    """Starts a run, and kills it when it has come to a component, and this stands in its log."""
    process = subprocess.Popen(
        project.command(**settings), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    for line in process.stderr:
        if component in line:
            break
    time.sleep(1)
    while process.poll() is None and logged not in project.log():
        time.sleep(0.5)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()


@pytest.fixture(scope="module")
def killed(tmp_path_factory, new_project):
    """A project whose run was killed in each of two components, then started again.

    A training that is killed is tests/modules/test_checkpoints.py's.
    """
    project = new_project(tmp_path_factory.mktemp("killed"), serving__validator="none")
    for component in ("Transform", "Evaluator"):
        kill_in(component, project)
        assert project.versions() == []
    project.run()
    return project


def test_a_killed_run_goes_on_from_where_it_was(killed):
    runs = killed.runs()
    assert len(runs) == 3
    states = {each.node: each.state for each in runs[-1].executions}
    assert states["PairSampler"] == states["Transform"] == states["Trainer"] == CACHED
    assert states["Evaluator"] == NEW
    assert len(killed.versions()) == 1


def test_anomalies_stop_the_run_before_training(killed, tmp_path):
    """A curated schema that knows no red creature."""
    schema = Path(killed.latest().output("Schema").uri, "schema.pbtxt").read_text(encoding="utf-8")
    curated = tmp_path / "schema.pbtxt"
    curated.write_text(schema.replace('value: "red"\n', ""), encoding="utf-8")
    assert curated.read_text(encoding="utf-8") != schema
    before = killed.versions()
    for _ in range(2):  # A guard that failed must not be taken for done by the cache.
        said = killed.run(status=2, data__schema_file=str(curated)).stderr
        assert "feature 'color'" in said
        assert "red" in said
        assert "expected" in said
        assert "Traceback" not in said
    assert killed.latest().execution("Trainer") is None
    assert killed.versions() == before


def test_a_later_run_goes_on_from_the_blessed_model_with_what_was_tuned(killed):
    blessed = next(run for run in reversed(killed.runs()) if run.is_blessed).output("Model")
    space = {"trainer.learning_rate": [0.001, 0.002]}
    said = killed.run(
        model__weights="last_blessed", tuner__trials=1, tuner__epochs=1, tuner__space=space
    ).stderr
    assert "trial 1 of 1" in said + killed.log()
    first = killed.latest()
    assert first.execution("Transform").state == CACHED
    assert first.execution("Tuner").state == NEW
    (best,) = Path(first.output("HyperParameters").uri).iterdir()
    values = json.loads(best.read_text(encoding="utf-8"))["values"]
    assert values["trainer.learning_rate"] in (0.001, 0.002)
    model = Path(blessed.uri).relative_to(killed.workspace.root)
    assert f"goes on from {INSIDE}/{model}" in killed.log()
    assert f"hyperparameters: {values}" in killed.log()
    # How it goes on is as above.
    reused = f"hyperparameters: {values}"
    kill_in("Trainer", killed, reused, tuner__reuse=True, trainer__seed=8)
    assert killed.latest().execution("Tuner") is None
    assert reused in killed.log()
