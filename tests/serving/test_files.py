import re
from pathlib import Path

import pytest
from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig

from core.errors import DexmatchError
from serving import files, protos

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "serving_model"
FIELD = re.compile(r"^\s*(repeated )?([\w.]+) (\w+) = (\d+);", re.MULTILINE)
TYPES = {"int64": 3, "bool": 8, "string": 9}


def test_the_shipped_files_are_what_a_model_server_reads():
    (model,) = files.read_models(SHIPPED / files.MODELS).model_config_list.config
    assert (model.name, model.model_platform) == ("dexmatch", "tensorflow")
    assert model.base_path == "/models/dexmatch"
    assert model.model_version_policy.latest.num_versions == 1
    # What its comment proposes is sound as well.
    proposed = re.findall(r"^ *#   (.*)$", (SHIPPED / files.MODELS).read_text(), re.MULTILINE)
    entry = text_format.Parse("\n".join(proposed), ModelConfig())
    assert list(entry.model_version_policy.specific.versions) == [1, 2]
    assert dict(entry.version_labels) == {"stable": 1}
    batching = files.read_batching(SHIPPED / files.BATCHING)
    assert batching.num_batch_threads.value >= 1
    assert files.batch_sizes(SHIPPED / files.BATCHING)[0] == 1
    assert files.batch_sizes(SHIPPED / files.BATCHING)[-1] == batching.max_batch_size.value
    assert files.read_monitoring(SHIPPED / files.MONITORING) == files.PROMETHEUS_PATH


@pytest.mark.parametrize(
    ("proto", "name", "described"),
    [
        ("session_bundle_config.proto", "BatchingParameters", protos.BATCHING),
        ("monitoring_config.proto", "PrometheusConfig", protos.PROMETHEUS),
        ("monitoring_config.proto", "MonitoringConfig", protos.MONITORING),
        ("ssl_config.proto", "SSLConfig", protos.SSL),
        ("health.proto", "HealthCheckRequest", protos.HEALTH_REQUEST),
        ("health.proto", "HealthCheckResponse", protos.HEALTH_RESPONSE),
    ],
)
def test_the_messages_are_those_of_the_proto_texts(proto, name, described):
    text = (ROOT / "serving" / "protos" / proto).read_text()
    assert "Apache License, Version 2.0" in text
    body = re.search(rf"^message {name} \{{\n(.*?)^\}}", text, re.MULTILINE | re.DOTALL)[1]
    expected = [
        (field, int(number), bool(repeated), TYPES.get(kind, kind.split(".")[-1]))
        for repeated, kind, field, number in FIELD.findall(body)
    ]
    assert expected
    assert expected == [
        (
            field.name,
            field.number,
            field.label == field.LABEL_REPEATED,
            field.type_name.split(".")[-1] or field.type,
        )
        for field in described.field
    ]
    values = re.findall(r"^    (\w+) = (\d+);", body, re.MULTILINE)
    (*enums,) = described.enum_type
    assert [(v.name, str(v.number)) for enum in enums for v in enum.value] == values


@pytest.mark.parametrize(
    ("read", "text", "told"),
    [
        (files.read_models, "model_config_list {\n  nonsense: 1\n}", "line 2: .*nonsense"),
        (files.read_batching, "max_batch_size { value: x }", "line 1: "),
        (files.read_batching, "max_batch_size { value: 0 }", "max_batch_size must be at least 1"),
        (files.read_batching, "num_batch_threads { value: 0 }", "num_batch_threads must be"),
        (files.read_batching, "batch_timeout_micros { value: -1 }", "must not be negative"),
        (files.read_batching, "allowed_batch_sizes: [4, 2]", "increasing"),
        (files.read_batching, "allowed_batch_sizes: [2, 4]", "equal max_batch_size, 1000"),
        (files.read_monitoring, "prometheus_config", "line 1: "),
    ],
)
def test_a_broken_file_is_told_by_its_name_and_line(tmp_path, read, text, told):
    path = tmp_path / "some.config"
    path.write_text(text)
    with pytest.raises(DexmatchError, match=f"^{re.escape(str(path))}.*{told}") as error:
        read(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"server_key": ""}, "must be a key and its certificate"),
        ({"server_cert": "nonsense"}, "must be a key and its certificate"),
        ({"server_key": "another"}, "KEY_VALUES_MISMATCH"),
        ({"client_verify": True}, "needs custom_ca"),
        ({"custom_ca": "nonsense"}, "custom_ca holds no certificate"),
    ],
)
def test_a_key_and_its_certificate_are_checked(tmp_path, tls, another_tls, change, told):
    path = tmp_path / "ssl.config"
    files.write(tls, path)
    assert files.read_ssl(path) == tls
    if change.get("server_key") == "another":
        change = {"server_key": another_tls.server_key}
    for name, value in change.items():
        setattr(tls, name, value)
    files.write(tls, path)
    with pytest.raises(DexmatchError, match=told) as error:
        files.read_ssl(path)
    assert str(path) in str(error.value)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(DexmatchError, match="none.config: No such file"):
        files.read_batching(tmp_path / "none.config")


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("max_batch_size { value: 1 }", (1,)),
        ("max_batch_size { value: 8 }", (1, 2, 4, 8)),
        ("max_batch_size { value: 9 }", (1, 2, 4, 8, 9)),
        ("max_batch_size { value: 9 } allowed_batch_sizes: [3, 9]", (3, 9)),
    ],
)
def test_the_sizes_to_warm_up_for(tmp_path, text, sizes):
    path = tmp_path / "batching.config"
    path.write_text(text)
    assert files.batch_sizes(path) == sizes


def test_metrics_may_be_off_and_elsewhere(tmp_path):
    path = tmp_path / "monitoring.config"
    path.write_text("prometheus_config { enable: false }")
    assert files.read_monitoring(path) is None
    path.write_text('prometheus_config { enable: true path: "/metrics" }')
    assert files.read_monitoring(path) == "/metrics"


def test_the_policy_of_a_known_model_is_kept_with_another_folder(tmp_path):
    path = tmp_path / "models.config"
    path.write_text(
        'model_config_list { config { name: "mine" base_path: "/models/mine" '
        'model_platform: "tensorflow" model_version_policy { all {} } '
        'version_labels { key: "stable" value: 1 } } }'
    )
    (entry,) = files.one_model("mine", tmp_path, like=path).model_config_list.config
    assert entry.base_path == str(tmp_path)
    assert entry.model_version_policy.WhichOneof("policy_choice") == "all"
    assert dict(entry.version_labels) == {"stable": 1}
    (other,) = files.one_model("other", tmp_path, like=path).model_config_list.config
    assert not other.version_labels
    files.write(files.one_model("mine", tmp_path), path)
    assert files.read_models(path).model_config_list.config[0].base_path == str(tmp_path)
