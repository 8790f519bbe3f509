"""A database server that is away, slow or another; a real one is in tests/end_to_end."""

import os
import socket
import threading

import pytest

from core import config as configs
from core.database_url import PASSWORD_VARIABLE
from core.errors import DexmatchError
from results import connections, shared_store
from results.metadata import Metadata
from results.shared_store import SharedStore
from results.workspace import Workspace


def store(port=3306, password_file=""):
    return SharedStore.from_setting(f"mysql://dex@localhost:{port}/team", "mine", password_file)


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def answering(listener, said):
    """A server that says something to the first who comes, and then hangs up."""

    def answer():
        connection, _ = listener.accept()
        with connection:
            connection.sendall(said)

    threading.Thread(target=answer, daemon=True).start()
    return listener.getsockname()[1]


def test_the_configuration_says_which(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url = "mysql://dex@db:3307/team"
    chosen = [f"run.metadata={url}", "run.name=mine", "run.metadata_password_file=secret"]
    shared = Workspace.from_config(configs.load(None, chosen)).shared
    assert (str(shared.url), shared.pipeline) == (url, "mine")
    assert shared.password_file == tmp_path / "secret"
    assert Workspace.from_config(configs.load()).shared is None


def test_tfx_is_told_no_password(tmp_path, monkeypatch):
    (tmp_path / "secret").write_text("hunter2\n")
    monkeypatch.setenv(PASSWORD_VARIABLE, "before")
    shared = store(password_file=str(tmp_path / "secret"))
    shared.give_password()
    assert os.environ[PASSWORD_VARIABLE] == "hunter2"
    assert connections.of_server(shared).mysql.host == "127.0.0.1"
    for told in (connections.of_server(shared), shared):
        assert "hunter2" not in str(told)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "secret cannot be read: No such file or directory"),
        (b"\xff", "secret cannot be read: it is no text"),
        (b"\n", "secret must hold the password alone, in one line"),
        (b"hunter2\nmore\n", "secret must hold the password alone"),
        (b"hunter2\0", "secret must hold the password alone"),
    ],
)
def test_a_password_file_that_is_none(tmp_path, content, told):
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DexmatchError, match=f"^run.metadata_password_file: .*{told}") as caught:
        store(password_file=str(file)).give_password()
    assert "hunter2" not in str(caught.value)


def test_a_server_that_is_away(tmp_path, listener):
    port = listener.getsockname()[1]
    listener.close()
    told = f"^run.metadata: localhost:{port}: no database server answers there .*refused.; start it"
    with pytest.raises(DexmatchError, match=told):
        Metadata(tmp_path / "metadata.sqlite", store(port))


def test_a_server_that_says_nothing_is_not_waited_for(listener, monkeypatch):
    monkeypatch.setattr(shared_store, "_ANSWERS_IN_S", 0.1)
    with pytest.raises(DexmatchError, match="no database server answers there .timed out"):
        store(listener.getsockname()[1]).check_it_answers()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"", "what answers there is no MySQL or MariaDB server"),
        (b"HTTP/1.1 400 Bad Request\r\n", "what answers there is no MySQL or MariaDB server"),
        (b"\x17\0\0\0\xff\x10\x04Too many connections", "server refuses: Too many connections$"),
    ],
)
def test_a_server_that_lets_nobody_in(listener, said, told):
    with pytest.raises(DexmatchError, match=told):
        store(answering(listener, said)).check_it_answers()


def test_a_server_that_greets(listener):
    store(answering(listener, b"\x5d\0\0\0\x0a10.11.19-MariaDB\0")).check_it_answers()
