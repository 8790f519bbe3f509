import pytest
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from components.served_model.executor import MODEL, SERVING_DIRECTORY, Executor


@pytest.fixture
def found(tmp_path):
    """What is found where models are pushed to, given their folders' names."""

    def found(*versions):
        serving = tmp_path / "serving"
        for version in versions:
            (serving / version).mkdir(parents=True)
            (serving / version / "saved_model.pb").write_text(version)
        model = standard_artifacts.Model()
        model.uri = str(tmp_path / "model")
        Executor().Do({}, {MODEL: [model]}, {SERVING_DIRECTORY: str(serving)})
        return model

    return found


def test_what_was_rolled_back_is_not_served(found):
    model = found("3", "20", "rolled_back-100")
    with open(f"{path_utils.serving_model_path(model.uri)}/saved_model.pb") as file:
        assert file.read() == "20"
    assert model.get_string_custom_property("version") == "20"


def test_where_nothing_was_pushed_the_model_is_empty(found, tmp_path):
    assert not found().has_custom_property("version")
    assert not (tmp_path / "model").exists()
