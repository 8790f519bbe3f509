import pytest
from tfx.types import standard_artifacts

from pipeline.baseline import BaselineStrategy
from results import versions

MODELS, BLESSINGS = "model", "model_blessing"


@pytest.fixture
def serving(tmp_path):
    """Where models 1, 2 and 3 were pushed to, as versions 11, 12 and 13."""
    for number in (1, 2, 3):
        path = tmp_path / "serving" / str(10 + number)
        path.mkdir(parents=True)
        (path / "fingerprint.pb").write_bytes(bytes([number]))
    return tmp_path / "serving"


def found(tmp_path, serving, blessed=(1, 2, 3)):
    """Ids of the model and of the one its blessing is for."""
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
    chosen = strategy.resolve_artifacts(None, {MODELS: models, BLESSINGS: blessings})
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


def test_there_is_none_if_all_were_rolled_back(tmp_path, serving):
    for version in versions.list_versions(serving):
        version.path.rename(serving / f"rolled_back-{version.number}")
    assert found(tmp_path, serving) == ([], [])
