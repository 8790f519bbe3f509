"""The whole pipeline on a small demo: real components, real MLMD, both orchestrators."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tensorflow_transform as tft

from core import config as configs
from core import features
from core.files import plain_name
from data import importer
from data.columns import Columns
from data.demo import generator
from modules.training import inputs
from pipeline.code_digest import PACKAGES
from results import evaluation
from results.metadata import CACHED, NEW, Metadata
from results.workspace import INSIDE, Workspace

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
# Small enough for seconds, and with a bound that any model holds: what is tested is the machinery.
TINY = {
    "image.size": 32,
    "trainer.epochs": 1,
    "trainer.batch_size": 8,
    "model.feature_levels": [2],
    "model.embedding_dim": 16,
    "model.recurrent_units": 16,
    "model.word_dim": 16,
    "evaluator.slice_columns": ["color", "body"],
    "evaluator.confidence": "none",
    "evaluator.min_slice_pairs": 1,
    "evaluator.blessing": [{"metric": "auc", "slice": "against:random", "min": 0.0}],
}


# TFX, Beam and TensorFlow take some of it for a pattern, and not all of them take the rest.
ODD = "prö [v2] a?b*c{d}%20#e:f\\g"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A small demo, imported; what its name means as a pattern is no data set."""
    folder = tmp_path_factory.mktemp("demo")
    generator.write_folder(folder / "pictures", count=120, size=48)
    importer.import_pairs(
        folder / "pictures" / "captions.csv",
        folder / ODD / "ds[12]",
        columns=Columns(group="family"),
        say=lambda _: None,
    )
    shutil.copytree(folder / ODD / "ds[12]", folder / ODD / "ds1")
    for shard in (folder / ODD / "ds1").glob("pairs-*"):
        shard.write_bytes(b"something else")
    return folder / ODD / "ds[12]"


def words(folder: Path, dataset: Path, *arguments: str, **settings: object) -> list[str]:
    """What `dexmatch` is told, to run and keep everything in a folder."""
    chosen = {
        **TINY,
        "run.workspace": str(folder / "runs"),
        "pusher.directory": str(folder / "serving"),
        **{key.replace("__", "."): value for key, value in settings.items()},
    }
    overrides = [f"--set={key}={_toml(value)}" for key, value in chosen.items()]
    return ["run", f"--data={dataset}", *overrides, *arguments]


def command(*arguments, **settings) -> list[str]:
    program = [sys.executable, "-c", "from pipeline.cli import main; main()"]
    return [*program, *words(*arguments, **settings)]


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}" = {json.dumps(each)}' for key, each in value.items()) + "}"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        inner = (", ".join(f"{k} = {json.dumps(v)}" for k, v in each.items()) for each in value)
        return "[" + ", ".join(f"{{{each}}}" for each in inner) + "]"
    return json.dumps(value)


def run(*arguments, source: Path = ROOT, **settings) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(*arguments, **settings),
        cwd=source,  # Comes first on the path.
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def workspace(folder: Path) -> Workspace:
    settings = configs.load(
        None,
        [
            f"run.workspace={json.dumps(str(folder / 'runs'))}",
            f"pusher.directory={json.dumps(str(folder / 'serving'))}",
        ],
    )
    return Workspace.from_config(settings)


def versions(folder: Path) -> list[str]:
    serving = workspace(folder).serving
    return sorted(path.name for path in serving.iterdir()) if serving.exists() else []


@pytest.fixture(scope="module")
def first_run(tmp_path_factory, dataset):
    """A folder in which the pipeline has run once, and what it printed."""
    folder = tmp_path_factory.mktemp("first") / ODD
    done = run(folder, dataset, bulk__dataset=str(dataset))
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done


def test_every_component_runs_and_is_in_mlmd(first_run):
    latest = Metadata(workspace(first_run[0]).metadata).latest()
    assert sorted(each.node for each in latest.executions) == sorted(COMPONENTS)
    assert {each.state for each in latest.executions} == {NEW}
    for type_name in ("Examples", "ExampleStatistics", "Schema", "ExampleAnomalies"):
        assert Path(latest.output(type_name).uri).is_dir()
    for type_name in ("TransformGraph", "Model", "ModelEvaluation", "ModelBlessing"):
        assert any(Path(latest.output(type_name).uri).iterdir())


