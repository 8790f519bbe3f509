"""Where everything lies that a page tells of, for a run that goes on and for a past one."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx import types
from tfx.utils import path_utils

from core import features
from core.config import EvaluatorConfig
from core.errors import DexmatchError
from pages import LIBRARIES
from pages.libraries import installed_versions
from pages.splits import Split, read_split
from pages.training_logs import Point, read_scalars
from results import evaluation
from results.evaluation import Evaluation
from results.metadata import Metadata, Output, Run, output_of

EXAMPLES = "examples"
MODEL = "model"
MODEL_RUN = "model_run"
STATISTICS = "statistics"
LEAKAGE = "leakage"
SCHEMA = "schema"
ANOMALIES = "anomalies"
EVALUATION = "evaluation"
BLESSING = "blessing"
RETRIEVAL = "retrieval"
PUSHED = "pushed_model"
INFRA_BLESSING = "infra_blessing"
TUNER_RESULTS = "tuner_results"

MADE_BY = {
    EXAMPLES: ("PairSampler", "Examples"),
    MODEL: ("Trainer", "Model"),
    MODEL_RUN: ("Trainer", "ModelRun"),
    STATISTICS: ("StatisticsGen", "ExampleStatistics"),
    LEAKAGE: ("LeakageGuard", "LeakageReport"),
    SCHEMA: (None, "Schema"),
    ANOMALIES: ("ExampleValidator", "ExampleAnomalies"),
    EVALUATION: ("Evaluator", "ModelEvaluation"),
    BLESSING: ("Evaluator", "ModelBlessing"),
    RETRIEVAL: ("RetrievalEvaluator", "RetrievalMetrics"),
    PUSHED: ("Pusher", "PushedModel"),
    INFRA_BLESSING: (None, "InfraBlessing"),
    TUNER_RESULTS: ("Tuner", "TunerResults"),
}
"""Name to the component that makes it (None: whichever does so first), and its type."""
_NEEDED = (EXAMPLES, MODEL, EVALUATION, BLESSING)
"""Without these there is nothing to report."""

_SPLITS = (features.TRAIN, features.VAL, features.TEST)


@dataclass(frozen=True)
class Sources:
    """What a page is made from.

    Attributes:
      name: of the pipeline.
      artifacts: by the names above; what the run has not made is missing.
      config: sections of the configuration that the run was started with.
      run: what MLMD knows of it; None if MLMD cannot be read here.
      libraries: name to version.
      are_libraries_of_run: whether the run had these, and not only whoever writes the page.
    """

    name: str
    artifacts: Mapping[str, Output]
    config: Mapping[str, Any]
    run: Run | None
    libraries: Mapping[str, str]
    are_libraries_of_run: bool

    @classmethod
    def of_run(cls, name: str, run: Run) -> "Sources":
        """What a past run has left.

        Raises:
          DexmatchError: it did not come so far that there is a model to tell of, or its files were
            removed.
        """
        found = {}
        for key, (node, type_name) in MADE_BY.items():
            made = (
                each.outputs[type_name]
                for each in run.executions
                if node in (None, each.node) and type_name in each.outputs
            )
            output = next(made, None)
            if output is not None and Path(output.uri).exists():
                found[key] = output
        for key in _NEEDED:
            if key not in found:
                raise DexmatchError(
                    f"run {run.id}: there is no report without its {key}, which it did not make "
                    "or which was removed; run again: dexmatch run"
                )
        report = run.output("Report")
        libraries = json.loads(report.properties.get(LIBRARIES, "{}")) if report else {}
        return cls(
            name=name,
            artifacts=found,
            config=run.config,
            run=run,
            libraries=libraries or installed_versions(),
            are_libraries_of_run=bool(libraries),
        )

    def uri(self, key: str) -> str:
        """The folder of an artifact that is there."""
        return self.artifacts[key].uri

    @property
    def saved_model(self) -> Path:
        """The folder of the SavedModel."""
        return Path(path_utils.serving_model_path(self.uri(MODEL)))

    def split_uris(self, key: str) -> dict[str, str]:
        """Split to its folder in an artifact that has splits, in their usual order.

        Empty if the artifact is missing.
        """
        if key not in self.artifacts:
            return {}
        root = Path(self.uri(key))
        folders = {name: root / f"Split-{name}" for name in _SPLITS}
        return {name: str(folder) for name, folder in folders.items() if folder.is_dir()}

    @cached_property
    def splits(self) -> dict[str, Split]:
        """Split to what it holds, in their usual order; empty if there are no statistics."""
        return {name: read_split(folder) for name, folder in self.split_uris(STATISTICS).items()}

    @cached_property
    def schema(self) -> schema_pb2.Schema:
        """What the data were validated with; an empty one if the run has none."""
        schema = schema_pb2.Schema()
        if SCHEMA in self.artifacts:
            path = next(Path(self.uri(SCHEMA)).glob("*.pbtxt"))
            text_format.Parse(path.read_text(encoding="utf-8"), schema)
        return schema

    @cached_property
    def scalars(self) -> dict[str, list[Point]]:
        """How each figure went in the training; empty if there are no logs."""
        return read_scalars(self.uri(MODEL_RUN)) if MODEL_RUN in self.artifacts else {}

    @property
    def is_blessed(self) -> bool:
        """Whether every threshold holds."""
        return bool(self.artifacts[BLESSING].properties.get("blessed"))

    @property
    def pushed_version(self) -> str:
        """Under which the model was pushed; empty if it was not."""
        pushed = self.artifacts.get(PUSHED)
        return str(pushed.properties.get("pushed_version") or "") if pushed else ""

    @cached_property
    def evaluation(self) -> Evaluation:
        """What the Evaluator found."""
        return evaluation.load(self.uri(EVALUATION))

    @cached_property
    def evaluator(self) -> EvaluatorConfig:
        """What the Evaluator was asked for."""
        return EvaluatorConfig(**self.config.get("evaluator", {}))

    @property
    def dataset(self) -> Path | None:
        """The data set's folder, if it is known."""
        return self.run.dataset if self.run else None


def outputs_of(inputs: Mapping[str, Sequence[types.Artifact]]) -> dict[str, Output]:
    """The artifacts that a component was given, by the names above, as MLMD would tell them."""
    return {
        key: output_of(each.mlmd_artifact, each.type_name)
        for key, found in inputs.items()
        for each in found
    }


def sources_of_previous_run(metadata: Metadata, run: Run, name: str) -> Sources | None:
    """The latest run before this one that there is something to tell of; None if there is none.

    Args:
      metadata: where the runs are found.
      run: this one.
      name: of the pipeline.
    """
    runs = metadata.runs()
    before = runs[: next(at for at, each in enumerate(runs) if each.id == run.id)]
    for each in reversed(before):
        try:
            return Sources.of_run(name, each)
        except DexmatchError:
            continue
    return None
