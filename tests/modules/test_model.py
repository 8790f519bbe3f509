import keras
import numpy as np
import pytest

from modules import model, weights
from pipeline.config import ModelConfig
from pipeline.errors import DexmatchError

SMALL = {"embedding_dim": 8, "recurrent_units": 8, "word_dim": 8, "hidden_units": 8}


def build(**settings):
    keras.utils.set_random_seed(5)
    return model.build(ModelConfig(**SMALL, **settings), 32, 4, 20)


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
        {"backbone": "EfficientNetB1"},
        {"backbone": "EfficientNetV2B0"},
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
    built = build()
    pixels = np.zeros((1, 32, 32, 3), np.float32)
    longer = model.build(ModelConfig(**SMALL), 32, 9, 20)
    longer.set_weights(built.get_weights())
    short = np.asarray(built((pixels, np.array([[3, 4, 5, 0]]))))
    padded = np.asarray(longer((pixels, np.array([[3, 4, 5, 0, 0, 0, 0, 0, 0]]))))
    np.testing.assert_allclose(short, padded, atol=1e-6)


def test_the_batch_norm_momentum_is_the_configured_one():
    built = build(batch_norm_momentum=0.8)
    backbone = built.image_features.get_layer("efficientnetb0")
    momenta = {
        layer.momentum
        for layer in backbone.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    }
    assert momenta == {0.8}


def test_a_weights_file_is_loaded(tmp_path):
    path = tmp_path / "mine.weights.h5"
    keras.utils.set_random_seed(99)
    saved = weights.load_backbone("EfficientNetB0", "none", 32)
    saved.save_weights(path)
    loaded = weights.load_backbone("EfficientNetB0", str(path), 32)
    for mine, theirs in zip(loaded.get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_weights_of_another_architecture_are_refused_in_one_line(tmp_path):
    path = tmp_path / "other.weights.h5"
    weights.load_backbone("EfficientNetB1", "none", 32).save_weights(path)
    with pytest.raises(DexmatchError, match="no weights of EfficientNetB0") as raised:
        weights.load_backbone("EfficientNetB0", str(path), 32)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_of_something_else_is_refused_in_one_line(tmp_path):
    path = tmp_path / "bad.weights.h5"
    path.write_bytes(b"nothing like it")
    with pytest.raises(DexmatchError, match="no weights of EfficientNetB0") as raised:
        weights.load_backbone("EfficientNetB0", str(path), 32)
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_named():
    with pytest.raises(DexmatchError, match="nowhere.h5"):
        weights.check("EfficientNetB0", "nowhere.h5")


def test_imagenet_without_a_network_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(weights, "_in_reach", lambda host: False)
    with pytest.raises(DexmatchError, match=r"efficientnetb0_notop\.h5 into") as raised:
        weights.check("EfficientNetB0", "imagenet")
    assert "\n" not in str(raised.value)


def test_imagenet_from_the_cache_needs_no_network(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(weights, "_in_reach", lambda host: False)
    cached = weights.imagenet_cache("EfficientNetV2B0")
    cached.parent.mkdir(parents=True)
    cached.touch()
    weights.check("EfficientNetV2B0", "imagenet")


@pytest.mark.parametrize(
    ("backbone", "file"),
    [
        ("EfficientNetB0", "efficientnetb0_notop.h5"),
        ("EfficientNetB3", "efficientnetb3_notop.h5"),
        ("EfficientNetV2B0", "efficientnetv2-b0_notop.h5"),
    ],
)
def test_the_cache_is_the_one_that_keras_uses(monkeypatch, backbone, file):
    """Keras asks `get_file` for a name and a folder: they must be those that we look for."""
    asked = {}

    def get_file(name, url, cache_subdir, **_):
        asked.update(name=name, folder=cache_subdir)
        raise InterruptedError

    module = __import__("keras.src.applications.efficientnet", fromlist=["file_utils"])
    monkeypatch.setattr(module.file_utils, "get_file", get_file)
    factory = getattr(keras.applications, backbone)
    with pytest.raises(InterruptedError):
        factory(include_top=False, weights="imagenet", input_shape=(32, 32, 3))
    assert asked == {"name": file, "folder": "models"}
    assert weights.imagenet_cache(backbone).name == file
    assert weights.imagenet_cache(backbone).parent.name == "models"
