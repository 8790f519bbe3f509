"""Trains through `run_fn` on a handful of pairs, in this process or, as a script, in its own.

The backbone is a tiny one with EfficientNet's ways: names of blocks, BatchNorm, dropout. What is
tested is the training, and EfficientNet alone takes a minute to trace.
"""

import io
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":
    # A script's own folder comes first among the places of modules; ours are at the top.
    sys.path[0] = str(Path(__file__).parents[2])

import keras
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from PIL import Image
from tensorflow_transform import beam as tft_beam
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils
from tfx import v1 as tfx

from modules import features, model, preprocessing, trainer
from pipeline import config as configs

COLORS = ("red", "green", "blue", "yellow", "black", "white")
SECTIONS = ("image", "caption", "model", "trainer", "augment")
SMALL = (
    "image.size=32",
    "caption.max_tokens=4",
    "caption.min_count=1",
    'model.stages=["top"]',
    "model.embedding_dim=8",
    "model.recurrent_units=8",
    "model.word_dim=8",
    "model.hidden_units=8",
    "trainer.epochs=2",
    "trainer.batch_size=6",
)
BLOCKS = ("block1a", "block1b", "block2a")


def tiny_backbone(*_: object) -> keras.Model:
    pixels = keras.Input((32, 32, 3))
    maps = keras.layers.Rescaling(1 / 255)(pixels)
    maps = keras.layers.Conv2D(4, 3, strides=2, name="stem_conv")(maps)
    for name in BLOCKS:
        maps = keras.layers.Conv2D(6, 3, padding="same", strides=2, name=f"{name}_conv")(maps)
        maps = keras.layers.BatchNormalization(name=f"{name}_bn")(maps)
        maps = keras.layers.Activation("swish", name=f"{name}_activation")(maps)
        maps = keras.layers.Dropout(0.2, name=f"{name}_drop")(maps)
    maps = keras.layers.Conv2D(8, 1, name="top_conv")(maps)
    return keras.Model(pixels, keras.layers.BatchNormalization(name="top_bn")(maps), name="tiny")


def settings(*overrides: str) -> dict:
    """What the pipeline hands to the Trainer, through JSON as TFX does."""
    tree = configs.load(None, [*SMALL, *overrides]).model_dump(mode="json")
    return json.loads(json.dumps({**{name: tree[name] for name in SECTIONS}, "attributes": []}))


def raw(number: int) -> dict:
    color = COLORS[number % len(COLORS)]
    buffer = io.BytesIO()
    Image.new("RGB", (20, 16), color).save(buffer, "PNG")
    return {
        features.IMAGE: [buffer.getvalue()],
        features.CAPTION: [f"a {color} square {number}".encode()],
        features.GROUP: [b"%d" % number],
        features.LABEL: [1 - number % 2],
    }


def alike(number: int) -> dict:
    return {**raw(number), features.CAPTION: [b"a thing"]}


def unknown_words(number: int) -> dict:
    return {**raw(number), features.CAPTION: [b"never heard of" + b" of" * number]}


def one_group(number: int) -> dict:
    return {**raw(number), features.GROUP: [b"all"]}


def uneven(number: int) -> dict:
    return {**raw(number), features.GROUP: [b"one" if number else b"other"]}


def all_matched(number: int) -> dict:
    return {**raw(number), features.LABEL: [1]}


FILES = {
    "pairs": [raw(number) for number in range(12)],
    "none": [],
    "alike": [alike(number) for number in range(12)],
    "unknown_words": [unknown_words(number) for number in range(12)],
    "one_group": [one_group(number) for number in range(12)],
    "uneven": [uneven(number) for number in range(12)],
    "all_matched": [all_matched(number) for number in range(12)],
}


def write_transformed(folder: Path) -> None:
    """Writes a transform graph, and a file of transformed pairs for each of `FILES`."""
    spec = {
        name: tf.io.FixedLenFeature([1], tf.int64 if name == features.LABEL else tf.string)
        for name in (features.IMAGE, features.CAPTION, features.GROUP, features.LABEL)
    }
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    with tft_beam.Context(temp_dir=tempfile.mkdtemp()):
        (_, made), transform_fn = (
            FILES["pairs"],
            metadata,
        ) | tft_beam.AnalyzeAndTransformDataset(
            lambda columns: preprocessing.preprocessing_fn(columns, settings())
        )
        _ = transform_fn | tft_beam.WriteTransformFn(str(folder / "graph"))
        coder = tft.coders.ExampleProtoCoder(made.schema)
        for name, chosen in FILES.items():
            rows = []
            if chosen:
                rows, _ = ((chosen, metadata), transform_fn) | tft_beam.TransformDataset()
            with tf.io.TFRecordWriter(str(folder / f"{name}.gz"), "GZIP") as writer:
                for row in rows:
                    writer.write(coder.encode(row))


