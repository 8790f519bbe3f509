import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from core import features
from core.config import ModelConfig
from modules.export import signatures
from modules.network import model

pytestmark = pytest.mark.slow

SIZE, LENGTH, WIDTH = 32, 6, 8
WORDS = ("a", "red", "blue", "bird", "fish")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A small model, saved and moved, without the vocabulary file that it was made with."""
    folder = tmp_path_factory.mktemp("model")
    keras.utils.set_random_seed(1)
    vocabulary = folder / "words.txt"
    vocabulary.write_text("".join(f"{word}\n" for word in WORDS), encoding="utf-8")
    settings = ModelConfig(
        feature_levels=(1,), embedding_dim=WIDTH, recurrent_units=8, word_dim=8, hidden_units=8
    )
    built = model.build(settings, SIZE, LENGTH, len(WORDS) + 2)
    made = signatures.ServingModel(built, str(vocabulary), SIZE, LENGTH, WIDTH)
    signatures.save(made, str(folder / "first"))
    (folder / "weights.txt").write_text(str(len(built.weights)))
    vocabulary.unlink()
    shutil.move(folder / "first", folder / "second")
    return folder / "second"


@pytest.fixture(scope="module")
def served(saved):
    return tf.saved_model.load(str(saved))


def score(served, images, texts):
    answer = served.signatures["serving_default"](
        image=tf.constant(images, tf.string, [len(images)]),
        caption=tf.constant(texts, tf.string, [len(texts)]),
    )
    return answer[features.PROBABILITY].numpy()


def embed(served, name, **inputs):
    (key, values), *_ = inputs.items()
    return served.signatures[name](**{key: tf.constant(values)})[features.EMBEDDING]


def test_names_types_and_shapes_are_the_promised_ones(served):
    def described(specs):
        return {key: (spec.dtype.name, spec.shape.as_list()) for key, spec in specs.items()}

    text, vector, number = ("string", [None]), ("float32", [None, WIDTH]), ("float32", [None])
    promised = {
        "serving_default": ({"image": text, "caption": text}, {"probability": number}),
        "serve_examples": ({"examples": text}, {"probability": number}),
        "encode_image": ({"image": text}, {"embedding": vector}),
        "encode_caption": ({"caption": text}, {"embedding": vector}),
        "score_embeddings": (
            {"image_embedding": vector, "caption_embedding": vector},
            {"probability": number},
        ),
    }
    assert set(served.signatures) == set(promised)
    for name, (inputs, outputs) in promised.items():
        signature = served.signatures[name]
        assert described(signature.structured_input_signature[1]) == inputs
        assert described(signature.structured_outputs) == outputs


def test_embeddings_give_the_same_probability(served, pictures):
    images = list(pictures.values())
    texts = [f"a {WORDS[1 + index % 4]} fish" for index in range(len(images))]
    through_embeddings = served.signatures["score_embeddings"](
        image_embedding=embed(served, "encode_image", image=images),
        caption_embedding=embed(served, "encode_caption", caption=texts),
    )[features.PROBABILITY].numpy()
    np.testing.assert_allclose(through_embeddings, score(served, images, texts), atol=1e-6)
    assert len(set(through_embeddings.tolist())) > 1


def test_examples_give_the_same_probability(served, pictures):
    images, texts = list(pictures.values()), ["a red bird"] * len(pictures)
    examples = []
    for image, text in zip(images, texts, strict=True):
        example = tf.train.Example()
        example.features.feature[features.IMAGE].bytes_list.value.append(image)
        example.features.feature[features.CAPTION].bytes_list.value.append(text.encode())
        example.features.feature["color"].bytes_list.value.append(b"not asked for")
        examples.append(example.SerializeToString())
    answer = served.signatures["serve_examples"](examples=tf.constant(examples))
    np.testing.assert_array_equal(answer["probability"], score(served, images, texts))


@pytest.mark.parametrize("count", [0, 1, 7])
def test_any_batch_size(served, pictures, count):
    assert score(served, [pictures["rgb.png"]] * count, ["a bird"] * count).shape == (count,)


def test_the_same_answer_alone_and_in_a_batch(served, pictures):
    images, texts = list(pictures.values()), ["a blue bird"] * len(pictures)
    together = score(served, images, texts)
    alone = [score(served, [image], [text])[0] for image, text in zip(images, texts, strict=True)]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_what_cannot_be_judged_is_zero_and_harms_no_neighbour(served, pictures):
    good = pictures["rgb.png"]
    images, texts = [good, b"broken", good, good], ["a bird", "a bird", "", "a bird"]
    answers = score(served, images, texts)
    assert answers[1] == answers[2] == signatures.NOT_JUDGED == 0
    (expected,) = score(served, [good], ["a bird"])
    np.testing.assert_allclose(answers[[0, 3]], expected, atol=1e-6)
    assert expected > 0


@pytest.mark.parametrize("value", [1e38, 3e38, -1e38, np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("places", [slice(0, 1), slice(None), slice(None, None, 2)])
def test_no_numbers_give_nan(served, value, places):
    ordinary = np.random.default_rng(1).normal(size=(4, WIDTH)).astype(np.float32)
    wild = ordinary.copy()
    wild[1:3, places] = value
    wild[2] *= -1

    def probabilities(image, caption):
        return served.signatures["score_embeddings"](
            image_embedding=tf.constant(image), caption_embedding=tf.constant(caption)
        )[features.PROBABILITY].numpy()

    for images, captions in ((wild, ordinary), (ordinary, wild), (wild, wild)):
        answers = probabilities(images, captions)
        assert ((answers >= 0) & (answers <= 1)).all(), answers
        if not np.isfinite(value):
            assert (answers[1:3] == signatures.NOT_JUDGED).all()
        # Their neighbours are answered as ever.
        expected = probabilities(ordinary, ordinary)
        np.testing.assert_array_equal(answers[[0, 3]], expected[[0, 3]])


def test_a_session_loads_the_same_model(saved, served, pictures):
    """TensorFlow Serving, and tfx_bsl's RunInference, load a model so."""
    images, texts = [pictures["rgb.png"], pictures["tall.png"]], ["a blue bird", "two words"]
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(saved))
        signature = loaded.signature_def["serving_default"]
        answers = session.run(
            signature.outputs["probability"].name,
            {signature.inputs["image"].name: images, signature.inputs["caption"].name: texts},
        )
    np.testing.assert_allclose(answers, score(served, images, texts), atol=1e-6)


