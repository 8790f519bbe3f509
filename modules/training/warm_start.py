"""Going on from the last blessed model: `model.weights = "last_blessed"`.

The SavedModel that was pushed holds all that is needed: the weights, the vocabulary among
its assets, and, where the SavedModel format keeps room for others' files, a note of the
settings that shape the model.
"""

import json
import logging
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from core import reporting
from core.config import LAST_BLESSED, ModelConfig
from core.config.renamed import RENAMED
from core.errors import DexmatchError
from modules.export import signatures
from modules.network import backbones, layers, model
from modules.network.model import PairModel
from modules.preprocessing import captions
from modules.training.setup import Attributes, TrainingSetup

_ARCHITECTURE_FILE = "assets.extra/architecture.json"
_WEIGHTS = "weights"
# They change how a model learns, not which weights it has.
_SHAPE_NOTHING = {
    "weights",
    "dropout",
    "image_dropout",
    "stochastic_depth",
    "batch_norm_momentum",
    "attributes",
}

# Where the names are, in the weights of layers that have a row or column for each name.
_AXES = {model.WORD_VECTORS: 0, layers.CLASSIFIER: -1, model.AGREEMENT_WEIGHTS: 0}

_log = logging.getLogger(f"{reporting.LOGGER}.warm_start")


def write_architecture(saved_model: str, settings: ModelConfig, attributes: Attributes) -> None:
    """Writes beside a SavedModel's own files what shaped it.

    Args:
      saved_model: its folder.
      settings: the `model` section.
      attributes: name to values, in the order of their ids.
    """
    path = tf.io.gfile.join(saved_model, _ARCHITECTURE_FILE)
    tf.io.gfile.makedirs(path.rpartition("/")[0])
    with tf.io.gfile.GFile(path, "w") as file:
        shaped = {"model": settings.model_dump(mode="json"), "attributes": attributes}
        file.write(json.dumps(shaped, indent=1))


def load_last_blessed(target: PairModel, setup: TrainingSetup) -> None:
    """Fills a freshly built model with the weights of the last blessed one.

    Vectors of words go to the same word's place in the new vocabulary; a word that the old one did
    not have keeps its random vector. So it is with attributes and their values. Pictures may have
    another size than before, and captions another length: the weights do not depend on it. The
    calibration and the shares of the attributes' values are not taken over: they belong to the data
    of a training, and are found anew there.

    Args:
      target: what `setup.build_model` made.
      setup: names the last blessed model; `base_model` is None if there is none yet.

    Raises:
      DexmatchError: the model has another architecture, or its files are gone.
    """
    base = setup.base_model
    if base is None:
        _log.warning(
            'model.weights = "%s": no model is blessed yet, so this one starts from random weights',
            LAST_BLESSED,
        )
        return
    old_attributes = _read_attributes(base, setup)
    file_name = setup.vocabulary_file.rpartition("/")[2]
    old_words = _words(tf.io.gfile.join(base, "assets", file_name), base)
    new_words = setup.vocabulary
    old = replace(setup, vocabulary=old_words, attributes=old_attributes).build_model()
    _restore(old, base, setup.config.model.build or "modules/network/model.py")
    has_word_vectors = any(model.WORD_VECTORS in each.path.split("/") for each in target.weights)
    if old_words != new_words and not has_word_vectors:
        raise _refused(
            base,
            f"it knows other words, and the model of {setup.config.model.build} has no layer named "
            f"{model.WORD_VECTORS!r} to tell their vectors by",
        )
    names_there = _names(old_words, old_attributes)
    names_here = _names(new_words, setup.attributes)
    for mine, theirs in zip(target.weights, old.weights, strict=True):
        # What belongs to the data of a training is found anew in each.
        if {model.CALIBRATION, layers.SHARES} & set(mine.path.split("/")):
            continue
        layer = next((name for name in names_here if name in mine.path.split("/")), None)
        values = theirs.numpy()
        if layer:
            names = names_here[layer], names_there[layer]
            values = _by_name(mine.numpy(), values, *names, axis=_AXES[layer])
        try:
            mine.assign(values)
        except ValueError as error:
            # A layer of the user's own, with a place for each word under another name.
            raise _refused(base, f"{mine.path} has another shape there than here") from error
    backbones.finalize_normalization(target)
    known = len(set(old_words) & set(new_words))
    _log.info("goes on from %s, which knows %d of %d words", base, known, len(new_words))


