import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2
from tfx.components.example_validator.executor import Executor as ExampleValidator
from tfx.types import artifact_utils, standard_artifacts

from components.anomaly_guard import executor
from core import features
from core.errors import DexmatchError
from results.data_validation import tfdv

pytestmark = pytest.mark.slow

SCHEMA = """
feature { name: "color" type: BYTES domain: "color" presence { min_fraction: 1 min_count: 1 } }
feature { name: "legs" type: INT int_domain { min: 0 max: 8 } presence { min_fraction: 1 } }
string_domain { name: "color" value: "red" value: "blue" }
"""


def examples(*rows: tuple[str, int]) -> list[bytes]:
    made = []
    for color, legs in rows:
        example = tf.train.Example()
        example.features.feature["color"].bytes_list.value.append(color.encode())
        example.features.feature["legs"].int64_list.value.append(legs)
        made.append(example.SerializeToString())
    return made


def run_guard(folder, rows, schema_text: str = SCHEMA) -> None:
    """From examples through TFDV's statistics and TFX's ExampleValidator to the guard."""
    schema = standard_artifacts.Schema()
    schema.uri = str(folder / "schema")
    tf.io.gfile.makedirs(schema.uri)
    proto = text_format.Parse(schema_text, schema_pb2.Schema())
    tfdv.write_schema_text(proto, f"{schema.uri}/schema.pbtxt")
    statistics = standard_artifacts.ExampleStatistics()
    statistics.uri = str(folder / "statistics")
    statistics.split_names = artifact_utils.encode_split_names(["val"])
    target = folder / "statistics" / "Split-val"
    target.mkdir(parents=True)
    records = folder / "data.tfrecord"
    with tf.io.TFRecordWriter(str(records)) as writer:
        for example in examples(*rows):
            writer.write(example)
    found = tfdv.generate_statistics_from_tfrecord(str(records))
    assert isinstance(found, statistics_pb2.DatasetFeatureStatisticsList)
    (target / "FeatureStats.pb").write_bytes(found.SerializeToString())
    anomalies = standard_artifacts.ExampleAnomalies()
    anomalies.uri = str(folder / "anomalies")
    ExampleValidator().Do(
        {"statistics": [statistics], "schema": [schema]},
        {"anomalies": [anomalies]},
        {"exclude_splits": "[]"},
    )
    executor.Executor().Do({executor.ANOMALIES: [anomalies], executor.SCHEMA: [schema]}, {}, {})


def test_data_that_fit_pass(tmp_path):
    run_guard(tmp_path, [("red", 4), ("blue", 2)])


def test_how_many_hard_captions_there_are_is_nobodys_mistake(tmp_path):
    """A schema of another run: `pairs` may have changed since."""
    dropped = 'feature { name: "%s" type: BYTES presence { min_fraction: 0.5 min_count: 1 } }'
    run_guard(tmp_path, [("red", 4)], SCHEMA + dropped % features.HARD_CAPTION)
    with pytest.raises(DexmatchError, match="'size'"):
        run_guard(tmp_path / "other", [("red", 4)], SCHEMA + dropped % "size")


def test_an_unknown_value_is_told_with_what_was_expected(tmp_path):
    with pytest.raises(DexmatchError) as raised:
        run_guard(tmp_path, [("red", 4), ("mauve", 2)])
    message = str(raised.value)
    for part in ("split val", "'color'", "mauve", "expected", "one of red, blue"):
        assert part in message
    assert "\n" not in message


def test_a_number_out_of_bounds_is_told_with_the_bounds(tmp_path):
    with pytest.raises(DexmatchError, match=r"'legs'.*expected int.*from 0 to 8"):
        run_guard(tmp_path, [("red", 100)])


def test_a_missing_feature_is_told(tmp_path):
    needed = 'feature { name: "size" type: FLOAT presence { min_fraction: 1 min_count: 1 } }'
    with pytest.raises(DexmatchError, match="'size'.*expected float, in every example"):
        run_guard(tmp_path, [("red", 4)], SCHEMA + needed)


def test_a_feature_that_nobody_knows_is_told(tmp_path):
    without_legs = SCHEMA.replace('"legs"', '"arms"').replace("min_fraction: 1 }", "}")
    with pytest.raises(DexmatchError, match="'legs'.*expected no such feature"):
        run_guard(tmp_path, [("red", 4)], schema_text=without_legs)
