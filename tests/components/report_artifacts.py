"""Makes what a report is made from, in miniature, with text that means harm."""

import dataclasses
import io
import json
import shutil
from datetime import datetime
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf import text_format
from ml_metadata.proto import metadata_store_pb2 as mlmd
from PIL import Image
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.types import artifact_utils, standard_artifacts

from core import features
from core.config import Config
from data import dataset
from pages import sources
from results import serving_report
from results.data_validation import tfdv
from results.metadata import CACHED, NEW, Execution, Output, Run

EVIL = "</script><script>window.evil = 1</script><img src=x onerror='window.evil = 1'>"
CAPTIONS = (
    f"a red bird {EVIL}",
    "a blue fish <!-- <b>bold</b> &amp; & \u2028 \"quoted\" 'too'",
    "a red fish \U0001f426\u200d\U0001f525 \u202eright to left",
    "طائر أحمر a blue bird",
    "a red bird " + "very " * 2000 + "far away",
    "javascript:window.evil=1 {{ 7 * 7 }} a blue fish",
)
COLUMN = "part \"<b onclick='window.evil = 1'>&amp;"
MANY = 40
RECORDS = "data_tfrecord-0.gz"
CONFIG = Config.model_validate(
    {
        "evaluator": {
            "slice_columns": ["color", "stage", COLUMN],
            "slice_crosses": [["color", "stage"]],
            "min_slice_pairs": 20,
            "confidence": "none",  # They take minutes.
            "blessing": [
                {"metric": "auc", "min": 0.0},
                {"metric": "accuracy", "slice": "color:red", "min": 0.999},
                {"metric": "auc", "slice": "*:*", "max_drop": 0.1},
            ],
        },
    }
)


def pair_id(number):
    return f'folder/{number} "it\'s" <b>&.png'


def picture(number):
    if number == 3:
        return b"no picture"
    pixels = np.full((24 + number, 32, 3), [255 * (number % 2), 6 * number, 255 * (1 - number % 2)])
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def caption(number):
    if number < len(CAPTIONS):
        return CAPTIONS[number]
    return f"a {'red' if number % 2 else 'blue'} {'bird' if number % 3 else 'fish'} word{number}"


def pairs(split):
    """The serialized examples of a split: train has true pairs only."""
    for number in range(MANY):
        captions = {features.MATCHED: (caption(number), pair_id(number))}
        if split != features.TRAIN:
            other = (7 * number + 5) % MANY
            captions[features.RANDOM] = (caption(other), pair_id(other))
            captions[features.HARD] = (f"a {'blue' if number % 2 else 'red'} fish", "")
        for kind, (text, source) in captions.items():
            yield _pair(number, kind, text, source)


def _pair(number, kind, text, source):
    made = tf.train.Example()
    feature = made.features.feature
    contests = (features.RANDOM, features.HARD) if kind == features.MATCHED else (kind,)
    for name, values in {
        features.IMAGE: [picture(number)],
        features.CAPTION: [text],
        features.ID: [pair_id(number)],
        features.GROUP: [f"group {number // 4}"],
        features.PAIR_KIND: [kind],
        features.AGAINST: contests,
        features.CAPTION_ID: [source],
        features.CAPTION_LENGTH: ["1-50"],
        features.IMAGE_SIZE: ["1-64"],
        COLUMN: [("tail", "\u202ewing", "{{ 7 * 7 }}")[number % 3]],
        "color": ["red" if number % 2 else "blue" if number % 4 else EVIL],
    }.items():
        encoded = [value if isinstance(value, bytes) else value.encode() for value in values]
        feature[name].bytes_list.value.extend(encoded)
    for name, value in {
        features.LABEL: int(kind == features.MATCHED),
        features.IMAGE_HEIGHT: 24 + number,
        features.IMAGE_WIDTH: 32,
        "stage": number % 3,
    }.items():
        feature[name].int64_list.value.append(value)
    return made.SerializeToString()


