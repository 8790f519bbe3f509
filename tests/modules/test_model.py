import keras
import numpy as np
import pytest

from core.config import ModelConfig
from core.errors import DexmatchError
from modules.network import model, weights

SMALL = {"embedding_dim": 8, "recurrent_units": 8, "word_dim": 8, "hidden_units": 8}


def build(attribute_sizes=(), **settings):
    keras.utils.set_random_seed(5)
    return model.build(ModelConfig(**SMALL, **settings), 32, 4, 20, attribute_sizes)


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
        {"color_bins": 0, "feature_levels": (2,)},
        {"feature_levels": ("top",)},
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


def test_the_backbone_ends_at_the_last_stage_that_is_asked_for():
    names = [layer.name for layer in build(feature_levels=(2, 3)).image_features.layers[1].layers]
    assert any(name.startswith("block3") for name in names)
    assert not any(name.startswith("block4") for name in names)


def test_a_stage_that_the_backbone_lacks_is_told_in_one_line():
    with pytest.raises(DexmatchError, match=r"model\.feature_levels: .* has no stage 7"):
        build(backbone="EfficientNetV2B0", feature_levels=(7,))


def histogram(*pixels, bins=3):
    """Shares of a picture of these pixels, by the steps of red, green and blue."""
    picture = np.array(pixels, np.float32).reshape(1, 1, -1, 3)
    rooted = np.asarray(model.ColorHistogram(bins)(picture))
    return np.square(rooted[0]).reshape(bins, bins, bins)


def test_a_histogram_shares_pixels_out_among_colours():
    red, grey = (255, 0, 0), (127.5, 127.5, 127.5)
    shares = histogram(red, red, red, grey)
    assert shares[2, 0, 0] == pytest.approx(0.75, abs=1e-4)
    assert shares[1, 1, 1] == pytest.approx(0.25, abs=1e-4)
    assert shares.sum() == pytest.approx(1, abs=1e-3)
    between = histogram((63.75, 0, 0))
    assert between[0, 0, 0] == pytest.approx(0.5, abs=1e-4)
    assert between[1, 0, 0] == pytest.approx(0.5, abs=1e-4)


def test_a_histogram_does_not_depend_on_where_the_pixels_are():
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 8, 8, 3)).astype(np.float32)
    layer = model.ColorHistogram(4)
    np.testing.assert_allclose(layer(pixels), layer(pixels[:, ::-1, ::-1]), rtol=1e-5)


def test_padding_is_never_the_greatest():
    values = np.array([[[-3.0], [-2.0], [5.0]], [[1.0], [1.0], [1.0]]], np.float32)
    mask = np.array([[True, True, False], [False, False, False]])
    greatest = model.GreatestOverWords()(values, mask=mask)
    assert np.asarray(greatest).tolist() == [[-2.0], [0.0]]


def test_agreement_is_that_of_the_classes():
    layer = model.Agreement((2, 3))
    layer.build([(None, 5), (None, 5)])
    layer.classifier.kernel.assign(10 * np.eye(5))
    layer.classifier.bias.assign(np.zeros(5))
    same, other, silent = np.eye(5)[[0]] + np.eye(5)[[2]], np.eye(5)[[1]] + np.eye(5)[[2]], 0
    agreement = np.asarray(layer([same, other]))
    assert agreement.shape == (1, 2)
    assert agreement[0, 0] < -3  # Other values of the first attribute,
    assert agreement[0, 1] == pytest.approx(np.log(3), abs=0.02)  # the same of the second.
    nothing = np.asarray(layer([same, same * silent]))
    np.testing.assert_allclose(nothing, 0, atol=0.02)


def test_a_fresh_calibration_changes_nothing_and_a_set_one_keeps_the_order():
    built = build()
    before = answer(built)
    layer = built.matcher.get_layer(model.CALIBRATION)
    layer.scale.assign(0.5)
    layer.offset.assign(-1.0)
    np.testing.assert_allclose(answer(built), 0.5 * before - 1.0, rtol=1e-5)


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
