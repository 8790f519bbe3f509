from datetime import UTC, datetime, timedelta

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd

from results.metadata import CACHED, FAILED, NEW, UNFINISHED, Metadata


@pytest.fixture
def path(tmp_path, metadata_store):
    path = tmp_path / "metadata.sqlite"
    store, state = metadata_store(path), mlmd.Execution
    parameters = {"input_base": "datasets/mine"}
    store.execute("one", "ImportExampleGen", state.COMPLETE, "Examples", parameters)
    store.execute("one", "Evaluator", state.COMPLETE, "ModelEvaluation")
    store.execute("one", "Trainer", state.FAILED)
    store.execute("two", "ImportExampleGen", state.CACHED, "Examples")
    store.execute("two", "Evaluator", state.COMPLETE, "ModelBlessing", blessed=1)
    store.execute("two", "Pusher", state.COMPLETE, "PushedModel", pushed_version="17")
    store.execute("three", "Trainer", state.RUNNING)
    return path


def test_no_database_means_no_runs(tmp_path):
    metadata = Metadata(tmp_path / "none.sqlite")
    assert metadata.runs() == []
    assert metadata.latest() is None
    assert not (tmp_path / "none.sqlite").exists()


def test_runs_come_in_their_order_with_their_states(path):
    runs = Metadata(path).runs()
    assert [run.id for run in runs] == ["one", "two", "three"]
    states = [{each.node: each.state for each in run.executions} for run in runs]
    assert states == [
        {"ImportExampleGen": NEW, "Evaluator": NEW, "Trainer": FAILED},
        {"ImportExampleGen": CACHED, "Evaluator": NEW, "Pusher": NEW},
        {"Trainer": UNFINISHED},
    ]


def test_what_a_run_came_to(path):
    one, two, three = Metadata(path).runs()
    assert one.dataset.name == "mine"
    assert (one.is_blessed, one.pushed_version) == (None, None)
    assert (two.is_blessed, two.pushed_version) == (True, "17")
    assert (three.is_blessed, three.dataset) == (None, None)


def test_the_latest_since(path):
    metadata = Metadata(path)
    assert metadata.latest().id == "three"
    assert metadata.latest(since=datetime.now() - timedelta(hours=1)).id == "three"
    assert metadata.latest(since=datetime.now() + timedelta(hours=1)) is None


def test_figures_are_kept_beside_the_evaluation(path):
    evaluation = Metadata(path).runs()[0].output("ModelEvaluation")
    Metadata(path).annotate(evaluation, {"auc_overall": 0.5, "auc_against:hard": 0.25})
    assert Metadata(path).runs()[0].aucs == {"overall": 0.5, "against:hard": 0.25}


def test_warnings_are_told_whether_new_or_cached(path, metadata_store):
    store, state = metadata_store(path), mlmd.Execution
    store.execute("four", "LeakageGuard", state.CACHED, "LeakageReport", warning="look at this")
    store.execute("four", "Pusher", state.COMPLETE, "PushedModel", pushed_version="17")
    assert Metadata(path).latest().warnings == [("LeakageGuard", "look at this")]


def test_what_was_read_and_made_is_known_with_the_names_of_inputs_and_outputs(path, metadata_store):
    store, state = metadata_store(path), mlmd.Execution
    made = store.execute("four", "Trainer", state.COMPLETE, "Model", uri="models/1")
    store.execute("four", "Evaluator", state.COMPLETE, "ModelEvaluation", reads=[made])
    trainer, evaluator = Metadata(path).latest().executions
    ((output, key),) = trainer.made
    assert (output.id, output.uri, key) == (made, "models/1", "out")
    assert (trainer.read, evaluator.read) == ((), ((made, "in"),))


def test_an_artifact_is_told_with_when_it_was_made(path):
    created = Metadata(path).runs()[0].output("Examples").created
    assert abs(datetime.now(UTC) - created) < timedelta(hours=1)
