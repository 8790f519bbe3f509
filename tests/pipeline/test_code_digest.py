"""Which files the digest is made of: in two small packages, and in a copy of our own."""

import functools
import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pipeline import code_digest

ROOT = Path(__file__).parents[2]

# What runs with alpha.executor, and says why; each of these files is part of the digest.
RUNS = {
    "alpha/executor.py": '''
"""Not to be mixed up with beta.mentioned and `beta.mentioned`."""

from typing import TYPE_CHECKING

import alpha.imported
from beta import imported_from_its_package

if TYPE_CHECKING:
    import beta.for_type_checkers

COMMAND = ["python", "-m", "beta.started"]
READER = 'beta.loaded:Reader'
ATTRIBUTE = "beta.loaded_for_an_attribute.Reader"
TABLE = "beta.csv"


def run():
    import beta.inner.imported_in_a_function
''',
    "alpha/__init__.py": "import beta.imported_by_a_package_on_the_way",
    "alpha/imported.py": "from alpha import imported_by_what_is_imported",
    "alpha/imported_by_what_is_imported.py": "",
    "beta/__init__.py": "",
    "beta/imported_from_its_package.py": "",
    "beta/imported_by_a_package_on_the_way.py": "",
    "beta/started.py": "import beta.imported_by_what_is_started",
    "beta/imported_by_what_is_started.py": "",
    "beta/loaded.py": "",
    "beta/loaded_for_an_attribute.py": "",
    "beta/inner/__init__.py": "",
    "beta/inner/imported_in_a_function.py": "",
    "beta/inner/style.css": "",
    "beta/page.html.j2": "",
    "beta/message.proto": "",
    "beta/templates/scripts/chart.js": "",
}
DOES_NOT_RUN = {
    "beta/mentioned.py": "",
    "beta/for_type_checkers.py": "",
    "beta/imports_the_executor.py": "import alpha.executor",
    "beta/other/__init__.py": "",
    "beta/other/module.py": "",
    "beta/other/page.html.j2": "",
    "beta/.page.html.j2.swp": "",
    "beta/__pycache__/loaded.cpython-311.pyc": "",
    "notes.txt": "",
}


@pytest.fixture
def packages(tmp_path):
    """A folder with the packages alpha and beta."""
    folder = tmp_path / "packages"
    for name, text in {**RUNS, **DOES_NOT_RUN}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n", encoding="utf-8")
    return folder


@pytest.fixture
def digest_in(monkeypatch):
    """A function: folder of alpha and beta, and modules, to the digest that a new process finds."""

    def digest(folder, *modules):
        with monkeypatch.context() as patch:
            patch.syspath_prepend(folder)
            patch.setattr(code_digest, "PACKAGES", ("alpha", "beta"))
            for name in ("_import_graph", "_folder_of"):
                cached = getattr(code_digest, name)
                patch.setattr(code_digest, name, functools.cache(cached.__wrapped__))
            return code_digest.digest_of_code(*modules)

    return digest


