"""AnomalyGuard's executor: reads what ExampleValidator found and stops the run, or does nothing."""

from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from core.errors import DexmatchError
from results.anomalies import explain, read_anomalies

ANOMALIES = "anomalies"
SCHEMA = "schema"

_MOST_SHOWN = 5


class Executor(base_executor.BaseExecutor):
    """See `components.anomaly_guard.component.AnomalyGuard`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Raises DexmatchError if any split has an anomaly."""
        self._log_startup(input_dict, output_dict, exec_properties)
        artifact = artifact_utils.get_single_instance(input_dict[ANOMALIES])
        schema = io_utils.SchemaReader().read(
            io_utils.get_only_uri_in_dir(artifact_utils.get_single_uri(input_dict[SCHEMA]))
        )
        found = []
        for split in artifact_utils.decode_split_names(artifact.split_names):
            uri = artifact_utils.get_split_uri([artifact], split)
            found += explain(split, read_anomalies(uri), schema)
        if found:
            more = f" (and {len(found) - _MOST_SHOWN} more)" if len(found) > _MOST_SHOWN else ""
            raise DexmatchError(
                f"the data do not fit the schema: {'; '.join(found[:_MOST_SHOWN])}{more}. "
                "Mend the data, or the schema (data.schema_file)"
            )
