"""Past and present runs, read from MLMD.

Needs ml-metadata only, so that `dexmatch runs` answers at once.
"""

import json
import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from google.protobuf import json_format, struct_pb2
from ml_metadata.proto import metadata_store_pb2 as mlmd

from results import links, versions
from results.connections import opened
from results.ownership import pipeline_of
from results.shared_store import SharedStore
from results.versions import Version
from results.workspace import ARTIFACTS, INSIDE, Workspace, called

_RUN = "pipeline_run"
_NODE = "node"
_DATASET = "input_base"
_State = mlmd.Execution.State
_MODEL = "Model"
# A verdict, and whether a model was pushed: the folder may well be empty.
_PUSHED = "PushedModel"
_TOLD_BY_THE_RECORD = ("ModelBlessing", _PUSHED)
_PUSHED_VERSION = "pushed_version"
_TOLD_CONFIG = ("Report", "ModelCard")
_ABSOLUTE = re.compile(rf"/.*/(?P<inside>{ARTIFACTS}/[^/]+/[^/]+/[0-9]+)", re.DOTALL)

AUC = "auc_"
"""Custom properties of a `ModelEvaluation`: the AUC on a few slices, as in "auc_against:random". So
listing runs need not load TFMA."""

WITHDRAWN = "rolled_back_version"
"""Custom property of a `PushedModel` that was rolled back, and so not pushed again: the version."""

WARNING = "warning"
"""Custom property of any artifact: what the user should know of it, in one line."""

NEW, CACHED, FAILED, UNFINISHED = "new", "cached", "failed", "unfinished"
_STATES = {
    _State.COMPLETE: NEW,
    _State.CACHED: CACHED,
    _State.FAILED: FAILED,
    _State.CANCELED: FAILED,
}


@dataclass(frozen=True)
class Output:
    """An artifact that a component made, or took from the cache.

    Attributes:
      id: in MLMD.
      type: name of the artifact type, such as "Examples"; of ours without the package.
      uri: where it lies, see `located`.
      properties: its own and its custom properties.
      created: when MLMD was first told of it, in UTC; None where it was not.
    """

    id: int
    type: str
    uri: str
    properties: dict[str, Any]
    created: datetime | None = None


@dataclass(frozen=True)
class Execution:
    """One component in one run.

    Attributes:
      node: the component's id in the pipeline.
      state: `NEW`, `CACHED`, `FAILED` or `UNFINISHED` (running now, or killed).
      seconds: from start to end.
      parameters: what it was told.
      outputs: what it made, by artifact type.
      read: (id, key) of each artifact that it read, under the name of the input.
      made: all that it made, under the name of the output.
    """

    node: str
    state: str
    seconds: float
    parameters: dict[str, Any]
    outputs: dict[str, Output]
    read: tuple[tuple[int, str], ...] = ()
    made: tuple[tuple[Output, str], ...] = field(default=())


@dataclass(frozen=True)
class Run:
    """One run of a pipeline.

    Attributes:
      id: the runner's name for it.
      started: local time.
      executions: in the order in which they were started.
    """

    id: str
    started: datetime
    executions: tuple[Execution, ...]

    def output(self, type_name: str) -> Output | None:
        """The run's artifact of a type that one component makes, such as "ModelBlessing"."""
        for execution in self.executions:
            if type_name in execution.outputs:
                return execution.outputs[type_name]
        return None

    def execution(self, node: str) -> Execution | None:
        """The run's execution of a node."""
        return next((each for each in self.executions if each.node == node), None)

    @property
    def is_cached(self) -> bool:
        """Whether nothing was made anew. Resolvers and guards run, but make nothing."""
        return all(each.state == CACHED or not each.made for each in self.executions)

    @property
    def config(self) -> dict[str, Any]:
        """Sections of the configuration that it was started with, as far as a component was told;
        empty if none was."""
        told = next((each for each in map(self.execution, _TOLD_CONFIG) if each is not None), None)
        sections: dict[str, Any] = json.loads(told.parameters["config"]) if told else {}
        return sections

    @property
    def is_blessed(self) -> bool | None:
        """None if the run did not come so far."""
        blessing = self.output("ModelBlessing")
        return bool(blessing.properties.get("blessed")) if blessing else None

    @property
    def is_infra_blessed(self) -> bool | None:
        """Whether a model server served it well; None if none was tried."""
        blessing = self.output("InfraBlessing")
        return bool(blessing.properties.get("blessed")) if blessing else None

    @property
    def pushed_version(self) -> str | None:
        """The version under which the model is served, None if it was not pushed."""
        pushed = self.output(_PUSHED)
        return (pushed.properties.get(_PUSHED_VERSION) or None) if pushed else None

    @property
    def aucs(self) -> dict[str, float]:
        """Slice name to AUC, for the few slices that the Evaluator noted in MLMD."""
        evaluation = self.output("ModelEvaluation")
        properties = evaluation.properties if evaluation else {}
        return {
            name.removeprefix(AUC): value
            for name, value in properties.items()
            if name.startswith(AUC)
        }

    @property
    def warnings(self) -> list[tuple[str, str]]:
        """(node, what it warns of), whether it ran in this run or was taken from the cache."""
        return [
            (execution.node, output.properties[WARNING])
            for execution in self.executions
            for output in execution.outputs.values()
            if WARNING in output.properties
        ]

    @property
    def dataset(self) -> Path | None:
        """The data set folder."""
        example_gen = self.execution("ImportExampleGen")
        return Path(example_gen.parameters[_DATASET]) if example_gen else None


