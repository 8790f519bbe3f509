"""The orchestrators by name. The pipeline is the same object for each of them."""

from collections.abc import Callable

from apache_beam.options.pipeline_options import StandardOptions
from tfx.orchestration.beam.beam_dag_runner import BeamDagRunner
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.tfx_runner import TfxRunner

# BeamDagRunner starts its own Beam pipeline without options, so with the default runner, which
# would first try to download another one (see `pipeline.beam.options`). This is the one it falls
# back to.
StandardOptions.DEFAULT_RUNNER = "FnApiRunner"

RUNNERS: dict[str, Callable[[], TfxRunner]] = {
    "local": LocalDagRunner,
    "beam": BeamDagRunner,
}
