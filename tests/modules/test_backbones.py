"""Backbones: every row of the table against Keras, weights files, and what pixels become."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.applications import imagenet_utils
from keras.src.legacy.saving import legacy_h5_format
from keras.src.utils import file_utils

from core import features
from core.backbones import BACKBONES, Backbone, WeightsPackage
from core.config import ModelConfig, TrainerConfig
from core.errors import DexmatchError
from modules.export import signatures
from modules.network import backbones, efficientnet_lite, model
from modules.network.layers import leaves
from modules.training import stages

pytestmark = pytest.mark.slow

MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])
SIZE = 32


def home(backbone):
    """The module with the factory."""
    packaged = isinstance(BACKBONES[backbone].imagenet, WeightsPackage)
    return efficientnet_lite if packaged else keras.applications


def made(backbone, **options):
    """A backbone straight from its factory, with weights that no initializer gives."""
    keras.utils.set_random_seed(3)
    options = {"include_top": False, "input_shape": (SIZE, SIZE, 3), **options}
    return getattr(home(backbone), backbone)(weights=None, **options)


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
    monkeypatch.setattr(backbones, "_in_reach", lambda host: True)


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


@dataclass(frozen=True)
class Made:
    """A row of the table, the network of that row, and its weights in files of both formats.

    The old one is a stand-in for the ImageNet file.
    """

    name: str
    row: Backbone
    network: keras.Model
    new_file: Path
    old_file: Path


FAMILIES = (
    *("EfficientNetB0", "EfficientNetLite0", "EfficientNetV2B0"),
    *("MobileNetV3Small", "ConvNeXtTiny"),
)
"""The smallest row of each family, whose members differ in numbers alone."""


@pytest.fixture(
    scope="module", params=(*FAMILIES, *(name for name in BACKBONES if name not in FAMILIES))
)
def made_row(request, tmp_path_factory):
    folder, row = tmp_path_factory.mktemp(request.param), BACKBONES[request.param]
    keras.utils.set_random_seed(4)
    network = backbones.load_backbone(request.param, "none", SIZE)
    network.save_weights(folder / "new.weights.h5")
    as_random = network.get_weights()
    for layer in network.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            layer.set_weights([MEAN, STD, np.array(0)])
    write_old(network, folder / "old.h5")
    network.set_weights(as_random)
    backbones.finalize_normalization(network)
    return Made(request.param, row, network, folder / "new.weights.h5", folder / "old.h5")


of_each_family = pytest.mark.parametrize("made_row", FAMILIES, indirect=True)


@pytest.fixture
def one_network(made_row, monkeypatch):
    """Gives the network that is there already, where no ImageNet weights are asked for."""
    factory = getattr(home(made_row.name), made_row.name)

    def give(weights, **options):
        return made_row.network if weights is None else factory(weights=weights, **options)

    monkeypatch.setattr(home(made_row.name), made_row.name, give)
    before = made_row.network.get_weights()
    yield made_row
    made_row.network.set_weights(before)
    # True alone changes nothing where the network as a whole is said to be trainable already.
    made_row.network.trainable = False
    made_row.network.trainable = True
    backbones.finalize_normalization(made_row.network)


def first_seen(network):
    """What the first convolution gets to see of the ramp, without its padding."""
    kinds = (keras.layers.Conv2D, keras.Model)
    before = next(i for i, each in enumerate(network.operations) if isinstance(each, kinds)) - 1
    into = keras.Model(network.input, network.operations[before].output)
    return np.asarray(into(ramp()))[:, :SIZE, :SIZE]


def blocks_by_level(made_row):
    """Names of the blocks of each level, in the order in which they come."""
    found = {}
    for layer in made_row.network.layers:
        if level := made_row.row.level_pattern.match(layer.name):
            blocks = found.setdefault(level[1], {})
            if block := made_row.row.block_pattern.match(layer.name):
                blocks[block[0]] = None
    return [list(blocks) for blocks in found.values()]


def test_a_row_says_how_many_weights_levels_and_blocks_there_are(made_row):
    assert made_row.network.count_params() == made_row.row.parameters
    counts = [len(blocks) for blocks in blocks_by_level(made_row)]
    assert tuple(counts) == made_row.row.blocks_per_level
    assert made_row.row.level_count == len(counts)
    assert made_row.row.block_count((1,)) == counts[0]
    assert made_row.row.block_count((2, 1)) == counts[0] + counts[1]
    assert made_row.row.block_count((1, "top")) == sum(counts)


def test_a_row_says_for_which_size_the_network_was_made(made_row, monkeypatch):
    """Factories take it where no shape is given; MobileNetV3 only has it in its file's name."""
    if isinstance(made_row.row.imagenet, WeightsPackage):
        whole = getattr(efficientnet_lite, made_row.name)(include_top=False)
        assert whole.input_shape[1] == made_row.row.input_size
        return
    asked = {}

    def stop(*_, default_size, **__):
        asked["size"] = default_size
        raise InterruptedError

    monkeypatch.setattr(imagenet_utils, "obtain_input_shape", stop)
    try:
        getattr(keras.applications, made_row.name)(weights=None)
    except InterruptedError:
        assert asked["size"] == made_row.row.input_size
    else:
        assert f"_{made_row.row.input_size}_" in made_row.row.imagenet


