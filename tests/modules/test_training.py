import keras
import numpy as np
import pytest
import tensorflow as tf

from core import features
from core.config import AugmentConfig, ModelConfig, TrainerConfig
from modules.network import model
from modules.training import training


def test_captions_of_the_same_group_or_words_are_not_wrong_ones():
    tokens = tf.constant([[2, 3], [2, 4], [2, 3], [5, 6]], tf.int64)
    groups = tf.constant([1, 1, 2, 3], tf.int64)
    expected = [
        [True, False, False, True],  # 1 is of its group, 2 says the same.
        [False, True, True, True],
        [False, True, True, True],
        [True, True, True, True],
    ]
    assert training.other_captions(tokens, groups, 0).numpy().tolist() == expected


@pytest.mark.parametrize("limit", [1, 2])
def test_a_limit_keeps_so_many_wrong_captions(limit):
    tokens = tf.constant([[number] for number in range(2, 8)], tf.int64)
    groups = tf.constant([1, 1, 2, 3, 4, 5], tf.int64)
    chosen = training.other_captions(tokens, groups, limit).numpy()
    assert chosen.diagonal().all()
    assert (chosen.sum(axis=1) == 1 + limit).all()
    assert not chosen[0, 1]


def test_right_and_wrong_captions_have_the_same_say():
    own = tf.constant([[True, True, False], [True, True, True], [False, True, True]])
    hard = tf.constant([[[2, 0]], [[0, 0]], [[3, 4]]], tf.int64)  # The second has none.
    weights = training.pair_weights(own, hard, 0.25).numpy()
    assert weights[:, :3].diagonal().tolist() == [1, 1, 1]
    wrong = weights[:, :3].sum() - 3
    assert wrong == pytest.approx(3 * 0.75)
    assert weights[:, 3].tolist() == pytest.approx([3 * 0.125, 0, 3 * 0.125])
    assert weights[0, 2] == weights[2, 0] == 0


@pytest.mark.parametrize(("wrong", "there"), [(True, False), (False, True), (False, False)])
def test_a_kind_that_is_missing_leaves_its_share_to_the_other(wrong, there):
    own = tf.constant([[True, wrong], [wrong, True]])
    hard = tf.constant([[[2 if there else 0]], [[2 if there else 0]]], tf.int64)
    weights = training.pair_weights(own, hard, 0.5).numpy()
    assert np.isfinite(weights).all()
    assert weights.sum() == pytest.approx(2 + (2 if wrong or there else 0))


def test_foretelling_the_right_words_costs_less():
    tokens = tf.constant([[3, 4, 1, 0]], tf.int64)
    right = training.word_loss(tokens, tf.constant([[0.0, 0, 0, 9, 9, 0]]))
    blind = training.word_loss(tokens, tf.zeros([1, 6]))
    assert right < blind
    assert blind.numpy() == pytest.approx(np.log(6))
    assert training.word_loss(tf.zeros([1, 4], tf.int64), tf.zeros([1, 6])).numpy() == 0


def unit(*rows):
    return tf.constant(rows, tf.float32)


def test_the_contrastive_loss_falls_as_the_true_caption_comes_closer():
    image = unit([1, 0], [0, 1])
    counts = tf.constant([[True, True, True], [True, True, False]])
    hard = unit([0.6, 0.8], [0, 1])  # The second picture's is padding.

    def loss(own):
        return float(training.contrastive_loss(image, own, hard, counts, tf.constant(10.0)))

    assert loss(unit([1, 0], [0, 1])) < loss(unit([0.8, 0.6], [0, 1])) < loss(unit([0, 1], [1, 0]))


def test_captions_that_do_not_count_do_not_matter():
    image, own = unit([1, 0], [0, 1]), unit([0.8, 0.6], [0.6, 0.8])
    counts = tf.constant([[True, False, False], [False, True, False]])
    loss = training.contrastive_loss(image, own, unit([1, 0], [0, 1]), counts, tf.constant(10.0))
    assert float(loss) == pytest.approx(0, abs=1e-6)


def test_attributes_that_are_not_known_do_not_count():
    scores = [tf.constant([[4.0, 0.0], [0.0, 4.0]]), tf.constant([[1.0, 2.0, 3.0]] * 2)]
    none = training.attribute_loss(tf.constant([[-1, -1], [-1, -1]], tf.int64), scores)
    first = training.attribute_loss(tf.constant([[0, -1], [-1, -1]], tf.int64), scores)
    both = training.attribute_loss(tf.constant([[0, -1], [0, -1]], tf.int64), scores)
    assert float(none) == 0
    assert float(first) == pytest.approx(np.log(1 + np.exp(-4)), rel=1e-4)
    assert float(both) == pytest.approx((np.log(1 + np.exp(-4)) + np.log(1 + np.exp(4))) / 2, 1e-4)


