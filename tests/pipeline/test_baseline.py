import logging
import shutil

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.types import standard_artifacts

from pipeline import baseline
from pipeline.baseline import CANDIDATE, BaselineStrategy
from results import versions
from results.metadata import Metadata

MODELS, BLESSINGS = "model", "model_blessing"


@pytest.fixture
def serving(tmp_path):
    """Where models 1, 2 and 3 were pushed to, as versions 11, 12 and 13."""
    for number in (1, 2, 3):
        path = tmp_path / "serving" / str(10 + number)
        path.mkdir(parents=True)
        (path / "fingerprint.pb").write_bytes(bytes([number]))
    return tmp_path / "serving"


def found(tmp_path, serving, blessed=(1, 2, 3), candidate=None):
    """Ids of the model and of the one its blessing is for; a candidate comes back as it is."""
    models, blessings = [], []
    for number in (1, 2, 3):
        model = standard_artifacts.Model()
        model.id, model.uri = number, str(tmp_path / f"model_{number}")
        saved = tmp_path / f"model_{number}" / "Format-Serving"
        saved.mkdir(parents=True, exist_ok=True)
        (saved / "fingerprint.pb").write_bytes(bytes([number]))
        models.append(model)
        blessing = standard_artifacts.ModelBlessing()
        blessing.id = 100 + number
        blessing.set_int_custom_property("current_model_id", number)
        blessing.set_int_custom_property("blessed", int(number in blessed))
        blessings.append(blessing)
    strategy = BaselineStrategy(str(serving))
    told = {CANDIDATE: [models[candidate - 1]]} if candidate else {}
    chosen = strategy.resolve_artifacts(None, {MODELS: models, BLESSINGS: blessings, **told})
    assert chosen.get(CANDIDATE) == told.get(CANDIDATE)
    return (
        [model.id for model in chosen[MODELS]],
        [each.get_int_custom_property("current_model_id") for each in chosen[BLESSINGS]],
    )


def test_it_is_the_latest_blessed_model(tmp_path, serving):
    assert found(tmp_path, serving) == ([3], [3])
    assert found(tmp_path, serving, blessed=(1, 2)) == ([2], [2])
    assert found(tmp_path, serving, blessed=()) == ([], [])
    assert found(tmp_path, tmp_path / "nothing_pushed_yet") == ([3], [3])


def test_it_is_none_that_was_rolled_back(tmp_path, serving):
    versions.roll_back(serving)
    assert found(tmp_path, serving) == ([2], [2])
    assert found(tmp_path, serving, blessed=(1, 3)) == ([1], [1])
    assert found(tmp_path, serving, blessed=(3,)) == ([], [])
    versions.roll_back(serving, to=13)
    assert found(tmp_path, serving) == ([3], [3])


def test_a_candidate_is_compared_with_the_one_before_and_never_with_itself(tmp_path, serving):
    assert found(tmp_path, serving, candidate=3) == ([2], [2])
    assert found(tmp_path, serving, blessed=(1, 3), candidate=3) == ([1], [1])
    assert found(tmp_path, serving, blessed=(3,), candidate=3) == ([], [])


def test_an_earlier_model_that_comes_again_is_compared_with_the_latest(tmp_path, serving):
    assert found(tmp_path, serving, candidate=1) == ([3], [3])
    assert found(tmp_path, serving, blessed=(1, 2), candidate=3) == ([2], [2])


def test_what_was_rolled_back_is_no_baseline_of_its_successor(tmp_path, serving):
    versions.roll_back(serving, to=11)
    versions.roll_back(serving, to=13)  # The second stays set aside.
    assert found(tmp_path, serving, candidate=3) == ([1], [1])


def test_there_is_none_if_all_were_rolled_back(tmp_path, serving):
    for version in versions.list_versions(serving):
        version.path.rename(serving / f"rolled_back-{version.number}")
    assert found(tmp_path, serving) == ([], [])


@pytest.fixture
def blessed(tmp_path, metadata_store):
    """The runs of a workspace: models 1, 2 and 3, blessed and pushed as versions 11, 12 and 13."""
    root, serving = tmp_path / "root", tmp_path / "serving"
    root.mkdir()
    store, state = metadata_store(root / "metadata.sqlite"), mlmd.Execution.COMPLETE
    for number in (1, 2, 3):
        saved = root / "artifacts" / "Trainer" / "model" / str(number) / "Format-Serving"
        for folder in (saved, serving / str(10 + number)):
            folder.mkdir(parents=True)
            for name in ("fingerprint.pb", "saved_model.pb"):
                (folder / name).write_bytes(bytes([number]))
        uri = f"/proc/self/cwd/artifacts/Trainer/model/{number}"
        store.execute(f"{number}", "Trainer", state, "Model", uri=uri)
        store.execute(f"{number}", "Evaluator", state, "ModelBlessing", blessed=1)
        pushed = {"pushed_version": str(10 + number)}
        store.execute(f"{number}", "Pusher", state, "PushedModel", **pushed)
    return root


def restored(blessed, tmp_path):
    """Which models are there after the run looked for its baseline."""
    baseline.restore(Metadata(blessed / "metadata.sqlite").runs(), tmp_path / "serving")
    folder = blessed / "artifacts" / "Trainer" / "model"
    there = sorted(path.parents[1].name for path in folder.glob("*/*/saved_model.pb"))
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    return {
        name: (folder / name / "Format-Serving" / "saved_model.pb").read_bytes() for name in there
    }


def remove(blessed, *numbers):
    for number in numbers:
        shutil.rmtree(blessed / "artifacts" / "Trainer" / "model" / str(number))


def test_the_pushed_copy_takes_the_place_of_a_blessed_model_that_is_gone(blessed, tmp_path, caplog):
    remove(blessed, 2, 3)
    assert restored(blessed, tmp_path) == {"1": b"\x01", "3": b"\x03"}
    assert "its pushed copy" in caplog.text


def test_half_a_model_and_half_a_copy_are_replaced(blessed, tmp_path):
    folder = blessed / "artifacts" / "Trainer" / "model"
    (folder / "3" / "Format-Serving" / "saved_model.pb").unlink()
    (folder / ".half-3").mkdir()
    assert restored(blessed, tmp_path)["3"] == b"\x03"


def test_nothing_is_restored_while_the_latest_is_there(blessed, tmp_path):
    remove(blessed, 1, 2)
    assert restored(blessed, tmp_path).keys() == {"3"}


def test_what_was_rolled_back_is_not_restored(blessed, tmp_path):
    versions.roll_back(tmp_path / "serving")
    remove(blessed, 2, 3)
    assert restored(blessed, tmp_path).keys() == {"1", "2"}


def test_a_model_that_is_gone_for_good_is_told_and_an_earlier_one_stays(blessed, tmp_path, caplog):
    remove(blessed, 3)
    shutil.rmtree(tmp_path / "serving" / "13")
    with caplog.at_level(logging.WARNING):
        assert restored(blessed, tmp_path).keys() == {"1", "2"}
    (told,) = caplog.messages
    assert "model/3/Format-Serving is gone: nothing is compared with this blessed model" in told
