import keras
import numpy as np
import pytest

from core.config import ModelConfig
from modules.network import model
from modules.network.fused_batch_norm import FusedBatchNormalization

pytestmark = pytest.mark.slow

SMALL = {
    "feature_levels": (1,),
    "embedding_dim": 8,
    "recurrent_units": 8,
    "word_dim": 8,
    "hidden_units": 8,
}


def build(attribute_sizes=(), **settings):
    keras.utils.set_random_seed(5)
    return model.build(ModelConfig(**{**SMALL, **settings}), 32, 4, 20, attribute_sizes)


def answer(built):
    generator = np.random.default_rng(0)
    pixels = generator.uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)
    tokens = np.array([[2, 3, 0, 0], [4, 1, 5, 6], [7, 0, 0, 0]])
    return np.asarray(built((pixels, tokens)))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"recurrent": "GRU"},
        {"join": "concat"},
        {"caption_pooling": "last"},
        {"attribute_sizes": (3, 5)},
        {"attribute_sizes": (3,)},
        {"color_bins": 0, "feature_levels": (2, 3)},
        {"feature_levels": ("top",)},
    ],
)
def test_pairs_become_logits(settings):
    logits = answer(build(**settings))
    assert logits.shape == (3,)
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()
    assert len(set(logits.tolist())) == 3


def test_the_same_seed_gives_the_same_model():
    np.testing.assert_array_equal(answer(build()), answer(build()))


def test_padding_does_not_count():
    """Neither what is cut off nor what a longer caption of the batch leaves there."""
    built = build()
    longer = model.build(ModelConfig(**SMALL), 32, 9, 20)
    longer.set_weights(built.get_weights())
    pixels = np.zeros((2, 32, 32, 3), np.float32)
    expected = np.asarray(built((pixels[:1], np.array([[3, 4, 5, 0]]))))
    tokens = np.zeros((2, 9), int)
    tokens[:, :3] = 3, 4, 5
    cut = np.asarray(longer((pixels, tokens)))
    tokens[1] = 7
    beside_longer = np.asarray(longer((pixels, tokens)))
    np.testing.assert_allclose(cut[:1], expected, atol=1e-6)
    np.testing.assert_allclose(beside_longer[:1], expected, atol=1e-6)


def test_the_batch_norm_momentum_is_the_configured_one():
    built = build(batch_norm_momentum=0.8)
    backbone = built.image_features.get_layer("efficientnetb0")
    momenta = {
        layer.momentum
        for layer in backbone.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    }
    assert momenta == {0.8}
    kinds = {type(layer) for layer in backbone.layers if layer.name.endswith("_bn")}
    assert kinds == {FusedBatchNormalization}


def test_the_backbone_ends_at_the_last_feature_level_that_is_asked_for():
    names = [layer.name for layer in build(feature_levels=(2, 3)).image_features.layers[1].layers]
    assert any(name.startswith("block3") for name in names)
    assert not any(name.startswith("block4") for name in names)


def test_a_fresh_calibration_changes_nothing_and_a_set_one_keeps_the_order():
    built = build()
    before = answer(built)
    layer = built.matcher.get_layer(model.CALIBRATION)
    layer.set_weights([np.array(0.5), np.array(0.5), np.array(-1.0)])
    np.testing.assert_allclose(answer(built), 0.5 * before - 1.0, rtol=1e-5)
