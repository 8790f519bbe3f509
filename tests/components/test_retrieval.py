import random

import numpy as np
import pytest
import tensorflow as tf
from tfx.types import artifact_utils, standard_artifacts

from components.retrieval import executor
from components.retrieval.artifacts import RetrievalMetrics
from core import features
from core.errors import DexmatchError
from modules.export import scoring
from results import ranking, retrieval

WIDTH = 64
_STRINGS = tf.TensorSpec([None], tf.string)


class Oracle(tf.Module):
    """Embeds a text by its last word, and scores equal words; `blind` gives all the same score."""

    def __init__(self, blind: bool = False):
        super().__init__()
        self._blind = blind

    def _embed(self, texts):
        words = tf.strings.regex_replace(texts, ".* ", "")
        return {features.EMBEDDING: tf.one_hot(tf.strings.to_number(words, tf.int32), WIDTH)}

    @tf.function
    def encode_image(self, image):
        return self._embed(image)

    @tf.function
    def encode_caption(self, caption):
        return self._embed(caption)

    @tf.function
    def score_embeddings(self, image_embedding, caption_embedding):
        same = tf.reduce_sum(image_embedding * caption_embedding, 1)
        return {features.PROBABILITY: same * 0 + 0.5 if self._blind else same}

    def save(self, path):
        vector = tf.TensorSpec([None, WIDTH], tf.float32)
        tf.saved_model.save(
            self,
            path,
            signatures={
                "encode_image": self.encode_image.get_concrete_function(image=_STRINGS),
                "encode_caption": self.encode_caption.get_concrete_function(caption=_STRINGS),
                "score_embeddings": self.score_embeddings.get_concrete_function(
                    image_embedding=vector, caption_embedding=vector
                ),
            },
        )


def write(folder, pairs, order=1):
    """Writes (picture, caption, label) rows as the test split of an Examples artifact."""
    examples = standard_artifacts.Examples()
    examples.uri = str(folder / "examples")
    examples.split_names = artifact_utils.encode_split_names(["test"])
    target = folder / "examples" / "Split-test"
    target.mkdir(parents=True)
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    with tf.io.TFRecordWriter(str(target / "data.gz"), options) as writer:
        for number, (image, caption, label) in list(enumerate(pairs))[::order]:
            example = tf.train.Example()
            feature = example.features.feature
            feature[features.ID].bytes_list.value.append(b"%d" % number)
            feature[features.GROUP].bytes_list.value.append(b"%d" % number)
            feature[features.IMAGE].bytes_list.value.append(image.encode())
            feature[features.CAPTION].bytes_list.value.append(caption.encode())
            feature[features.LABEL].int64_list.value.append(label)
            writer.write(example.SerializeToString())
    return examples


def run_evaluator(folder, pairs, blind=False, most_pairs=100, order=1):
    """Returns the artifact, and what is read from it."""
    model = standard_artifacts.Model()
    model.uri = str(folder / "model")
    Oracle(blind).save(str(folder / "model" / "Format-Serving"))
    metrics = RetrievalMetrics()
    metrics.uri = str(folder / "metrics")
    executor.Executor().Do(
        {executor.EXAMPLES: [write(folder, pairs, order)], executor.MODEL: [model]},
        {executor.METRICS: [metrics]},
        {
            executor.SPLIT: "test",
            executor.MOST_PAIRS: most_pairs,
            executor.SEED: 7,
        },
    )
    return metrics, retrieval.load(metrics.uri)


def matched(count: int) -> list[tuple[str, str, int]]:
    return [(f"image {number}", f"caption {number}", 1) for number in range(count)]


def test_an_oracle_finds_everything_and_wrong_captions_play_no_part(tmp_path):
    wrong = [(f"image {number}", f"wrong {number}", 0) for number in range(20)]
    metrics, found = run_evaluator(tmp_path, matched(20) + wrong)
    assert (found.pairs, found.of_pairs) == (20, 20)
    for direction in found.directions().values():
        assert (direction.queries, direction.items) == (20, 20)
        assert direction.model == retrieval.Ranking((1.0, 1.0, 1.0), 1.0)
        assert direction.chance.recall == pytest.approx((0.05, 0.25, 0.5))
        assert direction.chance.median_rank == 10.0
    assert metrics.get_float_custom_property("caption_to_image_recall_at_1") == 1.0
    assert metrics.get_float_custom_property("image_to_caption_median_rank") == 1.0


