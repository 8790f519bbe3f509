"""What ExampleValidator found in a split, in words."""

from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tfx.components.example_validator.executor import DEFAULT_FILE_NAME
from tfx.dsl.io import fileio

from core import features

_DOMAIN_SHOWN = 12


def read_anomalies(split_uri: str) -> anomalies_pb2.Anomalies:
    """Reads the anomalies of one split of an ExampleAnomalies artifact."""
    with fileio.open(f"{split_uri}/{DEFAULT_FILE_NAME}", "rb") as file:
        return anomalies_pb2.Anomalies.FromString(file.read())


def explain(split: str, anomalies: anomalies_pb2.Anomalies, schema: schema_pb2.Schema) -> list[str]:
    """One sentence an anomaly: split, feature, what came, what was expected.

    Hard captions are passed over: how many there are follows from `pairs`, and tells nothing about
    the data.
    """
    expected = {feature.name: expectation(feature, schema) for feature in schema.feature}
    sentences = [
        f"split {split}, feature {name!r}: {_one_line(info.description)}; "
        f"expected {expected.get(name, 'no such feature')}"
        for name, info in sorted(anomalies.anomaly_info.items())
        if name != features.HARD_CAPTION
    ]
    if anomalies.HasField("dataset_anomaly_info"):
        sentences.append(f"split {split}: {_one_line(anomalies.dataset_anomaly_info.description)}")
    return sentences


def expectation(feature: schema_pb2.Feature, schema: schema_pb2.Schema) -> str:
    """A feature's schema in words."""
    words = [schema_pb2.FeatureType.Name(feature.type).lower()]
    if feature.presence.min_fraction == 1:
        words.append("in every example")
    elif feature.presence.min_fraction:
        words.append(f"in at least {feature.presence.min_fraction:.0%} of the examples")
    if feature.HasField("domain"):
        values = next(d.value for d in schema.string_domain if d.name == feature.domain)
        words.append(_one_of(list(values)))
    elif feature.HasField("string_domain"):
        words.append(_one_of(list(feature.string_domain.value)))
    for bounds in (feature.int_domain, feature.float_domain):
        if bounds.HasField("min") or bounds.HasField("max"):
            low = bounds.min if bounds.HasField("min") else "-inf"
            high = bounds.max if bounds.HasField("max") else "inf"
            words.append(f"from {low} to {high}")
    return ", ".join(words)


def _one_of(values: list[str]) -> str:
    more = ", …" if len(values) > _DOMAIN_SHOWN else ""
    return f"one of {', '.join(values[:_DOMAIN_SHOWN])}{more}"


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")
