"""`model.build`: what it must be, and that trainings and the served model are made by it."""

import json

import pytest

from core.config import ModelConfig
from core.errors import DexmatchError
from modules.network import model, user_model

NAME = "shop.model.build"
SMALL = {
    "feature_levels": ("top",),
    "embedding_dim": 8,
    "recurrent_units": 4,
    "word_dim": 4,
    "hidden_units": 4,
}


@pytest.fixture(scope="module")
def code(test_module):
    return test_module("modules/user_code.py")


def check(**settings):
    user_model.check(ModelConfig(**{**SMALL, "build": NAME, **settings}), 32, 4, (3, 2))


def test_ours_builds_it_by_default():
    assert user_model.build_function(ModelConfig()) is model.build


def test_the_templates_keeps_the_contract(code, tmp_path, tiny_backbone):
    with code.written(tmp_path):
        # Random ones are enough to see it.
        check(weights="no such file")


_ENCODER = "build_caption_encoder(settings, max_tokens, vocabulary_size),\n"
_RETURN = "    return PairModel("


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ((_RETURN, "    return None\n    PairModel("), "must return a PairModel, and returns None"),
        (
            ("settings.embedding_dim, name", "9, name"),
            r"caption_encoder must map \(N, 4\) to \(N, 8\), and maps \(N, 4\) to \(N, 9\)",
        ),
        ((_ENCODER, _ENCODER.replace("max_tokens", "5")), r"caption_encoder must map \(N, 4\)"),
        (("image_size),", "48),"), r"image_encoder must map \(N, 32, 32, 3\)"),
        (("settings, attribute_sizes)", "settings, ())"), "no layer Agreement named 'attributes'"),
        (("settings, attribute_sizes)", "settings, (4, 2))"), "must have the sizes that `build`"),
        (
            (_RETURN, "    settings.nothing\n    return PairModel("),
            r"shop/model\.py, line 29: Attri",
        ),
        (("summary)", "summary * float('nan'))"), "logits must be finite float32, and are"),
        (("attribute_sizes: Sequence[int] = (),\n", ""), "must take .settings, image_size, max_"),
    ],
)
def test_what_does_not_keep_it_is_told_in_one_line(code, tmp_path, tiny_backbone, change, told):
    with code.written(tmp_path, {"model": change}):
        with pytest.raises(DexmatchError, match=f"^model.build.*{told}") as raised:
            check()
    assert "\n" not in str(raised.value)


_IN_ANOTHER = """

def _in_another(part):
    given = [keras.Input(each.shape[1:]) for each in part.inputs]
    given = given if len(given) > 1 else given[0]
    return keras.Model(given, part(given))
"""


@pytest.mark.parametrize(
    ("part", "told"),
    [
        (
            "model.build_image_encoder(settings, image_size)",
            "image_encoder has no model named 'image_features' in it",
        ),
        ("model.build_matcher(settings, attribute_sizes)", "no layer Calibration named 'calib"),
    ],
)
def test_a_part_without_what_the_training_looks_for(code, tmp_path, tiny_backbone, part, told):
    with code.written(tmp_path, {"model": (part, f"_in_another({part})")}):
        path = tmp_path / "shop" / "model.py"
        path.write_text(path.read_text() + _IN_ANOTHER)
        with pytest.raises(DexmatchError, match=told):
            check()


@pytest.mark.slow
def test_a_training_is_of_the_users_model(code, runs, tiny_backbone, transformed, tmp_path):
    with code.written(tmp_path / "project"):
        weights = runs.train(transformed, tmp_path, "trainer.epochs=1", *code.OVERRIDES)
    # A GRU has three gates, ours in these trainings would be an LSTM with four.
    shapes = {values.shape for values in weights.values()}
    assert {(8, 24), (2, 24)} <= shapes
    assert not {(8, 32)} & shapes
    beside = tmp_path / "serving" / "assets.extra"
    told = json.loads((beside / "architecture.json").read_text())
    assert told["model"]["build"] == NAME
    assert (beside / "normalize" / "saved_model.pb").is_file()
