"""The stage with a frozen backbone, and the fine-tuning after it."""

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf

from core import config as configs
from core import features
from core.backbones import BACKBONES
from core.config import AugmentConfig, ModelConfig, TrainerConfig
from core.errors import DexmatchError
from modules.network import model
from modules.network.layers import leaves
from modules.training import checkpoints, stages
from modules.training.fit import index_of_best
from modules.training.pair_trainer import PairTrainer

pytestmark = pytest.mark.slow

SIZES = {
    "feature_levels": ("top",),
    "embedding_dim": 8,
    "recurrent_units": 8,
    "word_dim": 8,
    "dropout": 0,
    "image_dropout": 0,
}
STILL = AugmentConfig(flip=False, rotation=0, zoom=0, shift=0)
WHOLE = stages.plan_stages(TrainerConfig())[0]
FROZEN = stages.plan_stages(TrainerConfig(frozen_epochs=1))[0]


@pytest.fixture
def trainer(tiny_backbone):
    keras.utils.set_random_seed(1)
    built = model.build(ModelConfig(**SIZES), 32, 4, 12)
    wrapped = PairTrainer(built, 12, TrainerConfig(word_dropout=0), STILL)
    wrapped.compile(optimizer=keras.optimizers.Adam(0.01), run_eagerly=True)
    return wrapped


@pytest.fixture
def batch():
    generator = np.random.default_rng(0)
    return {
        features.PIXELS: tf.constant(generator.integers(0, 255, (6, 32, 32, 3)), tf.uint8),
        features.TOKENS: tf.constant([[n, n, 0, 0] for n in range(2, 8)], tf.int64),
        features.HARD_TOKENS: tf.constant([[[n, 9, 0, 0]] for n in range(2, 8)], tf.int64),
        features.GROUP_HASH: tf.range(6, dtype=tf.int64),
    }


def cached(trainer, batch):
    """The batch with features in the place of pictures."""
    made = trainer.model.image_features(tf.cast(batch[features.PIXELS], tf.float32), training=False)
    kept = {name: value for name, value in batch.items() if name != features.PIXELS}
    return {**kept, features.IMAGE_FEATURES: made}


def moved(trainer, batch):
    """Names of the weights of the image branch's first part that a step changes."""
    weights = trainer.model.image_features.weights
    before = [weight.numpy().copy() for weight in weights]
    trainer.train_step(batch)
    return {
        f"{weight.path.split('/')[-2]}/{weight.name}"
        for weight, old in zip(weights, before, strict=True)
        if not np.array_equal(weight.numpy(), old)
    }


def gradients(trainer, batch, monkeypatch):
    caught = []
    with monkeypatch.context() as patch:
        patch.setattr(trainer.optimizer, "apply", lambda found, _: caught.extend(found))
        trainer.train_step(batch)
    return [tf.convert_to_tensor(gradient).numpy() for gradient in caught]


@pytest.mark.parametrize(
    ("frozen", "epochs", "names"),
    [(0, 3, ["fine_tuning"]), (2, 0, ["frozen"]), (2, 3, ["frozen", "fine_tuning"])],
)
def test_either_stage_alone_or_both(frozen, epochs, names):
    made = stages.plan_stages(TrainerConfig(frozen_epochs=frozen, epochs=epochs))
    assert [stage.name for stage in made] == names


def test_no_stage_at_all_is_refused():
    with pytest.raises(DexmatchError, match=r"trainer: .*both 0"):
        configs.load(None, ["trainer.epochs=0"])


