"""Going on from a blessed model, with a backbone that is saved in seconds."""

import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from core.config import Config, ModelConfig
from core.errors import DexmatchError
from modules.export import signatures
from modules.network import backbones, model
from modules.preprocessing import captions
from modules.training import warm_start
from modules.training.setup import TrainingSetup

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tiny_backbone")]

SETTINGS = ModelConfig(
    weights="last_blessed",
    feature_levels=("top",),
    color_bins=2,
    embedding_dim=8,
    recurrent_units=8,
    word_dim=8,
)
ATTRIBUTES = {"color": ["red", "blue"], "shape": ["round", "flat", "long"]}
OLD_WORDS = ["a", "red", "blue", "bird"]
MAX_TOKENS = 5


def build(words, seed=1, settings=SETTINGS, size=32, attributes=ATTRIBUTES):
    keras.utils.set_random_seed(seed)
    sizes = [len(values) for values in attributes.values()]
    return model.build(settings, size, MAX_TOKENS, captions.FIRST_WORD_ID + len(words), sizes)


def vocabulary(folder, words):
    folder.mkdir(exist_ok=True)
    path = folder / captions.VOCABULARY
    path.write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A model, all of whose weights are others than a new one's, and the folder it is saved in.

    The model is not calibrated, and takes all values of an attribute for as frequent; the saved one
    is, and does not.
    """
    built = build(OLD_WORDS)
    for variable in built.weights:
        variable.assign(
            variable + np.linspace(0, 0.3, variable.numpy().size).reshape(variable.shape)
        )
    backbones.finalize_normalization(built)
    calibration = built.matcher.get_layer(model.CALIBRATION)
    calibration.low.assign(2.0)
    calibration.offset.assign(1.0)
    folder = tmp_path_factory.mktemp("base")
    file = vocabulary(folder / "vocabulary", OLD_WORDS)
    target = str(folder / "model")
    serving = signatures.ServingModel(built, file, 32, MAX_TOKENS, SETTINGS.embedding_dim)
    signatures.save(serving, target)
    warm_start.write_architecture(target, SETTINGS, ATTRIBUTES)
    calibration.low.assign(1.0)
    calibration.offset.assign(0.0)
    built.matcher.get_layer(model.ATTRIBUTES).adapt(
        [np.zeros(len(values)) for values in ATTRIBUTES.values()]
    )
    return built, target


def tokens(words, *texts):
    ids = [
        [words.index(word) + 2 if word in words else captions.OOV_ID for word in text.split()]
        for text in texts
    ]
    return np.array([row + [0] * (MAX_TOKENS - len(row)) for row in ids])


def load(target, base, words, tmp_path, settings=SETTINGS, size=32, attributes=ATTRIBUTES):
    config = Config.model_validate(
        {
            "model": settings.model_dump(),
            "image": {"size": size},
            "caption": {"max_tokens": MAX_TOKENS},
        }
    )
    setup = TrainingSetup(
        config=config,
        strategy=tf.distribute.get_strategy(),
        vocabulary_file=vocabulary(tmp_path / "new", words),
        vocabulary=words,
        attributes=attributes,
        base_model=base,
    )
    warm_start.load_last_blessed(target, setup)


@pytest.mark.parametrize(
    "words",
    [
        OLD_WORDS,
        ["bird", "blue", "a", "red"],  # As many words, in another order.
        ["bird", "green", "red", "a", "blue", "fish"],
        ["bird", "red"],
    ],
)
def test_the_same_answers_on_words_that_both_know(base, tmp_path, words):
    old, path = base
    new = build(words, seed=2)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    texts = ("red bird", "bird red unheard-of")
    expected = np.asarray(old((pixels, tokens(OLD_WORDS, *texts))))
    load(new, path, words, tmp_path)
    answer = np.asarray(new((pixels, tokens(words, *texts))))
    np.testing.assert_allclose(answer, expected, rtol=1e-5)
    assert len(set(answer.tolist())) == 2


def test_a_new_word_keeps_its_random_vector(base, tmp_path):
    words = ["fish", *OLD_WORDS]
    new = build(words, seed=2)
    fish = (
        new.caption_encoder.get_layer(model.WORD_VECTORS)
        .get_weights()[0][captions.FIRST_WORD_ID]
        .copy()
    )
    load(new, base[1], words, tmp_path)
    vectors = new.caption_encoder.get_layer(model.WORD_VECTORS).get_weights()[0]
    np.testing.assert_array_equal(vectors[captions.FIRST_WORD_ID], fish)
    old = base[0].caption_encoder.get_layer(model.WORD_VECTORS).get_weights()[0]
    np.testing.assert_array_equal(vectors[captions.FIRST_WORD_ID + 1 :], old[2:])
    np.testing.assert_array_equal(vectors[:2], old[:2])


@pytest.mark.parametrize(
    "attributes",
    [
        {"color": ["blue", "red"], "shape": ["long", "round", "flat"]},
        {"shape": ["round", "flat", "long"], "color": ["red", "blue"]},
    ],
)
def test_attributes_may_change_places(base, tmp_path, attributes):
    old, path = base
    new = build(OLD_WORDS, seed=2, attributes=attributes)
    load(new, path, OLD_WORDS, tmp_path, attributes=attributes)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    pairs = (pixels, tokens(OLD_WORDS, "red bird", "blue"))
    np.testing.assert_allclose(np.asarray(new(pairs)), np.asarray(old(pairs)), rtol=1e-5)


def test_a_new_value_of_an_attribute_keeps_its_random_class(base, tmp_path):
    attributes = {"color": ["green", "blue"], "size": ["big", "small"]}
    new = build(OLD_WORDS, seed=2, attributes=attributes)
    classifier = new.matcher.get_layer(model.ATTRIBUTES).classifier
    before = classifier.kernel.numpy().copy()
    load(new, base[1], OLD_WORDS, tmp_path, attributes=attributes)
    old = base[0].matcher.get_layer(model.ATTRIBUTES).classifier.kernel.numpy()
    after = classifier.kernel.numpy()
    np.testing.assert_array_equal(after[:, 1], old[:, 1])  # Blue.
    np.testing.assert_array_equal(after[:, [0, 2, 3]], before[:, [0, 2, 3]])


def test_a_model_without_attributes_is_another_one(base, tmp_path):
    new = build(OLD_WORDS, attributes={})
    with pytest.raises(DexmatchError, match="reads color, shape there and none here"):
        load(new, base[1], OLD_WORDS, tmp_path, attributes={})


def test_pictures_may_grow(base, tmp_path):
    new = build(OLD_WORDS, seed=2, size=64)
    load(new, base[1], OLD_WORDS, tmp_path, size=64)
    for mine, theirs in zip(new.get_weights(), base[0].get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_without_a_blessed_model_the_weights_stay_and_the_log_says_so(tmp_path, caplog):
    new = build(OLD_WORDS)
    before = [values.copy() for values in new.get_weights()]
    load(new, None, OLD_WORDS, tmp_path)
    for mine, theirs in zip(new.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert "no model is blessed yet" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embedding_dim": 16}, "model.embedding_dim is 8 there and 16 here"),
        ({"recurrent": "GRU"}, "model.recurrent is 'LSTM' there and 'GRU' here"),
        ({"backbone": "EfficientNetB1"}, "model.backbone is 'EfficientNetB0' there"),
        ({"join": "concat", "color_bins": 3}, "model.color_bins is 2 there .*model.join"),
        ({"build": "shop.model.build"}, "model.build is '' there and 'shop.model.build' here"),
    ],
)
def test_another_architecture_is_named_in_one_line(base, tmp_path, change, message):
    settings = SETTINGS.model_copy(update=change)
    new = build(OLD_WORDS, settings=settings)
    with pytest.raises(DexmatchError, match=message) as raised:
        load(new, base[1], OLD_WORDS, tmp_path, settings)
    assert "\n" not in str(raised.value)


def test_a_note_of_an_earlier_release_is_of_our_model(base, tmp_path):
    noted = tmp_path / "noted"
    shutil.copytree(base[1], noted)
    note = noted / "assets.extra" / "architecture.json"
    told = json.loads(note.read_text())
    del told["model"]["build"]
    note.write_text(json.dumps(told))
    load(build(OLD_WORDS), str(noted), OLD_WORDS, tmp_path)


def test_words_that_cannot_be_told_apart_are_refused(base, tmp_path, monkeypatch):
    """As many words, in another order, and vectors of another name: a model of the user's own."""
    ours = model.build

    def own(*arguments):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(model, "WORD_VECTORS", "own_vectors")
            return ours(*arguments)

    monkeypatch.setattr(model, "build", own)
    words = ["bird", "blue", "a", "red"]
    with pytest.raises(DexmatchError, match="no layer named 'word_vectors' to tell") as raised:
        load(build(words), base[1], words, tmp_path)
    assert "\n" not in str(raised.value)


