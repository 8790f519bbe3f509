"""Pipelines that keep MLMD's records in one database of a real server."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ml_metadata import errors
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd
from typer.testing import CliRunner

from core import config as configs
from core.database_url import PASSWORD_VARIABLE
from core.errors import DexmatchError
from data import importer
from data.demo import generator
from pipeline.cli import app
from results import ownership
from results.metadata import CACHED, NEW, UNFINISHED, Metadata
from results.workspace import Workspace

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SECRET = "48151623"
PASSWORD = f"pässword-{SECRET}"
SQL = f"""
CREATE DATABASE team CHARACTER SET utf8mb4;
CREATE DATABASE other CHARACTER SET utf8mb4;
CREATE USER 'dex'@'%' IDENTIFIED BY '{PASSWORD}';
GRANT ALL ON team.* TO 'dex'@'%';
GRANT ALL ON other.* TO 'dex'@'%';
"""
BASELINE = "latest_blessed_model"


@pytest.fixture(scope="module")
def servers(test_module):
    return test_module("database_servers.py")


@pytest.fixture(scope="module")
def server(servers, tmp_path_factory):
    if servers.mariadbd() is None:
        pytest.skip("no MariaDB: Debian's mariadb-server-core")
    with servers.mariadb(tmp_path_factory.mktemp("mariadb"), SQL) as started:
        yield started


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where there is a data set, and the password in a file."""
    folder = tmp_path_factory.mktemp("team")
    generator.write_folder(folder / "pictures", count=3, size=16)
    importer.import_pairs(folder / "pictures" / "captions.csv", folder / "set", say=lambda _: None)
    (folder / "password").write_text(f"{PASSWORD}\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def settings(folder, server):
    """Writes a configuration; returns its path."""

    def write(name, seed=7, place="runs", database="team", metadata=None):
        url = metadata or f"mysql://dex@localhost:{server.port}/{database}"
        path = folder / f"{name}-{seed}-{place}.toml"
        path.write_text(
            f"""
            run.name = "{name}"
            run.workspace = "{folder / place}"
            run.metadata = "{url}"
            run.metadata_password_file = "{"" if url == "sqlite" else folder / "password"}"
            pusher.directory = "{folder / "serving"}"
            data.dataset = "{folder / "set"}"
            trainer.seed = {seed}
            """,
            encoding="utf-8",
        )
        return path

    return write


def workspace_of(path):
    return Workspace.from_config(configs.load(path))


def started(*configurations, **environment):
    """A process that runs the light pipeline."""
    code = "import light_pipeline; light_pipeline.main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, configurations)],
        cwd=ROOT,
        env={
            **{name: value for name, value in os.environ.items() if name != PASSWORD_VARIABLE},
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), str(ROOT)]),
            **environment,
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process):
    said = process.communicate(timeout=600)[1]
    assert process.returncode == 0, said


def states(run):
    return {each.node: each.state for each in run.executions}


@pytest.fixture(scope="module")
def runs(folder, settings):
    """What is recorded of two pipelines that started together in an empty database.

    The one was killed and then run again, twice; and what its process was told is kept.
    """
    one, again, two = settings("one"), settings("one", seed=8), settings("two")
    held = folder / "held"
    killed, whole = started(one, HOLD=str(held)), started(two)
    ended(whole)
    while not held.exists():
        assert killed.poll() is None, killed.stderr.read()
        time.sleep(0.05)
    (folder / "told").write_bytes(Path(f"/proc/{killed.pid}/cmdline").read_bytes())
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    ended(started(one, again))
    os.environ.pop(PASSWORD_VARIABLE, None)
    return {path: Metadata.of(workspace_of(path)).runs() for path in (one, two)}.values()


def test_runs_of_two_pipelines_at_once_do_not_mix(runs):
    one, two = runs
    assert [states(run) for run in two] == [
        {"Gather": NEW, "Train": NEW, BASELINE: NEW, "Compare": NEW}
    ]
    assert len(one) == 3


def test_a_killed_run_goes_on_from_where_it_was(runs):
    (killed, resumed, _), _ = runs
    assert states(killed) == {"Gather": NEW, "Train": UNFINISHED}
    assert states(resumed) == {"Gather": CACHED, "Train": NEW, BASELINE: NEW, "Compare": NEW}
    assert Path(resumed.output("Model").uri, "Format-Serving", "saved_model.pb").is_file()


def test_the_baseline_is_the_pipelines_own(runs, settings):
    """The other's model, blessed before, is none; its own is one, once it is blessed."""
    (_, resumed, last), (other,) = runs
    models = [run.output("Model").id for run in (resumed, last, other)]
    store = Metadata.of(workspace_of(settings("one")))._store
    resolved = [
        event.artifact_id
        for event in store.get_events_by_artifact_ids(models)
        if event.type == mlmd.Event.INTERNAL_OUTPUT and event.path.steps[0].key == "model"
    ]
    assert resolved == models[:1]


def test_the_password_is_written_nowhere(runs, folder):
    assert SECRET not in (folder / "told").read_text(encoding="utf-8")
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "password"]
    assert any(
        path.suffix == ".log" and b"Using connection config" in path.read_bytes() for path in files
    )
    for path in files:
        assert SECRET.encode() not in path.read_bytes(), path
    assert SECRET not in repr(runs)


