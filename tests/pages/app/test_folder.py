"""A folder that is searched while it is encoded."""

import threading

import numpy as np
import pytest

from pages.app.folder import Folder
from pages.app.messages import Refused
from pages.app.model import Model
from serving.search.index import Index
from serving.search.pictures import in_folder

PATIENCE_S = 60


def finish(folder):
    folder.start()
    folder._thread.join()


def test_what_is_encoded_can_be_found_before_all_is(folder_of, client, monkeypatch):
    monkeypatch.setattr("pages.app.folder._AT_ONCE", 2)
    folder = folder_of(Model(client))
    some, go_on = threading.Event(), threading.Event()
    made = Index.update

    def update(index, *arguments):
        made(index, *arguments)
        if len(index.stamps) >= 6:
            some.set()
            assert go_on.wait(PATIENCE_S)

    monkeypatch.setattr(Index, "update", update)
    folder.start()
    assert some.wait(PATIENCE_S)
    found = folder.search("a red bird", 100).value
    assert 0 < found.encoded < folder.total and len(found.hits) <= found.encoded
    go_on.set()
    folder._thread.join()
    assert folder.search("a red bird", 100).value.encoded == folder.total


def test_the_index_is_kept_and_the_next_start_encodes_nothing(folder_of, client, tmp_path, album):
    file = tmp_path / "kept.npz"
    finish(folder_of(Model(client), file))
    before = client.requests.count("encode_image")
    again = folder_of(Model(client), file, Index.load(file, album))
    finish(again)
    assert again.encoded == again.total
    # But for the two pictures that tell models apart.
    assert client.requests.count("encode_image") == before + 1


def test_an_index_of_another_model_is_not_searched(folder_of, client, tmp_path, album):
    file = tmp_path / "kept.npz"
    finish(folder_of(Model(client), file))
    client.served = 9
    folder = folder_of(Model(client), file, Index.load(file, album))
    assert folder.encoded == 0
    finish(folder)
    expected = client.score_all(folder._index.embeddings, client.encode_captions(["a red bird"]))
    best = folder.search("a red bird", 1).value.hits[0][1]
    assert best.probability == pytest.approx(expected.max())


def test_a_picture_that_is_gone_is_found_no_more(folder_of, client, tmp_path, album):
    file = tmp_path / "kept.npz"
    finish(folder_of(Model(client), file))
    (gone, *there) = in_folder(album)
    folder = Folder(album, there, file, Index.load(file, album), Model(client))
    finish(folder)
    assert folder.encoded == folder.total == len(there)
    found = folder.search("a red bird", 100).value.hits
    assert gone not in {hit.path for _, hit in found}
    assert Index.load(file, album).stamps.keys() == folder._index.stamps.keys()


def test_a_model_that_is_away_is_asked_again(folder_of, client, monkeypatch):
    monkeypatch.setattr("pages.app.folder._PAUSE_S", 0.01)
    model = Model(client)
    folder = folder_of(model)
    client.is_away = True
    folder.start()
    for _ in range(100 * PATIENCE_S):
        if folder.problem:
            break
        threading.Event().wait(0.01)
    assert folder.problem == "made-up: no server answers there"
    client.is_away = False
    folder._thread.join()
    assert (folder.problem, folder.encoded) == ("", folder.total)


def test_where_no_index_can_be_kept_the_search_goes_on(folder_of, client, monkeypatch):
    def refused(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(np, "savez", refused)
    folder = folder_of(Model(client))
    finish(folder)
    assert "the index cannot be kept (Read-only file system)" in folder.problem
    assert folder.search("a red bird", 3).value.hits


def test_only_pictures_of_the_folder_have_ids(folder_of, client):
    with pytest.raises(Refused, match="no such picture"):
        folder_of(Model(client)).path_of("0" * 32)
