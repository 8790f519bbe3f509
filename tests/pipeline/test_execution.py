import errno
import json
import os
import re
import shutil
import types

import pytest

from core import config as configs
from core.errors import DexmatchError
from data import importer
from data.demo import generator
from pipeline import execution
from pipeline import pipeline as composition
from pipeline.baseline import BaselineStrategy


def settings(tmp_path, *overrides):
    pushed = f"pusher.directory={tmp_path.parent / 'serving'}"
    return configs.load(None, [f"run.workspace={tmp_path}", pushed, *overrides])


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    generator.write_folder(folder / "pictures", count=3, size=16)
    importer.import_pairs(folder / "pictures" / "captions.csv", folder / "set", say=lambda _: None)
    return folder / "set"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "data.dataset is not set"),
        (["data.dataset=nowhere"], "nowhere: not a dexmatch data set"),
        (["data.dataset=nowhere", "data.schema_file=no.pbtxt"], "no.pbtxt is no file"),
        (["data.dataset=nowhere", "model.weights=no.h5"], "no.h5"),
        (["data.dataset=nowhere", "tuner.reuse=true"], "no run in .* has tuned yet"),
    ],
)
def test_mistakes_are_found_before_anything_starts(tmp_path, overrides, message):
    with pytest.raises(DexmatchError, match=message):
        execution.execute(settings(tmp_path / "runs", *overrides))
    assert not (tmp_path / "runs").exists()


def test_a_schema_that_is_none(tmp_path):
    path = tmp_path / "mine.pbtxt"
    path.write_text("feature { nam: 'x' }", encoding="utf-8")
    with pytest.raises(DexmatchError, match="mine.pbtxt is no TFDV schema: 1:11"):
        execution.execute(settings(tmp_path, "data.dataset=nowhere", f"data.schema_file={path}"))


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except type(error) as caught:
        return caught


def test_the_users_mistake_is_found_below_other_errors():
    mistake = raised(DexmatchError("mend this"))
    assert execution.users_mistake(mistake) == "mend this"
    assert execution.users_mistake(raised(RuntimeError("while it ran"), mistake)) == "mend this"


def test_the_users_mistake_is_found_in_beams_text():
    text = (
        "Traceback (most recent call last):\n  File ...\n"
        "core.errors.DexmatchError: mend this [while running 'Expand val-ptransform-45']\n"
    )
    assert execution.users_mistake(raised(RuntimeError(text))) == "mend this"


def test_other_errors_are_not_the_users():
    error = raised(ValueError("first line\nsecond line"))
    assert execution.users_mistake(error) is None
    assert execution._one_line(error) == "ValueError: first line"
    trace = RuntimeError("Traceback (most recent call last):\n  ...\nKeyError: 'x'\n")
    assert execution._one_line(trace) == "RuntimeError: KeyError: 'x'"


@pytest.mark.parametrize(
    "override",
    [
        "evaluator.slice_columns=['size']",
        "evaluator.slice_crosses=[['color', 'size']]",
        "evaluator.blessing=[{metric='auc', slice='size:big', min=0.5}]",
    ],
)
def test_a_column_that_the_data_do_not_have(tmp_path, dataset, override):
    asked = settings(tmp_path / "runs", f"data.dataset={dataset}", override)
    with pytest.raises(DexmatchError, match="no metadata column 'size'; it has .*color"):
        execution.execute(asked)


@pytest.mark.parametrize(
    ("slice_", "told"),
    [
        ("color:mauve", "has no value 'mauve' of column 'color'; it has .*, "),
        ("color:mauve × body:round", "has no value 'mauve' of column 'color'"),
        ("against:easy", "dexmatch has no value 'easy' of column 'against'; it has random, hard"),
        ("pair_kind:true", "it has matched, random, hard"),
        ("caption_length:1-99", "it has 1-50, 51-100, 101-200, 201-400, 401.$"),
    ],
)
def test_a_value_that_the_data_do_not_have(tmp_path, dataset, slice_, told):
    bound = f"evaluator.blessing=[{{metric='auc', slice='{slice_}', min=0.5}}]"
    asked = settings(tmp_path / "runs", f"data.dataset={dataset}", bound)
    with pytest.raises(DexmatchError, match=f"evaluator.blessing: {slice_}: .*{told}"):
        execution.execute(asked)
    assert not (tmp_path / "runs").exists()


def test_a_bound_on_hard_negatives_where_none_are_drawn(tmp_path, dataset):
    asked = settings(tmp_path / "runs", f"data.dataset={dataset}", "pairs.hard_negatives=0")
    with pytest.raises(DexmatchError, match="against:hard: there are no hard .* is 0; raise it"):
        execution.execute(asked)


@pytest.fixture
def composed(monkeypatch):
    """What the pipeline would be made of; none is run."""
    told = {}

    def compose(config, **arguments):
        told.update(arguments, config=config, here=os.getcwd())
        raise DexmatchError("not to be run")

    monkeypatch.setattr(composition, "create_pipeline", compose)
    return told


def test_what_was_rolled_back_is_no_baseline_of_a_run(tmp_path, dataset, composed):
    asked = settings(tmp_path / "runs", f"data.dataset={dataset}")
    assert execution.execute(asked).error == "not to be run"
    assert composed["baseline_strategy"] is BaselineStrategy
    assert composed["baseline_config"] == {"serving_directory": composed["serving_directory"]}


