"""The forward pass of the served image branch, beside ONNX Runtime and OpenVINO.

The image encoder is saved as the Trainer saves it (`modules.export.folding`), loaded again, and
given pixels. Beside it, in turn, in one process and with as many threads: the encoder saved as it
was trained ("plain"), and the same weights as ONNX in both runtimes, in float32. Weights and
statistics of batch normalisation are random.

The runtimes are none of dexmatch's dependencies; they are installed into a folder of their own:

    .venv/bin/python -m pip install --no-deps --target FOLDER \
        onnx==1.23.2 tf2onnx==1.17.0 onnxruntime==1.32.0 openvino==2026.4.1
    PYTHONPATH=FOLDER .venv/bin/python -m benchmarks.forward --sizes 64 96
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import onnx
import onnxruntime
import openvino
import tensorflow as tf
import tf2onnx
from rich.table import Table

from benchmarks import tables
from core.backbones import BACKBONES
from core.config import ModelConfig
from modules.export import folding
from modules.network import model

Forward = Callable[[np.ndarray], np.ndarray]

PLAIN, SERVED, ONNX_RUNTIME, OPENVINO = "plain", "served", "ONNX", "OpenVINO"
WARM_UP, LEAST = 2, 5
TOLERANCE = 1e-4
"""How far answers may be from those of the encoder as it was trained, as a share of the largest."""


def encoder(backbone: str, size: int) -> keras.Model:
    """An image encoder up to the backbone's top."""
    keras.utils.set_random_seed(1)
    settings = ModelConfig(backbone=backbone, feature_levels=("top",), color_bins=0)
    built = model.build(settings, size, max_tokens=8, vocabulary_size=10).image_encoder
    generator = np.random.default_rng(1)
    for weight in built.non_trainable_variables:
        if "moving" in weight.path:
            weight.assign(generator.uniform(0.5, 1.5, weight.shape))
    return built


def saved(answer: Callable[[tf.Tensor], tf.Tensor], built: keras.Model, folder: Path) -> Forward:
    """Saves a function of pixels with the model's weights, and loads it again."""
    module = tf.Module()
    module.weights = [weight.value for weight in built.weights]
    spec = tf.TensorSpec([None, *built.input_shape[1:]], tf.float32, "pixels")
    traced = tf.function(lambda pixels: {"embedding": answer(pixels)}, input_signature=[spec])
    tf.saved_model.save(module, str(folder), signatures={"embed": traced.get_concrete_function()})
    loaded = tf.saved_model.load(str(folder))

    def forward(pixels: np.ndarray) -> np.ndarray:
        return loaded.signatures["embed"](pixels=tf.constant(pixels))["embedding"].numpy()

    return forward


def as_onnx(built: keras.Model) -> bytes:
    """The encoder, its weights as constants."""
    learnt = [weight.numpy() for weight in built.trainable_variables]
    kept = [weight.numpy() for weight in built.non_trainable_variables]

    @tf.function
    def answer(pixels: tf.Tensor) -> tf.Tensor:
        weights = [tf.constant(each) for each in learnt], [tf.constant(each) for each in kept]
        return built.stateless_call(*weights, pixels, training=False)[0]

    spec = tf.TensorSpec([None, *built.input_shape[1:]], tf.float32, "pixels")
    found, _ = tf2onnx.convert.from_function(answer, [spec], opset=17)
    # What Keras' Normalization keeps as tensors came out as inputs.
    concrete = answer.get_concrete_function(spec)
    graph_inputs = [each.name for each in concrete.inputs][-len(concrete.captured_inputs) :]
    kept_tensors = dict(zip(graph_inputs, concrete.captured_inputs, strict=False))
    for needed in list(found.graph.input):
        if needed.name in kept_tensors:
            values = onnx.numpy_helper.from_array(kept_tensors[needed.name].numpy(), needed.name)
            found.graph.initializer.append(values)
            found.graph.input.remove(needed)
    return found.SerializeToString()


def onnx_runtime(content: bytes, threads: int) -> Forward:
    """ONNX Runtime on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda pixels: session.run(None, {"pixels": pixels})[0]


def open_vino(content: bytes, shape: tuple[int, ...], threads: int) -> Forward:
    """OpenVINO on the CPU, for batches of one shape, in float32 as the others."""
    read = openvino.Core().read_model(content)
    read.reshape(list(shape))
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = openvino.compile_model(read, "CPU", settings)
    return lambda pixels: compiled([pixels])[0]


def medians(forwards: dict[str, Forward], pixels: np.ndarray, seconds: float) -> dict[str, float]:
    """Milliseconds of each, measured in turn for so many seconds."""
    expected = forwards[PLAIN](pixels)
    for name, forward in forwards.items():
        difference = np.abs(forward(pixels) - expected).max() / np.abs(expected).max()
        assert difference < TOLERANCE, f"{name}: {difference}"
        for _ in range(WARM_UP):
            forward(pixels)
    took: dict[str, list[float]] = {name: [] for name in forwards}
    began = time.perf_counter()
    while time.perf_counter() - began < seconds or len(took[PLAIN]) < LEAST:
        for name, forward in forwards.items():
            start = time.perf_counter()
            forward(pixels)
            took[name].append(time.perf_counter() - start)
    return {name: 1000 * statistics.median(each) for name, each in took.items()}


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = ["EfficientNetLite0", "EfficientNetB0"]
    parser.add_argument("--backbones", nargs="+", choices=list(BACKBONES), default=known)
    parser.add_argument("--sizes", nargs="+", type=int, default=[64, 96, 160, 224])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=4, help="for each row of the table")
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)

    ratios = ("plain/served", "ONNX/served", "OpenVINO/served")
    table = Table(title=f"ms for a batch, {arguments.threads} threads")
    for column in ("backbone", "pixels", "batch", PLAIN, SERVED, ONNX_RUNTIME, OPENVINO, *ratios):
        table.add_column(column, justify="left" if column == "backbone" else "right")
    generator = np.random.default_rng(0)
    for backbone in arguments.backbones:
        for size in arguments.sizes:
            built = encoder(backbone, size)
            content = as_onnx(built)
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch)
                forwards = {
                    PLAIN: saved(
                        lambda x, of=built: of(x, training=False), built, folder / "plain"
                    ),
                    SERVED: saved(folding.frozen(built), built, folder / "served"),
                    ONNX_RUNTIME: onnx_runtime(content, arguments.threads),
                }
                for batch in arguments.batches:
                    shape = (batch, size, size, 3)
                    pixels = generator.uniform(0, 255, shape).astype(np.float32)
                    forwards[OPENVINO] = open_vino(content, shape, arguments.threads)
                    took = medians(forwards, pixels, arguments.seconds)
                    figures = [
                        took[name] / took[SERVED] for name in (PLAIN, ONNX_RUNTIME, OPENVINO)
                    ]
                    table.add_row(
                        backbone,
                        str(size),
                        str(batch),
                        *(f"{took[name]:.1f}" for name in forwards),
                        *(f"{each:.2f}" for each in figures),
                    )
    tables.show(table)


if __name__ == "__main__":
    main()
