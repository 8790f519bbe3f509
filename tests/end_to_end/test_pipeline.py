"""The whole pipeline on a small demo: real components, real MLMD, both orchestrators."""

import json
import shutil
from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow_transform as tft

from core import features
from core.files import plain_name
from core.slices import KEY_SLICES
from modules.training import inputs
from pipeline.code_digest import PACKAGES
from results.metadata import CACHED, NEW

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
COMPONENTS = [
    "BulkExampleGen",
    "BulkInferrer",
    "ImportExampleGen",
    "PairSampler",
    "LeakageGuard",
    "SliceGuard",
    "StatisticsGen",
    "SchemaGen",
    "ExampleValidator",
    "AnomalyGuard",
    "Transform",
    "Trainer",
    "latest_blessed_model",
    "Evaluator",
    "RetrievalEvaluator",
    "ServingValidator",
    "Pusher",
    "ModelCard",
    "Report",
]


@pytest.fixture(scope="module")
def first_run(tmp_path_factory, new_project, dataset):
    """A project in which the pipeline has run once, and what it printed."""
    folder = tmp_path_factory.mktemp("first") / dataset.parent.name
    project = new_project(folder, bulk__dataset=str(dataset))
    return project, project.run()


@pytest.fixture
def project(first_run):
    """The project in which the pipeline has run once, at least."""
    return first_run[0]


def test_every_component_runs_and_is_in_mlmd(project):
    latest = project.latest()
    assert sorted(each.node for each in latest.executions) == sorted(COMPONENTS)
    assert {each.state for each in latest.executions} == {NEW}
    for type_name in ("Examples", "ExampleStatistics", "Schema", "ExampleAnomalies"):
        assert Path(latest.output(type_name).uri).is_dir()
    for type_name in ("TransformGraph", "Model", "ModelEvaluation", "ModelBlessing"):
        assert any(Path(latest.output(type_name).uri).iterdir())
    assert set(latest.aucs) == set(KEY_SLICES)


def test_hard_captions_reach_the_trainer(project):
    """SchemaGen sees all splits, and takes out of use what one of them lacks."""
    transform = project.latest().execution("Transform")
    graph = tft.TFTransformOutput(transform.outputs["TransformGraph"].uri)
    spec = graph.transformed_feature_spec()
    files = Path(transform.outputs["Examples"].uri, "Split-train").iterdir()
    rows = list(inputs.pair_rows([str(file) for file in files], spec).as_numpy_iterator())
    assert rows
    length = len(rows[0][features.TOKENS])
    assert all(len(row[features.HARD_TOKENS]) == 4 * length for row in rows)


def test_a_model_that_holds_its_bounds_is_blessed_and_pushed(project):
    latest = project.latest()
    assert latest.is_blessed
    assert project.versions() == [latest.pushed_version]
    pushed = project.workspace.serving / latest.pushed_version
    assert (pushed / "saved_model.pb").is_file()
    assert latest.is_infra_blessed
    assert (pushed / "assets.extra" / "tf_serving_warmup_requests").is_file()


def test_another_data_set_is_scored_with_the_blessed_model(project):
    latest = project.latest()
    scored = Path(latest.execution("BulkInferrer").outputs["Examples"].uri)
    files = [str(path) for path in scored.rglob("*.gz")]
    records = list(tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator())
    assert len(records) == 120
    with plain_name(project.workspace.serving / latest.pushed_version) as name:
        pushed = tf.saved_model.load(name)
    answers = pushed.signatures["serve_examples"](examples=tf.constant(records[:20]))
    found = [
        tf.train.Example.FromString(each).features.feature["probability"].float_list.value[0]
        for each in records[:20]
    ]
    assert len(set(found)) > 1
    assert answers["probability"].numpy() == pytest.approx(found, abs=1e-5)
    answer = pushed.signatures["serving_default"](
        image=tf.constant([b"no picture"]), caption=tf.constant(["a red bird"])
    )
    assert answer["probability"].numpy().tolist() == [0.0]


def test_the_summary_names_what_matters(first_run):
    project, done = first_run
    (version,) = project.versions()
    figures = "against:random", "overall", "caption → image: recall@1", "image → caption: recall@1"
    pages = "model_card.html", "report.html"
    # Long paths are folded.
    said = "".join(line.strip() for line in done.stdout.splitlines())
    for text in (*COMPONENTS, *figures, "Blessed", "Served by", version, *pages, ".log"):
        assert text in said, text
    assert "Traceback" not in done.stderr
    # The libraries' chatter goes to the log.
    assert "tensorflow" not in done.stderr.replace("TensorFlow and TFX", "")
    assert "StatisticsGen" in project.log()
    # TFX does not pack itself for workers that are on this machine.
    assert "Nonempty beam arg sdk_container_image" in project.log()
    assert "Attempting to infer TFX Python dependency" not in project.log()