def test_no_two_rows_have_the_same_number_of_weights():
    assert len({row.parameters for row in BACKBONES.values()}) == len(BACKBONES)


def test_every_feature_level_is_found_and_all_that_follows_depends_on_it_alone(made_row):
    maps = backbones.feature_maps(made_row.network, made_row.name)
    assert list(maps) == [*range(1, made_row.row.level_count + 1), "top"]
    assert maps["top"] is made_row.network.output
    sizes = [each.shape[1] for each in maps.values()]
    assert sizes == sorted(sizes, reverse=True)
    before = []
    for level, blocks in zip(maps, blocks_by_level(made_row), strict=False):
        into = keras.Model(made_row.network.input, maps[level])
        names = {layer.name for layer in into.layers}
        before += blocks
        found = (made_row.row.block_pattern.match(name) for name in names)
        assert {each[0] for each in found if each} == set(before)
        # A tensor that something went past would not cut the graph in two.
        keras.Model(maps[level], maps["top"])


@of_each_family
def test_both_formats_of_a_weights_file_are_taken(one_network):
    expected = one_network.network.get_weights()
    for file in (one_network.new_file, one_network.old_file):
        one_network.network.set_weights([np.zeros_like(each) for each in expected])
        loaded = backbones.load_backbone(one_network.name, str(file), SIZE)
        for mine, theirs in zip(loaded.get_weights(), expected, strict=True):
            if mine.shape not in ((3,), ()):  # Those of the normalisation; see below.
                np.testing.assert_array_equal(mine, theirs)


def test_a_file_of_another_row_is_refused_and_told_whose_it_is(made_row):
    for file in (made_row.new_file, made_row.old_file):
        for other in BACKBONES:
            if other == made_row.name:
                backbones.check_weights(other, str(file))
                continue
            with pytest.raises(DexmatchError, match=f"they are those of {made_row.name}") as raised:
                backbones.check_weights(other, str(file))
            assert str(file) in str(raised.value)
            assert "\n" not in str(raised.value)


def test_imagenet_weights_are_looked_for_where_keras_puts_them_and_scale_as_the_row_says(
    one_network, monkeypatch
):
    if isinstance(one_network.row.imagenet, WeightsPackage):
        pytest.skip("in a package, see test_efficientnet_lite.py")
    asked = {}

    def get_file(name, url, cache_subdir, **_):
        asked.update(name=name, folder=cache_subdir, host=url.split("/")[2])
        return str(one_network.old_file)

    monkeypatch.setattr(file_utils, "get_file", get_file)
    monkeypatch.setattr(backbones, "_in_reach", lambda host: host == asked.setdefault("at", host))
    scaling, unit = one_network.row.input_scaling, ramp() / 255
    expected = {"tf": unit * 2 - 1, "torch": (unit - MEAN) / STD}
    at_random = unit if scaling == "torch_in_weights" else expected[scaling]
    # EfficientNetV2S divides by 128, not by 127.5.
    np.testing.assert_allclose(first_seen(one_network.network), at_random, atol=0.01)
    loaded = backbones.load_backbone(one_network.name, "imagenet", SIZE)
    np.testing.assert_allclose(
        first_seen(loaded), expected[scaling.removesuffix("_in_weights")], atol=0.01
    )
    cached = backbones.imagenet_cache(one_network.row.imagenet)
    assert (asked["name"], asked["folder"]) == (cached.name, cached.parent.name)
    assert asked["host"] == asked["at"]


SMALL = {"embedding_dim": 8, "recurrent_units": 8, "word_dim": 8}
TOKENS = np.array([[2, 3, 0, 0], [4, 1, 5, 6]])
PIXELS = np.random.default_rng(0).uniform(0, 255, (2, SIZE, SIZE, 3)).astype(np.float32)


def pair_model(made_row, feature_levels):
    settings = ModelConfig(
        backbone=made_row.name, feature_levels=feature_levels, caption_pooling="last", **SMALL
    )
    return model.build(settings, SIZE, TOKENS.shape[1], 7)


