"""What a component hands to a page."""

from datetime import UTC, datetime

from tfx.types import standard_artifacts

from pages.sources import MODEL, outputs_of
from results.metadata import Output


def test_artifacts_that_a_component_is_given_are_told_as_mlmd_would():
    model = standard_artifacts.Model()
    model.uri, model.id = "/somewhere", 7
    model.set_string_custom_property("warning", "few pairs")
    model.mlmd_artifact.create_time_since_epoch = 1_795_867_200_000
    created = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
    assert outputs_of({MODEL: [model], "tuner_results": []}) == {
        MODEL: Output(7, "Model", "/somewhere", {"warning": "few pairs"}, created)
    }


def test_an_artifact_that_mlmd_was_not_told_of_has_no_date():
    assert outputs_of({MODEL: [standard_artifacts.Model()]})[MODEL].created is None