def test_no_temporary_files_are_left(project):
    assert not (project.workspace.root / ".tmp").exists()


def verdict(done) -> list[str]:
    """What a run printed of its figures, its verdict and the pushed version, without folders."""
    lines = done.stdout.splitlines()
    start = next(number for number, line in enumerate(lines) if "test split" in line)
    shown = [line for line in lines[start:] if not line.startswith("Pushed to")]
    return shown[: next(n for n, line in enumerate(shown) if line.startswith("report"))]


def test_a_second_run_is_cached_and_pushes_nothing_new(first_run, new_project, tmp_path, dataset):
    """In a copy of the project elsewhere, whose blessed model is gone: its pushed copy remains."""
    project, first = first_run
    shutil.copytree(project.folder, tmp_path / "möved", symlinks=True)
    copy = new_project(tmp_path / "möved", bulk__dataset=str(dataset))
    shutil.rmtree(copy.workspace.artifacts / "Trainer" / "model")
    before = copy.versions()
    done = copy.run()
    assert "its pushed copy" in done.stderr
    latest = copy.latest()
    states = {each.node: each.state for each in latest.executions}
    assert states.pop("latest_blessed_model") == NEW  # A resolver always looks anew.
    assert set(states.values()) == {CACHED}
    assert "Nothing has changed" in done.stdout
    assert "Nothing has changed" not in first.stdout
    assert verdict(done) == verdict(first)
    assert latest.aucs == project.runs()[0].aucs
    assert latest.pushed_version == before[0]
    for execution in latest.executions:
        for output, _ in execution.made:
            assert Path(output.uri).is_relative_to(copy.folder)
            assert Path(output.uri).is_dir()
    assert copy.versions() == before

    # A place that was emptied is filled again, and what is served then is found by the next run.
    shutil.rmtree(copy.workspace.serving)
    copy.run()
    states = {each.node: each.state for each in copy.latest().executions}
    assert {node for node, state in states.items() if state == NEW} == {
        "latest_blessed_model",
        "Pusher",
        "ModelCard",
        "Report",
    }
    assert copy.versions() == [copy.latest().pushed_version] != before


@pytest.fixture
def changed_run(project, tmp_path):
    """A run with other cutoffs, in another number, and a bound that no model of one epoch holds."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package)
    module = tmp_path / "results" / "retrieval.py"
    text = module.read_text(encoding="utf-8")
    changed = text.replace("CUTOFFS = (1, 5, 10)", "CUTOFFS = (1, 3)")
    assert changed != text
    module.write_text(changed, encoding="utf-8")
    bound = {"metric": "auc", "slice": "against:random", "min": 0.95}
    return project.run(
        status=3, cwd=tmp_path, serving__validator="none", evaluator__blessing=[bound]
    )


def test_what_was_changed_is_done_again_and_a_model_that_is_not_good_enough_is_not_pushed(
    project, changed_run
):
    latest = project.latest()
    states = {each.node: each.state for each in latest.executions}
    assert states["Transform"] == states["Trainer"] == CACHED

    assert states["RetrievalEvaluator"] == NEW
    (figures,) = Path(latest.output("RetrievalMetrics").uri).iterdir()
    recall = json.loads(figures.read_text(encoding="utf-8"))["caption_to_image"]["model"]["recall"]
    assert len(recall) == 2
    assert f"recall@1 {recall[0]:.3f}, @3 {recall[1]:.3f}, median rank" in changed_run.stdout

    assert states["Evaluator"] == NEW
    assert not latest.is_blessed
    assert "Not blessed" in changed_run.stdout
    assert "auc on against:random is" in changed_run.stdout
    assert "must be at least 0.9500" in changed_run.stdout
    assert project.versions() == [project.runs()[0].pushed_version]


def test_the_wheel_in_anybodys_folder_with_the_beam_orchestrator_gives_the_same_model(
    project, new_project, tmp_path, installed_command, foreign_folder
):
    """Beam's workers, and the server that tries the model, import nothing of what is there."""
    other = new_project(tmp_path)
    other.program = [str(installed_command)]
    other.run(
        "--orchestrator=beam",
        "--beam-arg=--direct_running_mode=multi_processing",
        "--beam-arg=--direct_num_workers=2",
        cwd=foreign_folder,
    )
    assert other.latest().aucs == project.runs()[0].aucs
    assert len(other.versions()) == 1
