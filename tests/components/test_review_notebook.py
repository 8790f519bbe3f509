"""notebooks/review.ipynb, executed on the artifacts that the report is tested with."""

import base64
import json
import re
from pathlib import Path

import nbclient
import nbformat
import pytest
import tensorflow_model_analysis as tfma
from tensorflow_metadata.proto.v0 import statistics_pb2

from pages import sources
from results.metadata import Metadata

pytestmark = pytest.mark.slow

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "review.ipynb"


@pytest.fixture(scope="module")
def executed(review_workspace):
    """The notebook with what its cells show, for the newest run of a workspace."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (parameters,) = (
        cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())
    )
    parameters.source = re.sub(
        r"(?m)^WORKSPACE = .*$", f"WORKSPACE = {str(review_workspace.parent)!r}", parameters.source
    )
    client = nbclient.NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(NOTEBOOK.parent)}},
    )
    return client.execute()


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


def widgets(notebook, model):
    """What the views of a kind were given, in the order in which they are shown."""
    states = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    mime = "application/vnd.jupyter.widget-view+json"
    shown = [
        states[output.data[mime]["model_id"]]
        for output in outputs(notebook)
        if mime in output.get("data", ())
    ]
    return [each["state"] for each in shown if each["model_name"] == model]


def html(notebook):
    mime = "text/html"
    return [each.data[mime] for each in outputs(notebook) if mime in each.get("data", ())]


@pytest.fixture(scope="module")
def newest(review_workspace):
    """What the newest run with an evaluation has left."""
    return sources.Sources.of_run("x", Metadata(review_workspace / "metadata.sqlite").runs()[1])


def test_it_is_committed_without_outputs():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    for cell in code:
        assert (cell["outputs"], cell["execution_count"]) == ([], None)


def test_no_cell_fails_and_the_newest_run_with_an_evaluation_is_shown(executed):
    assert {"error"}.isdisjoint(output.output_type for output in outputs(executed))
    assert any("run 2026-01-02," in output.get("text", "") for output in outputs(executed))


def test_every_slice_of_tfmas_files_is_shown_once_with_the_candidates_figures(executed, newest):
    views = widgets(executed, "SlicingMetricsModel")
    shown = {row["slice"]: row["metrics"][""][""] for view in views for row in view["data"]}
    found = list(tfma.load_metrics(newest.uri(sources.EVALUATION)))
    assert sum(len(view["data"]) for view in views) == len(shown) == len(found) > 10
    for name, slice_ in {"Overall": "overall", "color:red": "color:red"}.items():
        figures = newest.evaluation.slice(slice_)
        assert figures.baseline["accuracy"] == 1 > figures.figures["accuracy"]
        for metric in ("auc", "accuracy", "ece"):
            assert shown[name][metric]["doubleValue"] == pytest.approx(figures.figures[metric])


def test_the_curves_are_of_all_pairs(executed):
    (plot,) = widgets(executed, "PlotModel")
    buckets = plot["data"]["calibrationHistogramBuckets"]["buckets"]
    assert sum(bucket["numWeightedExamples"] for bucket in buckets) == 120


def test_the_runs_stand_side_by_side(executed, review_sources, newest):
    (series,) = widgets(executed, "TimeSeriesModel")
    shown = [each["metrics"][""][""]["auc"]["doubleValue"] for each in series["data"]]
    both = (review_sources.evaluation, newest.evaluation)
    assert shown == pytest.approx([each.slice("overall").figures["auc"] for each in both])


def test_the_statistics_of_val_and_test_stand_beside_those_of_train(executed):
    protos = [
        statistics_pb2.DatasetFeatureStatisticsList.FromString(base64.b64decode(found))
        for page in html(executed)
        for found in re.findall(r'proto-input="([^"]+)"', page)
    ]
    shown = [[(each.name, each.num_examples) for each in proto.datasets] for proto in protos]
    assert shown == [[("val", 120), ("train", 40)], [("test", 120), ("train", 40)]]


def test_schema_and_anomalies_are_shown(executed, review):
    tables = "\n".join(html(executed))
    assert "'color'" in tables
    assert "No anomalies found" in tables
    assert "window.evil" in tables
