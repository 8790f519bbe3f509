"""Trains through `run_fn`, and tunes through TFX's executor, on a handful of pairs.

It does so in this process or, run as a script, in one of its own.

The backbone is a tiny one with EfficientNet's ways: names of blocks, BatchNorm, dropout. What is
tested is the training, and EfficientNet alone takes a minute to trace.
"""

import contextlib
import io
import itertools
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from pathlib import Path
from unittest import mock

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
from tfx import types
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.components.tuner import executor as tuner_executor
from tfx.proto import trainer_pb2
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import proto_utils

from core import config as configs
from core import features
from modules import trainer, transform
from modules.network import model
from modules.training import distribution
from modules.training.pair_trainer import PairTrainer

COLORS = ("red", "green", "blue", "yellow", "black", "white")
SECTIONS = ("pairs", "image", "caption", "model", "trainer", "augment", "tuner")
SMALL = (
    "image.size=32",
    "caption.max_tokens=4",
    "caption.min_count=1",
    'model.feature_levels=["top"]',
    "model.embedding_dim=8",
    "model.recurrent_units=8",
    "model.word_dim=8",
    "model.hidden_units=8",
    "trainer.epochs=2",
    "trainer.batch_size=6",
    # Traced in seconds; a training with all of it is in test_checkpoints.
    'model.caption_pooling="last"',
    "trainer.warmup_epochs=0",
    "trainer.weight_decay=0",
    "augment.flip=false",
    "augment.rotation=0",
    "augment.zoom=0",
    "augment.shift=0",
)
_WEIGHTS = "weights.npz"
_FIGURES = "figures.json"
BLOCKS = ("block1a", "block1b", "block2a")


def tiny_backbone(_backbone: str, _weights: str, size: int) -> keras.Model:
    pixels = keras.Input((size, size, 3))
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