class Metadata:
    """Reads, and mends, MLMD's records of a pipeline.

    Args:
      path: the SQLite file, in the workspace's folder; if there is none, there are no runs.
      shared: the database server that takes its place, where other pipelines have records too.

    Raises:
      DexmatchError: the server is away or lets us not in.
    """

    def __init__(self, path: Path, shared: SharedStore | None = None):
        self._root = path.parent
        self._shared = shared
        self._store = opened(path, shared)

    @classmethod
    def of(cls, workspace: Workspace) -> "Metadata":
        """The records of a workspace, wherever they are."""
        return cls(workspace.metadata, workspace.shared)

    def runs(self) -> list[Run]:
        """All runs, the oldest first."""
        return [self._run(each) for each in sorted(self._run_contexts(), key=lambda each: each.id)]

    def latest(self, since: datetime | None = None) -> Run | None:
        """The newest run; None if there is none, or none that started after `since`."""
        contexts = self._run_contexts()
        if not contexts:
            return None
        run = self._run(max(contexts, key=lambda each: each.id))
        return run if since is None or run.started >= since else None

    def _run_contexts(self) -> list[mlmd.Context]:
        if self._shared is None:
            return self._store.get_contexts_by_type(_RUN)
        pipeline = pipeline_of(self._store, self._shared)
        return self._store.get_children_contexts_by_context(pipeline.id) if pipeline else []

    def _artifacts(self) -> list[mlmd.Artifact]:
        if self._shared is None:
            return self._store.get_artifacts()
        pipeline = pipeline_of(self._store, self._shared)
        return self._store.get_artifacts_by_context(pipeline.id) if pipeline else []

    def has(self, type_name: str) -> bool:
        """Whether some run has made an artifact of a type, and it is still there."""
        return any(
            each.state == mlmd.Artifact.LIVE and self._is_there(each)
            for each in self._artifacts()
            if each.type == type_name
        )

    def live_artifacts(self) -> tuple[int, list[Output]]:
        """How many artifacts later runs may use, and which of them are not there any more."""
        live = [each for each in self._artifacts() if each.state == mlmd.Artifact.LIVE]
        gone = [output_of(each, each.type) for each in live if not self._is_there(each)]
        return len(live), [replace(each, uri=located(self._root, each.uri)) for each in gone]

    def mend(self, pushed: Collection[Version]) -> None:
        """Sets the records right with what is on disk; call it with the workspace's lock held.

        What is gone is marked as deleted, so that no cache and no resolver offers it, and what came
        back as live. So is the record of a push that another one, a rollback or a removal has
        undone: the Pusher must look again. Absolute places, as earlier releases recorded them,
        become those that a run uses today. All of it is one transaction of the database: a kill
        leaves all records as they were.

        Args:
          pushed: all versions where models are pushed to.
        """
        changed = []
        for artifact in self._artifacts():
            inside, state = _inside(artifact.uri), artifact.state
            uri = artifact.uri if inside is None else f"{called(self._root)}/{inside}"
            if state in (mlmd.Artifact.LIVE, mlmd.Artifact.DELETED):
                is_there = self._is_there(artifact) and _holds(artifact, pushed)
                state = mlmd.Artifact.LIVE if is_there else mlmd.Artifact.DELETED
            if (uri, state) != (artifact.uri, artifact.state):
                artifact.uri, artifact.state = uri, state
                changed.append(artifact)
        if changed:
            self._store.put_artifacts(changed)

    def _is_there(self, artifact: mlmd.Artifact) -> bool:
        """Whether there are files, and not their folder alone."""
        if artifact.type in _TOLD_BY_THE_RECORD:
            return True
        place = Path(located(self._root, artifact.uri))
        files = place.glob("*/saved_model.pb") if artifact.type == _MODEL else place.rglob("*")
        return place.is_file() or any(each.is_file() for each in files)

    def _run(self, context: mlmd.Context) -> Run:
        executions = self._store.get_executions_by_context(context.id)
        events = defaultdict(list)
        # For all at once: a server may be far.
        if executions:
            numbers = [each.id for each in executions]
            for event in self._store.get_events_by_execution_ids(numbers):
                events[event.execution_id].append(event)
        made = [each for of_one in events.values() for each in of_one if _is_output(each)]
        artifacts = self._store.get_artifacts_by_id([event.artifact_id for event in made])
        return Run(
            id=context.name,
            started=_local_time(context.create_time_since_epoch),
            executions=tuple(
                self._execution(each, events[each.id], artifacts)
                for each in sorted(executions, key=lambda each: each.id)
            ),
        )

    def _execution(
        self,
        execution: mlmd.Execution,
        events: Sequence[mlmd.Event],
        artifacts: Sequence[mlmd.Artifact],
    ) -> Execution:
        contexts = self._store.get_contexts_by_execution(execution.id)
        # A node's context is named "<pipeline>.<node>".
        node = next(each.name for each in contexts if each.type == _NODE).partition(".")[2]
        milliseconds = execution.last_update_time_since_epoch - execution.create_time_since_epoch
        keys = {event.artifact_id: _key(event) for event in events if _is_output(event)}
        made = [
            (self._output(artifact), keys[artifact.id])
            for artifact in artifacts
            if artifact.id in keys
        ]
        return Execution(
            node=node,
            state=_STATES.get(execution.last_known_state, UNFINISHED),
            seconds=milliseconds / 1000,
            parameters=self._parameters(execution),
            outputs={output.type: output for output, _ in made},
            read=tuple(
                (event.artifact_id, _key(event))
                for event in events
                if event.type == mlmd.Event.INPUT
            ),
            made=tuple(made),
        )

    def _output(self, artifact: mlmd.Artifact) -> Output:
        output = output_of(artifact, artifact.type)
        return replace(output, uri=located(self._root, output.uri))

    def _parameters(self, execution: mlmd.Execution) -> dict[str, Any]:
        parameters = _values(execution)
        if _DATASET in parameters:
            place = Path(located(self._root, parameters[_DATASET]))
            parameters[_DATASET] = str(links.followed(place))
        return parameters


