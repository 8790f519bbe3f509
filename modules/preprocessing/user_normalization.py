"""The user's own function that captions go through, named by `caption.normalize`.

It is called in one place, `captions.words`, which Transform and the served model share: what the
model was trained on and what it is asked about cannot differ. It becomes a part of the served
model, and whoever else reads captions as a pushed model does finds it beside the model's own files,
so that nobody needs the user's code once the model is saved. docs/extend.md tells what it must be.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

from core.errors import DexmatchError
from core.files import plain_name
from core.user_functions import describe, load_function
from modules.preprocessing.captions import Normalize, words

KEY = "caption.normalize"

_FOLDER = "assets.extra/normalize"
"""In a SavedModel, where the format keeps room for others' files: one more, of this function."""
_SIGNATURE = [tf.TensorSpec([None], tf.string, "captions")]
# They run Python, which no model server has.
_PYTHON = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}
_TRIED = (
    "a red bird",
    "",
    "the bird's 2nd-best, grey and gray colour; £3 & more!",
    "une créature bleue — très belle",
    "빨간 새",
    "a",
)


def function(name: str) -> Normalize | None:
    """The function by its dotted name; None if there is no name.

    Python's `if` and `for` in it are what they are in Python, in Transform as in the served model,
    where TensorFlow would otherwise make something else of them.

    Raises:
      DexmatchError: there is no such function; see `load_function`.
    """
    if not name:
        return None
    return tf.autograph.experimental.do_not_convert(load_function(KEY, name, ("captions",)))


def check(name: str) -> None:
    """Tries the user's function on a few captions.

    Raises:
      DexmatchError: it does not keep its contract; names the key, the function and what is wrong.
    """
    normalize = function(name)
    if normalize is None:
        return
    try:
        traced = _graph_of(normalize)
        problem = _problem(traced)
    except Exception as error:
        raise DexmatchError(f"{KEY}: {describe(error, name)}") from error
    if problem:
        raise DexmatchError(f"{KEY} = {name!r}: {problem}; see docs/extend.md")


def _graph_of(normalize: Normalize) -> tf.types.experimental.ConcreteFunction:
    return tf.function(normalize, input_signature=_SIGNATURE).get_concrete_function()


def _problem(traced: tf.types.experimental.ConcreteFunction) -> str | None:
    """What would make training and serving differ, or keep it from being served; else None."""
    found = traced.structured_outputs
    if not isinstance(found, tf.Tensor) or found.dtype != tf.string or found.shape.rank != 1:
        return f"it must return a string tensor [N], and returns {found}"
    graph = traced.graph.as_graph_def()
    nodes = [*graph.node, *(node for each in graph.library.function for node in each.node_def)]
    if python := _PYTHON & {node.op for node in nodes}:
        return f"it runs Python ({min(python)}), which a model server does not have"
    held = any(tensor.dtype == tf.resource for tensor in traced.captured_inputs)
    if held or any("HashTable" in node.op for node in nodes):
        return "it holds a table or a variable; it may be made of nothing but ops and constants"
    together = traced(tf.constant(_TRIED)).numpy()
    if together.shape != (len(_TRIED),):
        return f"of {len(_TRIED)} captions it makes {len(together)}"
    if traced(tf.constant([], tf.string)).shape != (0,):
        return "of no caption it must make none"
    alone = np.concatenate([traced(tf.constant([text])).numpy() for text in _TRIED])
    if (together != alone).any():
        return "what it makes of a caption must depend on nothing but that caption"
    if words(tf.constant([""]), traced).flat_values.shape[0]:
        return "of a caption without a word it makes one with words"
    return None


class _Module(tf.Module):
    def __init__(self, normalize: Normalize):
        super().__init__()
        self.normalize = tf.function(normalize, input_signature=_SIGNATURE)


def save(name: str, saved_model: str) -> None:
    """Writes the function, if there is one, beside a SavedModel's own files."""
    if normalize := function(name):
        tf.saved_model.save(_Module(normalize), f"{saved_model}/{_FOLDER}")


def saved_with(saved_model: Path) -> Normalize | None:
    """The function that captions of a SavedModel go through; None if there is none."""
    folder = saved_model / _FOLDER
    if not folder.is_dir():
        return None
    with plain_name(folder) as name:
        return tf.saved_model.load(name).normalize
