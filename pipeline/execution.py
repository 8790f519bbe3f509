"""Running the pipeline: checks first, then the runner.

The log is captured and the progress shown.
"""

import contextlib
import logging
import re
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from core import config as configs
from core import disk
from core.child_processes import child_environment_applied
from core.config import Config
from core.errors import DexmatchError, with_causes
from core.features import HARD
from core.files import sha256
from core.slices import OF_PAIRS, OWN_COLUMNS, value_of_none, values_of_own
from core.user_functions import importable
from data import dataset as datasets
from modules.network import backbones
from pipeline import logs
from pipeline.beam import boot, options
from pipeline.progress import run_progress
from results import links, ownership, versions
from results.metadata import Metadata, Run
from results.workspace import INSIDE, Workspace, called
from serving import files

if TYPE_CHECKING:
    from tfx.orchestration.pipeline import Pipeline

    from results.evaluation import Evaluation

Compose = Callable[[Config, Config, datasets.Dataset, Workspace], "Pipeline"]
"""Makes a pipeline, once the workspace is entered: of the configuration, of the same with links in
the place of paths outside of the workspace, of the data set and of the workspace."""

_VALUES_SHOWN = 20
_log = logging.getLogger("dexmatch.run")


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
      run: what MLMD knows of it; None if it failed before its first component.
      evaluation: what the Evaluator found; None if the run did not come so far.
      error: why it ended early, in one line; None if it came to its end.
      is_users: whether the error is the user's to mend.
      log: everything that was said.
    """

    run: Run | None
    evaluation: "Evaluation | None"
    error: str | None
    is_users: bool
    log: Path


def execute(config: Config, verbose: bool = False, compose: Compose | None = None) -> Outcome:
    """Runs a pipeline as a configuration describes it.

    Args:
      config: a validated configuration with `data.dataset` set.
      verbose: show the log as it grows.
      compose: which pipeline; by default `compose_whole`.

    Returns:
      How it ended; a failing component is no exception.

    Raises:
      DexmatchError: something is wrong that can be seen before anything starts.
    """
    with importable(Path(config.run.code), config.user_functions):
        return _execute(config, verbose, compose or compose_whole)


def _execute(config: Config, verbose: bool, compose: Compose) -> Outcome:
    """See `execute`; the user's functions can be imported."""
    workspace = Workspace.from_config(config)
    _check_runner(config, workspace)
    if config.tuner.reuse:
        _check_tuned(workspace)
    elif workspace.shared:
        Metadata.of(workspace)  # Opened to see that it can be.
    dataset = check(config)
    started = datetime.now()
    log = workspace.logs / f"{started:%Y%m%d-%H%M%S}.log"
    error, users = None, None
    run, evaluation = None, None
    folders = workspace.root, workspace.serving
    with disk.explained(*folders), workspace.locked():
        ownership.claim(workspace)
        inputs = _linked(config, dataset, workspace)
        if config.run.runner in options.CLUSTERS:
            boot.write(config, workspace)
        with workspace.entered(), workspace.scratch(), logs.captured(log, echo=verbose):
            _log.info("configuration:\n%s", config.to_toml())
            _log.info("%s is %s", called(workspace.root), workspace.root)
            try:
                _run(config, inputs, dataset, workspace, compose)
                run = Metadata.of(workspace).latest(since=started)
                evaluation = _evaluation(run) if run else None
            except Exception as raised:
                # At once: how much is free, once temporary files are gone, explains nothing.
                users = (
                    users_mistake(raised)
                    or disk.explain(raised, *folders)
                    or _explain_by_server(workspace)
                )
                error = users or _one_line(raised)
                _log.exception("the run failed")
                with contextlib.suppress(Exception):  # Perhaps not even this can be read.
                    run = Metadata.of(workspace).latest(since=started)
    if error is None:
        return Outcome(run, evaluation, None, False, log)
    told = error.replace(INSIDE, str(workspace.root))
    return Outcome(run, None, told, users is not None, log)


def check(config: Config) -> datasets.Dataset:
    """Finds what would otherwise fail after minutes.

    Returns:
      The data set that `data.dataset` names.

    Raises:
      DexmatchError: the data set, a file that is named, or what the configuration asks of them.
    """
    if not config.data.dataset:
        raise DexmatchError(
            "data.dataset is not set: name a folder written by `dexmatch data import`, as in "
            "`dexmatch run --data datasets/mine`, or make the demo's with `dexmatch data demo`"
        )
    if config.data.schema_file:
        _check_schema(Path(config.data.schema_file))
    backbones.check_weights(config.model.backbone, config.model.weights)
    if config.bulk.dataset:
        datasets.load(config.bulk.dataset)
    dataset = datasets.load(config.data.dataset)
    _check_columns(config, dataset)
    _check_values(config, dataset)
    if config.user_functions:
        with logs.hushed():
            from pipeline import user_checks

            user_checks.check(config)
    return dataset.model_copy(update={"path": dataset.path.resolve()})