ODD = "prö [v2] a?b*c{d}%20#e:f\\g"


def test_no_path_that_tfx_is_given_is_a_pattern(tmp_path, dataset, composed, monkeypatch):
    """All that a user names lies in folders with odd names, and is named relative to one."""
    home = tmp_path / ODD
    for name in ("ds[12]", "ds1"):
        shutil.copytree(dataset, home / name)
    (home / "schema[1].pbtxt").write_text("")
    (home / "weights?.weights.h5").write_text("")
    monkeypatch.setattr(execution.backbones, "check_weights", lambda *_: None)
    monkeypatch.chdir(home)
    asked = configs.load(
        None,
        [
            "data.dataset=ds[12]",
            "bulk.dataset=ds1",
            "data.schema_file=schema[1].pbtxt",
            "model.weights=weights?.weights.h5",
            f"pusher.directory={json.dumps(str(home / 'serving*'))}",
        ],
    )
    assert execution.execute(asked).error == "not to be run"
    given = composed["config"]
    root = home / "runs" / "dexmatch"
    leads_to = {
        given.bulk.dataset: home / "ds[12]",  # The same pairs.
        given.data.dataset: home / "ds[12]",
        given.data.schema_file: home / "schema[1].pbtxt",
        given.model.weights: home / "weights?.weights.h5",
        composed["serving_directory"]: home / "serving*" / "dexmatch",
        composed["pipeline_root"]: root / "artifacts",
        composed["metadata_path"]: root / "metadata.sqlite",
        composed["checkpoints_directory"]: root / "checkpoints",
    }
    assert composed["here"] == str(root)
    for path, target in leads_to.items():
        assert re.fullmatch(r"/proc/self/cwd/[A-Za-z0-9./-]+", path)
        assert (root / path.removeprefix("/proc/self/cwd/")).resolve() == target
    assert composed["dataset"] == given.data.dataset
    assert composed["dataset_name"] == "ds[12]"
    assert composed["told"] == asked  # People are told the paths that they know.
    assert os.getcwd() == str(home)


def test_the_same_files_have_the_same_name_wherever_they_are(
    tmp_path, dataset, composed, monkeypatch
):
    """So TFX's cache holds after a move, and notices a file that was changed."""
    given = []
    for place, text in (("here", ""), ("there", ""), ("there", "feature {}")):
        home = tmp_path / place
        home.mkdir(exist_ok=True)
        (home / "mine.pbtxt").write_text(text)
        shutil.copytree(dataset, home / "set", dirs_exist_ok=True)
        monkeypatch.chdir(home)
        asked = configs.load(None, ["data.dataset=set", "data.schema_file=mine.pbtxt"])
        execution.execute(asked)
        given.append((composed["dataset"], composed["config"].data.schema_file))
    assert given[0] == given[1]
    assert given[1][0] == given[2][0]
    assert given[1][1] != given[2][1]


def test_a_path_in_an_error_is_the_users(tmp_path, dataset, composed, monkeypatch):
    def compose(config, **arguments):
        raise DexmatchError(f"{arguments['checkpoints_directory']}/1: damaged")

    monkeypatch.setattr(composition, "create_pipeline", compose)
    asked = settings(tmp_path / "runs", f"data.dataset={dataset}")
    damaged = tmp_path / "runs" / "dexmatch" / "checkpoints" / "1"
    assert execution.execute(asked).error == f"{damaged}: damaged"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left .* MB are free; make"),
        (RuntimeError("database or disk is full"), "database or disk is full, .* MB are free"),
        (PermissionError(errno.EACCES, "Permission denied", "/proc/self/cwd/artifacts"), "belongs"),
    ],
)
def test_a_disk_that_takes_no_more_is_the_users_and_the_next_run_goes_on(
    tmp_path, dataset, composed, monkeypatch, error, told
):
    def compose(config, **arguments):
        raise RuntimeError("while it ran") from error

    asked = settings(tmp_path / "runs", f"data.dataset={dataset}")
    with monkeypatch.context() as patch:
        patch.setattr(composition, "create_pipeline", compose)
        outcome = execution.execute(asked)
    assert outcome.is_users
    assert re.search(rf"^{tmp_path}/(runs/dexmatch|serving).*{told}", outcome.error)
    assert execution.execute(asked).error == "not to be run"


def test_a_database_server_that_goes_away_during_a_run_is_told(
    tmp_path, dataset, composed, monkeypatch
):
    """Whatever TFX makes of it."""
    url = "mysql://dex@localhost:1/team"
    asked = settings(tmp_path / "runs", f"data.dataset={dataset}", f"run.metadata={url}")
    away = "run.metadata: localhost:1: no database server answers there"
    with pytest.raises(DexmatchError, match=away):
        execution.execute(asked)
    assert not (tmp_path / "runs").exists()
    monkeypatch.setattr(execution, "Metadata", types.SimpleNamespace(of=lambda _: None))
    monkeypatch.setattr(execution.ownership, "claim", lambda _: None)
    monkeypatch.setattr(execution, "users_mistake", lambda _: None)
    outcome = execution.execute(asked)
    assert outcome.is_users
    assert outcome.error.startswith(away)