def test_hard_captions_reach_the_trainer(first_run):
    """SchemaGen sees all splits, and takes out of use what one of them lacks."""
    latest = Metadata(workspace(first_run[0]).metadata).latest()
    transform = latest.execution("Transform")
    graph = tft.TFTransformOutput(transform.outputs["TransformGraph"].uri)
    spec = graph.transformed_feature_spec()
    files = Path(transform.outputs["Examples"].uri, "Split-train").iterdir()
    rows = list(inputs.pair_rows([str(file) for file in files], spec).as_numpy_iterator())
    assert rows
    length = len(rows[0][features.TOKENS])
    assert all(len(row[features.HARD_TOKENS]) == 4 * length for row in rows)


def test_a_model_that_holds_its_bounds_is_blessed_and_pushed(first_run):
    folder, _ = first_run
    latest = Metadata(workspace(folder).metadata).latest()
    assert latest.is_blessed
    assert versions(folder) == [latest.pushed_version]
    pushed = workspace(folder).serving / latest.pushed_version
    assert (pushed / "saved_model.pb").is_file()
    assert latest.is_infra_blessed
    assert (pushed / "assets.extra" / "tf_serving_warmup_requests").is_file()


def test_another_data_set_is_scored_with_the_blessed_model(first_run, dataset):
    import tensorflow as tf

    folder, _ = first_run
    latest = Metadata(workspace(folder).metadata).latest()
    scored = Path(latest.execution("BulkInferrer").outputs["Examples"].uri)
    files = [str(path) for path in scored.rglob("*.gz")]
    records = list(tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator())
    assert len(records) == 120
    with plain_name(workspace(folder).serving / latest.pushed_version) as name:
        pushed = tf.saved_model.load(name)
    answers = pushed.signatures["serve_examples"](examples=tf.constant(records[:20]))
    found = [
        tf.train.Example.FromString(each).features.feature["probability"].float_list.value[0]
        for each in records[:20]
    ]
    assert len(set(found)) > 1
    assert answers["probability"].numpy() == pytest.approx(found, abs=1e-5)


def test_the_pushed_model_answers(first_run):
    import tensorflow as tf

    folder, _ = first_run
    (version,) = versions(folder)
    with plain_name(workspace(folder).serving / version) as name:
        model = tf.saved_model.load(name)
    answer = model.signatures["serving_default"](
        image=tf.constant([b"no picture"]), caption=tf.constant(["a red bird"])
    )
    assert answer["probability"].numpy().tolist() == [0.0]


def test_the_summary_names_what_matters(first_run):
    folder, done = first_run
    (version,) = versions(folder)
    figures = "against:random", "overall", "caption → image: recall@1", "image → caption: recall@1"
    pages = "model_card.html", "report.html"
    # Long paths are folded.
    said = "".join(line.strip() for line in done.stdout.splitlines())
    for text in (*COMPONENTS, *figures, "Blessed", "Served by", version, *pages, ".log"):
        assert text in said, text
    assert "Traceback" not in done.stderr
    # The libraries' chatter goes to the log.
    assert "tensorflow" not in done.stderr.replace("TensorFlow and TFX", "")
    (log,) = workspace(folder).logs.iterdir()
    assert "StatisticsGen" in log.read_text(encoding="utf-8", errors="replace")


def test_no_temporary_files_are_left(first_run):
    assert not (workspace(first_run[0]).root / ".tmp").exists()


def test_a_second_run_is_cached_and_pushes_nothing_new(first_run, dataset):
    folder, _ = first_run
    before = versions(folder)
    done = run(folder, dataset, bulk__dataset=str(dataset))
    assert done.returncode == 0, done.stdout + done.stderr
    latest = Metadata(workspace(folder).metadata).latest()
    states = {each.node: each.state for each in latest.executions}
    assert states.pop("latest_blessed_model") == NEW  # A resolver always looks anew.
    changed = {node for node, state in states.items() if state != CACHED}
    # The second run has a baseline, the model that the first one blessed, to be compared with.
    judged = {"Evaluator", "BulkInferrer", "ServingValidator", "Pusher", "ModelCard", "Report"}
    assert changed <= judged
    assert versions(folder) == before


