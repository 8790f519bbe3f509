"""ModelCard's executor: gathers what the artifacts tell, and writes the page."""

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import path_utils

from core import features
from core.config import CardConfig, EvaluatorConfig
from pages import MODEL_CARD
from pages.model_card import page, sources
from results import evaluation, retrieval
from results.metadata import WARNING

MODEL = "model"
MODEL_RUN = "model_run"
STATISTICS = "statistics"
LEAKAGE = "leakage"
EVALUATION = "evaluation"
BLESSING = "blessing"
RETRIEVAL = "retrieval"
PUSHED = "pushed_model"
CARD = "card"
NAME = "name"
DATASET = "dataset"
CONFIG = "config"
CODE = "code"

_NOT_RECIPE = ("card", "evaluator")
"""Sections that are told in a place of their own."""


class Executor(base_executor.BaseExecutor):
    """See `components.model_card.component.ModelCard`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes `card`."""
        self._log_startup(input_dict, output_dict, exec_properties)
        inputs = {
            name: artifact_utils.get_single_instance(artifacts)
            for name, artifacts in input_dict.items()
        }
        config = json.loads(exec_properties[CONFIG])
        own, asked = CardConfig(**config["card"]), EvaluatorConfig(**config["evaluator"])
        found = evaluation.load(inputs[EVALUATION].uri)
        pushed = inputs[PUSHED]
        card = page.Card(
            name=exec_properties[NAME],
            is_blessed=bool(inputs[BLESSING].get_int_custom_property("blessed")),
            version=pushed.get_string_custom_property("pushed_version"),
            details=_details(inputs[MODEL], config, exec_properties[CODE]),
            libraries=list(sources.libraries().items()),
            owner=[
                ("Owner", own.owner),
                ("Licence", own.licence),
                ("Intended use", own.intended_use),
            ],
            limits=own.limits,
            dataset=exec_properties[DATASET],
            splits=_splits(inputs[STATISTICS]),
            warnings=[inputs[LEAKAGE].get_string_custom_property(WARNING)]
            if inputs[LEAKAGE].has_custom_property(WARNING)
            else [],
            recipe=_recipe(config),
            curves=sources.curves(inputs[MODEL_RUN].uri),
            evaluation=found,
            bounds=page.bounds(asked.blessing, found),
            few=asked.min_slice_pairs,
            threshold=asked.threshold,
            retrieval=retrieval.load(inputs[RETRIEVAL].uri),
            written=f"{datetime.now(UTC):%d %B %Y, %H:%M} UTC",
        )
        output = artifact_utils.get_single_instance(output_dict[CARD])
        fileio.makedirs(output.uri)
        with fileio.open(f"{output.uri}/{MODEL_CARD}", "w") as file:
            file.write(page.render(card))


_JOINS = {
    "cosine": "compared by their cosine similarity and by the attributes that both tell of",
    "concat": "joined in a dense layer",
}


def _details(model: types.Artifact, config: Mapping[str, Any], code: str) -> list[tuple[str, str]]:
    """(what, value) of the model."""
    saved = path_utils.serving_model_path(model.uri)
    architecture, size = config["model"], config["image"]["size"]
    made_ms = model.mlmd_artifact.create_time_since_epoch
    made = datetime.fromtimestamp(made_ms / 1000, UTC) if made_ms else None
    details = {
        "Task": "probability that a caption describes a picture",
        "Architecture": (
            f"{architecture['backbone']} for the picture ({size} × {size} pixels), "
            f"{architecture['recurrent']} for the caption "
            f"(at most {config['caption']['max_tokens']} words), {_JOINS[architecture['join']]}"
        ),
        "Initial weights": _without_folder(architecture["weights"]),
        "Weights": f"{sources.parameters(saved):,}",
        "SavedModel": f"{sources.size_mb(saved):,.1f} MB",
        "Trained": f"{made:%d %B %Y, %H:%M} UTC" if made else "",
        "Artifact": f"{model.id} in MLMD" if model.id else "",
        "Python": platform.python_version(),
        "Code": code,
    }
    return [(name, value) for name, value in details.items() if value]


def _splits(statistics: types.Artifact) -> list[sources.Split]:
    """The splits in their usual order."""
    names = artifact_utils.decode_split_names(statistics.split_names)
    order = (features.TRAIN, features.VAL, features.TEST)
    return [
        sources.split(name, artifact_utils.get_split_uri([statistics], name))
        for name in order
        if name in names
    ]


def _recipe(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        section: {key: _without_folder(value) for key, value in values.items()}
        for section, values in config.items()
        if section not in _NOT_RECIPE
    }


def _without_folder(value: Any) -> Any:
    """A card is passed on: where a file lies on this machine is nobody's business."""
    return Path(value).name if isinstance(value, str) and os.sep in value else value
