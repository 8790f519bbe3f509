import pytest

from core import config as configs
from core.errors import DexmatchError
from data import importer
from data.demo import generator
from pipeline import execution
from pipeline import pipeline as composition
from pipeline.baseline import BaselineStrategy


def settings(tmp_path, *overrides):
    return configs.load(None, [f"run.workspace={tmp_path}", *overrides])


@pytest.fixture
def dataset(tmp_path):
    generator.write_folder(tmp_path / "pictures", count=3, size=16)
    importer.import_pairs(
        tmp_path / "pictures" / "captions.csv", tmp_path / "set", say=lambda _: None
    )
    return tmp_path / "set"


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
    assert execution._users_mistake(mistake) == "mend this"
    assert execution._users_mistake(raised(RuntimeError("while it ran"), mistake)) == "mend this"


def test_the_users_mistake_is_found_in_beams_text():
    text = (
        "Traceback (most recent call last):\n  File ...\n"
        "core.errors.DexmatchError: mend this [while running 'Expand val-ptransform-45']\n"
    )
    assert execution._users_mistake(raised(RuntimeError(text))) == "mend this"


def test_other_errors_are_not_the_users():
    error = raised(ValueError("first line\nsecond line"))
    assert execution._users_mistake(error) is None
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


def test_what_was_rolled_back_is_no_baseline_of_a_run(tmp_path, dataset, monkeypatch):
    asked_for = {}

    def compose(_, **arguments):
        asked_for.update(arguments)
        raise DexmatchError("not to be run")

    monkeypatch.setattr(composition, "create_pipeline", compose)
    asked = settings(tmp_path / "runs", f"data.dataset={dataset}")
    assert execution.execute(asked).error == "not to be run"
    assert asked_for["baseline_strategy"] is BaselineStrategy
    assert asked_for["baseline_config"] == {"serving_directory": asked_for["serving_directory"]}