@of_each_family
def test_all_levels_together_describe_a_picture(one_network):
    levels = (*range(1, one_network.row.level_count + 1), "top")
    built = pair_model(one_network, levels)
    logits = np.asarray(built((PIXELS, TOKENS)))
    assert logits.shape == (2,) and np.isfinite(logits).all()
    assert logits[0] != logits[1]
    assert len(built.image_features.get_layer(one_network.network.name).outputs) == len(levels)


@of_each_family
def test_only_the_last_block_learns_and_no_batch_norm(one_network):
    built = pair_model(one_network, ("top",))
    frozen, whole = stages.plan_stages(TrainerConfig(frozen_epochs=1))
    whole.freeze(built, TrainerConfig(trainable_blocks=1, freeze_batch_norm=True))
    layers = list(leaves(built.image_features))
    last = blocks_by_level(one_network)[-1][-1]
    names = [layer.name for layer in layers]
    first = next(index for index, name in enumerate(names) if name.startswith(f"{last}_"))
    learning = {layer.name for layer in layers if layer.trainable_weights}
    assert learning and learning <= set(names[first:])
    still = (keras.layers.BatchNormalization, keras.layers.Normalization)
    weighty = {layer.name for layer in layers[first:] if layer.weights}
    assert weighty - learning == {
        layer.name for layer in layers[first:] if isinstance(layer, still)
    }
    frozen.freeze(built, TrainerConfig())
    assert not built.image_features.trainable_weights
    whole.freeze(built, TrainerConfig())
    assert all(layer.trainable for layer in layers)


@of_each_family
def test_the_exported_model_answers_as_the_model_in_process(one_network, tmp_path):
    """Up to the first level: all of it is traced for minutes."""
    built = pair_model(one_network, (1,))
    words = tmp_path / "words.txt"
    words.write_text("a\nred\nblue\nbird\nfish\n", encoding="utf-8")
    length, width = TOKENS.shape[1], SMALL["embedding_dim"]
    made = signatures.ServingModel(built, str(words), SIZE, length, width)
    signatures.save(made, str(tmp_path / "saved"))
    served = tf.saved_model.load(str(tmp_path / "saved"))
    assert set(served.signatures) == set(signatures.CONTRACT)
    pictures = [tf.io.encode_png(each).numpy() for each in PIXELS.astype(np.uint8)]
    answer = served.signatures[signatures.SERVING_DEFAULT](
        image=tf.constant(pictures), caption=tf.constant(["a red", "blue bird"])
    )[features.PROBABILITY]
    # The first word's id is 2.
    tokens = np.array([[2, 3, 0, 0], [4, 5, 0, 0]])
    logits = built((np.floor(PIXELS), tokens))
    np.testing.assert_allclose(answer, keras.ops.sigmoid(logits), atol=1e-5)


def test_v2_normalises_raw_pixels_whatever_its_weights(downloads):
    for choice in ("none", "imagenet"):
        scaled = seen(backbones.load_backbone("EfficientNetV2B0", choice, SIZE))
        np.testing.assert_allclose(scaled, (ramp() / 255 - MEAN) / STD, atol=1e-5)


def test_imagenet_weights_see_normalised_pixels(downloads):
    scaled = seen(backbones.load_backbone("EfficientNetB0", "imagenet", SIZE))
    np.testing.assert_allclose(scaled, (ramp() / 255 - MEAN) / STD, atol=1e-5)


@pytest.mark.parametrize("backbone", ["EfficientNetB0", "EfficientNetV2B0"])
def test_a_local_copy_of_the_imagenet_file_is_imagenet(backbone, imagenet_like, downloads):
    keras_own = getattr(keras.applications, backbone)(
        include_top=False, weights="imagenet", input_shape=(SIZE, SIZE, 3)
    )
    named = backbones.load_backbone(backbone, "imagenet", SIZE)
    local = backbones.load_backbone(backbone, str(imagenet_like[backbone]), SIZE)
    answer = np.asarray(named(ramp()))
    assert np.ptp(answer) > 0
    np.testing.assert_array_equal(np.asarray(local(ramp())), answer)
    np.testing.assert_allclose(np.asarray(keras_own(ramp())), answer, rtol=1e-3, atol=1e-5)


def test_what_was_saved_after_imagenet_is_loaded_as_it_was(tmp_path, downloads):
    trained = backbones.load_backbone("EfficientNetB0", "imagenet", SIZE)
    trained.save_weights(tmp_path / "mine.weights.h5")
    again = backbones.load_backbone("EfficientNetB0", str(tmp_path / "mine.weights.h5"), SIZE)
    np.testing.assert_array_equal(np.asarray(again(ramp())), np.asarray(trained(ramp())))


