"""Artifacts in miniature, for the components that tell of many."""

from unittest import mock

import pytest
from tfx.utils import dependency_utils, json_utils


@pytest.fixture(autouse=True, scope="session")
def _local_workers():
    """TFX does not pack itself for the workers: they are in this process."""
    with mock.patch.object(dependency_utils, "make_beam_dependency_flags", lambda args: args):
        yield


@pytest.fixture(scope="session")
def small(test_module):
    """The functions of `small_artifacts`."""
    return test_module("components/small_artifacts.py")


@pytest.fixture(scope="session")
def review(test_module):
    """The functions of `report_artifacts`."""
    return test_module("components/report_artifacts.py")


@pytest.fixture(scope="session")
def review_artifacts(small, review, tiny_models, made_once):
    """What a report is made from, by the names of `pages.sources`."""

    def fill(folder):
        made = review.write(small, folder, tiny_models.first / "1")
        (folder / "artifacts.json").write_text(json_utils.dumps(made), encoding="utf-8")

    written = made_once("review", fill) / "artifacts.json"
    return json_utils.loads(written.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def review_sources(review, review_artifacts, tmp_path_factory):
    """The same with a run in MLMD, a configuration and a data set."""
    dataset = tmp_path_factory.mktemp("data") / "set"
    review.write_dataset(dataset)
    return review.sources_of(review_artifacts, dataset)


@pytest.fixture(scope="session")
def gathered(review, review_sources):
    """All that the report tells, compared with an earlier run in lineage and drift."""
    from pages.report import page

    return page.gather_report(review_sources, review.earlier(review_sources), None)


@pytest.fixture(scope="session")
def report_file(gathered, tmp_path_factory):
    """The report on disk."""
    from pages.report import page

    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page.render_report(gathered), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def review_workspace(review, review_sources, small, metadata_store, tmp_path_factory):
    """A workspace with runs that made all this, and one that failed; see `write_workspace`."""
    root = tmp_path_factory.mktemp("runs") / "dexmatch"
    review.write_workspace(root, metadata_store, small, review_sources)
    return root