def _names(words: list[str], attributes: Attributes) -> dict[str, list[Any]]:
    """The names behind the layers of `_AXES`."""
    return {
        model.WORD_VECTORS: [captions.PADDING_ID, captions.OOV_ID, *words],
        layers.CLASSIFIER: [
            (name, value) for name, values in attributes.items() for value in values
        ],
        model.AGREEMENT_WEIGHTS: list(attributes),
    }


def _read_attributes(base: str, setup: TrainingSetup) -> Attributes:
    """The attributes of the model there; refuses it if it has another architecture."""
    attributes = setup.attributes
    if not tf.io.gfile.exists(base):
        raise _refused(base, "its files are gone")
    try:
        with tf.io.gfile.GFile(tf.io.gfile.join(base, _ARCHITECTURE_FILE)) as file:
            shaped: dict[str, Any] = json.loads(file.read())
    except tf.errors.NotFoundError as error:
        raise _refused(base, f"{_ARCHITECTURE_FILE} is missing") from error
    # Keys that had another name when the model was pushed.
    there = {
        RENAMED.get(f"model.{key}", f"model.{key}").removeprefix("model."): value
        for key, value in shaped["model"].items()
    }
    # Earlier releases knew no other model than ours.
    there.setdefault("build", "")
    here = setup.config.model.model_dump(mode="json")
    differences = [
        f"model.{key} is {there.get(key)!r} there and {here[key]!r} here"
        for key in here
        if key not in _SHAPE_NOTHING and there.get(key) != here[key]
    ]
    old: Attributes = shaped["attributes"]
    if bool(old) != bool(attributes):
        differences.append(
            f"it reads {', '.join(old) or 'no attribute'} there and "
            f"{', '.join(attributes) or 'none'} here (model.attributes)"
        )
    if differences:
        raise _refused(base, ", ".join(differences))
    return old


def _refused(base: str, reason: str) -> DexmatchError:
    return DexmatchError(
        f'model.weights = "{LAST_BLESSED}": cannot go on from {base}: {reason}; '
        f'set model.weights to "{backbones.NO_WEIGHTS}" to start anew'
    )


def _words(vocabulary_file: str, base: str) -> list[str]:
    try:
        with tf.io.gfile.GFile(vocabulary_file) as file:
            return str(file.read()).splitlines()
    except tf.errors.NotFoundError as error:
        raise _refused(base, f"{vocabulary_file} is missing") from error


def _restore(old: PairModel, base: str, code: str) -> None:
    """Reads all weights, and sees to it that none is left over on either side.

    Args:
      old: is filled.
      base: the SavedModel's folder.
      code: what builds the model, for messages.
    """
    path = tf.io.gfile.join(base, "variables", "variables")
    variables = signatures.tf_variables(old)
    try:
        saved = tf.train.load_checkpoint(path).get_variable_to_shape_map()
        count = sum(name.startswith(f"{_WEIGHTS}/") for name in saved)
        if count != len(variables):
            raise ValueError(f"{count} weights there, {len(variables)} here")
        checkpoint = tf.train.Checkpoint(**{_WEIGHTS: variables})
        checkpoint.read(path).assert_existing_objects_matched()
    except (ValueError, AssertionError, tf.errors.OpError) as error:
        raise _refused(
            base,
            f"another version of {code} made it ({str(error).splitlines()[0]})",
        ) from error


def _by_name(
    new: np.ndarray, old: np.ndarray, new_names: list[Any], old_names: list[Any], axis: int
) -> np.ndarray:
    """Moves what belongs to a name along an axis to the name's new place."""
    place = {name: index for index, name in enumerate(old_names)}
    known = [index for index, name in enumerate(new_names) if name in place]
    moved = np.moveaxis(new.copy(), axis, 0)
    moved[known] = np.moveaxis(old, axis, 0)[[place[new_names[index]] for index in known]]
    return np.moveaxis(moved, 0, axis)
