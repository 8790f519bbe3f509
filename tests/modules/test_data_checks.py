"""Data that are too few or too uniform, by themselves and through `run_fn`."""

import logging

import numpy as np
import pytest
import tensorflow as tf

from core import features
from core.config import TrainerConfig
from core.errors import DexmatchError
from modules.training import data_checks
from modules.training.inputs import Splits

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({"train_files": "none"}, "too few"),
        ({"eval_files": "none"}, "too few"),
        ({"train_files": "alike"}, "the same words"),
        ({"train_files": "one_group"}, "of one group"),
        ({"train_files": "unknown_words"}, "lower caption.min_count"),
        ({"eval_files": "all_matched"}, "no AUC"),
    ],
)
def test_what_cannot_be_trained_is_told_in_one_line(
    runs, tiny_backbone, transformed, tmp_path, files, text
):
    with pytest.raises(DexmatchError, match=text) as raised:
        runs.train(transformed, tmp_path, **files)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "serving").exists()


@pytest.mark.parametrize(
    ("tokens", "message"),
    [([2, 3], "where they are cut, caption.max_tokens = 2"), ([2, 0], "so none could be wrong")],
)
def test_captions_that_differ_only_where_they_are_cut(tokens, message):
    train = tf.data.Dataset.from_tensor_slices(
        {
            features.GROUP_HASH: tf.constant([1, 2], tf.int64),
            features.TOKENS: tf.constant([tokens] * 2, tf.int64),
        }
    )
    val = tf.data.Dataset.from_tensor_slices({features.LABEL: tf.constant([0, 1], tf.int64)})
    with pytest.raises(DexmatchError, match=message):
        data_checks.check_data(Splits(train, val), TrainerConfig())


def test_a_loss_that_is_no_number_ends_the_run(runs, tiny_backbone, transformed, tmp_path):
    with pytest.raises(DexmatchError, match=r"became (nan|inf).*lower trainer.learning_rate"):
        runs.train(
            transformed,
            tmp_path,
            "trainer.learning_rate=1e30",
            "trainer.warmup_epochs=0",
            "trainer.epochs=9",
        )
    assert not (tmp_path / "serving").exists()


def test_few_uniform_pairs_are_trained_on_with_a_warning(
    runs, tiny_backbone, transformed, tmp_path, caplog
):
    """Two groups, one of them far larger; no negative in most batches; one label in val."""
    caplog.set_level(logging.WARNING, logger="dexmatch")
    weights = runs.train(
        transformed,
        tmp_path,
        "trainer.batch_size=2",
        "trainer.epochs=1",
        "trainer.monitor=val_loss",
        "trainer.hard_negative_share=0.2",
        train_files="uneven",
        eval_files="all_matched",
    )
    assert all(np.isfinite(values).all() for values in weights.values())
    said = " ".join(record.getMessage() for record in caplog.records)
    for text in (
        "12 pairs to train on are few",
        "11 of 12 pairs to train on have the same group",
        "all 12 pairs to validate on are matched",
        "trainer.hard_negative_share = 0.2, but no pair to train on has a hard caption",
    ):
        assert text in said
