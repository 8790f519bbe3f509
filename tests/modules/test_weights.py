"""Backbones: what they take for a weights file, and what they make of a pixel."""

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

from core.config import BACKBONES
from core.errors import DexmatchError
from modules.network import weights

MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])
SIZE = 32


def made(backbone, **options):
    """A backbone straight from Keras, with weights that no initializer gives."""
    keras.utils.set_random_seed(3)
    options = {"include_top": False, "input_shape": (SIZE, SIZE, 3), **options}
    return getattr(keras.applications, backbone)(weights=None, **options)


def write_old(model, path):
    """A file of the kind that Keras offers for download."""
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)


@pytest.fixture(scope="module")
def imagenet_like(tmp_path_factory):
    """Backbone to a stand-in for its ImageNet file: B0 to B3 hold deviations as variances."""
    folder = tmp_path_factory.mktemp("imagenet")
    files = {}
    for backbone in ("EfficientNetB0", "EfficientNetV2B0"):
        model = made(backbone)
        for layer in model.layers:
            if isinstance(layer, keras.layers.Normalization) and layer.weights:
                layer.set_weights([MEAN, STD, np.array(0)])
        files[backbone] = folder / f"{backbone}.h5"
        write_old(model, files[backbone])
    return files


@pytest.fixture
def downloads(imagenet_like, monkeypatch):
    """Puts the stand-ins where Keras would download."""
    for name in ("efficientnet", "efficientnet_v2"):
        module = __import__(f"keras.src.applications.{name}", fromlist=["file_utils"])
        monkeypatch.setattr(
            module.file_utils,
            "get_file",
            lambda file, *_, **__: str(
                imagenet_like["EfficientNetV2B0" if "v2" in file else "EfficientNetB0"]
            ),
        )
    monkeypatch.setattr(weights, "_in_reach", lambda host: True)


def ramp():
    """float32 [1, S, S, 3]: all values from 0 to 255, another order in each channel."""
    values = np.linspace(0, 255, SIZE * SIZE * 3, dtype=np.float32)
    return values.reshape(1, SIZE, SIZE, 3)


def seen(backbone_model):
    """What the first convolution gets to see of the ramp, without its padding."""
    stem = backbone_model.get_layer("stem_conv")
    before = stem.input
    values = np.asarray(keras.Model(backbone_model.input, before)(ramp()))
    return values[:, :SIZE, :SIZE] if values.shape[1] > SIZE else values


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_size_that_a_backbone_was_made_for_is_the_one_of_keras(backbone):
    """Keras takes it where no shape is given, and a top asks for it."""
    model = getattr(keras.applications, backbone)(weights=None)
    assert model.input_shape[1:] == (BACKBONES[backbone], BACKBONES[backbone], 3)


@pytest.mark.parametrize("backbone", sorted(set(BACKBONES) - {"EfficientNetV2B0"}))
def test_b0_to_b3_scale_raw_pixels_to_one_where_they_start_at_random(backbone):
    scaled = seen(weights.load_backbone(backbone, "none", SIZE))
    np.testing.assert_allclose(scaled, ramp() / 255, atol=1e-6)


def test_v2_normalises_raw_pixels_whatever_its_weights(downloads):
    for choice in ("none", "imagenet"):
        scaled = seen(weights.load_backbone("EfficientNetV2B0", choice, SIZE))
        np.testing.assert_allclose(scaled, (ramp() / 255 - MEAN) / STD, atol=1e-5)


def test_imagenet_weights_see_normalised_pixels(downloads):
    scaled = seen(weights.load_backbone("EfficientNetB0", "imagenet", SIZE))
    np.testing.assert_allclose(scaled, (ramp() / 255 - MEAN) / STD, atol=1e-5)


@pytest.mark.parametrize("backbone", ["EfficientNetB0", "EfficientNetV2B0"])
def test_a_local_copy_of_the_imagenet_file_is_imagenet(backbone, imagenet_like, downloads):
    keras_own = getattr(keras.applications, backbone)(
        include_top=False, weights="imagenet", input_shape=(SIZE, SIZE, 3)
    )
    named = weights.load_backbone(backbone, "imagenet", SIZE)
    local = weights.load_backbone(backbone, str(imagenet_like[backbone]), SIZE)
    answer = np.asarray(named(ramp()))
    assert np.ptp(answer) > 0
    np.testing.assert_array_equal(np.asarray(local(ramp())), answer)
    np.testing.assert_allclose(np.asarray(keras_own(ramp())), answer, rtol=1e-3, atol=1e-5)