def test_gradients_through_cached_features_are_those_of_the_whole_model(
    trainer, batch, monkeypatch
):
    FROZEN.freeze(trainer.model, TrainerConfig())
    for layer in trainer.model.image_features.get_layer("tiny").layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0  # Cached features know none.
    whole = gradients(trainer, batch, monkeypatch)
    through_cache = gradients(trainer, cached(trainer, batch), monkeypatch)
    assert len(whole) == len(through_cache) == len(trainer.trainable_variables)
    for one, other in zip(whole, through_cache, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert max(np.abs(gradient).max() for gradient in whole) > 1e-3


def test_a_frozen_backbone_does_not_move(trainer, batch):
    FROZEN.freeze(trainer.model, TrainerConfig())
    head = trainer.model.image_head.trainable_variables
    before = [weight.numpy().copy() for weight in head]
    assert moved(trainer, cached(trainer, batch)) == set()
    assert moved(trainer, batch) == set()
    assert not any(np.array_equal(w.numpy(), b) for w, b in zip(head, before, strict=True))


def test_after_the_frozen_stage_everything_moves(trainer, batch):
    FROZEN.freeze(trainer.model, TrainerConfig())
    WHOLE.freeze(trainer.model, TrainerConfig())
    trainer.compile(optimizer=keras.optimizers.Adam(0.01), run_eagerly=True)
    names = moved(trainer, batch)
    assert {"stem_conv/kernel", "block1a_conv/kernel", "top_bn/moving_mean"} <= names


@pytest.mark.parametrize(
    ("blocks", "still"), [(1, {"stem", "block1a", "block1b"}), (3, {"stem"}), ("all", set())]
)
def test_only_the_top_blocks_learn(trainer, batch, blocks, still):
    WHOLE.freeze(trainer.model, TrainerConfig(trainable_blocks=blocks))
    changed = {name.split("_")[0] for name in moved(trainer, batch)}
    assert changed == {"stem", "block1a", "block1b", "block2a", "top"} - still


def test_frozen_batch_norm_keeps_its_statistics_and_weights(trainer, batch):
    WHOLE.freeze(trainer.model, TrainerConfig(freeze_batch_norm=True))
    names = moved(trainer, batch)
    assert "block1a_conv/kernel" in names
    assert not any("_bn/" in name for name in names)


def test_more_blocks_than_there_are(trainer):
    with pytest.raises(DexmatchError, match=r"trainable_blocks = 9: the backbone has 3 blocks"):
        WHOLE.freeze(trainer.model, TrainerConfig(trainable_blocks=9))


def test_the_blocks_of_efficientnet_are_found():
    """All sixteen of B0."""
    backbone = keras.applications.EfficientNetB0(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    layers = list(leaves(backbone))
    pattern, settings = (
        BACKBONES["EfficientNetB0"].block_pattern,
        TrainerConfig(trainable_blocks=16),
    )
    assert layers[stages._first_trainable(layers, pattern, settings)].name.startswith("block1a_")
    with pytest.raises(DexmatchError, match="has 16 blocks"):
        stages._first_trainable(layers, pattern, TrainerConfig(trainable_blocks=17))


STAGES = ("trainer.frozen_epochs=2", "trainer.epochs=2", "trainer.learning_rate=0.02")


def test_a_training_of_two_stages_resumes_in_the_second(
    runs, tiny_backbone, transformed, tmp_path, caplog
):
    caplog.set_level(logging.INFO, logger="dexmatch")
    whole = runs.train(transformed, tmp_path / "whole", *STAGES)
    said = [record.getMessage() for record in caplog.records]
    for start in ("frozen backbone: epoch 2 of 2", "fine-tuning: epoch 1 of 2"):
        assert any(text.startswith(start) for text in said), start

    shared = tmp_path / "checkpoints"
    with runs.interrupted(1, 1):
        runs.train(transformed, tmp_path / "begun", *STAGES, checkpoints=shared)
    caplog.clear()
    resumed = runs.train(transformed, tmp_path / "resumed", *STAGES, checkpoints=shared)
    said = [record.getMessage() for record in caplog.records]
    assert "fine-tuning: resuming after epoch 1 of 2" in said
    assert not any(text.startswith("frozen backbone") for text in said)
    runs.assert_same(whole, resumed)
    assert list(shared.iterdir()) == []

    logs = tmp_path / "whole" / "model_run"
    assert sorted(each.name for each in logs.iterdir()) == ["fine_tuning", "frozen"]


# Steps so large that nothing is left of what the first stage learned.
SPOILT = (
    *STAGES,
    "trainer.monitor=val_loss",
    "trainer.early_stopping_from=0",
    "trainer.warmup_epochs=0",
    "trainer.learning_rate=1000",
    "trainer.weight_decay=0",
)


def test_a_second_stage_that_ends_worse_is_dropped_also_when_interrupted(
    runs, tiny_backbone, transformed, tmp_path, caplog
):
    def told():
        said = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return [text for text in said if "whose weights are kept" in text]

    first = runs.train(transformed, tmp_path / "first", *SPOILT, "trainer.epochs=0")
    assert told() == []
    both = runs.train(transformed, tmp_path / "both", *SPOILT)
    (line,) = told()
    assert line.startswith("fine-tuning ended with val_loss ")
    assert "after frozen backbone" in line
    runs.assert_same(first, both)

    shared = tmp_path / "checkpoints"
    with runs.interrupted(1, 1):
        runs.train(transformed, tmp_path / "begun", *SPOILT, checkpoints=shared)
    resumed = runs.train(transformed, tmp_path / "resumed", *SPOILT, checkpoints=shared)
    assert told() == [line]
    runs.assert_same(first, resumed)


@pytest.mark.parametrize(
    ("mode", "figures", "best"),
    [
        ("max", (0.7, 0.6), 0),
        ("max", (0.6, 0.7), 1),
        ("max", (0.6, 0.6), 1),
        ("min", (0.7, 0.6), 1),
        ("min", (0.6, 0.7), 0),
        ("min", (0.6,), 0),
    ],
)
def test_the_better_stage_wins_the_later_one_of_equals(mode, figures, best):
    ended = [checkpoints.BestEpoch(figure, []) for figure in figures]
    assert index_of_best(ended, mode) == best