def test_other_dropout_is_no_other_architecture(base, tmp_path):
    settings = SETTINGS.model_copy(update={"dropout": 0.5, "batch_norm_momentum": 0.5})
    load(build(OLD_WORDS, settings=settings), base[1], OLD_WORDS, tmp_path, settings)


@pytest.mark.parametrize("units", [6, 10])
def test_other_weights_than_the_note_says_are_refused_in_one_line(base, tmp_path, units):
    """As after a change of modules/network/model.py."""
    settings = SETTINGS.model_copy(update={"recurrent_units": units})
    noted = str(tmp_path / "noted")
    shutil.copytree(base[1], noted)
    warm_start.write_architecture(noted, settings, ATTRIBUTES)
    with pytest.raises(
        DexmatchError, match="another version of modules/network/model.py"
    ) as raised:
        load(build(OLD_WORDS, settings=settings), noted, OLD_WORDS, tmp_path, settings)
    assert "\n" not in str(raised.value)


def test_weights_left_over_are_refused(base, tmp_path, tiny_backbone, monkeypatch):
    def smaller(backbone, weights, size):
        whole = tiny_backbone(backbone, weights, size)
        return keras.Model(whole.input, whole.layers[-2].output)

    monkeypatch.setattr(backbones, "load_backbone", smaller)
    with pytest.raises(DexmatchError, match="weights there"):
        load(build(OLD_WORDS), base[1], OLD_WORDS, tmp_path)


def test_a_model_whose_files_are_gone(tmp_path):
    with pytest.raises(DexmatchError, match="its files are gone"):
        load(build(OLD_WORDS), str(tmp_path / "gone"), OLD_WORDS, tmp_path)


def test_the_note_is_all_that_is_added(base):
    extra = tf.io.gfile.glob(f"{base[1]}/assets.extra/*")
    assert [tf.io.gfile.stat(path).length < 2000 for path in extra] == [True]