def change(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


@pytest.mark.parametrize("file", RUNS)
def test_a_change_of_what_runs_changes_the_digest(packages, digest_in, file):
    before = digest_in(packages, "alpha.executor")
    change(packages / file)
    assert digest_in(packages, "alpha.executor") != before


@pytest.mark.parametrize("file", DOES_NOT_RUN)
def test_a_change_of_anything_else_does_not(packages, digest_in, file):
    before = digest_in(packages, "alpha.executor")
    change(packages / file)
    assert digest_in(packages, "alpha.executor") == before


def test_a_new_template_changes_the_digest(packages, digest_in):
    before = digest_in(packages, "alpha.executor")
    (packages / "beta" / "templates" / "new.html.j2").touch()
    assert digest_in(packages, "alpha.executor") != before


def test_a_template_of_another_name_changes_the_digest(packages, digest_in):
    before = digest_in(packages, "alpha.executor")
    (packages / "beta" / "page.html.j2").rename(packages / "beta" / "other.html.j2")
    assert digest_in(packages, "alpha.executor") != before


def test_several_modules_have_one_digest_in_any_order(packages, digest_in):
    modules = "alpha.executor", "beta.other.module"
    both = digest_in(packages, *modules)
    assert both == digest_in(packages, *reversed(modules))
    change(packages / "beta" / "other" / "module.py")
    assert both != digest_in(packages, *modules)


def test_the_digest_does_not_depend_on_where_the_code_lies(packages, digest_in, tmp_path):
    copy = shutil.copytree(packages, tmp_path / "elsewhere" / "copy")
    assert digest_in(copy, "alpha.executor") == digest_in(packages, "alpha.executor")


def test_what_is_no_module_of_ours_is_refused():
    with pytest.raises(ValueError, match=r"^json\.decoder, modules\.nothing: no module of core, "):
        code_digest.digest_of_code("modules.trainer", "json.decoder", "modules.nothing")


@pytest.mark.parametrize(
    ("text", "modules"),
    [
        ("modules.trainer", {"modules.trainer"}),
        ("modules.trainer.run_fn", {"modules.trainer"}),
        (
            '{"class_name": "A", "module": "modules.evaluation.metrics"}',
            {"modules.evaluation.metrics"},
        ),
        ("tfx.components.trainer.executor.Executor", set()),
        ('{"file": "/somewhere/core.errors/data.csv"}', set()),
        ("data.csv", set()),
        ("core", set()),
        ("", set()),
    ],
)
def test_modules_are_found_in_what_tfx_is_told(text, modules):
    assert code_digest.modules_named_in(text) == modules


def test_packages_are_those_that_import_linter_checks():
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert list(code_digest.PACKAGES) == told["tool"]["importlinter"]["root_packages"]


EXECUTORS = sorted(
    f"components.{path.parent.name}.executor" for path in ROOT.glob("components/*/executor.py")
)
ENTRY_POINTS = [*EXECUTORS, "modules.transform", "modules.trainer", "modules.tuner"]

# Python's own ModuleFinder says which files an entry point needs. It follows imports only, so what
# is started by name is told.
CHANGES = """
import json, modulefinder, sys
from pathlib import Path
from pipeline import code_digest

STARTED = {"serving.engines.embedded": "serving.server.process"}
FILES = {path for package in code_digest.PACKAGES for path in Path(package).rglob("*")
         if path.is_file() and path.suffix != ".pyc"}

def needed(module):
    finder = modulefinder.ModuleFinder(path=["."])
    finder.import_hook(module)
    for starter, started in STARTED.items():
        if starter in finder.modules:
            finder.import_hook(started)
    sources = {
        Path(found.__file__).relative_to(Path.cwd())
        for found in finder.modules.values()
        if found.__file__
    }
    folders = {path.parent for path in sources if path.name == "__init__.py"}
    return sources | {path for path in FILES if path.suffix != ".py" and folder_of(path) in folders}

def folder_of(path):
    return next(folder for folder in path.parents if (folder / "__init__.py").exists())

def digest_with(module, files):
    contents = {path: path.read_bytes() for path in files}
    for path, content in contents.items():
        path.write_bytes(content + b"\\n")
    digest = code_digest.digest_of_code(module)
    for path, content in contents.items():
        path.write_bytes(content)
    return digest

found = {}
for module in sys.argv[1:]:
    inside = needed(module)
    before = code_digest.digest_of_code(module)
    found[module] = {
        "needed": sorted(map(str, inside)),
        "ignored": [str(path) for path in inside if digest_with(module, {path}) == before],
        "others_count": digest_with(module, FILES - inside) != before,
    }
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def changes(tmp_path_factory):
    """Entry point to which changes of files its digest tells, in a copy of our own packages."""
    copy = tmp_path_factory.mktemp("copy")
    for package in code_digest.PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, copy / package, ignore=ignored)
    done = subprocess.run(
        [sys.executable, "-c", CHANGES, *ENTRY_POINTS],
        cwd=copy,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("module", ENTRY_POINTS)
def test_a_change_of_each_file_that_an_entry_point_needs_changes_its_digest(changes, module):
    assert changes[module]["ignored"] == []


@pytest.mark.parametrize("module", ENTRY_POINTS)
def test_a_change_of_all_other_files_does_not(changes, module):
    assert not changes[module]["others_count"]


@pytest.mark.parametrize(
    ("module", "needed", "not_needed"),
    [
        ("components.retrieval.executor", "results/retrieval.py", "pages/report/page.py"),
        ("components.pair_sampler.executor", "core/features.py", "modules/trainer.py"),
        (
            "components.serving_validator.executor",
            "serving/server/rest.py",
            "serving/search/index.py",
        ),
        (
            "components.serving_validator.executor",
            "serving/protos/health.proto",
            "data/importer.py",
        ),
        ("components.report.executor", "pages/report/templates/report.css", "pipeline/cli.py"),
        (
            "components.model_card.executor",
            "pages/model_card/model_card.html.j2",
            "modules/tuner.py",
        ),
        (
            "components.leakage_guard.executor",
            "modules/__init__.py",
            "modules/training/tensorboard.py",
        ),
        ("modules.transform", "modules/preprocessing/images.py", "modules/training/tensorboard.py"),
        ("modules.trainer", "modules/training/tensorboard.py", "modules/tuner.py"),
    ],
)
def test_what_an_entry_point_needs(changes, module, needed, not_needed):
    found = changes[module]["needed"]
    assert needed in found
    assert (ROOT / not_needed).is_file() and not_needed not in found