def test_keras_own_imagenet_model_can_be_saved_in_the_new_format(tmp_path, downloads):
    """It has a layer more, which holds no weights."""
    theirs = keras.applications.EfficientNetB0(
        include_top=False, weights="imagenet", input_shape=(SIZE, SIZE, 3)
    )
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    loaded = backbones.load_backbone("EfficientNetB0", str(tmp_path / "theirs.weights.h5"), SIZE)
    named = backbones.load_backbone("EfficientNetB0", "imagenet", SIZE)
    np.testing.assert_array_equal(np.asarray(loaded(ramp())), np.asarray(named(ramp())))


@pytest.mark.parametrize("name", ["top.weights.h5", "top.h5"])
def test_a_top_is_refused_before_anything_starts(tmp_path, name):
    model = made("EfficientNetB0", include_top=True, classes=10)
    if name == "top.h5":
        write_old(model, tmp_path / name)
    else:
        model.save_weights(tmp_path / name)
    with pytest.raises(DexmatchError, match=r"top\..*include_top=False") as raised:
        backbones.check_weights("EfficientNetB0", str(tmp_path / name))
    assert "\n" not in str(raised.value)


def test_a_truncated_file_is_refused_before_anything_starts(tmp_path):
    whole, cut = tmp_path / "whole.weights.h5", tmp_path / "cut.weights.h5"
    made("EfficientNetB0").save_weights(whole)
    for size in (whole.stat().st_size // 2, whole.stat().st_size - 1):
        cut.write_bytes(whole.read_bytes()[:size])
        with pytest.raises(DexmatchError, match="cut short; copy it again"):
            backbones.check_weights("EfficientNetB0", str(cut))


@pytest.mark.parametrize("content", [b"", b"nothing like it"])
def test_a_file_that_is_no_hdf5_is_refused(tmp_path, content):
    (tmp_path / "bad.h5").write_bytes(content)
    with pytest.raises(DexmatchError, match="no HDF5 file"):
        backbones.check_weights("EfficientNetB0", str(tmp_path / "bad.h5"))


def test_an_hdf5_file_of_something_else_is_refused(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["readings"] = np.zeros(5)
    with pytest.raises(DexmatchError, match="0 numbers instead of 4,049,571$"):
        backbones.check_weights("EfficientNetB0", str(tmp_path / "other.h5"))


def test_a_name_that_hides_the_format_is_told_so(tmp_path, imagenet_like):
    new, old = tmp_path / "new.h5", tmp_path / "old.weights.h5"
    made("EfficientNetB0").save_weights(tmp_path / "new.weights.h5")
    (tmp_path / "new.weights.h5").rename(new)
    old.write_bytes(imagenet_like["EfficientNetB0"].read_bytes())
    with pytest.raises(DexmatchError, match=r"must end in \.weights\.h5"):
        backbones.check_weights("EfficientNetB0", str(new))
    with pytest.raises(DexmatchError, match=r"must end in \.h5 alone"):
        backbones.check_weights("EfficientNetB0", str(old))


def test_the_last_blessed_model_needs_no_check_and_starts_at_random():
    backbones.check_weights("EfficientNetB0", "last_blessed")
    keras.utils.set_random_seed(1)
    first = backbones.load_backbone("EfficientNetB0", "last_blessed", SIZE)
    keras.utils.set_random_seed(1)
    second = backbones.load_backbone("EfficientNetB0", "none", SIZE)
    np.testing.assert_array_equal(np.asarray(first(ramp())), np.asarray(second(ramp())))


def test_a_missing_file_is_named():
    with pytest.raises(DexmatchError, match="nowhere.h5"):
        backbones.check_weights("EfficientNetB0", "nowhere.h5")


def test_imagenet_without_a_network_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(backbones, "_in_reach", lambda host: False)
    expected = r"efficientnetb0_notop\.h5 into .*\(EfficientNetLite0, "
    with pytest.raises(DexmatchError, match=expected) as raised:
        backbones.check_weights("EfficientNetB0", "imagenet")
    assert "\n" not in str(raised.value)


def test_imagenet_from_the_cache_needs_no_network(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(backbones, "_in_reach", lambda host: False)
    cached = backbones.imagenet_cache(BACKBONES["EfficientNetV2B0"].imagenet)
    cached.parent.mkdir(parents=True)
    cached.touch()
    backbones.check_weights("EfficientNetV2B0", "imagenet")