def _check_runner(config: Config, workspace: Workspace) -> None:
    if config.run.runner == configs.DATAFLOW:
        raise DexmatchError(
            f"run.workspace: {workspace.root}: workers of Dataflow do not reach this machine's "
            "folders, and a run works in one; compile it for Vertex AI, where all lies in Cloud "
            "Storage: dexmatch compile --target vertex --runner dataflow"
        )
    options.check(config.run)


def _check_schema(path: Path) -> None:
    if not path.is_file():
        raise DexmatchError(f"data.schema_file: {path} is no file")
    try:
        text_format.Parse(path.read_bytes(), schema_pb2.Schema())
    except text_format.ParseError as error:
        raise DexmatchError(f"data.schema_file: {path} is no TFDV schema: {error}") from error


def _check_tuned(workspace: Workspace) -> None:
    if not Metadata.of(workspace).has("HyperParameters"):
        raise DexmatchError(
            f"tuner.reuse: no run in {workspace.root} has tuned yet; run once with "
            "tuner.reuse=false and tuner.trials=10"
        )


def _check_columns(config: Config, dataset: datasets.Dataset) -> None:
    """Whether the data set has every column that training and evaluation ask for."""
    settings = config.evaluator
    metadata = {feature.name for feature in dataset.metadata}
    sliced = () if settings.slice_columns == "auto" else settings.slice_columns
    crossed = [column for cross in settings.slice_crosses for column in cross]
    bounded = [column for threshold in settings.blessing for column in threshold.columns]
    learned = () if config.model.attributes == "auto" else config.model.attributes
    every = metadata.union(OWN_COLUMNS)
    for key, columns, known in (
        ("model.attributes", learned, metadata),
        ("evaluator.slice_columns", sliced, every),
        ("evaluator.slice_crosses", crossed, every),
        ("evaluator.blessing", bounded, every),
    ):
        for column in columns:
            if column not in known:
                raise DexmatchError(
                    f"{key}: {dataset.path} has no metadata column {column!r}; "
                    f"it has {', '.join(sorted(metadata)) or 'none'}"
                )


def _check_values(config: Config, dataset: datasets.Dataset) -> None:
    """Whether some pair has each value that a threshold names."""
    values: dict[str, Sequence[Any]] = {
        **values_of_own(config.pairs.hard_negatives > 0),
        **{
            column.name: [each.value for each in column.values or ()]
            for column in dataset.low_cardinality_columns()
        },
    }
    for threshold in config.evaluator.blessing:
        unknown = value_of_none(threshold.parts, values)
        if unknown is None:
            continue
        column, value = unknown
        if column in OF_PAIRS and value == HARD:
            raise DexmatchError(
                f"evaluator.blessing: {threshold.slice}: there are no hard negatives, because "
                "pairs.hard_negatives is 0; raise it, or take the bound out"
            )
        owner = "dexmatch" if column in OWN_COLUMNS else dataset.path
        known = ", ".join(map(str, values[column][:_VALUES_SHOWN]))
        more = ", …" if len(values[column]) > _VALUES_SHOWN else ""
        raise DexmatchError(
            f"evaluator.blessing: {threshold.slice}: {owner} has no value {value!r} of column "
            f"{column!r}; it has {known}{more}"
        )


def _run(
    config: Config,
    inputs: Config,
    dataset: datasets.Dataset,
    workspace: Workspace,
    compose: Compose,
) -> None:
    # TensorFlow and TFX take seconds to load: only here, when the checks have passed. Beam starts
    # its workers by itself.
    with child_environment_applied(), run_progress() as progress:
        from pipeline.runners import RUNNERS

        pipeline = compose(config, inputs, dataset, workspace)
        if config.run.runner in options.CLUSTERS:
            from pipeline.beam import reach

            reach.check(config, inputs, workspace, beam_arguments(config, workspace))
        Metadata.of(workspace).mend(versions.list_versions(workspace.serving))
        progress.expect(len(pipeline.components))
        RUNNERS[config.run.orchestrator]().run(pipeline)


