"""The app on a free port, on a model that is made up."""

import asyncio
import contextlib
import hashlib
import threading
from types import SimpleNamespace

import httpx
import numpy as np
import pytest

from core import features
from pages.app.context import Context
from pages.app.folder import Folder
from pages.app.model import Model
from pages.app.routes import create_app
from pages.app.tags import Tags
from pages.app.thresholds import KnownThreshold
from pages.app.verdicts import Verdicts
from serving.client import ModelNotFound, ServingUnavailable, Settings, VersionStatus
from serving.client.base import AVAILABLE, Client
from serving.search.pictures import in_folder
from serving.server import http

WIDTH = 6


class MadeUpClient(Client):
    """Embeddings are drawn from what is encoded; a test may take it away, or push a version."""

    def __init__(self):
        super().__init__("made-up", Settings(max_batch=4))
        self.served = 7
        self.is_away = False
        self.requests = []
        self.wait = lambda: None

    def status(self):
        self._answers()
        return [VersionStatus(self.served, AVAILABLE)]

    def _answers(self):
        if self.is_away:
            raise ServingUnavailable("made-up: no server answers there")

    def _predict(self, signature, inputs, output, deadline):
        self._answers()
        if self._pinned not in (None, self.served):
            raise ModelNotFound(f"made-up: no version {self._pinned}")
        self.requests.append(signature)
        self.wait()
        if output == features.EMBEDDING:
            (values,) = inputs.values()
            return np.stack([self._embedding(value) for value in values])
        images, captions = inputs.values()
        lengths = np.linalg.norm(images, axis=1) * np.linalg.norm(captions, axis=1)
        cosines = np.sum(images * captions, 1) / np.where(lengths, lengths, 1)
        return np.where(lengths, (1 + cosines) / 2, 0).clip(0, 1).astype(np.float32)

    def _embedding(self, value):
        content = value.encode() if isinstance(value, str) else value
        if not any(character.isalnum() for character in content.decode("latin-1")):
            return np.zeros(WIDTH, np.float32)
        seed = int.from_bytes(hashlib.sha256(content + bytes([self.served])).digest()[:4])
        return np.random.default_rng(seed).normal(size=WIDTH).astype(np.float32)


@pytest.fixture
def client():
    return MadeUpClient()


@pytest.fixture(scope="session")
def album(tmp_path_factory, pictures):
    folder = tmp_path_factory.mktemp("album")
    for name, content in pictures.items():
        (folder / name).write_bytes(content)
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


@pytest.fixture
def folder_of(album, tmp_path):
    def make(model, file=None, kept=None):
        return Folder(album, in_folder(album), file or tmp_path / "index.npz", kept, model)

    return make


@contextlib.contextmanager
def _served(context, host="127.0.0.1"):
    """The address of the app, while it is served by a thread."""
    with http.listen("127.0.0.1", 0) as listener:
        server = http.create_server(create_app(context, host), 1)
        thread = threading.Thread(
            target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True
        )
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def _opened(stack, client, album, feedback, threshold=0.5, is_blessed=True):
    """The app with all that it has; its parts, and what asks it."""
    model = Model(client)
    folder = Folder(album, in_folder(album), None, None, model)
    folder.start()
    stack.callback(folder.stop)
    kept = Verdicts(feedback)
    known = KnownThreshold(threshold, "of a test", is_blessed)
    thresholds = SimpleNamespace(of=lambda version: known)
    tags = Tags(["a red bird", "a blue fish", "..."], model)
    url = stack.enter_context(_served(Context("dexmatch", model, thresholds, folder, tags, kept)))
    web = stack.enter_context(httpx.Client(base_url=f"{url}/api/", timeout=60))
    return SimpleNamespace(url=url, web=web, folder=folder, kept=kept, client=client)


@pytest.fixture
def open_app(album, tmp_path):
    """Serves the app on a client."""
    with contextlib.ExitStack() as stack:
        yield lambda client, **options: _opened(
            stack, client, album, tmp_path / "feedback", **options
        )


@pytest.fixture
def started(open_app, client):
    """An app of its own, on the model that is made up."""
    return open_app(client)


@pytest.fixture(scope="module")
def shared(album, tmp_path_factory):
    """The app for tests that leave it as it is; the folder is encoded."""
    with contextlib.ExitStack() as stack:
        app = _opened(stack, MadeUpClient(), album, tmp_path_factory.mktemp("feedback"))
        app.folder._thread.join()
        yield app


@pytest.fixture
def bare(client, tmp_path):
    """The app without a folder and without tags."""
    known = SimpleNamespace(of=lambda version: KnownThreshold(0.5, "of a test", True))
    context = Context("dexmatch", Model(client), known, None, None, Verdicts(tmp_path))
    with _served(context) as url, httpx.Client(base_url=f"{url}/api/") as web:
        yield SimpleNamespace(web=web)


@pytest.fixture
def bring(pictures):
    """The id of a picture that the app was given."""

    def send(app, name="rgb.png"):
        answer = app.web.post("pictures", content=pictures[name])
        assert answer.status_code == 200, answer.text
        return answer.json()["picture"]

    return send