def write_transformed(
    folder: Path, files: Mapping[str, list[dict]] = FILES, overrides: Sequence[str] = ()
) -> None:
    """Writes a transform graph made of the raw "pairs", and a file of transformed ones for each."""
    spec = {
        name: tf.io.FixedLenFeature([1], tf.int64 if name == features.LABEL else tf.string)
        for name in (features.IMAGE, features.CAPTION, features.GROUP, features.LABEL)
    }
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    with tft_beam.Context(temp_dir=tempfile.mkdtemp()):
        (_, made), transform_fn = (
            files["pairs"],
            metadata,
        ) | tft_beam.AnalyzeAndTransformDataset(
            lambda columns: transform.preprocessing_fn(columns, settings(*overrides))
        )
        _ = transform_fn | tft_beam.WriteTransformFn(str(folder / "graph"))
        coder = tft.coders.ExampleProtoCoder(made.schema)
        for name, chosen in files.items():
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
    export: bool = False,
    train_files: str = "pairs",
    eval_files: str = "pairs",
    checkpoints: Path | None = None,
    base_model: Path | None = None,
) -> dict:
    """Runs `run_fn`; returns the weights, as `weights` does.

    Without `export` no model is saved: tracing its signatures takes as long as the training.
    """
    with _keeping_weights(target, export):
        trainer.run_fn(
            FnArgs(
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
    return weights(target)


@contextlib.contextmanager
def _keeping_weights(target: Path, export: bool) -> Iterator[None]:
    """Has trainings leave the weights that they end with in a file of their own.

    A worker other than the first has a model to save in no other place.
    """
    save = trainer.signatures.save

    def keep(serving_model: trainer.signatures.ServingModel, path: str) -> None:
        target.mkdir(parents=True, exist_ok=True)
        # Names of layers have numbers that count up in a process.
        found = [(each.name.split("/")[-1], each.numpy()) for each in serving_model.weights]
        np.savez(target / _WEIGHTS, **{f"{n} {name}": each for n, (name, each) in enumerate(found)})
        if export:
            save(serving_model, path)
        else:
            Path(path).mkdir(parents=True, exist_ok=True)

    with mock.patch.object(trainer.signatures, "save", keep):
        yield


def weights(target: Path) -> dict:
    """What a training into this folder ended with, by name."""
    with np.load(target / _WEIGHTS) as kept:
        return dict(kept)


def figures(target: Path) -> dict[str, list[float]]:
    """The figures of each epoch of a training into this folder, in a process of its own."""
    return json.loads((target / _FIGURES).read_text())


class Interrupted(BaseException):
    """What `interrupted` raises."""


@contextlib.contextmanager
def interrupted(training: int, epoch: int) -> Iterator[None]:
    """Ends the nth training in the midst of an epoch, once; both count from 0."""

    def stop() -> None:
        raise Interrupted

    with _stopping(training, epoch, stop):
        try:
            yield
        except Interrupted:
            return
    raise AssertionError("there was no such training")


def artifact(kind: type, folder: Path) -> types.Artifact:
    folder.mkdir(parents=True, exist_ok=True)
    made = kind()
    made.uri = str(folder)
    return made


def tune(
    folder: Path, sections: dict, checkpoints: Path, transformed: Path | None = None
) -> tuple[dict, list[dict]]:
    """Runs the Tuner's executor; returns the best hyperparameters and all results.

    Without `transformed` the splits are empty.
    """
    examples = artifact(standard_artifacts.Examples, folder / "examples")
    examples.split_names = artifact_utils.encode_split_names(["train", "val"])
    inputs = {"examples": [examples]}
    for split in ("train", "val"):
        place = folder / "examples" / f"Split-{split}"
        place.mkdir(exist_ok=True)
        if transformed:
            shutil.copy(transformed / "pairs.gz", place)
    if transformed:
        graph = artifact(standard_artifacts.TransformGraph, transformed / "graph")
        inputs["transform_graph"] = [graph]
    best = artifact(standard_artifacts.HyperParameters, folder / "best")
    results = artifact(standard_artifacts.TunerResults, folder / "results")
    context = tuner_executor.Executor.Context(tmp_dir=str(folder / "tmp"), unique_id="1")
    tuner_executor.Executor(context).Do(
        inputs,
        {"best_hyperparameters": [best], "tuner_results": [results]},
        {
            "tuner_fn": "modules.tuner.tuner_fn",
            "train_args": proto_utils.proto_to_json(trainer_pb2.TrainArgs(splits=["train"])),
            "eval_args": proto_utils.proto_to_json(trainer_pb2.EvalArgs(splits=["val"])),
            "custom_config": json.dumps({**sections, "checkpoints": str(checkpoints)}),
        },
    )
    found = json.loads((folder / "best" / "best_hyperparameters.txt").read_text())
    return found, json.loads((folder / "results" / "tuner_results.json").read_text())


def start(transformed: Path, target: Path, *overrides: str, **options: object) -> subprocess.Popen:
    """Starts `main` below in a process; `options` are its own, beside `environment`."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **options.pop("environment", {})}
    request = {
        "transformed": str(transformed),
        "target": str(target),
        "overrides": overrides,
        **options,
    }
    return subprocess.Popen(
        [sys.executable, __file__, json.dumps(request)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )


def run_in_a_process(
    transformed: Path, target: Path, *overrides: str, check: bool = True, **options: object
) -> subprocess.CompletedProcess:
    """Waits for what `start` starts."""
    with start(transformed, target, *overrides, **options) as process:
        try:
            said, _ = process.communicate(timeout=900)
        finally:
            process.kill()
    assert not check or process.returncode == 0, said
    return subprocess.CompletedProcess(process.args, process.returncode, said)


def assert_same(weights: dict, others: dict) -> None:
    """Whether weights by name are the same, bit for bit."""
    assert weights.keys() == others.keys()
    for name, values in weights.items():
        np.testing.assert_array_equal(values, others[name], err_msg=name)


def train_in_a_cluster(
    transformed: Path, targets: list[Path], *overrides: str, **options: object
) -> list[str]:
    """Runs a process for each target, together the workers of one cluster; what each said."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in targets]
        for each in sockets:
            each.bind(("localhost", 0))
        addresses = [f"localhost:{each.getsockname()[1]}" for each in sockets]
    with contextlib.ExitStack() as stack, futures.ThreadPoolExecutor(len(targets)) as threads:
        workers = []
        for index, target in enumerate(targets):
            task = {"type": "worker", "index": index}
            cluster = {"cluster": {"worker": addresses}, "task": task}
            environment = {distribution.TF_CONFIG: json.dumps(cluster)}
            worker = start(
                transformed,
                target,
                "trainer.strategy=multi_worker",
                *overrides,
                environment=environment,
                **options,
            )
            workers.append(stack.enter_context(worker))
            stack.callback(worker.kill)
        # All at once: who is not read from waits as its pipe is full, and lets the others wait.
        said = [each for each, _ in threads.map(lambda w: w.communicate(timeout=900), workers)]
    assert not any(worker.returncode for worker in workers), "\n".join(said)
    return said


class _Stop(keras.callbacks.Callback):
    """Calls a function in the midst of an epoch, which counts from 0."""

    def __init__(self, epoch: int, stop: Callable[[], None]):
        super().__init__()
        self._epoch = epoch
        self._stop = stop

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._now = epoch

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        if batch == 1 and self._now == self._epoch:
            self._stop()


@contextlib.contextmanager
def _stopping(training: int, epoch: int, stop: Callable[[], None]) -> Iterator[None]:
    """Has a function called in an epoch of the nth training; both count from 0."""
    fit = PairTrainer.fit
    begun = itertools.count()

    def stopped_fit(self, *args: object, callbacks: list, **options: object) -> object:
        if next(begun) == training:
            callbacks = [*callbacks, _Stop(epoch, stop)]
        return fit(self, *args, callbacks=callbacks, **options)

    with mock.patch.object(PairTrainer, "fit", stopped_fit):
        yield


def _kill() -> None:
    """Ends the process as `kill -9` does: nothing is closed, nothing is tidied up."""
    os.kill(os.getpid(), signal.SIGKILL)


def _report_replicas() -> None:
    """Has a training print whether its weights moved, and whether all replicas have the same."""
    fit = PairTrainer.fit

    def reporting_fit(self, *args: object, **options: object) -> keras.callbacks.History:
        trained = self.trainable_variables
        before = [weight.numpy().copy() for weight in trained]
        history = fit(self, *args, **options)
        weights = [*trained, *self.non_trainable_weights]
        copies = [[copy.numpy() for copy in weight.value.values] for weight in weights]
        found = {
            "replicas": len(copies[0]),
            "moved": sum(
                not np.array_equal(each[0], old) for each, old in zip(copies, before, strict=False)
            ),
            "trained": len(trained),
            "weights": len(weights),
            "agree": all(np.array_equal(each[0], other) for each in copies for other in each),
        }
        print(f"\nREPLICAS {json.dumps(found)}", flush=True)
        return history

    PairTrainer.fit = reporting_fit


def _keep_figures(target: Path) -> None:
    """Has the first training leave its figures in a file."""
    fit = PairTrainer.fit

    def keeping_fit(self, *args: object, **options: object) -> keras.callbacks.History:
        history = fit(self, *args, **options)
        target.mkdir(parents=True, exist_ok=True)
        if not (target / _FIGURES).exists():
            (target / _FIGURES).write_text(json.dumps(history.history))
        return history

    PairTrainer.fit = keeping_fit


def main() -> None:
    request = json.loads(sys.argv[1])
    logging.getLogger("dexmatch").setLevel(logging.INFO)
    if count := request.get("logical_devices"):
        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * count
        )
    model.backbones.load_backbone = tiny_backbone
    if count:
        _report_replicas()
    transformed, target = Path(request["transformed"]), Path(request["target"])
    _keep_figures(target)
    with contextlib.ExitStack() as stack:
        if kill := request.get("kill"):
            stack.enter_context(_stopping(*kill, _kill))
        train(
            transformed,
            target,
            *request["overrides"],
            export=request.get("export", False),
            checkpoints=Path(request.get("checkpoints", target / "checkpoints")),
        )


if __name__ == "__main__":
    main()