def test_a_model_that_scores_all_alike_is_no_better_than_chance(tmp_path):
    _, found = run_evaluator(tmp_path, matched(21), blind=True)
    for direction in found.directions().values():
        assert direction.model == retrieval.Ranking((0.0, 0.0, 0.0), 11.0)
        assert direction.chance.median_rank == 11.0


def test_pictures_and_captions_count_once_however_many_pairs_they_are_in(tmp_path):
    pairs = [
        ("image 1", "one 1", 1),
        ("image 1", "another 1", 1),  # Either of the two is right.
        ("image 2", "a 3", 1),  # No caption finds it.
        ("image 3", "a 3", 1),
    ]
    _, found = run_evaluator(tmp_path, pairs)
    assert (found.image_to_caption.queries, found.image_to_caption.items) == (3, 3)
    assert (found.caption_to_image.queries, found.caption_to_image.items) == (3, 3)
    assert found.caption_to_image.model.recall[0] == 1.0
    # To "image 2" all captions are equally wrong: the middle of three is rank 2.
    assert found.image_to_caption.model.recall[0] == pytest.approx(2 / 3)


def test_more_pairs_than_wanted_are_drawn_by_seed_and_not_by_place(tmp_path):
    pairs = matched(30)
    drawn = run_evaluator(tmp_path / "a", pairs, most_pairs=10)[1]
    again = run_evaluator(tmp_path / "b", pairs, most_pairs=10, order=-1)[1]
    assert (drawn.pairs, drawn.of_pairs, drawn.image_to_caption.items) == (10, 30, 10)
    assert drawn == again
    files = [str(tmp_path / "a" / "examples" / "Split-test" / "data.gz")]
    one, two = (set(executor.Gallery.draw(files, "test", 10, seed).captions) for seed in (7, 8))
    assert one != two


def test_a_split_without_pairs_is_told(tmp_path):
    with pytest.raises(DexmatchError, match=r"split test holds no pair.*data\.test_buckets"):
        run_evaluator(tmp_path, [("image 1", "caption 1", 0)])


def test_large_galleries_are_scored_in_chunks_with_the_same_result(tmp_path, monkeypatch):
    pairs = random.Random(0).sample(matched(30), 30)
    whole = run_evaluator(tmp_path / "whole", pairs)[1]
    monkeypatch.setattr(scoring, "SCORED_AT_ONCE", 7)
    monkeypatch.setattr(scoring, "ENCODED_AT_ONCE", 4)
    assert run_evaluator(tmp_path / "chunks", pairs)[1] == whole


def test_ranks_with_ties():
    scores = np.array([0.9, 0.5, 0.5, 0.5, 0.1])
    assert ranking.rank_of_best(scores, np.array([0, 1, 0, 0, 0], bool)) == 3.0
    assert ranking.rank_of_best(scores, np.array([0, 1, 1, 0, 1], bool)) == 2.5
    assert ranking.rank_of_best(scores, np.ones(5, bool)) == 1.0


@pytest.mark.parametrize("relevant", [[1] * 50, [1, 2, 3, 5] * 10])
def test_chance_is_what_random_scores_reach(relevant):
    items = 40
    generator = np.random.default_rng(0)
    ranks = np.array(
        [
            ranking.rank_of_best(generator.random(items), np.arange(items) < count)
            for _ in range(100)
            for count in relevant
        ]
    )
    for k in (1, 5, 10):
        expected = ranking.chance_recall_at(k, relevant, items)
        assert ranking.recall_at(ranks, k) == pytest.approx(expected, abs=0.03)
    expected = ranking.chance_median_rank(relevant, items)
    # Ranks count wrong items only, so right ones before the best do not push it down.
    assert np.median(ranks) == pytest.approx(expected, abs=1)
    assert ranking.chance_recall_at(items, relevant, items) == 1.0
