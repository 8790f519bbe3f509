"""Report's executor: gathers what artifacts and MLMD tell, and writes the page."""

import json
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from pages import LIBRARIES, REPORT
from pages.libraries import installed_versions
from pages.report.page import gather_report, render_report
from pages.sources import Sources, outputs_of, sources_of_previous_run
from results.metadata import Metadata, Run
from results.shared_store import SharedStore

NAME = "name"
CONFIG = "config"
METADATA = "metadata"
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
        path = exec_properties.get(METADATA_PATH)
        shared = SharedStore.from_setting(exec_properties[METADATA], name)
        metadata = Metadata(Path(path), shared) if path else None
        run = self._run(metadata) if metadata else None
        of = Sources(
            name=name,
            artifacts=outputs_of(input_dict),
            config=json.loads(exec_properties[CONFIG]),
            run=run,
            libraries=installed_versions(),
            are_libraries_of_run=True,
        )
        before = sources_of_previous_run(metadata, run, name) if metadata and run else None
        written = render_report(gather_report(of, before, None))
        report = artifact_utils.get_single_instance(output_dict[OUTPUT])
        fileio.makedirs(report.uri)
        with fileio.open(f"{report.uri}/{REPORT}", "w") as file:
            file.write(written)
        report.set_string_custom_property(LIBRARIES, json.dumps(dict(of.libraries)))

    def _run(self, metadata: Metadata) -> Run | None:
        """The run that goes on; None where its database is not at hand."""
        run_id = self._context.pipeline_run_id if self._context else None
        return next((each for each in metadata.runs() if each.id == run_id), None)