def test_the_commands_list_a_pipelines_runs(runs, settings, monkeypatch):
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    told = CliRunner().invoke(app, ["runs", "--json", "--config", str(settings("one"))])
    assert told.exit_code == 0
    assert told.stdout.count('"id"') == 3


def test_what_is_gone_is_marked_in_the_own_records_alone(runs, settings, folder):
    shutil.copytree(folder / "runs", folder / "copy")
    one, two = (Metadata.of(workspace_of(settings(name))) for name in ("one", "two"))
    shutil.rmtree(workspace_of(settings("one")).artifacts)
    shutil.rmtree(workspace_of(settings("two")).artifacts)
    try:
        one.mend([])
        changed = {each.uri for each in _artifacts(one) if each.state == mlmd.Artifact.DELETED}
        assert changed
        assert all(each.state == mlmd.Artifact.LIVE for each in _artifacts(two))
    finally:
        shutil.copytree(folder / "copy", folder / "runs", dirs_exist_ok=True)
    one.mend([])
    assert all(each.state != mlmd.Artifact.DELETED for each in _artifacts(one))


def _artifacts(metadata):
    return [each for each in metadata._artifacts() if each.type == "Examples"]


def test_a_name_belongs_to_one_workspace_wherever_it_is_moved(runs, settings, folder):
    with pytest.raises(DexmatchError, match="'one' in mysql:.* belongs to another .*/runs/one; ch"):
        _claim(settings("one", place="elsewhere"))
    (folder / "moved").mkdir()
    shutil.copytree(folder / "runs" / "one", folder / "moved" / "one", symlinks=True)
    _claim(settings("one", place="moved"))


def test_a_workspace_keeps_to_its_database(runs, settings):
    """In another one the numbers, by which the folders of artifacts go, begin anew."""
    with pytest.raises(DexmatchError, match="recorded elsewhere, and not in mysql:.*/other; cho"):
        _claim(settings("one", database="other"))
    with pytest.raises(DexmatchError, match="runs are recorded in a shared database"):
        _claim(settings("one", metadata="sqlite"))
    used_with_sqlite = settings("three")
    workspace_of(used_with_sqlite).root.mkdir()
    workspace_of(used_with_sqlite).metadata.touch()
    with pytest.raises(DexmatchError, match="recorded elsewhere, and not in mysql:.*/team; choo"):
        _claim(used_with_sqlite)


def _claim(path):
    workspace = workspace_of(path)
    with workspace.locked():
        ownership.claim(workspace)


@pytest.mark.parametrize(
    ("database", "password", "told"),
    [
        ("team", "wrong", "localhost:.* does not let user 'dex' in: look at the password (.*PWD)"),
        ("mysql", PASSWORD, "Access denied for user 'dex'@'%' to database 'mysql'"),
        ("none", PASSWORD, "Access denied"),
    ],
)
def test_who_is_not_let_in_is_told_in_one_line(
    server, monkeypatch, capfd, database, password, told
):
    monkeypatch.setenv(PASSWORD_VARIABLE, password)
    url = f"mysql://dex@localhost:{server.port}/{database}"
    done = CliRunner().invoke(app, ["runs", "--set", f"run.metadata={url}"])
    assert isinstance(done.exception, DexmatchError)
    with pytest.raises(DexmatchError, match=told.replace("(", r"\(").replace(")", r"\)")):
        raise done.exception
    assert capfd.readouterr().err == ""


def test_connections_are_closed_with_what_opened_them(runs, server, settings, monkeypatch):
    """Else a server of a team would have none left; one is that of the asking store itself."""
    for _ in range(3):
        Metadata.of(workspace_of(settings("one"))).latest()
    # A limit of the account would be the server's own way; here the sockets are counted.
    inode = f":{server.port:04X}"
    lines = Path("/proc/self/net/tcp").read_text().splitlines()
    open_ = [line for line in lines if line.split()[2].endswith(inode) and line.split()[3] == "01"]
    assert len(open_) == 0


def test_postgresql_is_refused_for_what_mlmd_does_to_a_backslash(servers):
    """Once this fails, it need not be refused any more."""
    if servers.postgres() is None:
        pytest.skip("no PostgreSQL: Debian's postgresql")
    with servers.postgresql("dex") as server:
        connection = mlmd.ConnectionConfig()
        connection.postgresql.host = "127.0.0.1"
        connection.postgresql.port = str(server.port)
        connection.postgresql.user = "dex"
        connection.postgresql.dbname = "postgres"
        connection.postgresql.skip_db_creation = True
        store = metadata_store.MetadataStore(connection)
        type_id = store.put_context_type(mlmd.ContextType(name="any"))
        store.put_contexts([mlmd.Context(type_id=type_id, name="plain")])
        with pytest.raises(errors.InternalError, match="syntax error"):
            store.put_contexts([mlmd.Context(type_id=type_id, name="back\\slash")])
        with pytest.raises(DexmatchError, match="PostgreSQL will not do.*backslash"):
            configs.load(None, [f"run.metadata=postgresql://dex@localhost:{server.port}/postgres"])
