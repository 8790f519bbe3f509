"""The ranking of embeddings, beside scores of a model whose attributes have random weights."""

import tempfile
from pathlib import Path

import keras
import numpy as np
import pytest

from core.config import ModelConfig
from modules.export import signatures
from modules.export.matcher_weights import matcher_weights
from modules.network import backbones, model
from serving.client import open_model
from serving.search import ranking as ranking_module
from serving.search.index import Index
from serving.search.ranking import Gallery, Ranking, best, shortlist
from tests.serving import core_support

PICTURES = 2000
SIZES = (4, 3, 6)


def pushed(folder):
    """A model with attributes that tell much, and slopes as a calibration finds them."""
    keras.utils.set_random_seed(1)
    shaped = ModelConfig(
        feature_levels=("top",),
        embedding_dim=core_support.WIDTH,
        recurrent_units=8,
        word_dim=8,
        hidden_units=8,
    )
    with tempfile.TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as patch:
        vocabulary = Path(scratch) / "words.txt"
        vocabulary.write_text("a\nred\nbird\n", encoding="utf-8")
        patch.setattr(backbones, "load_backbone", core_support._tiny_backbone)
        built = model.build(shaped, core_support.SIZE, core_support.LENGTH, 5, SIZES)
        classifier = built.matcher.get_layer(model.ATTRIBUTES).classifier
        classifier.kernel.assign(2 * classifier.kernel)
        built.matcher.get_layer(model.CALIBRATION).set_weights(
            [np.float32(each) for each in (1.5, 0.7, -0.5)]
        )
        made = signatures.ServingModel(
            built, str(vocabulary), core_support.SIZE, core_support.LENGTH, core_support.WIDTH
        )
        signatures.save(made, str(folder))
    return open_model(folder)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    return pushed(tmp_path_factory.mktemp("ranked") / "1")


@pytest.fixture(scope="module")
def embeddings():
    """Of pictures that differ a little from one of fifty; some twice, some not judged."""
    generator = np.random.default_rng(0)
    kinds = generator.standard_normal((50, core_support.WIDTH))
    found = kinds[generator.integers(0, 50, PICTURES)]
    found = (found + 0.3 * generator.standard_normal(found.shape)).astype(np.float32)
    found[1000:1100] = found[:100]
    found[[7, 1500]] = 0
    return found


@pytest.fixture(scope="module")
def captions():
    generator = np.random.default_rng(1)
    return generator.standard_normal((20, core_support.WIDTH)).astype(np.float32)


@pytest.fixture
def index(client, embeddings):
    stamps = {f"{number}.png": (0, 0) for number in range(len(embeddings))}
    probe = np.ones((2, core_support.WIDTH), np.float32)
    return Index(Path("album"), probe, 1, stamps, embeddings, {})


def test_the_first_ones_and_their_probabilities_are_those_of_scoring_all(client, index, captions):
    for caption in captions:
        found, told = index.search(client, caption, 10), index.search_all(client, caption, 10)
        assert index._laid_out().ranking is not None
        assert len(found) == 10
        np.testing.assert_allclose(
            [hit.probability for hit in found], [hit.probability for hit in told], atol=1e-6
        )
        assert found[0].probability > found[-1].probability


@pytest.mark.parametrize("top", [1, 300, PICTURES - 2, 10 * PICTURES])
def test_any_number_of_pictures_can_be_asked_for(client, index, captions, top):
    found = index.search(client, captions[0], top)
    assert len(found) == min(top, PICTURES - 2)
    values = [hit.probability for hit in found]
    assert values == sorted(values, reverse=True)
    assert not {"7.png", "1500.png"} & {hit.path.name for hit in found}
    told = [hit.probability for hit in index.search_all(client, captions[0], top)]
    np.testing.assert_allclose(values, told, atol=1e-6)


def test_of_equal_pictures_the_first_comes_first(client, index, captions):
    rows = [int(hit.path.stem) for hit in index.search(client, captions[0], PICTURES)]
    place = {row: number for number, row in enumerate(rows)}
    twice = [row for row in range(100) if row != 7]
    assert all(place[row] + 1 == place[row + 1000] for row in twice)


def test_a_ranking_that_does_not_agree_with_the_model_is_not_used(
    client, index, captions, monkeypatch
):
    monkeypatch.setattr(Ranking, "probabilities", lambda self, caption, rows: np.zeros(len(rows)))
    found = index.search(client, captions[0], 10)
    assert index._laid_out().ranking is None
    assert found == index.search_all(client, captions[0], 10)


def test_where_the_weights_are_not_told_the_model_scores_all(client, index, captions, monkeypatch):
    monkeypatch.setattr(client, "matcher_weights", lambda: None)
    assert index.search(client, captions[0], 10) == index.search_all(client, captions[0], 10)


def test_a_matcher_that_does_not_join_by_cosine_tells_no_weights():
    settings = ModelConfig(join="concat", embedding_dim=core_support.WIDTH, hidden_units=8)
    assert matcher_weights(model.build_matcher(settings, SIZES), 1e-7) is None


def test_a_model_without_attributes_is_ranked_by_cosine(tiny, index, captions):
    found = index.search(tiny, captions[0], 10)
    assert index._laid_out().ranking is not None
    told = [hit.probability for hit in index.search_all(tiny, captions[0], 10)]
    np.testing.assert_allclose([hit.probability for hit in found], told, atol=1e-6)


def test_other_embeddings_are_ranked_anew(client, index, captions):
    index.search(client, captions[0], 1)
    index.embeddings = index.embeddings[::-1].copy()
    first, *_ = index.search(client, captions[0], 1)
    assert first.probability == pytest.approx(
        index.search_all(client, captions[0], 1)[0].probability, abs=1e-6
    )
    assert first.path.name == index.search_all(client, captions[0], 1)[0].path.name


def test_pictures_alike_come_by_cosine_and_none_that_cannot_be_judged(index, embeddings):
    hits = index.alike(embeddings[3], PICTURES)
    assert [hit.path.name for hit in hits[:2]] == ["3.png", "1003.png"]
    assert hits[0].probability == pytest.approx(1)
    assert len(hits) == PICTURES - 2
    lengths = np.linalg.norm(embeddings, axis=1)
    cosine = embeddings[3] @ embeddings[42] / lengths[3] / lengths[42]
    assert {hit.path.name: hit.probability for hit in hits}["42.png"] == pytest.approx(cosine, 1e-5)


def test_a_gallery_of_pictures_none_of_which_can_be_judged_finds_nothing(client, captions):
    ranking = Ranking(
        Gallery(np.zeros((500, core_support.WIDTH), np.float32)), client.matcher_weights()
    )
    rows, probabilities = ranking.best(captions[0], 1)
    assert len(rows) == len(probabilities) == 0


def test_a_shortlist_holds_the_greatest_and_all_that_equal_the_last(monkeypatch):
    values = np.random.default_rng(0).integers(0, 50, 1003).astype(np.float32)
    values[:5] = -np.inf
    rows = shortlist(values, 30)
    assert len(rows) >= 30
    assert set(np.flatnonzero(values >= values[rows].min())) == set(rows)
    assert set(best(values, 30)) <= set(rows)
    monkeypatch.setattr(ranking_module, "_GROUPS", 1000)
    assert np.isfinite(values[shortlist(values, 1002)]).all()