def _scored(model, records):
    """The same examples, each with what the model says of it."""
    signature = tf.saved_model.load(str(model)).signatures["serve_examples"]
    said = signature(examples=tf.constant(records))["probability"].numpy()
    for record, probability in zip(records, said, strict=True):
        example = tf.train.Example.FromString(record)
        kept = example.features.feature[features.PROBABILITY].float_list
        kept.value.append(float(probability))
        yield example.SerializeToString()


def write(small, folder, model):
    """The artifacts, by the names of `pages.sources`.

    Args:
      small: the functions of `small_artifacts`.
      folder: to write into.
      model: a SavedModel like a pushed one.
    """
    examples = small.artifact(standard_artifacts.Examples, folder, "examples")
    examples.split_names = artifact_utils.encode_split_names(list(small.SPLITS))
    records = {}
    for split in small.SPLITS:
        records[split] = folder / "examples" / f"Split-{split}" / RECORDS
        small.write_records(records[split], _scored(model, list(pairs(split))))
    trained = small.artifact(standard_artifacts.Model, folder, "model")
    shutil.copytree(model, folder / "model" / "Format-Serving")
    run = small.artifact(standard_artifacts.ModelRun, folder, "model_run")
    metadata = tf.compat.v1.SummaryMetadata(
        plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
    )
    for split in ("train", "validation"):
        path = str(folder / "model_run" / "fine_tuning" / split)
        with tf.summary.create_file_writer(path).as_default():
            for step, value in enumerate((0.5, 0.625, 0.75), start=1):
                tf.summary.write("auc", tf.constant(value), step, metadata=metadata)
    judged = {split: records[split] for split in ("train", "test")}
    statistics = small.statistics(folder, judged)
    schema = small.artifact(standard_artifacts.Schema, folder, "schema")
    found = tfdv.load_stats_binary(str(folder / "statistics" / "Split-train" / "FeatureStats.pb"))
    (folder / "schema" / "schema.pbtxt").write_text(
        text_format.MessageToString(tfdv.infer_schema(found)), encoding="utf-8"
    )
    anomalies = small.artifact(standard_artifacts.ExampleAnomalies, folder, "anomalies")
    for split in small.SPLITS:
        target = folder / "anomalies" / f"Split-{split}" / "SchemaDiff.pb"
        target.parent.mkdir()
        broken = anomalies_pb2.Anomalies()
        if split == "val":
            broken.anomaly_info["color"].description = f"Unexpected value {EVIL}"
        target.write_bytes(broken.SerializeToString())
    infra = small.artifact(standard_artifacts.InfraBlessing, folder, "infra", blessed=1)
    report = serving_report.ServingReport("embedded", (serving_report.Check("memory", True, EVIL),))
    (folder / "infra" / serving_report.FILE_NAME).write_text(report.to_json(), encoding="utf-8")
    tuned = small.artifact(standard_artifacts.TunerResults, folder, "tuner")
    trials = [
        {"trial_id": str(n), "score": n / 10, "trainer.hard_negative_share": n / 4} for n in (1, 2)
    ]
    (folder / "tuner" / "tuner_results.json").write_text(json.dumps(trials), encoding="utf-8")
    return {
        sources.EXAMPLES: examples,
        sources.MODEL: trained,
        sources.MODEL_RUN: run,
        sources.STATISTICS: statistics,
        sources.SCHEMA: schema,
        sources.ANOMALIES: anomalies,
        sources.EVALUATION: small.evaluation(
            folder, records["test"], CONFIG.evaluator, ["color", "stage", COLUMN]
        ),
        sources.BLESSING: small.artifact(
            standard_artifacts.ModelBlessing, folder, "blessing", blessed=0
        ),
        sources.RETRIEVAL: small.searched(folder),
        sources.PUSHED: small.artifact(standard_artifacts.PushedModel, folder, "pushed"),
        sources.INFRA_BLESSING: infra,
        sources.TUNER_RESULTS: tuned,
    }


