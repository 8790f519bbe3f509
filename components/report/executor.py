"""Report's executor: gathers what artifacts and MLMD tell, and writes the page."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from pages import LIBRARIES, REPORT
from pages.model_card import sources as installed
from pages.report import page, sources
from pages.report.sources import Sources
from results.metadata import Metadata, Output, Run

NAME = "name"
CONFIG = "config"
METADATA_PATH = "metadata_path"
OUTPUT = "report"


class Executor(base_executor.BaseExecutor):
    """See `components.report.component.Report`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes `report`."""
        self._log_startup(input_dict, output_dict, exec_properties)
        name = exec_properties[NAME]
        metadata = Metadata(Path(exec_properties[METADATA_PATH]))
        run = self._run(metadata)
        of = Sources(
            name=name,
            artifacts=_artifacts(input_dict),
            config=json.loads(exec_properties[CONFIG]),
            run=run,
            libraries=installed.libraries(),
            are_libraries_of_run=True,
        )
        before = sources.previous(metadata, run, name) if run else None
        written = page.render(page.gather(of, before, None))
        report = artifact_utils.get_single_instance(output_dict[OUTPUT])
        fileio.makedirs(report.uri)
        with fileio.open(f"{report.uri}/{REPORT}", "w") as file:
            file.write(written)
        report.set_string_custom_property(LIBRARIES, json.dumps(dict(of.libraries)))

    def _run(self, metadata: Metadata) -> Run | None:
        """The run that goes on; None where its database is not at hand."""
        run_id = self._context.pipeline_run_id if self._context else None
        return next((each for each in metadata.runs() if each.id == run_id), None)


def _artifacts(inputs: Mapping[str, list[types.Artifact]]) -> dict[str, Output]:
    """What the component was given, as MLMD would tell it."""
    return {
        key: Output(each.id, each.type_name, each.uri, _properties(each))
        for key, found in inputs.items()
        for each in found
    }


def _properties(artifact: types.Artifact) -> dict[str, Any]:
    values = artifact.mlmd_artifact.custom_properties.items()
    return {name: getattr(value, value.WhichOneof("value")) for name, value in values}
