"""ServingValidator's executor: boots a model server on the candidate, asks it, and blesses."""

import hashlib
import heapq
import json
import logging
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import tensorflow as tf
from tfx import types
from tfx.components.util import model_utils
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from components.serving_validator import checks, warmup
from core import reporting
from core.config import ServingConfig
from core.errors import DexmatchError
from core.files import plain_name
from data import pair_examples
from data.pair_examples import TruePair
from results.serving_report import FILE_NAME, Check, ServingReport
from serving import client, engines, files

MODEL = "model"
MODEL_BLESSING = "model_blessing"
EXAMPLES = "examples"
BLESSING = "blessing"
SETTINGS = "settings"
SPLIT = "split"
SEED = "seed"
IMAGE_SIZE = "image_size"
BATCHING = "batching"

# The layout of TFX's InfraValidator, which its Pusher reads.
_BLESSED = "INFRA_BLESSED"
_NOT_BLESSED = "INFRA_NOT_BLESSED"

_VERSION = "1"
_log = logging.getLogger("dexmatch.serving_validator")


class Executor(base_executor.BaseExecutor):
    """See `components.serving_validator.component.ServingValidator`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes `blessing`."""
        self._log_startup(input_dict, output_dict, exec_properties)
        blessing = artifact_utils.get_single_instance(output_dict[BLESSING])
        verdict = artifact_utils.get_single_instance(input_dict[MODEL_BLESSING])
        if not model_utils.is_model_blessed(verdict):
            refused = Check("evaluation", False, "the Evaluator refused the model: not served")
            _write(blessing, ServingReport("", (refused,)))
            return
        settings = ServingConfig(**json.loads(exec_properties[SETTINGS]))
        (examples,) = input_dict[EXAMPLES]
        split = artifact_utils.get_split_uri([examples], exec_properties[SPLIT])
        pairs = drawn(pair_examples.split_files(split), settings.pairs, exec_properties[SEED])
        if not pairs:
            raise DexmatchError(
                f"split {exec_properties[SPLIT]} holds no pair to ask a model server about; give "
                f"it more groups (data.{exec_properties[SPLIT]}_buckets)"
            )
        with tempfile.TemporaryDirectory() as scratch:
            base = Path(scratch) / client.DEFAULT_MODEL
            candidate = base / _VERSION
            source = path_utils.serving_model_path(artifact_utils.get_single_uri(input_dict[MODEL]))
            io_utils.copy_dir(source, str(candidate))
            batching = None
            if exec_properties[BATCHING]:
                batching = Path(scratch) / files.BATCHING
                batching.write_text(exec_properties[BATCHING], encoding="utf-8")
            engine = engines.choose(settings.engine)
            found = examine(
                candidate,
                pairs,
                settings,
                engine,
                exec_properties[IMAGE_SIZE],
                batching,
            )
            report = ServingReport(engine.name, tuple(found))
            _write(blessing, report)
            if report.passed:
                io_utils.copy_dir(str(candidate), path_utils.stamped_model_path(blessing.uri))
                blessing.set_int_custom_property("has_model", 1)


def drawn(files: Sequence[str], count: int, seed: int) -> list[TruePair]:
    """True pairs of a split, by lot and not by place: Beam promises no order."""

    def lot(pair: TruePair) -> bytes:
        return hashlib.sha256(b"%d\0%s" % (seed, pair.pair_id)).digest()

    return heapq.nsmallest(count, pair_examples.read_true_pairs(files), key=lot)


def examine(
    candidate: Path,
    pairs: Sequence[TruePair],
    settings: ServingConfig,
    engine: engines.Engine,
    image_size: int,
    batching: Path | None = None,
) -> list[Check]:
    """Serves a SavedModel, and checks all there is to check.

    Args:
      candidate: folder of its only version; the warm-up requests are written into it.
      pairs: what the server is asked about.
      settings: bounds.
      engine: the model server.
      image_size: height and width of the pictures in the warm-up requests.
      batching: a batching.config, as the server will have it later; None if it joins no requests.

    Returns:
      The checks, up to the first that makes further ones pointless.
    """
    with plain_name(candidate) as name:
        loaded = tf.saved_model.load(name)
    found = [checks.contract(loaded)]
    if not found[0].passed:
        return found
    # Under the name that TensorFlow Serving's own files give it: warm-up requests hold it too.
    sizes = files.batch_sizes(batching) if batching else (1,)
    written = warmup.write(candidate, loaded, client.DEFAULT_MODEL, image_size, sizes)
    options = engines.Options(
        model_name=client.DEFAULT_MODEL,
        base_path=candidate.parent,
        grpc_port=0,
        rest_port=0,
        batching_config=batching,
    )
    reporting.report(f"starting {engine.name}", 0, 2)
    with ThreadPoolExecutor(1) as thread:
        # Meanwhile: the server takes longer to start.
        in_process = thread.submit(_in_process, loaded, pairs, settings.tolerance)
        try:
            with engines.running(engine, options, timeout_s=settings.start_seconds) as server:
                asked, _ = in_process.result()
                reporting.report("asking the model server", 1, 2)
                served = _asked_of(server, asked, settings, sizes[-1] if batching else None)
                if engine.is_local:
                    served.append(checks.memory(server.pid, settings.max_memory_mb))
        except DexmatchError as error:
            served = [Check("start", False, str(error))]
        _, same = in_process.result()
    reporting.report("asking the model server", 2, 2)
    return [*found, same, Check("warm-up", True, f"{written} requests"), *served]


def _in_process(
    loaded: Any, pairs: Sequence[TruePair], tolerance: float
) -> tuple[checks.Questions, Check]:
    """What the model in this process answers, and whether it does so in every way."""
    asked = checks.questions(loaded, pairs)
    return asked, checks.evaluation_path(loaded, asked, tolerance)


def _asked_of(
    server: engines.Running,
    asked: checks.Questions,
    settings: ServingConfig,
    largest_batch: int | None,
) -> list[Check]:
    how = client.Settings()
    if largest_batch:
        # A server with batching refuses larger requests.
        how = client.Settings(max_batch=min(largest_batch, how.max_batch))
    found = []
    apis = {"REST": server.rest_url, "gRPC": f"grpc://{server.grpc_address}"}
    for api, address in apis.items():
        with client.open_model(address, settings=how) as model:
            found += checks.answers(model, api, asked, settings.tolerance)
            found.append(checks.answers_at_once(model, api, asked, settings.tolerance))
            found.append(checks.latency(model, api, asked, settings.max_latency_ms))
    return found


def _write(blessing: types.Artifact, report: ServingReport) -> None:
    """Blesses if every check passed, in the layout of TFX's InfraValidator."""
    fileio.makedirs(blessing.uri)
    io_utils.write_string_file(f"{blessing.uri}/{FILE_NAME}", report.to_json())
    mark = _BLESSED if report.passed else _NOT_BLESSED
    io_utils.write_string_file(f"{blessing.uri}/{mark}", "")
    blessing.set_int_custom_property("blessed", int(report.passed))
    for check in report.checks:
        outcome = "passed" if check.passed else "FAILED"
        _log.info("%s: %s: %s", check.name, outcome, check.found)