def test_what_was_saved_after_imagenet_is_loaded_as_it_was(tmp_path, downloads):
    trained = weights.load_backbone("EfficientNetB0", "imagenet", SIZE)
    trained.save_weights(tmp_path / "mine.weights.h5")
    again = weights.load_backbone("EfficientNetB0", str(tmp_path / "mine.weights.h5"), SIZE)
    np.testing.assert_array_equal(np.asarray(again(ramp())), np.asarray(trained(ramp())))


def test_keras_own_imagenet_model_can_be_saved_in_the_new_format(tmp_path, downloads):
    """It has a layer more, which holds no weights."""
    theirs = keras.applications.EfficientNetB0(
        include_top=False, weights="imagenet", input_shape=(SIZE, SIZE, 3)
    )
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    loaded = weights.load_backbone("EfficientNetB0", str(tmp_path / "theirs.weights.h5"), SIZE)
    named = weights.load_backbone("EfficientNetB0", "imagenet", SIZE)
    np.testing.assert_array_equal(np.asarray(loaded(ramp())), np.asarray(named(ramp())))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_is_told_from_the_others_by_its_file(backbone, tmp_path):
    made(backbone).save_weights(tmp_path / "new.weights.h5")
    for other in BACKBONES:
        if other == backbone:
            weights.check(other, str(tmp_path / "new.weights.h5"))
            continue
        with pytest.raises(DexmatchError, match=f"they are those of {backbone}") as raised:
            weights.check(other, str(tmp_path / "new.weights.h5"))
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["top.weights.h5", "top.h5"])
def test_a_top_is_refused_before_anything_starts(tmp_path, name):
    model = made("EfficientNetB0", include_top=True, classes=10)
    if name == "top.h5":
        write_old(model, tmp_path / name)
    else:
        model.save_weights(tmp_path / name)
    with pytest.raises(DexmatchError, match=r"top\..*include_top=False") as raised:
        weights.check("EfficientNetB0", str(tmp_path / name))
    assert "\n" not in str(raised.value)


def test_a_truncated_file_is_refused_before_anything_starts(tmp_path):
    whole, cut = tmp_path / "whole.weights.h5", tmp_path / "cut.weights.h5"
    made("EfficientNetB0").save_weights(whole)
    for size in (whole.stat().st_size // 2, whole.stat().st_size - 1):
        cut.write_bytes(whole.read_bytes()[:size])
        with pytest.raises(DexmatchError, match="cut short; copy it again"):
            weights.check("EfficientNetB0", str(cut))


@pytest.mark.parametrize("content", [b"", b"nothing like it"])
def test_a_file_that_is_no_hdf5_is_refused(tmp_path, content):
    (tmp_path / "bad.h5").write_bytes(content)
    with pytest.raises(DexmatchError, match="no HDF5 file"):
        weights.check("EfficientNetB0", str(tmp_path / "bad.h5"))


def test_an_hdf5_file_of_something_else_is_refused(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["readings"] = np.zeros(5)
    with pytest.raises(DexmatchError, match="0 numbers instead of 4,049,571"):
        weights.check("EfficientNetB0", str(tmp_path / "other.h5"))


def test_a_name_that_hides_the_format_is_told_so(tmp_path, imagenet_like):
    new, old = tmp_path / "new.h5", tmp_path / "old.weights.h5"
    made("EfficientNetB0").save_weights(tmp_path / "new.weights.h5")
    (tmp_path / "new.weights.h5").rename(new)
    old.write_bytes(imagenet_like["EfficientNetB0"].read_bytes())
    with pytest.raises(DexmatchError, match=r"must end in \.weights\.h5"):
        weights.check("EfficientNetB0", str(new))
    with pytest.raises(DexmatchError, match=r"must end in \.h5 alone"):
        weights.check("EfficientNetB0", str(old))


def test_the_last_blessed_model_needs_no_check_and_starts_at_random():
    weights.check("EfficientNetB0", "last_blessed")
    keras.utils.set_random_seed(1)
    first = weights.load_backbone("EfficientNetB0", "last_blessed", SIZE)
    keras.utils.set_random_seed(1)
    second = weights.load_backbone("EfficientNetB0", "none", SIZE)
    np.testing.assert_array_equal(np.asarray(first(ramp())), np.asarray(second(ramp())))
