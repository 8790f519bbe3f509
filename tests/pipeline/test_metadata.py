from datetime import datetime, timedelta

import pytest
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.metadata import CACHED, FAILED, NEW, UNFINISHED, Metadata


class Store:
    """Writes runs as TFX does."""

    def __init__(self, path):
        connection = mlmd.ConnectionConfig()
        connection.sqlite.filename_uri = str(path)
        connection.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self._store = metadata_store.MetadataStore(connection)
        self._contexts = {
            name: self._store.put_context_type(mlmd.ContextType(name=name))
            for name in ("pipeline_run", "node")
        }
        self._execution_type = self._store.put_execution_type(mlmd.ExecutionType(name="any"))

    def context(self, kind, name):
        context = mlmd.Context(type_id=self._contexts[kind], name=name)
        found = self._store.get_context_by_type_and_name(kind, name)
        return found.id if found else self._store.put_contexts([context])[0]

    def execute(self, run, node, state, artifact_type=None, parameters=None, **properties):
        execution = mlmd.Execution(type_id=self._execution_type, last_known_state=state)
        for name, value in (parameters or {}).items():
            execution.custom_properties[name].string_value = value
        (execution_id,) = self._store.put_executions([execution])
        contexts = [
            self.context("pipeline_run", run),
            self.context("node", f"dexmatch.{node}"),
        ]
        self._store.put_attributions_and_associations(
            [],
            [mlmd.Association(execution_id=execution_id, context_id=each) for each in contexts],
        )
        if artifact_type:
            type_id = self._store.put_artifact_type(mlmd.ArtifactType(name=artifact_type))
            artifact = mlmd.Artifact(type_id=type_id, uri=f"somewhere/{execution_id}")
            for name, value in properties.items():
                if isinstance(value, int):
                    artifact.custom_properties[name].int_value = value
                else:
                    artifact.custom_properties[name].string_value = value
            (artifact_id,) = self._store.put_artifacts([artifact])
            event = mlmd.Event(
                artifact_id=artifact_id, execution_id=execution_id, type=mlmd.Event.OUTPUT
            )
            self._store.put_events([event])


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "metadata.sqlite"
    store, state = Store(path), mlmd.Execution
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


def test_warnings_are_told_whether_new_or_cached(path):
    store, state = Store(path), mlmd.Execution
    store.execute("four", "LeakageGuard", state.CACHED, "LeakageReport", warning="look at this")
    store.execute("four", "Pusher", state.COMPLETE, "PushedModel", pushed_version="17")
    assert Metadata(path).latest().warnings == [("LeakageGuard", "look at this")]
