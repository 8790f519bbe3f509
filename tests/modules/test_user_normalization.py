"""`caption.normalize`: what it must be, and that nobody needs its code once a model is saved.

That training and serving go through the same is tested in test_preprocessing.
"""

import pytest
import tensorflow as tf

from core.errors import DexmatchError
from core.user_functions import importable
from modules.preprocessing import captions, user_normalization
from monitoring.traffic import Vocabulary

NAME = "shop.preprocessing.normalize"
CAPTIONS = ("A GREY bird", "a gray bird", "Colourful, greyish", "", "ＧＲＥＹ été", "a fish")


@pytest.fixture(scope="module")
def code(test_module):
    return test_module("modules/user_code.py")


@pytest.fixture
def template(code, tmp_path):
    with code.written(tmp_path / "project"):
        yield


def test_the_templates_keeps_the_contract(template):
    user_normalization.check(NAME)
    user_normalization.check("")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return tf.strings.length(captions)", "must return a string tensor .N., and returns"),
        ("return 'a bird'", "must return a string tensor .N., and returns "),
        ("return tf.reshape(captions, [-1, 1])", "must return a string tensor .N., and returns"),
        ("return tf.concat([captions, ['x']], 0)", "of 6 captions it makes 7"),
        ("return captions[::-1]", "must depend on nothing but that caption"),
        (
            "return captions + tf.as_string(tf.random.uniform(tf.shape(captions)))",
            "must depend on nothing but that caption",
        ),
        ("return captions + ' bird'", "of a caption without a word it makes one with words"),
        (
            "return tf.numpy_function(lambda each: each, [captions], tf.string)",
            "must return a string tensor",
        ),
        (
            "return tf.ensure_shape(tf.numpy_function(lambda x: x, [captions], tf.string), [None])",
            r"it runs Python \(PyFunc\), which a model server does not have",
        ),
        (
            "return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(['a'], ['b']), "
            "'').lookup(captions)",
            "holds a table or a variable",
        ),
        ("return captions if captions[0] == 'a' else captions", "preprocessing.py, line 3: "),
        ("return captions + 1", r"preprocessing\.py, line 3: "),
        ("return tf.strings.regex_replace(captions, '(', '')", "preprocessing.py, line 3|normal"),
    ],
)
def test_what_does_not_keep_it_is_told_in_one_line(tmp_path, body, told):
    package = tmp_path / "broken"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "preprocessing.py").write_text(
        f"import tensorflow as tf\ndef normalize(captions):\n    {body}\n"
    )
    name = "broken.preprocessing.normalize"
    with importable(tmp_path, {user_normalization.KEY: name}):
        with pytest.raises(DexmatchError, match=f"^caption.normalize.*{told}") as raised:
            user_normalization.check(name)
    assert "\n" not in str(raised.value)


def test_it_is_kept_beside_a_saved_model_and_found_without_its_code(code, tmp_path):
    assert user_normalization.saved_with(tmp_path) is None
    user_normalization.save("", str(tmp_path / "model [v2]"))
    assert not (tmp_path / "model [v2]").exists()
    with code.written(tmp_path / "project"):
        user_normalization.save(NAME, str(tmp_path / "model"))
    (tmp_path / "model").rename(tmp_path / "model [v2]")
    normalize = user_normalization.saved_with(tmp_path / "model [v2]")
    found = captions.words(tf.constant(CAPTIONS), normalize).to_list()
    assert found[:3] == [[b"a", b"gray", b"bird"]] * 2 + [[b"colorful", b"gray"]]
    # Whoever watches the traffic counts the words that the model reads.
    (tmp_path / "model [v2]" / "assets").mkdir()
    (tmp_path / "model [v2]" / "assets" / captions.VOCABULARY).write_text("gray\nred\n")
    vocabulary = Vocabulary(tmp_path / "model [v2]")
    assert vocabulary.count([b"grey", b"red bird", b"gray"]) == (3, 1, 0)