def _holds(artifact: mlmd.Artifact, pushed: Collection[Version]) -> bool:
    """Whether what a `PushedModel` tells of the pushed versions is still so."""
    if artifact.type != _PUSHED:
        return True
    told = _values(artifact)
    if version := told.get(_PUSHED_VERSION):
        served = versions.served(pushed)
        return served is not None and str(served.number) == version
    withdrawn = told.get(WITHDRAWN)
    return not withdrawn or any(each.is_set_aside and each.number == withdrawn for each in pushed)


def located(root: Path, recorded: str) -> str:
    """Where a path lies that MLMD has recorded.

    Args:
      root: the workspace's folder.
      recorded: `INSIDE` the workspace, so that it holds wherever that is moved or copied to; of an
        artifact it may also be where the workspace was at the time.
    """
    inside = _inside(recorded)
    return recorded if inside is None else str(root / inside)


def _inside(recorded: str) -> str | None:
    """A path relative to the workspace; None for one elsewhere."""
    if recorded.startswith(f"{INSIDE}/"):
        return recorded.removeprefix(f"{INSIDE}/")
    absolute = _ABSOLUTE.fullmatch(recorded)
    return absolute["inside"] if absolute else None


def output_of(artifact: mlmd.Artifact, type_name: str) -> Output:
    """What MLMD's record of an artifact says.

    Args:
      artifact: the record, which need not be in the database yet.
      type_name: of its type, such as "Examples".
    """
    milliseconds = artifact.create_time_since_epoch
    return Output(
        id=artifact.id,
        type=type_name.rpartition(".")[2],  # Earlier releases recorded ours without it, too.
        uri=artifact.uri,
        properties=_values(artifact),
        created=datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else None,
    )


def _is_output(event: mlmd.Event) -> bool:
    return bool(event.type == mlmd.Event.OUTPUT)


def _key(event: mlmd.Event) -> str:
    """The name of the input or output, the first step of an event's path."""
    return next((step.key for step in event.path.steps if step.key), "")


def _values(node: mlmd.Artifact | mlmd.Execution) -> dict[str, Any]:
    """The own and custom properties of an artifact or execution as plain values."""
    both = [*node.properties.items(), *node.custom_properties.items()]
    return {name: _plain(value) for name, value in both}


def _plain(value: mlmd.Value) -> Any:
    found = getattr(value, value.WhichOneof("value"))
    if not isinstance(found, struct_pb2.Struct):
        return found
    # In containers, TFX keeps every custom property in such an envelope.
    return json_format.MessageToDict(found).get("__value__")


def _local_time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000)
