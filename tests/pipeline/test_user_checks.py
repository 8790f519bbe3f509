"""What of the user's functions only serving would find."""

from types import SimpleNamespace

import keras
import pytest

from core import config as configs
from core.errors import DexmatchError
from modules.network import user_model
from pipeline import user_checks


class Applied(keras.layers.Layer):
    """Its argument can stand in no configuration, and it has no get_config of its own."""

    def __init__(self, function):
        super().__init__()
        self._function = function

    def call(self, inputs):
        return self._function(inputs)


def encoder(layer):
    pixels = keras.Input((32, 32, 3))
    return keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(layer(pixels)))


@pytest.fixture
def check(monkeypatch):
    """Checks an image encoder."""

    def checked(layer):
        built = SimpleNamespace(image_encoder=encoder(layer))
        monkeypatch.setattr(user_model, "check", lambda *_: built)
        user_checks.check(configs.load(None, ["model.build=shop.model.build", "image.size=32"]))

    return checked


def test_an_image_encoder_that_cannot_be_copied_is_told_before_the_run(check):
    with pytest.raises(
        DexmatchError, match="^model.build = 'shop.model.build'.*get_config"
    ) as told:
        check(Applied(lambda values: values * 2))
    assert "\n" not in str(told.value)


def test_one_that_can_is_none(check):
    check(keras.layers.Conv2D(4, 3))
