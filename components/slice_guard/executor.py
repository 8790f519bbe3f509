"""SliceGuard's executor: reads pairs until each slice has one, which mostly are a few."""

from typing import Any

from tensorflow_model_analysis.proto import config_pb2
from tensorflow_model_analysis.slicer import slicer_lib as slicer
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import json_utils

from components.evaluator.slicing import slices_of
from core.errors import DexmatchError
from core.slices import parts_of
from data import pair_examples

EXAMPLES = "examples"
SLICES = "slices"
SPLIT = "split"


class Executor(base_executor.BaseExecutor):
    """See `components.slice_guard.component.SliceGuard`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Raises DexmatchError if a slice has no pair."""
        self._log_startup(input_dict, output_dict, exec_properties)
        examples = artifact_utils.get_single_instance(input_dict[EXAMPLES])
        judged = exec_properties[SPLIT]
        empty = _empty(examples, judged, json_utils.loads(exec_properties[SLICES]))
        if not empty:
            return
        name = empty[0]
        splits = artifact_utils.decode_split_names(examples.split_names)
        others = [each for each in splits if each != judged and not _empty(examples, each, [name])]
        elsewhere = f", though {' and '.join(others)} have" if others else ""
        raise DexmatchError(
            f"evaluator.blessing: no pair of the {judged} split is in {name}{elsewhere}, so no "
            f"model can be blessed; take the bound out, or give that split more groups "
            f"(data.{judged}_buckets)"
        )


def _empty(examples: types.Artifact, split: str, names: list[str]) -> list[str]:
    """Those slices that no pair of a split is in."""
    left = {
        name: slicer.SingleSliceSpec(
            spec=config_pb2.SlicingSpec(feature_values=dict(parts_of(name)))
        )
        for name in names
    }
    files = pair_examples.split_files(artifact_utils.get_split_uri([examples], split))
    for example in pair_examples.read_examples(files):
        for name in [name for name, spec in left.items() if any(slices_of(example, [spec]))]:
            del left[name]
        if not left:
            break
    return list(left)