def compose_whole(
    config: Config, inputs: Config, dataset: datasets.Dataset, workspace: Workspace
) -> "Pipeline":
    """From the data to a pushed model; see `Compose`."""
    from pipeline import baseline
    from pipeline.pipeline import create_pipeline

    serving = workspace.inside(links.make(workspace.root, "serving", workspace.serving))
    baseline.restore(Metadata.of(workspace).runs(), workspace.serving)
    return create_pipeline(
        inputs,
        dataset=inputs.data.dataset,
        dataset_name=dataset.path.name,
        metadata_columns=[column.name for column in dataset.low_cardinality_columns()],
        pipeline_root=workspace.inside(workspace.artifacts),
        metadata_path=workspace.inside(workspace.metadata),
        checkpoints_directory=workspace.inside(workspace.checkpoints),
        serving_directory=serving,
        batching_parameters=batching_parameters(workspace),
        pinned_versions=pinned_versions(workspace),
        baseline_strategy=baseline.BaselineStrategy,
        baseline_config={"serving_directory": serving},
        told=config,
        shared_store=workspace.shared,
        beam_arguments=beam_arguments(config, workspace),
    )


def beam_arguments(config: Config, workspace: Workspace) -> list[str]:
    """Options for the Beam jobs of a run in a workspace."""
    return options.arguments(config.run, boot=str(boot.program(workspace)))


def _linked(config: Config, dataset: datasets.Dataset, workspace: Workspace) -> Config:
    """The configuration with links in the workspace for all that is read from elsewhere.

    They are named after the content, so that TFX's cache goes by that, and not by its place.
    """

    def link(kind: str, digest: str, target: Path, suffix: str = "") -> str:
        name = f"{kind}-{digest[:16]}{suffix}"
        return workspace.inside(links.make(workspace.root, name, target.resolve()))

    def link_file(kind: str, path: str, suffix: str) -> str:
        return link(kind, sha256(Path(path)), Path(path), suffix)

    tree = config.model_dump()
    if config.bulk.dataset:
        bulk = datasets.load(config.bulk.dataset)
        tree["bulk"]["dataset"] = link("data", bulk.digest, bulk.path)
    # Last: were both the same pairs, it is this folder that runs are known by.
    tree["data"]["dataset"] = link("data", dataset.digest, dataset.path)
    if config.data.schema_file:
        tree["data"]["schema_file"] = link_file("schema", config.data.schema_file, ".pbtxt")
    if backbones.is_file(config.model.weights):
        suffix = backbones.suffix(config.model.weights)
        tree["model"]["weights"] = link_file("weights", config.model.weights, suffix)
    return configs.validate(tree)


def batching_parameters(workspace: Workspace) -> str:
    """The text of the batching.config beside the pushed models; empty where there is none."""
    path = workspace.serving.parent / files.BATCHING
    if not path.exists():
        return ""
    files.read_batching(path)
    return path.read_text(encoding="utf-8")


def pinned_versions(workspace: Workspace) -> tuple[int, ...]:
    """Those that the models.config beside the pushed models names, where there is one."""
    path = workspace.serving.parent / files.MODELS
    return files.pinned_versions(path, workspace.serving.name) if path.exists() else ()


def _evaluation(run: Run) -> "Evaluation | None":
    """What the Evaluator found; None where the run did not come so far."""
    from results import evaluation

    output = run.output("ModelEvaluation")
    return evaluation.load(output.uri) if output else None


def users_mistake(error: BaseException) -> str | None:
    """The message of the DexmatchError that caused an error.

    Beam re-raises what a worker raised as another type, with the worker's stack trace as its text.
    """
    for each in with_causes(error):
        if isinstance(each, DexmatchError):
            return _without_beams_note(str(each))
    text = "".join(traceback.format_exception(error))
    found = re.findall(rf"{DexmatchError.__name__}: (.*)", text)
    return _without_beams_note(found[-1]) if found else None


def _explain_by_server(workspace: Workspace) -> str | None:
    """That the database server is away, if it is: without it no run goes on."""
    try:
        if workspace.shared:
            workspace.shared.check_it_answers()
    except DexmatchError as error:
        return str(error)
    return None


def _without_beams_note(text: str) -> str:
    return re.sub(r" \[while running .*", "", text, flags=re.DOTALL).strip()


def _one_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # The last line of a stack trace is the error itself.
    text = lines[-1] if "Traceback" in str(error) else (lines or [""])[0]
    return f"{type(error).__name__}: {text}"