def test_a_copy_elsewhere_goes_on_from_its_own_files(first_run, tmp_path, dataset):
    """And without the blessed model, whose pushed copy is compared with."""
    shutil.copytree(first_run[0], tmp_path / "möved", symlinks=True)
    folder = tmp_path / "möved"
    shutil.rmtree(workspace(folder).artifacts / "Trainer" / "model")
    before = versions(folder)
    done = run(folder, dataset, bulk__dataset=str(dataset))
    assert done.returncode == 0, done.stdout + done.stderr
    latest = Metadata(workspace(folder).metadata).latest()
    states = {each.node: each.state for each in latest.executions}
    assert states["ImportExampleGen"] == states["Transform"] == states["Trainer"] == CACHED
    for execution in latest.executions:
        for output, _ in execution.made:
            assert Path(output.uri).is_relative_to(folder)
            assert Path(output.uri).is_dir()
    assert evaluation.of_run(latest).slice("overall").baseline
    assert versions(folder) == before
    assert "its pushed copy" in done.stderr


def test_a_change_of_the_trainer_repeats_the_trainer_only(first_run, dataset):
    folder, _ = first_run
    done = run(folder, dataset, trainer__seed=8)
    assert done.returncode == 0, done.stdout + done.stderr
    latest = Metadata(workspace(folder).metadata).latest()
    states = {each.node: each.state for each in latest.executions}
    assert states["Transform"] == CACHED
    assert states["Trainer"] == NEW


def test_a_change_of_code_repeats_the_components_that_run_it(first_run, tmp_path, dataset):
    """Other cutoffs, in another number, in a copy of the source."""
    folder, _ = first_run
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package)
    module = tmp_path / "results" / "retrieval.py"
    text = module.read_text(encoding="utf-8")
    changed = text.replace("CUTOFFS = (1, 5, 10)", "CUTOFFS = (1, 3)")
    assert changed != text
    module.write_text(changed, encoding="utf-8")
    done = run(folder, dataset, source=tmp_path, serving__validator="none")
    assert done.returncode == 0, done.stdout + done.stderr
    latest = Metadata(workspace(folder).metadata).latest()
    states = {each.node: each.state for each in latest.executions}
    assert states["Transform"] == states["Trainer"] == CACHED
    assert states["RetrievalEvaluator"] == NEW
    (figures,) = Path(latest.output("RetrievalMetrics").uri).iterdir()
    recall = json.loads(figures.read_text(encoding="utf-8"))["caption_to_image"]["model"]["recall"]
    assert len(recall) == 2
    assert f"recall@1 {recall[0]:.3f}, @3 {recall[1]:.3f}, median rank" in done.stdout


def test_a_bad_model_is_not_pushed_and_the_reason_is_printed(first_run, dataset):
    """One epoch from random weights, against a bound that no such model holds."""
    folder, _ = first_run
    before = versions(folder)
    bound = {"metric": "auc", "slice": "against:random", "min": 0.95}
    done = run(folder, dataset, evaluator__blessing=[bound])
    assert done.returncode == 3, done.stdout + done.stderr
    assert versions(folder) == before
    assert not Metadata(workspace(folder).metadata).latest().is_blessed
    assert "Not blessed" in done.stdout
    assert "auc on against:random is" in done.stdout
    assert "must be at least 0.9500" in done.stdout


def test_the_beam_orchestrator_gives_the_same_model(first_run, tmp_path, dataset):
    folder, _ = first_run
    done = run(tmp_path, dataset, "--orchestrator=beam")
    assert done.returncode == 0, done.stdout + done.stderr
    first = Metadata(workspace(folder).metadata).runs()[0]
    other = Metadata(workspace(tmp_path).metadata).latest()
    assert other.aucs == first.aucs
    assert len(versions(tmp_path)) == 1