def train(
    transformed: Path,
    target: Path,
    *overrides: str,
    train_files: str = "pairs",
    eval_files: str = "pairs",
    checkpoints: Path | None = None,
    base_model: Path | None = None,
) -> dict:
    """Runs `run_fn`; returns the exported weights by name."""
    trainer.run_fn(
        tfx.components.FnArgs(
            custom_config={
                **settings(*overrides),
                "checkpoints": str(checkpoints or target / "checkpoints"),
            },
            transform_graph_path=str(transformed / "graph"),
            train_files=[str(transformed / f"{train_files}.gz*")],
            eval_files=[str(transformed / f"{eval_files}.gz*")],
            serving_model_dir=str(target / "serving"),
            model_run_dir=str(target / "model_run"),
            base_model=str(base_model) if base_model else None,
        )
    )
    return exported_weights(target)


def exported_weights(target: Path) -> dict:
    checkpoint = tf.train.load_checkpoint(str(target / "serving" / "variables" / "variables"))
    return {
        name: checkpoint.get_tensor(name)
        for name in checkpoint.get_variable_to_shape_map()
        if name.startswith("weights/")
    }


def train_in_a_process(
    transformed: Path, target: Path, *overrides: str, check: bool = True, **options: object
) -> subprocess.CompletedProcess:
    """Runs `main` below; `options` are its own, beside `environment`."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **options.pop("environment", {})}
    request = {
        "transformed": str(transformed),
        "target": str(target),
        "overrides": overrides,
        **options,
    }
    done = subprocess.run(
        [sys.executable, __file__, json.dumps(request)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
        env=environment,
    )
    assert not check or done.returncode == 0, done.stdout
    return done


class _Kill(keras.callbacks.Callback):
    """Ends the process as `kill -9` does: nothing is closed, nothing is tidied up."""

    def __init__(self, when: str):
        super().__init__()
        self._epoch, self._event = when.split()

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        if self._event == "midst" and batch == 1:
            self._strike()

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._now = epoch

    def _strike(self) -> None:
        if self._now == int(self._epoch):
            os.kill(os.getpid(), signal.SIGKILL)


def _report_replicas() -> None:
    """Has a training print whether its weights moved, and whether all replicas have the same."""
    fit = trainer.training.PairTrainer.fit

    def reporting_fit(self, *args: object, **options: object) -> keras.callbacks.History:
        weights = self.trainable_variables
        before = [weight.numpy().copy() for weight in weights]
        history = fit(self, *args, **options)
        copies = [[copy.numpy() for copy in weight.value.values] for weight in weights]
        found = {
            "replicas": len(copies[0]),
            "moved": sum(
                not np.array_equal(each[0], old) for each, old in zip(copies, before, strict=True)
            ),
            "weights": len(weights),
            "agree": all(np.array_equal(each[0], other) for each in copies for other in each),
        }
        print(f"\nREPLICAS {json.dumps(found)}", flush=True)
        return history

    trainer.training.PairTrainer.fit = reporting_fit


def main() -> None:
    request = json.loads(sys.argv[1])
    logging.getLogger("dexmatch").setLevel(logging.INFO)
    if count := request.get("logical_devices"):
        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * count
        )
    model.weights.load_backbone = tiny_backbone
    if when := request.get("kill"):
        fit = trainer.training.PairTrainer.fit
        trainer.training.PairTrainer.fit = lambda self, *args, callbacks, **options: fit(
            self, *args, callbacks=[*callbacks, _Kill(when)], **options
        )
    if count:
        _report_replicas()
    train(
        Path(request["transformed"]),
        Path(request["target"]),
        *request["overrides"],
        checkpoints=Path(request["checkpoints"]) if "checkpoints" in request else None,
    )


if __name__ == "__main__":
    main()
