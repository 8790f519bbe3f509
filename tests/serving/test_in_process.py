"""What every client does, shown on the one that needs no server."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf

from serving.client import InvalidRequest, ModelNotFound, Settings, open_model
from serving.server import servable


@pytest.fixture
def small_batches(tiny_models, tiny):
    """A client that counts the rows of each request it makes."""
    client = open_model(tiny_models.first, settings=Settings(max_batch=4, max_embeddings=6))
    rows = []
    ask = client._predict

    def counted(signature, inputs, output, deadline):
        rows.append(len(next(iter(inputs.values()))))
        return ask(signature, inputs, output, deadline)

    client._predict = counted
    return client, rows


def test_embeddings_say_what_score_says(tiny, pictures):
    images = list(pictures.values())
    texts = [("a red bird", "blue fish")[number % 2] for number in range(len(images))]
    scored = tiny.score(images, texts)
    assert scored.dtype == np.float32
    assert scored.shape == (len(images),)
    assert 0 < scored.min() < scored.max() < 1
    encoded = tiny.encode_images(images), tiny.encode_captions(texts)
    np.testing.assert_allclose(tiny.score_embeddings(*encoded), scored, atol=1e-6)


def test_every_picture_with_every_caption(tiny, pictures):
    images, texts = list(pictures.values())[:3], ["a red bird", "blue fish"]
    table = tiny.score_all(tiny.encode_images(images), tiny.encode_captions(texts))
    expected = [tiny.score([image] * 2, texts) for image in images]
    np.testing.assert_allclose(table, expected, atol=1e-6)


def test_what_cannot_be_judged_is_zero_and_harms_no_neighbour(tiny, pictures):
    good = pictures["rgb.png"]
    scored = tiny.score([good, b"", good], ["a bird", "a bird", " ?"])
    assert scored[1] == scored[2] == 0
    np.testing.assert_allclose(scored[0], tiny.score([good], ["a bird"])[0], atol=1e-6)


@pytest.mark.parametrize(("count", "parts"), [(0, []), (4, [4]), (5, [4, 1]), (9, [4, 4, 1])])
def test_requests_are_split_and_put_together_again(small_batches, tiny, pictures, count, parts):
    client, rows = small_batches
    images = (list(pictures.values()) * 2)[:count]
    texts = [f"a {'red ' * (number % 3)}bird" for number in range(count)]
    scored = client.score(images, texts)
    assert rows == parts
    assert scored.shape == (count,)
    if count:
        np.testing.assert_allclose(scored, tiny.score(images, texts), atol=1e-5)


def test_embeddings_have_a_limit_of_their_own(small_batches, tiny, pictures):
    client, rows = small_batches
    embedding = tiny.encode_images([pictures["rgb.png"]] * 13)
    assert client.score_embeddings(embedding, embedding).shape == (13,)
    assert rows == [6, 6, 1]


def test_large_pictures_travel_in_fewer_numbers(small_batches, pictures):
    client, rows = small_batches
    good = pictures["rgb.png"]
    client.settings = Settings(max_batch=4, max_batch_bytes=2 * len(good))
    client.encode_images([good, good, good + bytes(5000), good])
    # The large one has a request of its own, since it cannot be split.
    assert rows == [2, 1, 1]


def test_none_at_all(tiny):
    assert tiny.score([], []).shape == (0,)
    assert len(tiny.encode_images([])) == len(tiny.encode_captions([])) == 0
    assert tiny.score_all(np.zeros((0, 8)), np.zeros((3, 8))).shape == (0, 3)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda client: client.score([b"x"], []), "1 images with 0 captions"),
        (lambda client: client.encode_images(b"PNG"), "one bytes; give a list"),
        (lambda client: client.encode_images([b"x", "bird.png"]), "item 1 is a str"),
        (lambda client: client.encode_captions(["a", b"b"]), "item 1 is a bytes"),
        (lambda client: client.encode_captions(["\udcff"]), "caption 0 is no Unicode text"),
        (
            lambda client: client.score_embeddings(np.zeros((2, 8)), np.zeros((3, 8))),
            r"shape \[2, 8\] with \[3, 8\]",
        ),
        (lambda client: client.score_embeddings(*[np.zeros((2, 5))] * 2), "not .2, 5."),
    ],
)
def test_a_wrong_request_is_told_in_one_line(tiny, ask, message):
    with pytest.raises(InvalidRequest, match=message) as raised:
        ask(tiny)
    assert "\n" not in str(raised.value)


def test_the_highest_version_answers(tiny_models, tmp_path):
    for version in ("9", "10"):
        (tmp_path / version).symlink_to(tiny_models.first / "1")
    (tmp_path / "11").mkdir()  # Being written, or not a model.
    (tmp_path / "notes").mkdir()
    with open_model(tmp_path) as client:
        assert client.version() == 10
    with open_model(tmp_path / "9") as client:
        assert client.version() == 9


def test_no_model_is_told_in_one_line(tmp_path):
    with pytest.raises(ModelNotFound, match="no such folder"):
        open_model(tmp_path / "none")
    with pytest.raises(ModelNotFound, match="holds no model"):
        open_model(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"garbage")
    with pytest.raises(ModelNotFound, match="cannot be loaded") as raised:
        open_model(tmp_path)
    assert "\n" not in str(raised.value)


def test_a_foreign_model_is_told_in_one_line(tmp_path):
    module = tf.Module()
    module.double = tf.function(
        lambda x: {"y": 2 * x}, input_signature=[tf.TensorSpec([None], name="x")]
    )
    tf.saved_model.save(module, str(tmp_path), signatures=module.double)
    with open_model(tmp_path) as client:
        with pytest.raises(ModelNotFound, match="no signature 'serving_default' from image, cap"):
            client.score([b""], [""])


def test_another_address_is_refused():
    with pytest.raises(InvalidRequest, match="begin with http"):
        open_model("ftp://host/model")


@pytest.mark.parametrize("wrong", [{"deadline_s": 0}, {"max_batch": -1}])
def test_settings_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Settings(**wrong)


@pytest.mark.parametrize("name", ["prö[v2]", "a?b*c{d} %20#:e", "back\\slash"])
def test_a_model_is_loaded_from_a_folder_whose_name_is_a_pattern(
    tiny_models, tiny, tmp_path, pictures, name
):
    shutil.copytree(tiny_models.first, tmp_path / name)
    asked = [pictures["rgb.png"]], ["a red bird"]
    np.testing.assert_allclose(open_model(tmp_path / name).score(*asked), tiny.score(*asked))
    with ThreadPoolExecutor(1) as threads:
        options = servable.RunOptions(threads=threads)
        servable.Servable("dexmatch", 1, tmp_path / name / "1", options).close()
