"""Whether a SavedModel is whole: all that a server would read of it, without loading it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from core.files import plain_name
from modules.export.signatures import CONTRACT
from serving.server import warmup
from serving.server.errors import ServingError

_GRAPH = "saved_model.pb"
_SERVE = "serve"


def inspect(version: Path) -> dict[str, Any]:
    """Reads the graph, all variables, the assets and the warm-up requests.

    Args:
      version: the SavedModel's folder.

    Returns:
      `faults`, one line each; the names of its `signatures`; the number of its `variables`; and of
      its `warm_up` requests, None where it has no file of them.
    """
    faults: list[str] = []
    found: dict[str, Any] = {"signatures": [], "variables": 0, "warm_up": None}
    if graph := _graph(version, faults):
        found["signatures"] = sorted(name for name in graph.signature_def if name[:2] != "__")
        faults += _against_contract(graph)
        faults += _missing_assets(graph, version)
    found["variables"] = _count_variables(version, faults)
    requests = warmup.requests_file(version)
    if requests.is_file():
        try:
            found["warm_up"] = sum(1 for _ in warmup.records(requests))
        except ServingError as error:
            faults.append(str(error))
    return {**found, "faults": faults}


def _graph(version: Path, faults: list[str]) -> meta_graph_pb2.MetaGraphDef | None:
    file = version / _GRAPH
    try:
        saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    except OSError as error:
        faults.append(f"{_GRAPH}: {error.strerror}")
        return None
    except DecodeError:
        faults.append(f"{_GRAPH} is damaged")
        return None
    for graph in saved.meta_graphs:
        if _SERVE in graph.meta_info_def.tags:
            return graph
    faults.append(f"{_GRAPH} holds no graph for serving")
    return None


def _against_contract(graph: meta_graph_pb2.MetaGraphDef) -> Iterator[str]:
    for name, (inputs, output) in CONTRACT.items():
        if name not in graph.signature_def:
            yield f"it has no signature {name}"
            continue
        signature = graph.signature_def[name]
        if set(signature.inputs) != set(inputs) or output not in signature.outputs:
            yield f"signature {name} must take {', '.join(inputs)} and give {output}"


def _missing_assets(graph: meta_graph_pb2.MetaGraphDef, version: Path) -> Iterator[str]:
    # A file that several tensors name is listed as often.
    for name in sorted({asset.filename for asset in graph.asset_file_def}):
        if not (version / "assets" / name).is_file():
            yield f"assets/{name} is missing"


def _count_variables(version: Path, faults: list[str]) -> int:
    """Reads every variable: TensorFlow holds it to its checksum."""
    folder = version / "variables"
    if not (folder / "variables.index").is_file():
        faults.append("variables/variables.index is missing")
        return 0
    with plain_name(folder) as plain:
        try:
            reader = tf.train.load_checkpoint(f"{plain}/variables")
            names = list(reader.get_variable_to_shape_map())
            for name in names:
                reader.get_tensor(name)
        except Exception as error:  # TensorFlow's readers raise whatever comes to hand.
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            faults.append(f"variables cannot be read: {reason.replace(f'{plain}/', '')}")
            return 0
    return len(names)