@pytest.mark.parametrize("color", [(255, 0, 0), (20, 130, 60), (0, 0, 0)])
def test_augmentation_leaves_colours_alone(color):
    augment = training.augmenter(AugmentConfig(flip=True, rotation=0.1, zoom=0.2), seed=3)
    pixels = tf.constant(np.full((6, 32, 32, 3), color, np.float32))
    turned = augment(pixels, training=True).numpy()
    is_color = np.abs(turned - np.float32(color)).max(axis=-1) < 1
    # What comes in at the rim is white, and on its edge a mixture with white: no other hue.
    share = (turned - np.float32(color)) / np.maximum(255 - np.float32(color), 1)
    on_the_way = np.ptp(share[..., np.float32(color) < 255], axis=-1) < 0.02
    assert (is_color | on_the_way).all()
    assert is_color[:, 12:20, 12:20].all()
    assert (turned == 255).all(axis=-1).any()


def test_augmentation_changes_pictures_only_in_training():
    augment = training.augmenter(AugmentConfig(), seed=3)
    pixels = tf.random.stateless_uniform([4, 32, 32, 3], [1, 2], maxval=255)
    np.testing.assert_array_equal(augment(pixels, training=False), pixels)
    assert np.abs(augment(pixels, training=True) - pixels).mean() > 1


def test_no_augmentation_at_all():
    augment = training.augmenter(AugmentConfig(flip=False, rotation=0, zoom=0, shift=0), seed=3)
    pixels = tf.ones([1, 32, 32, 3])
    np.testing.assert_array_equal(augment(pixels, training=True), pixels)


def test_the_auc_of_logits_and_labels():
    labels = np.array([0, 0, 1, 1], np.float32)
    for logits, expected in (((-2, -1, 1, 2), 1), ((2, 1, -1, -2), 0), ((-2, 1, -1, 2), 0.75)):
        assert training.auc(np.array(logits, np.float32), labels) == pytest.approx(expected)


def test_the_learning_rate_rises_and_falls():
    schedule = training.WarmupSchedule(peak=1.0, warmup_steps=10, total_steps=110)
    rates = [float(schedule(step)) for step in range(111)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == pytest.approx(1.0, abs=1e-3)
    assert rates[60] == pytest.approx(0.5, abs=1e-2)
    assert rates[110] == pytest.approx(0.0, abs=1e-6)
    assert all(rate >= 0 for rate in rates)


def test_without_a_cosine_the_peak_is_kept():
    schedule = training.WarmupSchedule(peak=0.3, warmup_steps=0, total_steps=None)
    assert [float(schedule(step)) for step in (0, 5, 10_000)] == pytest.approx([0.3] * 3)


@pytest.fixture
def trainer():
    keras.utils.set_random_seed(1)
    sizes = {"embedding_dim": 8, "recurrent_units": 8, "word_dim": 8, "hidden_units": 16}
    built = model.build(ModelConfig(**sizes, dropout=0), 32, 4, 12)
    settings = TrainerConfig(seed=1, word_loss_weight=1.0)
    wrapped = training.PairTrainer(
        built, 12, settings, AugmentConfig(flip=False, rotation=0, zoom=0, shift=0)
    )
    wrapped.compile(optimizer=keras.optimizers.Adam(3e-3), jit_compile=False)
    return wrapped


def test_steps_lower_the_loss_and_move_every_branch(trainer):
    generator = np.random.default_rng(0)
    batch = {
        features.PIXELS: generator.integers(0, 255, (6, 32, 32, 3)).astype(np.uint8),
        features.TOKENS: np.array([[number, number, 0, 0] for number in range(2, 8)]),
        features.HARD_TOKENS: np.array([[[number, 9, 0, 0]] for number in range(2, 8)]),
        features.GROUP_HASH: np.arange(6),
    }
    before = {id(weight): weight.numpy().copy() for weight in trainer.model.trainable_variables}
    steps = tf.data.Dataset.from_tensors(batch).repeat()
    history = trainer.fit(steps, epochs=12, steps_per_epoch=1, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert np.isfinite(history["loss"]).all()
    for part in (trainer.model.image_encoder, trainer.model.caption_encoder, trainer.model.matcher):
        moved = [
            not np.array_equal(before[id(weight)], weight.numpy())
            for weight in part.trainable_variables
        ]
        assert all(moved), part.name
