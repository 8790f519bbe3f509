"""LeakageGuard's executor: one Beam job over all splits, which keeps hashes only."""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import tensorflow as tf
from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from components.leakage_guard import leaks
from components.leakage_guard.leaks import Leak, Sightings
from core.errors import DexmatchError
from data import pair_examples
from data.pair_examples import TruePair
from modules.preprocessing import captions, images, user_normalization
from results.metadata import WARNING

EXAMPLES = "examples"
REPORT = "report"
IMAGE_SIZE = "image_size"
IMAGE_LEAKAGE = "image_leakage"
NORMALIZE = "normalize"
CAPTION_LEAKAGE = "caption_leakage"

FILE_NAME = "leakage.json"

_BATCH = 32
_log = logging.getLogger("dexmatch.leakage")


class Executor(base_beam_executor.BaseBeamExecutor):
    """See `components.leakage_guard.component.LeakageGuard`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes `report`, or raises DexmatchError if something leaks that must not."""
        self._log_startup(input_dict, output_dict, exec_properties)
        examples = artifact_utils.get_single_instance(input_dict[EXAMPLES])
        report = artifact_utils.get_single_instance(output_dict[REPORT])
        target = f"{report.uri}/{FILE_NAME}"
        with self._make_beam_pipeline() as pipeline:
            pairs = {
                split: pipeline
                | f"Read {split}"
                >> beam.io.ReadFromTFRecord(f"{artifact_utils.get_split_uri([examples], split)}/*")
                | f"True pairs of {split}" >> beam.FlatMap(true_pair, split)
                for split in artifact_utils.decode_split_names(examples.split_names)
            }
            # Only hashes and names are flattened: a runner may keep all that is.
            sightings = [
                each
                | f"Batch {split}" >> beam.BatchElements(max_batch_size=_BATCH)
                | f"Hash {split}"
                >> beam.ParDo(Fingerprint(exec_properties[IMAGE_SIZE], exec_properties[NORMALIZE]))
                for split, each in pairs.items()
            ] | "Sightings" >> beam.Flatten()
            splits = [each | f"Name {split}" >> beam.Keys() for split, each in pairs.items()]
            counts = splits | "Splits" >> beam.Flatten() | beam.combiners.Count.PerElement()
            _ = (
                sightings
                | "Gather" >> beam.CombinePerKey(_Gather())
                | beam.FlatMapTuple(lambda key, sightings: sightings.leaks(key[0]))
                | beam.Map(lambda leak: ((leak.kind, leak.split), leak))
                | "Merge" >> beam.CombinePerKey(_Merge())
                | beam.Values()
                | beam.Map(_with_total, beam.pvalue.AsDict(counts))
                | beam.combiners.ToList()
                | beam.Map(_to_json)
                | beam.io.WriteToText(target, shard_name_template="", append_trailing_newlines=True)
            )
        error, warning = leaks.judge(
            read_leaks(report.uri),
            {
                leaks.GROUP: "error",
                leaks.PICTURE: exec_properties[IMAGE_LEAKAGE],
                leaks.CAPTION: exec_properties[CAPTION_LEAKAGE],
            },
        )
        if error:
            raise DexmatchError(error)
        if warning:
            # For the log file; the user is told at the end of the run, cached or not.
            _log.info("%s", warning)
            report.set_string_custom_property(WARNING, warning)


def read_leaks(uri: str) -> list[Leak]:
    """Reads a `LeakageReport` artifact."""
    with fileio.open(f"{uri}/{FILE_NAME}") as file:
        found = json.load(file)
    return [
        Leak(**{**each, "examples": tuple(leaks.Example(**pair) for pair in each["examples"])})
        for each in found
    ]


def true_pair(record: bytes, split: str) -> Iterator[tuple[str, TruePair]]:
    """The split and pair of a serialized example, unless its caption is a wrong one."""
    if pair := pair_examples.true_pair(tf.train.Example.FromString(record)):
        yield split, pair


Key = tuple[str, bytes]
"""Kind, and hash of the value."""


class Fingerprint(beam.DoFn):
    """Batches of true pairs to (key, (split, id)), one for each kind.

    Args:
      image_size: pictures are compared at this height and width.
      normalize: name of the user's function that captions go through first; may be empty.
    """

    def __init__(self, image_size: int, normalize: str = ""):
        self._image_size = image_size
        self._normalize = normalize

    def setup(self) -> None:
        """Traces the decoding once a worker."""
        strings = tf.TensorSpec([None], tf.string)
        self._pixels = tf.function(
            lambda content: images.pixels_from_bytes(content, self._image_size), [strings]
        )
        normalize = user_normalization.function(self._normalize)
        self._words = tf.function(
            lambda texts: tf.strings.reduce_join(
                captions.words(texts, normalize), axis=1, separator=" "
            ),
            [strings],
        )

    def process(self, batch: list[tuple[str, TruePair]]) -> Iterator[tuple[Key, tuple[str, str]]]:
        """See the class."""
        pixels, is_valid = (
            each.numpy() for each in self._pixels(tf.constant([pair.image for _, pair in batch]))
        )
        words = self._words(tf.constant([pair.caption for _, pair in batch])).numpy()
        for row, (split, pair) in enumerate(batch):
            # What cannot be decoded is blank to the model, but not all one picture.
            picture = pixels[row].tobytes() if is_valid[row] else pair.image
            sighting = (split, pair.pair_id.decode("utf-8", "replace"))
            for kind, value in (
                (leaks.GROUP, pair.group),
                (leaks.PICTURE, picture),
                (leaks.CAPTION, words[row] or pair.caption),
            ):
                yield (kind, hashlib.sha256(value).digest()), sighting


class _Gather(beam.CombineFn):
    """(split, id) of everything that shares a value, to `Sightings`."""

    def create_accumulator(self) -> Sightings:
        return Sightings()

    def add_input(self, sightings: Sightings, element: tuple[str, str]) -> Sightings:
        sightings.add(*element)
        return sightings

    def merge_accumulators(self, accumulators: Iterable[Sightings]) -> Sightings:
        merged = Sightings()
        for each in accumulators:
            merged.merge(each)
        return merged

    def extract_output(self, sightings: Sightings) -> Sightings:
        return sightings


class _Merge(beam.CombineFn):
    """The leaks of one kind and split, to one."""

    def create_accumulator(self) -> Leak | None:
        return None

    def add_input(self, merged: Leak | None, leak: Leak) -> Leak | None:
        return leaks.merge([leak] if merged is None else [merged, leak])

    def merge_accumulators(self, accumulators: Iterable[Leak | None]) -> Leak | None:
        return leaks.merge(each for each in accumulators if each)

    def extract_output(self, merged: Leak | None) -> Leak | None:
        return merged


def _with_total(leak: Leak, counts: dict[str, int]) -> Leak:
    return dataclasses.replace(leak, of_pairs=counts[leak.split])


def _to_json(found: list[Leak]) -> str:
    return json.dumps([dataclasses.asdict(leak) for leak in sorted(found)])