def test_beam_options_pass_through_in_anybodys_folder(
    tmp_path, dataset, dexmatch_command, foreign_folder
):
    """Beam's workers, and the server that tries the model, import nothing of what is there."""
    arguments = words(
        tmp_path,
        dataset,
        "--beam-arg=--direct_running_mode=multi_processing",
        "--beam-arg=--direct_num_workers=2",
    )
    done = subprocess.run(
        [*dexmatch_command, *arguments],
        cwd=foreign_folder,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(versions(tmp_path)) == 1


def test_anomalies_stop_the_run_before_training(first_run, tmp_path, dataset):
    """A curated schema that knows no red creature."""
    folder, _ = first_run
    schema = Metadata(workspace(folder).metadata).latest().output("Schema").uri
    text = (Path(schema) / "schema.pbtxt").read_text(encoding="utf-8")
    curated = tmp_path / "schema.pbtxt"
    curated.write_text(text.replace('value: "red"\n', ""), encoding="utf-8")
    assert curated.read_text(encoding="utf-8") != text
    for _ in range(2):  # A guard that failed must not be taken for done by the cache.
        done = run(tmp_path, dataset, data__schema_file=str(curated))
        assert done.returncode == 2, done.stdout + done.stderr
        assert "feature 'color'" in done.stderr
        assert "red" in done.stderr
        assert "expected" in done.stderr
        assert "Traceback" not in done.stderr
    latest = Metadata(workspace(tmp_path).metadata).latest()
    assert latest.execution("Trainer") is None
    assert versions(tmp_path) == []


def test_a_killed_run_can_be_started_again(tmp_path, dataset):
    """Killed once in each of three components, it goes on each time from where it was."""
    for component in ("Transform", "Trainer", "Evaluator"):
        process = subprocess.Popen(
            command(tmp_path, dataset), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        for line in process.stderr:
            if component in line:
                break
        time.sleep(1)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()
        assert versions(tmp_path) == []
    done = run(tmp_path, dataset)
    assert done.returncode == 0, done.stdout + done.stderr
    runs = Metadata(workspace(tmp_path).metadata).runs()
    assert len(runs) == 4
    states = {each.node: each.state for each in runs[-1].executions}
    assert states["PairSampler"] == states["Transform"] == states["Trainer"] == CACHED
    assert states["Evaluator"] == NEW
    assert len(versions(tmp_path)) == 1


def test_a_later_run_goes_on_from_the_blessed_model_with_what_was_tuned(tmp_path, dataset):
    space = {"trainer.learning_rate": [0.001, 0.002]}
    tuned = run(
        tmp_path,
        dataset,
        model__weights="last_blessed",
        tuner__trials=2,
        tuner__epochs=1,
        tuner__space=space,
    )
    assert tuned.returncode == 0, tuned.stdout + tuned.stderr
    assert "trial 2 of 2" in tuned.stderr + _log(tmp_path)
    assert "no model is blessed yet" in _log(tmp_path)
    first = Metadata(workspace(tmp_path).metadata).latest()
    assert first.execution("Tuner").state == NEW
    (best,) = Path(first.output("HyperParameters").uri).iterdir()
    values = json.loads(best.read_text(encoding="utf-8"))["values"]
    assert values["trainer.learning_rate"] in (0.001, 0.002)
    again = run(
        tmp_path,
        dataset,
        model__weights="last_blessed",
        tuner__reuse=True,
        trainer__seed=8,
    )
    assert again.returncode == 0, again.stdout + again.stderr
    second = Metadata(workspace(tmp_path).metadata).latest()
    assert second.execution("Tuner") is None
    assert second.execution("Trainer").state == NEW
    said = _log(tmp_path)
    model = Path(first.output("Model").uri).relative_to(workspace(tmp_path).root)
    assert f"goes on from {INSIDE}/{model}" in said
    assert f"hyperparameters: {values}" in said


def _log(folder: Path) -> str:
    """What the latest run said."""
    latest = max(workspace(folder).logs.iterdir())
    return latest.read_text(encoding="utf-8", errors="replace")
