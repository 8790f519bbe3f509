"""Evaluator's executor: counts the pairs of every slice, then runs TFX's own."""

import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import tensorflow as tf
from tensorflow_model_analysis.proto import config_pb2
from tensorflow_model_analysis.slicer import slicer_lib as slicer
from tfx import types
from tfx.components.evaluator import executor as tfx_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, json_utils, proto_utils

from components.evaluator import bounds
from components.evaluator.bounds import Count
from components.evaluator.slicing import slices_of
from core import metrics
from core.object_stores import local_path
from core.slices import KEY_SLICES, Parts
from data import pair_examples
from results import metadata
from results.evaluation import UNJUDGED_FILE, load

MIN_SLICE_PAIRS = "min_slice_pairs"

_COUNTS_FILE = "pairs_per_slice.json"


class Executor(tfx_executor.Executor):
    """See `components.evaluator.component.Evaluator`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes TFX's `evaluation` and `blessing`, and `UNJUDGED_FILE` beside the former.

        The AUC on the slices that decide is noted in MLMD as well, see `results.metadata.AUC`.
        """
        config = config_pb2.EvalConfig()
        proto_utils.json_to_proto(exec_properties[standard_component_specs.EVAL_CONFIG_KEY], config)
        splits = json_utils.loads(exec_properties[standard_component_specs.EXAMPLE_SPLITS_KEY])
        evaluation = artifact_utils.get_single_instance(
            output_dict[standard_component_specs.EVALUATION_KEY]
        )
        counts = self._count(
            input_dict[standard_component_specs.EXAMPLES_KEY],
            splits,
            config.slicing_specs,
            # Not in this machine's temporary folder, which a distant worker does not write to.
            os.path.join(evaluation.uri, _COUNTS_FILE),
        )
        resolved, unjudged = bounds.resolve(config, counts, exec_properties[MIN_SLICE_PAIRS])
        super().Do(
            input_dict,
            output_dict,
            {
                **exec_properties,
                standard_component_specs.EVAL_CONFIG_KEY: proto_utils.proto_to_json(resolved),
            },
        )
        text = json.dumps([each.as_dict() for each in unjudged], ensure_ascii=False, indent=1)
        io_utils.write_string_file(os.path.join(evaluation.uri, UNJUDGED_FILE), text)
        # TFMA's part is written to an object store; a container has it as a folder.
        found = load(local_path(evaluation.uri))
        for name in KEY_SLICES:
            figures = found.slice(name)
            if figures and metrics.AUC in figures.figures:
                evaluation.set_float_custom_property(
                    f"{metadata.AUC}{name}", figures.figures[metrics.AUC]
                )

    def _count(
        self,
        examples: list[types.Artifact],
        splits: Sequence[str],
        slicing_specs: Sequence[config_pb2.SlicingSpec],
        path: str,
    ) -> dict[Parts, Count]:
        """Counts the pairs of every slice; `path` is a file for the time being."""
        fileio.makedirs(os.path.dirname(path))
        specs = [slicer.SingleSliceSpec(spec=spec) for spec in slicing_specs]
        patterns = [
            io_utils.all_files_pattern(uri)
            for split in splits
            for uri in artifact_utils.get_split_uris(examples, split)
        ]
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | beam.Create(patterns)
                | beam.io.ReadAllFromTFRecord()
                | beam.FlatMap(_slices, specs)
                | beam.combiners.Count.PerElement()
                | beam.combiners.ToList()
                | beam.Map(_write, path)
            )
        counts = _read(path)
        fileio.remove(path)
        return counts


def _slices(record: bytes, specs: list[slicer.SingleSliceSpec]) -> Iterator[tuple[Parts, int]]:
    """(slice, label) for every slice that a pair is in."""
    example = tf.train.Example.FromString(record)
    for key in slices_of(example, specs):
        yield key, pair_examples.label(example)


def _write(counts: list[tuple[tuple[Parts, int], int]], path: str) -> None:
    with fileio.open(path, "w") as file:
        file.write(json.dumps(counts))


def _read(path: str) -> dict[Parts, Count]:
    with fileio.open(path) as file:
        counted = json.load(file)
    counts: dict[Parts, Count] = {}
    for (key, label), number in counted:
        sliced = tuple((column, value) for column, value in key)
        true, wrong = counts.get(sliced, Count(0, 0))
        counts[sliced] = Count(true + number, wrong) if label else Count(true, wrong + number)
    return counts
