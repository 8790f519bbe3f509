"""Going on from the last blessed model: `model.weights = "last_blessed"`.

The SavedModel that was pushed holds all that is needed: the weights below `_model`, the vocabulary
among its assets, and, where the SavedModel format keeps room for others' files, a note of the
settings that shape the model.
"""

import json
import logging
from typing import Any

import numpy as np
import tensorflow as tf

from modules import captions, model, weights
from pipeline.config import ModelConfig
from pipeline.errors import DexmatchError

_NOTE = "assets.extra/architecture.json"
_MODEL = "_model"
# They change how a model learns, not which weights it has.
_SHAPE_NOTHING = {"weights", "dropout", "batch_norm_momentum"}

_log = logging.getLogger(__name__)


def note(saved_model: str, settings: ModelConfig) -> None:
    """Writes beside a SavedModel's own files which settings shaped it.

    Args:
      saved_model: its folder.
      settings: the `model` section.
    """
    path = tf.io.gfile.join(saved_model, _NOTE)
    tf.io.gfile.makedirs(path.rpartition("/")[0])
    with tf.io.gfile.GFile(path, "w") as file:
        file.write(json.dumps(settings.model_dump(mode="json"), indent=1))


def load(
    target: model.PairModel,
    base: str | None,
    settings: ModelConfig,
    image_size: int,
    max_tokens: int,
    vocabulary_file: str,
) -> None:
    """Fills a freshly built model with the weights of the last blessed one.

    Vectors of words go to the same word's place in the new vocabulary; a word that the old one did
    not have keeps its random vector. Pictures may have another size than before, and captions
    another length, where the architecture leaves the weights alone.

    Args:
      target: what `modules.model.build` made of the same settings.
      base: folder of the last blessed SavedModel; None if there is none yet.
      settings: the `model` section.
      image_size: height and width of the pictures.
      max_tokens: length of the padded captions.
      vocabulary_file: Transform's vocabulary, a word a line.

    Raises:
      DexmatchError: the model has another architecture, or its files are gone.
    """
    if base is None:
        _log.warning(
            'model.weights = "%s": no model is blessed yet, so this one starts from random weights',
            weights.LAST_BLESSED,
        )
        return
    _check_settings(base, settings)
    old_words = _words(tf.io.gfile.join(base, "assets", vocabulary_file.rpartition("/")[2]), base)
    old_size = captions.FIRST_WORD_ID + len(old_words)
    old = model.build(settings, image_size, max_tokens, old_size)
    _restore(old, base)
    new_words = _words(vocabulary_file, base)
    for mine, theirs in zip(target.weights, old.weights, strict=True):
        values = theirs.numpy()
        if mine.path.endswith("embeddings") and len(values) == old_size:
            values = _by_word(mine.numpy(), values, new_words, old_words)
        mine.assign(values)
    weights.refresh(target)
    known = len(set(old_words) & set(new_words))
    _log.info("goes on from %s, which knows %d of %d words", base, known, len(new_words))


def _check_settings(base: str, settings: ModelConfig) -> None:
    """Names the settings that make two architectures of one."""
    path = tf.io.gfile.join(base, _NOTE)
    if not tf.io.gfile.exists(base):
        raise _refused(base, "its files are gone")
    if not tf.io.gfile.exists(path):
        return
    with tf.io.gfile.GFile(path) as file:
        there: dict[str, Any] = json.loads(file.read())
    here = settings.model_dump(mode="json")
    differences = [
        f"model.{key} is {there[key]!r} there and {here[key]!r} here"
        for key in here
        if key in there and key not in _SHAPE_NOTHING and there[key] != here[key]
    ]
    if differences:
        raise _refused(base, ", ".join(differences))


def _refused(base: str, reason: str) -> DexmatchError:
    return DexmatchError(
        f'model.weights = "{weights.LAST_BLESSED}": cannot go on from {base}: {reason}; '
        f'set model.weights to "{weights.NONE}" to start anew'
    )


def _words(vocabulary_file: str, base: str) -> list[str]:
    try:
        with tf.io.gfile.GFile(vocabulary_file) as file:
            return str(file.read()).splitlines()
    except tf.errors.NotFoundError as error:
        raise _refused(base, f"{vocabulary_file} is missing") from error


def _restore(old: model.PairModel, base: str) -> None:
    """Reads all weights, and sees to it that none is left over on either side."""
    path = tf.io.gfile.join(base, "variables", "variables")
    try:
        tf.train.Checkpoint(**{_MODEL: old}).read(path).assert_existing_objects_matched()
        saved = tf.train.load_checkpoint(path).get_variable_to_shape_map()
    except (ValueError, AssertionError, tf.errors.OpError) as error:
        raise _refused(
            base, f"another version of modules/model.py made it ({str(error).splitlines()[0]})"
        ) from error
    count = sum(name.startswith(f"{_MODEL}/") for name in saved)
    if count != len(old.weights):
        raise _refused(
            base,
            f"another version of modules/model.py made it ({count} weights there, "
            f"{len(old.weights)} here)",
        )


def _by_word(
    new: np.ndarray, old: np.ndarray, new_words: list[str], old_words: list[str]
) -> np.ndarray:
    """Rows of word vectors in the new order; padding and OOV come first in both."""
    place = {word: captions.FIRST_WORD_ID + line for line, word in enumerate(old_words)}
    moved = new.copy()
    moved[: captions.FIRST_WORD_ID] = old[: captions.FIRST_WORD_ID]
    for line, word in enumerate(new_words):
        if word in place:
            moved[captions.FIRST_WORD_ID + line] = old[place[word]]
    return moved
