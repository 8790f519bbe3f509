"""`dexmatch data audit`, but for the trainings."""

import csv
import io
import json

import pytest

from core import config as configs
from core.errors import DexmatchError
from data import dataset as datasets
from data import importer
from data.demo import generator
from pipeline import audit, execution
from results.judgments import Judgment
from results.workspace import Workspace


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    generator.write_folder(folder / "pictures", count=24, size=16)
    importer.import_pairs(
        folder / "pictures" / "captions.csv", folder / "set", num_workers=1, say=lambda _: None
    )
    return folder / "set"


@pytest.fixture
def judged(data, monkeypatch):
    """Has pairs judged at once: the first, by name, is the worst."""
    from data import striking

    found = datasets.load(data)
    ids = sorted(
        str(each.fields["id"])
        for each in striking.DatasetReader(found, {}).pairs(with_images=False)
    )

    def judge(*_):
        return {
            name: Judgment(
                fold=0,
                probability=0.01 if name == ids[0] else 0.9,
                log_confidence=-9.0 if name == ids[0] else -1.0,
                pictures_better=0.8 if name == ids[0] else 0.0,
                captions_better=0.7 if name == ids[0] else 0.0,
                nearest=ids[1] if name == ids[2] else ids[2],
                similarity=0.99 if name in ids[1:3] else 0.1,
                difference=1.0,
            )
            for name in ids
        }

    monkeypatch.setattr(audit, "judge", judge)
    return ids


def settings(data, tmp_path, *overrides):
    workspace = f"run.workspace={tmp_path / 'runs'}"
    return configs.load(None, [f"data.dataset={data}", workspace, *overrides])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.weights=last_blessed"], "has learned from the pairs that it would judge"),
        (["trainer.strategy=multi_worker"], "an audit trains in one process"),
        (["audit.folds=20"], r"audit\.folds = 20 needs 80 groups, and there are \d+; lower it"),
    ],
)
def test_what_cannot_be_audited_is_told_before_anything_starts(data, tmp_path, overrides, message):
    with pytest.raises(DexmatchError, match=message):
        audit.judge(settings(data, tmp_path, *overrides))
    assert not (tmp_path / "runs").exists()


def test_a_data_set_of_one_group_is_told(data):
    one = datasets.load(data).model_copy(update={"groups": 1})
    with pytest.raises(DexmatchError, match=r"needs 8 groups, and there are 1; .*--group-column"):
        audit._check_groups(one, folds=2)


def test_a_run_that_fails_says_why(data, tmp_path, monkeypatch):
    failed = execution.Outcome(None, None, "the disk is full", True, tmp_path / "log")
    monkeypatch.setattr(execution, "execute", lambda *_: failed)
    with pytest.raises(DexmatchError, match="the disk is full; everything that was said is in"):
        audit.judge(settings(data, tmp_path, "audit.folds=2"))


def test_all_pairs_are_in_the_one_split_and_keep_their_ids(data, tmp_path):
    config = audit._settings(settings(data, tmp_path))
    found = audit.compose(config, config, datasets.load(data), Workspace.from_config(config))
    nodes = {node.id: node for node in found.components}
    assert list(nodes) == [
        *("ImportExampleGen", "PairSampler", "StatisticsGen", "SchemaGen", "Transform", "Auditor")
    ]
    splits = json.loads(nodes["ImportExampleGen"].exec_properties["output_config"])
    assert splits["split_config"]["splits"] == [{"name": "train", "hash_buckets": 1}]
    assert json.loads(nodes["Transform"].exec_properties["custom_config"])["keep_id"] is True
    asked = json.loads(nodes["Auditor"].exec_properties["custom_config"])
    assert asked["audit"] == {"folds": 5, "most_compared": 2000}
    assert {"code", "checkpoints", "trainer", "pairs", "attributes"} <= asked.keys()
    assert config.run.name == "dexmatch-audit"
    assert Workspace.from_config(config).serving == Workspace.from_config(config).root


def test_the_table_names_what_is_doubtful(ask, data, judged):
    said = ask("data", "audit", data, "--worst", 1, width=200).stdout
    assert judged[0] in said
    assert "unlikely outdone" in said
    assert f"{judged[1]}" in said and "0.990" in said  # Stands twice.
    assert "doubtful captions" in said


def test_csv_is_marked_and_read_again(ask, data, judged, tmp_path):
    said = ask("data", "audit", data, "--csv").stdout
    lines = list(csv.DictReader(io.StringIO(said)))
    assert [line["id"] for line in lines[:1]] == judged[:1]
    assert len(lines) == 24
    assert not any(line["strike"] for line in lines)
    lines[0]["strike"] = "x"
    with (tmp_path / "marked.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, lines[0])
        writer.writeheader()
        writer.writerows(lines)
    out = tmp_path / "clean"
    ask("data", "audit", data, "--strike", tmp_path / "marked.csv", "--write", out)
    assert datasets.load(out).rejected_by_reason == {"struck_out": 1}
    assert datasets.load(out).imported == 23


def test_json_and_a_sheet(ask, data, judged, tmp_path):
    said = ask("data", "audit", data, "--json", "--sheet", tmp_path / "sheet.html").stdout
    found = json.loads(said)
    assert (found["pairs"], found["judged"], found["doubtful"]) == (24, 24, 1)
    assert found["captions"][0]["reasons"] == "unlikely outdone"
    assert found["near_duplicates"] == [{"ids": judged[1:3], "similarity": 0.99, "difference": 1.0}]
    assert "<img" in (tmp_path / "sheet.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--json", "--csv"], "name one of them"),
        (["--write", "out"], "--strike and --write go together"),
        (["--strike", "marked.csv"], "--strike and --write go together"),
        (["--sheet", "sheet.png"], "name a file that ends in .html"),
        (["--sheet", "nowhere/sheet.html"], "in a folder that exists"),
    ],
)
def test_options_that_make_no_sense_are_told(ask, data, judged, options, message):
    with pytest.raises(DexmatchError, match=message):
        ask("data", "audit", data, *options)
