"""Components of the user's, and the code of theirs that the cache is keyed by."""

import json

import pytest

from core import config as configs
from core.errors import DexmatchError
from core.user_functions import importable
from pipeline import user_components
from pipeline.pipeline import create_pipeline

KEYED = {"PairSampler", "LeakageGuard", "Transform", "Trainer", "Evaluator", "ModelCard", "Report"}


@pytest.fixture
def composed(tmp_path, test_module):
    """A function: nodes by id of a project as `dexmatch init --template` makes it, changed."""

    code = test_module("modules/user_code.py")

    def compose(*changes, asked=()):
        code.write(tmp_path / "shop", {module: change for module, *change in changes})
        config = configs.load(tmp_path / "shop" / "dexmatch.toml", asked)
        with importable(tmp_path / "shop", config.user_functions):
            pipeline = create_pipeline(
                config,
                dataset=str(tmp_path / "data"),
                dataset_name="data",
                metadata_columns=["color"],
                pipeline_root=str(tmp_path / "root"),
                metadata_path=str(tmp_path / "metadata.sqlite"),
                checkpoints_directory=str(tmp_path / "checkpoints"),
                serving_directory=str(tmp_path / "serving"),
            )
        return {node.id: node for node in pipeline.components}

    return compose


def codes(nodes):
    """The digest of code among the parameters of each node that has one."""
    found = {}
    for name, node in nodes.items():
        told = json.loads(node.exec_properties.get("custom_config") or "null") or {}
        found[name] = node.exec_properties.get("code") or told.get("code")
    return {name: code for name, code in found.items() if code}


def test_a_component_is_added_and_keeps_its_place(composed):
    nodes = composed()
    assert "VocabularyGuard" in nodes
    assert nodes["VocabularyGuard"] in nodes["Trainer"].upstream_nodes
    assert nodes["Transform"] in nodes["VocabularyGuard"].upstream_nodes


@pytest.mark.parametrize(
    ("change", "runs_again"),
    [
        (("model", "GRU(", "LSTM("), {"Trainer", "ModelCard", "Report"}),
        (
            ("preprocessing", '"gray"', '"grey"'),
            {"LeakageGuard", "Transform", "Trainer", "ModelCard", "Report"},
        ),
        (("pipeline", "min(20", "min(30"), {"VocabularyGuard"}),
    ],
)
def test_a_change_of_the_users_code_runs_again_what_runs_it(composed, change, runs_again):
    before, after = codes(composed()), codes(composed(change))
    assert before.keys() == after.keys() >= KEYED | {"VocabularyGuard"}
    assert {name for name in before if before[name] != after[name]} == runs_again


def test_what_the_users_module_imports_counts_too(composed, tmp_path):
    imports = ("model", "import keras\n", "import keras\nfrom shop import parts\n")
    nodes = tmp_path / "shop" / "shop"
    nodes.mkdir(parents=True)
    (nodes / "parts.py").write_text("A = 1\n")
    before = codes(composed(imports))
    (nodes / "parts.py").write_text("A = 2\n")
    (nodes / "model.py").unlink()  # It is written anew.
    after = codes(composed(imports))
    assert {name for name in before if before[name] != after[name]} == {
        "Trainer",
        "ModelCard",
        "Report",
    }


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        ("None", "must return a list of TFX's components"),
        ("[guard]", "it leaves out ImportExampleGen, PairSampler, "),
        ("[*nodes.values(), guard.with_id('Trainer')]", "two components are called Trainer; give"),
        ("nodes['Trainr']", r"shop/shop/pipeline\.py, line \d+: KeyError: 'Trainr'"),
    ],
)
def test_what_cannot_be_a_pipeline_is_told_in_one_line(composed, returned, told):
    with pytest.raises(DexmatchError, match=f"^run.components.*{told}") as raised:
        composed(("pipeline", "[*nodes.values(), guard]", returned))
    assert "\n" not in str(raised.value)


def test_a_syntax_error_in_any_file_of_the_package_is_told(composed, tmp_path):
    folder = tmp_path / "shop" / "shop"
    folder.mkdir(parents=True)
    (folder / "notes.py").write_text("x = (\n")
    with pytest.raises(DexmatchError, match=r"shop/shop/notes\.py, line \d: invalid syntax"):
        composed()


def test_without_such_functions_there_are_no_packages():
    assert user_components.packages(configs.load()) == set()
    assert user_components.added(configs.load(), ()) == []
