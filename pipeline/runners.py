"""The orchestrators by name. The pipeline is the same object for each of them."""

from collections.abc import Callable

from tfx import v1 as tfx
from tfx.orchestration.beam.beam_dag_runner import BeamDagRunner

RUNNERS: dict[str, Callable[[], object]] = {
    "local": tfx.orchestration.LocalDagRunner,
    "beam": BeamDagRunner,
}
