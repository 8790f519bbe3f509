"""RetrievalEvaluator's executor: encode once, score all combinations in chunks, rank."""

import hashlib
import heapq
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import path_utils

from core import reporting
from core.errors import DexmatchError
from data import pair_examples
from modules.export.scoring import Scorer
from results import ranking
from results.retrieval import CUTOFFS, FILE_NAME, Direction, Ranking, Retrieval

EXAMPLES = "examples"
MODEL = "model"
METRICS = "metrics"
SPLIT = "split"
MOST_PAIRS = "most_pairs"
SEED = "seed"


class Executor(base_executor.BaseExecutor):
    """See `components.retrieval.component.RetrievalEvaluator`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes `metrics`."""
        self._log_startup(input_dict, output_dict, exec_properties)
        examples = artifact_utils.get_single_instance(input_dict[EXAMPLES])
        metrics = artifact_utils.get_single_instance(output_dict[METRICS])
        model = tf.saved_model.load(
            path_utils.serving_model_path(artifact_utils.get_single_uri(input_dict[MODEL]))
        )
        split = exec_properties[SPLIT]
        files = pair_examples.split_files(artifact_utils.get_split_uri([examples], split))
        found = measure(
            Gallery.draw(files, split, exec_properties[MOST_PAIRS], exec_properties[SEED]),
            Scorer.of_saved_model(model.signatures),
        )
        fileio.makedirs(metrics.uri)
        with fileio.open(f"{metrics.uri}/{FILE_NAME}", "w") as file:
            file.write(found.to_json())
        metrics.set_int_custom_property("pairs", found.pairs)
        metrics.set_int_custom_property("of_pairs", found.of_pairs)
        for name, figure in found.figures().items():
            metrics.set_float_custom_property(name, figure)


class Gallery(NamedTuple):
    """The distinct images and captions of a split, among which queries search.

    Attributes:
      files: gzipped TFRecords of the split, in order.
      images: position of each distinct picture, by its fingerprint.
      captions: position of each distinct caption.
      pairs: (position of the picture, position of the caption) of the chosen pairs.
      of_pairs: number of true pairs in the split.
    """

    files: Sequence[str]
    images: dict[bytes, int]
    captions: dict[bytes, int]
    pairs: list[tuple[int, int]]
    of_pairs: int

    @classmethod
    def draw(cls, files: Sequence[str], split: str, most_pairs: int, seed: int) -> "Gallery":
        """Draws at most so many true pairs of a split.

        Raises:
          DexmatchError: the split holds none.
        """
        count = 0

        def lots() -> Iterator[tuple[bytes, bytes, bytes]]:
            nonlocal count
            for pair in pair_examples.read_true_pairs(files):
                count += 1
                lot = _fingerprint(str(seed).encode(), pair.pair_id)
                yield lot, _fingerprint(pair.image), pair.caption

        # By lot and not by place: the draw does not depend on the order in the files.
        drawn = heapq.nsmallest(most_pairs, lots())
        if not drawn:
            raise DexmatchError(
                f"split {split} holds no pair to search; give it more groups (data.{split}_buckets)"
            )
        images: dict[bytes, int] = {}
        captions: dict[bytes, int] = {}
        pairs = [
            (images.setdefault(image, len(images)), captions.setdefault(caption, len(captions)))
            for _, image, caption in drawn
        ]
        return cls(files, images, captions, pairs, count)

    def pictures(self) -> Iterator[tuple[int, bytes]]:
        """(position, encoded picture), each once."""
        seen = set()
        for pair in pair_examples.read_true_pairs(self.files):
            position = self.images.get(_fingerprint(pair.image))
            if position is not None and position not in seen:
                seen.add(position)
                yield position, pair.image


def measure(gallery: Gallery, scorer: Scorer) -> Retrieval:
    """Ranks in both directions.

    Args:
      gallery: what is searched.
      scorer: of the model.
    """
    images = _encode_images(scorer, gallery)
    scores = _score_all(scorer, images, scorer.captions(gallery.captions))
    return Retrieval(
        len(gallery.pairs),
        gallery.of_pairs,
        caption_to_image=_rank(scores.T, [(caption, image) for image, caption in gallery.pairs]),
        image_to_caption=_rank(scores, gallery.pairs),
    )


def _rank(scores: np.ndarray, pairs: Sequence[tuple[int, int]]) -> Direction:
    """Ranks the items for each query.

    Args:
      scores: float32 [queries, items].
      pairs: (query, item) of what belongs together.
    """
    queries, items = scores.shape
    relevant: list[list[int]] = [[] for _ in range(queries)]
    for query, item in set(pairs):
        relevant[query].append(item)
    ranks = np.empty(queries)
    for query, own in enumerate(relevant):
        is_relevant = np.zeros(items, bool)
        is_relevant[own] = True
        ranks[query] = ranking.rank_of_best(scores[query], is_relevant)
    counts = [len(own) for own in relevant]
    return Direction(
        queries,
        items,
        model=Ranking(tuple(ranking.recall_at(ranks, k) for k in CUTOFFS), float(np.median(ranks))),
        chance=Ranking(
            tuple(ranking.chance_recall_at(k, counts, items) for k in CUTOFFS),
            ranking.chance_median_rank(counts, items),
        ),
    )


def _encode_images(scorer: Scorer, gallery: Gallery) -> np.ndarray:
    """Embeddings of the gallery's images in the order of their positions, float32 [I, D]."""
    positions = []

    def contents() -> Iterator[bytes]:
        for position, content in gallery.pictures():
            positions.append(position)
            reporting.report("encoding images", len(positions), len(gallery.images))
            yield content

    encoded = scorer.images(contents())
    return encoded[np.argsort(positions)]


def _score_all(scorer: Scorer, images: np.ndarray, captions: np.ndarray) -> np.ndarray:
    """float32 [I, D] and [C, D] to the probabilities of all combinations, float32 [I, C]."""
    scores = np.empty((len(images), len(captions)), np.float32)
    for row, image in enumerate(images):
        scores[row] = scorer.pairs(np.broadcast_to(image, captions.shape), captions)
        reporting.report("ranking captions and pictures", row + 1, len(images))
    return scores


def _fingerprint(*parts: bytes) -> bytes:
    return hashlib.sha256(b"\0".join(parts)).digest()
