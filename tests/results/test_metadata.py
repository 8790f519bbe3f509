import shutil
from datetime import UTC, datetime, timedelta

import pytest
from ml_metadata.metadata_store.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from results import links
from results.metadata import CACHED, FAILED, NEW, UNFINISHED, Metadata, output_of
from results.versions import list_versions
from results.workspace import INSIDE


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


def test_figures_are_kept_beside_the_evaluation(path, metadata_store):
    noted = {"auc_overall": 0.5, "auc_against:hard": 0.25}
    state = mlmd.Execution.COMPLETE
    metadata_store(path).execute("four", "Evaluator", state, "ModelEvaluation", **noted)
    assert Metadata(path).latest().aucs == {"overall": 0.5, "against:hard": 0.25}


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


def test_our_types_go_by_their_own_name_in_old_records_and_new(path, metadata_store):
    store, state = metadata_store(path), mlmd.Execution
    for run, name in ("old", "LeakageReport"), ("new", "components.LeakageReport"):
        store.execute(run, "LeakageGuard", state.COMPLETE, name)
    assert all(run.output("LeakageReport") for run in Metadata(path).runs()[-2:])


def test_properties_are_read_as_containers_write_them():
    artifact = mlmd.Artifact()
    for name, value in {"blessed": 1.0, "warning": "look"}.items():
        artifact.custom_properties[name].struct_value.update({"__value__": value})
    assert output_of(artifact, "Model").properties == {"blessed": 1, "warning": "look"}


def test_an_artifact_is_told_with_when_it_was_made(path):
    created = Metadata(path).runs()[0].output("Examples").created
    assert abs(datetime.now(UTC) - created) < timedelta(hours=1)


@pytest.fixture
def moved(tmp_path, metadata_store):
    """A workspace whose models are recorded inside it, and as an earlier release did elsewhere."""
    root = tmp_path / "moved"
    for number in (1, 2):
        saved = root / "artifacts" / "Trainer" / "model" / str(number) / "Format-Serving"
        saved.mkdir(parents=True)
        (saved / "saved_model.pb").write_bytes(b"")
    store = metadata_store(root / "metadata.sqlite")
    for number, above in ((1, INSIDE), (2, "/where/it was[1]/runs/dexmatch")):
        uri = f"{above}/artifacts/Trainer/model/{number}"
        store.execute(f"run {number}", "Trainer", mlmd.Execution.COMPLETE, "Model", uri=uri)
    return root


def models(root):
    return [run.output("Model").uri for run in Metadata(root / "metadata.sqlite").runs()]


def recorded(root, metadata_store):
    """What MLMD has: places, and whether they are offered to caches and resolvers."""
    found = metadata_store(root / "metadata.sqlite").artifacts("Model")
    return [(each.uri, each.state == mlmd.Artifact.LIVE) for each in found]


def test_artifacts_are_found_where_the_workspace_is_now(moved):
    folder = moved / "artifacts" / "Trainer" / "model"
    assert models(moved) == [str(folder / "1"), str(folder / "2")]


def test_a_copy_does_not_read_the_originals_artifacts(moved, tmp_path):
    shutil.copytree(moved, tmp_path / "copy")
    assert all(each.startswith(str(tmp_path / "copy")) for each in models(tmp_path / "copy"))


def test_records_of_an_earlier_release_are_mended(moved, metadata_store):
    Metadata(moved / "metadata.sqlite").mend([])
    folder = f"{INSIDE}/artifacts/Trainer/model"
    assert recorded(moved, metadata_store) == [(f"{folder}/1", True), (f"{folder}/2", True)]


def test_records_are_absolute_where_the_system_has_no_such_name(moved, metadata_store, monkeypatch):
    """As on macOS: they are mended whenever the workspace has moved."""
    monkeypatch.setattr("results.workspace.INSIDE", "/nowhere/self/cwd")
    Metadata(moved / "metadata.sqlite").mend([])
    folder = moved / "artifacts" / "Trainer" / "model"
    assert recorded(moved, metadata_store) == [(f"{folder}/1", True), (f"{folder}/2", True)]


