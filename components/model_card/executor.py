"""ModelCard's executor: hands the artifacts to the page, and writes it."""

import json
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from pages import MODEL_CARD
from pages.libraries import installed_versions
from pages.model_card.gathering import gather_card
from pages.model_card.page import render_card
from pages.sources import Sources, outputs_of

CARD = "card"
NAME = "name"
DATASET = "dataset"
CONFIG = "config"
TRAINING_CODE = "training_code"


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
        of = Sources(
            name=exec_properties[NAME],
            artifacts=outputs_of(input_dict),
            config=json.loads(exec_properties[CONFIG]),
            run=None,
            libraries=installed_versions(),
            are_libraries_of_run=True,
        )
        card = gather_card(of, exec_properties[DATASET], exec_properties[TRAINING_CODE])
        output = artifact_utils.get_single_instance(output_dict[CARD])
        fileio.makedirs(output.uri)
        with fileio.open(f"{output.uri}/{MODEL_CARD}", "w") as file:
            file.write(render_card(card))
