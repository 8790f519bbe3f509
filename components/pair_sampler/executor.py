"""PairSampler's executor: one Beam job over all splits."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import tensorflow as tf
from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.metrics.metric import MetricResults
from apache_beam.utils.shared import Shared
from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils
from tfx.utils import json_utils

from components.pair_sampler import caption_words, sampling
from components.pair_sampler.caption_words import CaptionWords
from components.pair_sampler.sampling import Candidate, CandidatePool, PoolOrder
from core import buckets, features
from core.words import count_words
from data.pair_examples import first_bytes, values_as_bytes
from results.metadata import WARNING

EXAMPLES = "examples"
SAMPLED = "sampled_examples"
SEED = "seed"
RANDOM_NEGATIVES = "random_negatives"
HARD_NEGATIVES = "hard_negatives"
TRAIN_HARD_NEGATIVES = "train_hard_negatives"
METADATA_COLUMNS = "metadata_columns"
MAX_TOKENS = "max_tokens"

COUNTS = "pairs"
"""`sampled_examples` gets a custom property `pairs_<split>` for each split: how many it holds."""

_WORDS, _CUT, _WITHOUT = "words", "cut", "without"
"""Beam's counters of what `CaptionWords` holds, one for each split."""

_log = logging.getLogger("dexmatch.pairs")

_FILE_PREFIX = "data_tfrecord"


class Executor(base_beam_executor.BaseBeamExecutor):
    """Adds labels and negatives; see `components.pair_sampler.component.PairSampler`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Reads `examples`, writes `sampled_examples` with the same splits."""
        self._log_startup(input_dict, output_dict, exec_properties)
        examples = artifact_utils.get_single_instance(input_dict[EXAMPLES])
        sampled = artifact_utils.get_single_instance(output_dict[SAMPLED])
        sampled.split_names = examples.split_names
        sampled.span = examples.span
        examples_utils.set_payload_format(sampled, example_gen_pb2.FORMAT_TF_EXAMPLE)
        columns = json_utils.loads(exec_properties[METADATA_COLUMNS])
        seed = exec_properties[SEED]
        counts = {
            name: exec_properties[name]
            for name in (RANDOM_NEGATIVES, HARD_NEGATIVES, TRAIN_HARD_NEGATIVES)
        }
        with self._make_beam_pipeline() as pipeline:
            for split in artifact_utils.decode_split_names(examples.split_names):
                uri = artifact_utils.get_split_uri([examples], split)
                described = (
                    pipeline
                    | f"Read {split} for the pool" >> beam.io.ReadFromTFRecord(f"{uri}/*")
                    | f"Describe {split}"
                    >> beam.Map(_described, split, columns, exec_properties[MAX_TOKENS])
                )
                pool = (
                    described
                    | f"Choose {split}"
                    >> beam.combiners.Top.Of(
                        sampling.POOL_LIMIT, key=PoolOrder(split, seed), reverse=True
                    )
                    # Without a pair nothing below would run, and tell.
                    | f"Check {split}" >> beam.Map(sampling.checked, split)
                )
                target = artifact_utils.get_split_uri([sampled], split)
                # Read again: a runner would keep all pictures between the two steps.
                _ = (
                    pipeline
                    | f"Read {split}" >> beam.io.ReadFromTFRecord(f"{uri}/*")
                    | f"Expand {split}"
                    >> beam.ParDo(Expand(split, seed, columns, counts), beam.pvalue.AsIter(pool))
                    | f"Serialize {split}" >> beam.Map(_serialize, split)
                    | f"Write {split}"
                    >> beam.io.WriteToTFRecord(f"{target}/{_FILE_PREFIX}", file_name_suffix=".gz")
                )
        warning = caption_words.warning(
            _caption_words(pipeline.result.metrics()), exec_properties[MAX_TOKENS]
        )
        if warning:
            # For the log file; the user is told at the end of the run, cached or not.
            _log.info("%s", warning)
            sampled.set_string_custom_property(WARNING, warning)
        counted = pipeline.result.metrics().query(MetricsFilter().with_namespace(COUNTS))
        for counter in counted["counters"]:
            sampled.set_int_custom_property(f"{COUNTS}_{counter.key.metric.name}", counter.result)


def _serialize(example: tf.train.Example, split: str) -> bytes:
    Metrics.counter(COUNTS, split).inc()
    return example.SerializeToString(deterministic=True)


def _described(record: bytes, split: str, columns: Sequence[str], max_tokens: int) -> Candidate:
    """What other pairs need to know of a serialized true pair; counts the words of its caption."""
    candidate = describe(tf.train.Example.FromString(record), columns)
    words = count_words(candidate.caption.decode("utf-8", "replace"))
    Metrics.distribution(_WORDS, split).update(words)
    Metrics.counter(_CUT, split).inc(int(words > max_tokens))
    Metrics.counter(_WITHOUT, split).inc(int(not words))
    return candidate


