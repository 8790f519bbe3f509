"""Where everything lies that a report tells of, for a run that goes on and for a past one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tfx.utils import path_utils

from core import features
from core.config import EvaluatorConfig
from core.errors import DexmatchError
from pages import LIBRARIES
from pages.model_card import sources as installed
from results import evaluation
from results.evaluation import Evaluation
from results.metadata import Metadata, Output, Run

EXAMPLES = "examples"
MODEL = "model"
MODEL_RUN = "model_run"
STATISTICS = "statistics"
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
_TELL_CONFIG = ("Report", "ModelCard")

_SPLITS = (features.TRAIN, features.VAL, features.TEST)


@dataclass(frozen=True)
class Sources:
    """What a report is made from.

    Attributes:
      name: of the pipeline.
      artifacts: by the names above; what the run has not made is missing.
      config: sections of the configuration that the run was started with.
      run: what MLMD knows of it; None if MLMD cannot be read here.
      libraries: name to version.
      are_libraries_of_run: whether the run had these, and not only whoever writes the report.
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
        told = [each for each in map(run.execution, _TELL_CONFIG) if each is not None]
        report = run.output("Report")
        libraries = json.loads(report.properties.get(LIBRARIES, "{}")) if report else {}
        return cls(
            name=name,
            artifacts=found,
            config=json.loads(told[0].parameters["config"]) if told else {},
            run=run,
            libraries=libraries or installed.libraries(),
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

        None if the artifact is missing.
        """
        if key not in self.artifacts:
            return {}
        root = Path(self.uri(key))
        folders = {name: root / f"Split-{name}" for name in _SPLITS}
        return {name: str(folder) for name, folder in folders.items() if folder.is_dir()}

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


def previous(metadata: Metadata, run: Run, name: str) -> Sources | None:
    """The latest run before this one that there is something to tell of."""
    runs = metadata.runs()
    before = runs[: next(at for at, each in enumerate(runs) if each.id == run.id)]
    for each in reversed(before):
        try:
            return Sources.of_run(name, each)
        except DexmatchError:
            continue
    return None
