import keras
import numpy as np
import pytest
import tensorflow as tf

from core import features
from core.config import AugmentConfig, ModelConfig, TrainerConfig
from modules.network import model
from modules.training.pair_trainer import PairTrainer, training_auc

pytestmark = pytest.mark.slow


def test_the_auc_of_logits_and_labels():
    labels = np.array([0, 0, 1, 1], np.float32)
    for logits, expected in (((-2, -1, 1, 2), 1), ((2, 1, -1, -2), 0), ((-2, 1, -1, 2), 0.75)):
        assert training_auc(np.array(logits, np.float32), labels) == pytest.approx(expected)


@pytest.fixture
def trainer():
    keras.utils.set_random_seed(1)
    sizes = {"embedding_dim": 8, "recurrent_units": 8, "word_dim": 8, "hidden_units": 16}
    built = model.build(ModelConfig(**sizes, feature_levels=(1,), dropout=0), 32, 4, 12)
    settings = TrainerConfig(seed=1, word_loss_weight=1.0)
    wrapped = PairTrainer(
        built, 12, settings, AugmentConfig(flip=False, rotation=0, zoom=0, shift=0)
    )
    wrapped.compile(optimizer=keras.optimizers.Adam(3e-3), jit_compile=False)
    return wrapped


@pytest.fixture
def batch():
    generator = np.random.default_rng(0)
    return {
        features.PIXELS: generator.integers(0, 255, (6, 32, 32, 3)).astype(np.uint8),
        features.TOKENS: np.array([[number, number, 0, 0] for number in range(2, 8)]),
        features.HARD_TOKENS: np.array([[[number, 9, 0, 0]] for number in range(2, 8)]),
        features.GROUP_HASH: np.arange(6),
    }


def test_steps_lower_the_loss_and_move_every_branch(trainer, batch):
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


def test_a_step_by_xla_with_a_scaled_loss_is_the_same(tiny_backbone, batch):
    sizes = {"embedding_dim": 8, "recurrent_units": 8, "word_dim": 8}
    no_dropout = {"dropout": 0, "image_dropout": 0, "caption_pooling": "last"}
    config = ModelConfig(**sizes, **no_dropout, feature_levels=("top",))
    batch = {name: tf.constant(values) for name, values in batch.items()}
    plain, scaled = keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1)
    scaled = keras.optimizers.LossScaleOptimizer(scaled)
    found = []
    for xla, optimizer in ((False, plain), (True, scaled)):
        keras.utils.set_random_seed(1)
        # With augmentation, which XLA has nothing for; it draws the words to drop otherwise.
        wrapped = PairTrainer(
            model.build(config, 32, 4, 12),
            12,
            TrainerConfig(xla=xla, word_dropout=0),
            AugmentConfig(),
        )
        wrapped.compile(optimizer=optimizer, jit_compile=False)
        wrapped.optimizer.build(wrapped.trainable_variables)
        figures = wrapped.train_step(batch)
        found.append([float(figures["loss"]), *wrapped.get_weights()])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-4)
    # It rounds in another order.
    assert not all(np.array_equal(*pair) for pair in zip(*found, strict=True))