def _caption_words(metrics: MetricResults) -> dict[str, CaptionWords]:
    """What was counted, for each split."""

    def query(kind: str, namespace: str) -> dict[str, Any]:
        found = metrics.query(MetricsFilter().with_namespace(namespace))[kind]
        return {each.key.metric.name: each.result for each in found}

    cut, without = query("counters", _CUT), query("counters", _WITHOUT)
    return {
        split: CaptionWords(words.count, words.max, cut[split], without[split])
        for split, words in sorted(query("distributions", _WORDS).items())
    }


def describe(example: tf.train.Example, columns: Iterable[str]) -> Candidate:
    """What other pairs need to know of a pair."""
    return Candidate(
        pair_id=first_bytes(example, features.ID),
        group=first_bytes(example, features.GROUP),
        caption=first_bytes(example, features.CAPTION),
        values=tuple(first_bytes(example, column) for column in columns),
    )


class Expand(beam.DoFn):
    """A serialized true pair to the pairs that are made of it.

    Args:
      split: its name; of train only the true pair comes out, see `_true_pair`.
      seed: of every draw.
      columns: features that say how close two pairs are.
      counts: how many negatives there are of each kind, by parameter.
    """

    def __init__(self, split: str, seed: int, columns: Sequence[str], counts: Mapping[str, int]):
        self._split = split
        self._seed = seed
        self._columns = columns
        self._counts = counts
        # One for all threads and bundles of a worker. `Shared` itself keeps the last one only.
        self._shared = Shared()
        self._pool: CandidatePool | None = None

    def process(
        self, record: bytes, candidates: Iterable[list[Candidate]]
    ) -> Iterator[tf.train.Example]:
        """The true pair, then in a judged split the image with random negatives and hard ones.

        Args:
          record: the example.
          candidates: one list, that of the pool; read only where the worker has no pool yet.
        """
        if self._pool is None:
            self._pool = self._shared.acquire(
                lambda: CandidatePool(self._split, next(iter(candidates)), self._seed)
            )
        pool = self._pool
        example = tf.train.Example.FromString(record)
        pair = describe(example, self._columns)
        yield _true_pair(example, pair, pool, self._counts)
        if self._split == features.TRAIN:
            return
        for wrong in pool.draw_random(pair, self._counts[RANDOM_NEGATIVES]):
            yield _pair(example, features.RANDOM, wrong.pair_id, wrong.caption)
        for pair_id, caption in _hard_captions(example, pair, pool, self._counts[HARD_NEGATIVES]):
            yield _pair(example, features.HARD, pair_id, caption)


def _true_pair(
    example: tf.train.Example, pair: Candidate, pool: CandidatePool, counts: Mapping[str, int]
) -> tf.train.Example:
    """The example with its own caption, and hard ones beside it for the Trainer to draw from.

    Those are all true of other pictures. One that is true of none, as the data may bring along, is
    known as wrong by its words, and teaches nobody to look.

    The judged splits need none, but from a split that lacks the feature TFDV would infer that it is
    out of use, and Transform would keep it from the Trainer.
    """
    matched = _pair(example, features.MATCHED, pair.pair_id, pair.caption, all_kinds=True)
    hard = [each.caption for each in pool.draw_hard(pair, counts[TRAIN_HARD_NEGATIVES])]
    matched.features.feature[features.HARD_CAPTION].bytes_list.value.extend(hard)
    return matched


def _hard_captions(
    example: tf.train.Example, pair: Candidate, pool: CandidatePool, count: int
) -> list[tuple[bytes, bytes]]:
    """(id of the pair it was taken from, caption): those that the data brings along come first."""
    own = [(b"", text) for text in values_as_bytes(example, features.HARD_CAPTION)][:count]
    return own + [(c.pair_id, c.caption) for c in pool.draw_hard(pair, count - len(own))]


def _pair(
    example: tf.train.Example,
    kind: str,
    caption_id: bytes,
    caption: bytes,
    all_kinds: bool = False,
) -> tf.train.Example:
    """The example's image with a caption, and what kind of pair that makes."""
    pair = tf.train.Example()
    pair.CopyFrom(example)
    feature = pair.features.feature
    feature[features.HARD_CAPTION].Clear()
    feature[features.CAPTION].bytes_list.value[:] = [caption]
    feature[features.CAPTION_ID].bytes_list.value[:] = [caption_id]
    feature[features.LABEL].int64_list.value[:] = [int(kind == features.MATCHED)]
    feature[features.PAIR_KIND].bytes_list.value[:] = [kind.encode()]
    feature[features.CAPTION_LENGTH].bytes_list.value[:] = [buckets.caption_length(caption)]
    height, width = (
        feature[name].int64_list.value[0] for name in (features.IMAGE_HEIGHT, features.IMAGE_WIDTH)
    )
    feature[features.IMAGE_SIZE].bytes_list.value[:] = [buckets.image_size(height, width)]
    contests = (features.RANDOM, features.HARD) if all_kinds else (kind,)
    feature[features.AGAINST].bytes_list.value[:] = [contest.encode() for contest in contests]
    return pair