def test_what_is_gone_is_offered_no_more_until_it_is_back(moved, metadata_store):
    saved = moved / "artifacts" / "Trainer" / "model" / "2" / "Format-Serving" / "saved_model.pb"
    for is_there in (False, True):
        saved.write_bytes(b"") if is_there else saved.unlink()
        Metadata(moved / "metadata.sqlite").mend([])
        states = [state for _, state in recorded(moved, metadata_store)]
        assert states == [True, is_there]


@pytest.mark.parametrize("kind", ["ModelBlessing", "PushedModel"])
def test_a_verdict_holds_without_its_files(tmp_path, metadata_store, kind):
    path = tmp_path / "metadata.sqlite"
    metadata_store(path).execute("one", "Some", mlmd.Execution.COMPLETE, kind, blessed=1)
    Metadata(path).mend([])
    (verdict,) = metadata_store(path).artifacts(kind)
    assert verdict.state == mlmd.Artifact.LIVE


@pytest.mark.parametrize(
    ("told", "versions", "holds"),
    [
        ({"pushed_version": "17"}, ["16", "17"], True),
        ({"pushed_version": "17"}, [], False),
        ({"pushed_version": "17"}, ["17", "18"], False),
        ({"pushed_version": "17"}, ["16", "rolled_back-17"], False),
        ({"pushed_version": "17"}, ["17", "rolled_back-18"], True),
        ({"rolled_back_version": 17}, ["16", "rolled_back-17"], True),
        ({"rolled_back_version": 17}, ["17"], False),
        ({"rolled_back_version": 17}, [], False),
        ({"pushed": 0}, ["17"], True),
    ],
)
def test_a_push_holds_as_long_as_it_is_what_is_served(
    tmp_path, metadata_store, told, versions, holds
):
    path = tmp_path / "metadata.sqlite"
    metadata_store(path).execute("one", "Pusher", mlmd.Execution.COMPLETE, "PushedModel", **told)
    for name in versions:
        (tmp_path / "serving" / name).mkdir(parents=True)
    Metadata(path).mend(list_versions(tmp_path / "serving"))
    (record,) = metadata_store(path).artifacts("PushedModel")
    assert (record.state == mlmd.Artifact.LIVE) == holds


def test_a_kill_while_records_are_mended_leaves_them_as_they_were(
    moved, metadata_store, monkeypatch
):
    before = recorded(moved, metadata_store)
    calls = []

    def killed(self, artifacts, *args, **kwargs):
        calls.append(artifacts)
        raise KeyboardInterrupt

    shutil.rmtree(moved / "artifacts" / "Trainer" / "model" / "1")
    with monkeypatch.context() as patch:
        patch.setattr(MetadataStore, "put_artifacts", killed)
        with pytest.raises(KeyboardInterrupt):
            Metadata(moved / "metadata.sqlite").mend([])
    (together,) = calls  # One transaction for all.
    assert len(together) == 2
    assert recorded(moved, metadata_store) == before


def test_what_was_tuned_and_is_gone_does_not_count(tmp_path, metadata_store):
    path = tmp_path / "metadata.sqlite"
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "best.txt").write_text("")
    metadata_store(path).execute(
        "one", "Tuner", mlmd.Execution.COMPLETE, "HyperParameters", uri=f"{INSIDE}/best"
    )
    assert Metadata(path).has("HyperParameters")
    (tmp_path / "best" / "best.txt").unlink()
    assert not Metadata(path).has("HyperParameters")


def test_a_data_set_goes_by_its_own_name(tmp_path, metadata_store):
    (tmp_path / "root").mkdir()
    link = links.make(tmp_path / "root", "data-12", tmp_path / "mine[1]")
    path = tmp_path / "root" / "metadata.sqlite"
    told = {"input_base": f"{INSIDE}/links/{link.name}"}
    metadata_store(path).execute(
        "one", "ImportExampleGen", mlmd.Execution.COMPLETE, parameters=told
    )
    (run,) = Metadata(path).runs()
    assert run.dataset == tmp_path / "mine[1]"
