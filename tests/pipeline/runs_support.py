"""Writes runs as TFX leaves them: MLMD, and the artifacts' files."""

import json
from pathlib import Path

import pandas as pd
import tensorflow as tf
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tensorflow_model_analysis.proto import metrics_for_slice_pb2, validation_result_pb2

from results.data_validation import tfdv


class Store:
    """An MLMD database.

    Args:
      path: the SQLite file; made if there is none.
    """

    def __init__(self, path):
        connection = mlmd.ConnectionConfig()
        connection.sqlite.filename_uri = str(path)
        connection.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self._store = metadata_store.MetadataStore(connection)
        for name in ("pipeline_run", "node"):
            self._store.put_context_type(mlmd.ContextType(name=name))
        self._execution_type = self._store.put_execution_type(mlmd.ExecutionType(name="any"))

    def execute(self, run, node, outputs=(), parameters=None):
        """Adds a complete execution; outputs are (type, uri, properties)."""
        execution = mlmd.Execution(
            type_id=self._execution_type, last_known_state=mlmd.Execution.COMPLETE
        )
        for name, value in (parameters or {}).items():
            execution.custom_properties[name].string_value = value
        (execution_id,) = self._store.put_executions([execution])
        for kind, name in (("pipeline_run", run), ("node", f"dexmatch.{node}")):
            found = self._store.get_context_by_type_and_name(kind, name)
            type_id = self._store.get_context_type(kind).id
            context = mlmd.Context(type_id=type_id, name=name)
            context_id = found.id if found else self._store.put_contexts([context])[0]
            self._store.put_attributions_and_associations(
                [], [mlmd.Association(execution_id=execution_id, context_id=context_id)]
            )
        for type_name, uri, properties in outputs:
            type_id = self._store.put_artifact_type(mlmd.ArtifactType(name=type_name))
            artifact = mlmd.Artifact(type_id=type_id, uri=str(uri))
            for name, value in properties.items():
                kind = "int_value" if isinstance(value, int) else "string_value"
                setattr(artifact.custom_properties[name], kind, value)
            (artifact_id,) = self._store.put_artifacts([artifact])
            self._store.put_events(
                [
                    mlmd.Event(
                        artifact_id=artifact_id, execution_id=execution_id, type=mlmd.Event.OUTPUT
                    )
                ]
            )


def write_statistics(folder, columns):
    """Writes what StatisticsGen does for a split.

    Args:
      columns: name of a feature to its values.
    """
    folder.mkdir(parents=True)
    made = tfdv.generate_statistics_from_dataframe(pd.DataFrame(columns))
    (folder / "FeatureStats.pb").write_bytes(made.SerializeToString())


def write_evaluation(folder, slices, scores=()):
    """Writes what the Evaluator does, in TFMA's format.

    Args:
      slices: name, as "overall" or "color:red", to metric to value, or to (value, lower, upper,
        baseline), of which the last three may be None.
      scores: probabilities that go into the calibration plot.
    """
    folder = Path(folder)
    folder.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(folder / "metrics-00000-of-00001.tfrecord")) as writer:
        for name, figures in slices.items():
            writer.write(_metrics(name, figures).SerializeToString())
    with tf.io.TFRecordWriter(str(folder / "validations.tfrecord")) as writer:
        validation = validation_result_pb2.ValidationResult(validation_ok=True)
        writer.write(validation.SerializeToString())
    plots = metrics_for_slice_pb2.PlotsForSlice()
    histogram = plots.plot_keys_and_values.add().value.calibration_histogram_buckets
    for score in scores:
        bucket = histogram.buckets.add()
        bucket.num_weighted_examples.value = 1
        bucket.total_weighted_refined_prediction.value = score
    with tf.io.TFRecordWriter(str(folder / "plots-00000-of-00001.tfrecord")) as writer:
        writer.write(plots.SerializeToString())
    config = {"evalConfig": {"modelSpecs": [{}]}, "version": "0.52.0"}
    (folder / "eval_config.json").write_text(json.dumps(config), encoding="utf-8")


def _metrics(name, figures):
    made = metrics_for_slice_pb2.MetricsForSlice()
    for part in () if name == "overall" else name.split(" × "):
        column, _, value = part.partition(":")
        made.slice_key.single_slice_keys.add(column=column, bytes_value=value.encode())
    for metric, figure in figures.items():
        value, lower, upper, baseline = (
            figure if isinstance(figure, tuple) else (figure,) + (None,) * 3
        )
        added = made.metric_keys_and_values.add()
        added.key.name = metric
        added.value.double_value.value = value
        if lower is not None:
            added.confidence_interval.lower_bound.double_value.value = lower
            added.confidence_interval.upper_bound.double_value.value = upper
        if baseline is not None:
            added = made.metric_keys_and_values.add()
            added.key.name, added.key.model_name = metric, "baseline"
            added.value.double_value.value = baseline
    return made