def write_dataset(folder):
    """A data set's description and its rejects; the shards are gone."""
    folder.mkdir()
    numbers = dataset.Quantiles(minimum=1, p5=1, median=2, p95=3, maximum=4)
    described = dataset.Dataset(
        read=3,
        imported=2,
        rejected=1,
        rejected_by_reason={"image_corrupt": 1},
        images=2,
        groups=2,
        source=dataset.Source(format="csv", name="table.csv", columns={}),
        features=(),
        caption_words=numbers,
        image_height=numbers,
        image_width=numbers,
        samples=(),
        digest="",
        files=(),
    )
    (folder / dataset.DESCRIPTION).write_text(described.to_json(), encoding="utf-8")
    (folder / dataset.REJECTS).write_text(
        f'file,row,image,reason,detail\n"a ""b"" \'c\'.csv",7,{EVIL},image_corrupt,cut off\n',
        encoding="utf-8",
    )


def outputs(artifacts):
    """The artifacts as MLMD tells of them."""
    return {
        key: Output(
            number,
            each.type_name,
            each.uri,
            {
                name: value.int_value or value.string_value
                for name, value in each.mlmd_artifact.custom_properties.items()
            },
        )
        for number, (key, each) in enumerate(artifacts.items(), start=1)
    }


def run(found, dataset_folder):
    """A run in which everything was made, one component after the other."""
    parameters = {"input_base": str(dataset_folder)}
    executions = [Execution("ImportExampleGen", CACHED, 0.5, parameters, {})]
    for at, (key, output) in enumerate(found.items()):
        read = ((at, "in"),) if at else ()
        made = {output.type: output}
        executions.append(Execution(f"{key} {EVIL}", NEW, 1.5, {}, made, read, ((output, key),)))
    return Run("2026-01-02T03", datetime(2026, 1, 2, 3), tuple(executions))


def sources_of(artifacts, dataset_folder):
    """All that a report is made from."""
    found = outputs(artifacts)
    return sources.Sources(
        name=f"my {EVIL}",
        artifacts=found,
        config=CONFIG.model_dump(mode="json"),
        run=run(found, dataset_folder),
        libraries={"tensorflow": tf.__version__},
        are_libraries_of_run=True,
    )


def earlier(of):
    """A run before, with another configuration and another library."""
    config = {
        **of.config,
        "trainer": {**of.config["trainer"], "epochs": 99},
        "card": {**of.config["card"], "owner": EVIL},
    }
    return dataclasses.replace(
        of,
        config=config,
        run=dataclasses.replace(of.run, id="2026-01-01T03"),
        libraries={"tensorflow": "0.1"},
    )


def write_workspace(root, store, small, of):
    """A workspace with a run, a later one whose model was compared, and one that failed.

    Args:
      root: the workspace's folder.
      store: what writes MLMD databases.
      small: the functions of `small_artifacts`.
      of: what both runs made, but for the later one's evaluation.
    """
    root.mkdir(parents=True)
    records = Path(of.split_uris(sources.EXAMPLES)[features.TEST]) / RECORDS
    # TFMA refuses bounds on a change where it is given what the models said and not the models.
    unbounded = CONFIG.evaluator.model_copy(update={"blessing": ()})
    later = small.evaluation(root, records, unbounded, ["color"], oracle=True)
    database, state = store(root / "metadata.sqlite"), mlmd.Execution
    config = {"config": json.dumps(of.config)}
    evaluations = {"2026-01-01": of.uri(sources.EVALUATION), "2026-01-02": later.uri}
    for run_id, evaluation in evaluations.items():
        for key, output in of.artifacts.items():
            node = sources.MADE_BY[key][0] or key
            uri = evaluation if key == sources.EVALUATION else output.uri
            database.execute(
                run_id, node, state.COMPLETE, output.type, uri=uri, **output.properties
            )
        database.execute(run_id, "ModelCard", state.COMPLETE, "ModelCard", config)
    database.execute("2026-02-01", "Trainer", state.FAILED)