def test_nothing_is_saved_but_the_weights(saved):
    listed = tf.train.list_variables(str(saved / "variables" / "variables"))
    names = [name for name, _ in listed if name != "_CHECKPOINTABLE_OBJECT_GRAPH"]
    assert len(names) == int((saved.parent / "weights.txt").read_text())
    assert all(name.startswith("weights/") for name in names)


def test_a_picture_beside_several_captions_is_encoded_once(served, pictures):
    first, second = pictures["rgb.png"], pictures["grey.png"]
    images, texts = [first, second, first, first], ["a bird", "red", "blue fish", "a"]
    encoded = []

    class Recorder:
        """Stands for a served model; sees what is encoded."""

        encode_caption = staticmethod(served.signatures["encode_caption"])
        score_embeddings = staticmethod(
            lambda *embeddings: served.signatures["score_embeddings"](
                image_embedding=embeddings[0], caption_embedding=embeddings[1]
            )
        )

        @staticmethod
        def encode_image(image):
            encoded.extend(image.numpy())
            return served.signatures["encode_image"](image=image)

    function = signatures.ServingModel.score.python_function
    answer = function(Recorder, tf.constant(images), tf.constant(texts))
    assert encoded == [first, second]
    expected = score(served, images, texts)
    np.testing.assert_allclose(answer[features.PROBABILITY], expected, atol=1e-6)
    alone = [score(served, [image], [text])[0] for image, text in zip(images, texts, strict=True)]
    np.testing.assert_allclose(expected, alone, atol=1e-5)
