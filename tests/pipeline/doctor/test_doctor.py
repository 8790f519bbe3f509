"""The command: what it prints, its exit status, that it changes nothing and gives nothing away."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline import doctor
from pipeline.cli import app
from pipeline.doctor import check, ports, privacy
from results.metadata import Metadata

TOPICS = set(doctor.TOPICS)


@pytest.fixture(autouse=True)
def free_ports(monkeypatch, free_port):
    """The real ones may be anybody's."""
    monkeypatch.setattr(ports, "PORTS", ((free_port, "gRPC", "another"),))


def run(*arguments):
    return CliRunner().invoke(app, ["doctor", *arguments])


def checks(done):
    return {each["name"]: each for each in json.loads(done.stdout)["checks"]}


def test_a_whole_project_is_well(project, loaded, ask):
    table = ask("doctor", "--data", "data", width=100).stdout
    assert "all is well" in table
    assert "problem" not in table


def test_json_says_the_same(project, loaded):
    done = run("--data", "data", "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["status"]) == (0, "ok")
    assert {each["topic"] for each in told["checks"]} == TOPICS
    keys = {"topic", "name", "status", "found", "advice", "facts"}
    for each in told["checks"]:
        assert set(each) == keys
        assert each["status"] in ("ok", "warning", "problem")
        assert "\n" not in each["found"] + each["advice"]
        assert bool(each["advice"]) == (each["status"] != "ok"), each
    assert checks(done)["data set"]["facts"]["pairs"] == 2


def test_what_is_broken_is_told_with_what_to_do_and_status_2(project, loaded):
    (project / "data" / "pairs.gz").write_bytes(b"half")
    done = run("--data", "data")
    assert done.exit_code == 2
    assert "→ import the data again" in done.stdout
    assert "1 problem" in done.stdout
    told = json.loads(run("--data", "data", "--json").stdout)
    assert told["status"] == "problem"


def test_a_warning_breaks_nothing(project, loaded):
    shutil.rmtree(project / "runs" / "dexmatch" / "artifacts" / "ImportExampleGen")
    done = run("--json")
    assert (done.exit_code, json.loads(done.stdout)["status"]) == (0, "warning")


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_the_terminal(project, loaded, ask, width):
    lines = ask("doctor", "--data", "data", width=width).stdout.splitlines()
    assert max(map(len, lines)) <= width


def test_nothing_is_changed(project, loaded, digest, tmp_path):
    # MLMD keeps a database open, and its file is as new as its last use.
    before = digest(tmp_path)
    run("--data", "data", "--thorough", "--json")
    assert digest(tmp_path) == before


def test_nothing_is_made_where_nothing_is(tmp_path, loaded, digest, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("--json")
    assert done.exit_code == 0
    assert list(tmp_path.iterdir()) == []
    assert checks(done)["model"]["found"].startswith("none was pushed yet")


def test_variables_of_the_environment_are_not_told(project, loaded, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    assert "hunter2" not in run("--json").stdout


def test_the_home_folder_is_not_named(project, loaded, monkeypatch):
    monkeypatch.setenv("HOME", str(project))
    done = run("--data", str(project / "data"), "--json")
    assert str(project) not in done.stdout
    assert checks(done)["data set"]["facts"]["path"] == "~/data"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("https://me:secret@host/path", "https://host/path"),
        ("https:/me:secret@host: not a data set", "https:/host: not a data set"),
        ("see grpc://me@host:1 and http://host", "see grpc://host:1 and http://host"),
        ("/home/me/x and /home/melon /mnt/home/me", "~/x and /home/melon /mnt/home/me"),
        ("/home/me", "~"),
    ],
)
def test_secrets_are_left_out(monkeypatch, text, told):
    monkeypatch.setattr(Path, "home", lambda: Path("/home/me"))
    assert privacy.without_secrets({"a": [text]}) == {"a": [told]}


def test_a_topic_that_fails_leaves_the_others(project, loaded, monkeypatch):
    monkeypatch.setitem(doctor.TOPICS, "ports", "a_module.that_is_missing")
    done = run("--json")
    assert done.exit_code == 2
    assert checks(done)["ports"]["found"].startswith("cannot be looked at: ModuleNotFoundError")
    assert {each["topic"] for each in checks(done).values()} == TOPICS


def test_an_error_inside_a_topic_leaves_its_other_checks(project, loaded, monkeypatch):
    def fails(*_):
        raise RuntimeError("MLMD said\nmuch")

    monkeypatch.setattr(Metadata, "live_artifacts", fails)
    found = checks(run("--json"))
    assert found["workspace"]["found"] == "cannot be looked at: RuntimeError: MLMD said"
    assert found["database"]["status"] == check.Status.OK
    assert found["model"]["status"] == check.Status.OK


def test_a_wrong_configuration_costs_one_line(project):
    done = run("--set", "run.nonsense=1")
    assert "nonsense" in str(done.exception)
