"""Makes artifacts in miniature, with TFDV, TFMA and TensorFlow themselves."""

import shutil

import tensorflow as tf
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.utils import config_util
from tfx.types import artifact_utils, standard_artifacts

from components.retrieval.artifacts import RetrievalMetrics
from core import features
from modules.evaluator import eval_config
from results import retrieval
from results.data_validation import tfdv

EVIL = "<script>alert(1)</script>"
SPLITS = ("train", "val", "test")


def artifact(kind, folder, name, **properties):
    """An artifact with a folder of its own."""
    made = kind()
    made.uri = str(folder / name)
    (folder / name).mkdir(parents=True, exist_ok=True)
    for key, value in properties.items():
        if isinstance(value, int):
            made.set_int_custom_property(key, value)
        else:
            made.set_string_custom_property(key, value)
    return made


def write_records(path, records):
    """A TFRecord file, gzipped if its name ends so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = "GZIP" if path.suffix == ".gz" else None
    with tf.io.TFRecordWriter(str(path), options) as writer:
        for record in records:
            writer.write(record)


def statistics(folder, records):
    """TFDV's statistics of the files of train and test by split; val has those of test."""
    made = artifact(standard_artifacts.ExampleStatistics, folder, "statistics")
    made.split_names = artifact_utils.encode_split_names(list(SPLITS))
    for split, path in records.items():
        found = tfdv.generate_statistics_from_tfrecord(str(path))
        target = folder / "statistics" / f"Split-{split}"
        target.mkdir()
        (target / "FeatureStats.pb").write_bytes(found.SerializeToString())
    test = folder / "statistics" / "Split-test"
    shutil.copytree(test, test.with_name("Split-val"))
    return made


def evaluation(folder, records, settings, columns, name="evaluation", oracle=False):
    """TFMA's findings on a file of examples that hold what a model said of them.

    Args:
      oracle: compare with a baseline that knows the labels; else there is none.
    """
    made = artifact(standard_artifacts.ModelEvaluation, folder, name)
    # As TFX's Evaluator does, with a baseline or where there is none yet.
    config = config_util.update_eval_config_with_defaults(
        eval_config(settings, columns), has_baseline=oracle, rubber_stamp=True
    )
    if oracle:
        config.model_specs[1].prediction_key = features.LABEL
    tfma.run_model_analysis(
        eval_config=config,
        data_location=str(records),
        output_path=made.uri,
    )
    return made


def searched(folder):
    """RetrievalEvaluator's findings."""
    ranking = retrieval.Ranking((0.125, 0.25, 0.5), 9.5)
    direction = retrieval.Direction(40, 40, ranking, ranking)
    made = artifact(RetrievalMetrics, folder, "retrieval")
    (folder / "retrieval" / retrieval.FILE_NAME).write_text(
        retrieval.Retrieval(40, 1234, direction, direction).to_json(), encoding="utf-8"
    )
    return made
