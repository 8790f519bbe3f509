"""Writes MLMD databases as TFX does."""

from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd


class Store:
    """Writes runs as TFX does."""

    def __init__(self, path):
        connection = mlmd.ConnectionConfig()
        connection.sqlite.filename_uri = str(path)
        connection.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self._store = metadata_store.MetadataStore(connection)
        self._contexts = {
            name: self._store.put_context_type(mlmd.ContextType(name=name))
            for name in ("pipeline_run", "node")
        }
        self._execution_type = self._store.put_execution_type(mlmd.ExecutionType(name="any"))

    def context(self, kind, name):
        context = mlmd.Context(type_id=self._contexts[kind], name=name)
        found = self._store.get_context_by_type_and_name(kind, name)
        return found.id if found else self._store.put_contexts([context])[0]

    def execute(
        self,
        run,
        node,
        state,
        artifact_type=None,
        parameters=None,
        uri=None,
        reads=(),
        **properties,
    ):
        """Writes an execution, and what it made; returns the artifact's id."""
        execution = mlmd.Execution(type_id=self._execution_type, last_known_state=state)
        for name, value in (parameters or {}).items():
            execution.custom_properties[name].string_value = value
        (execution_id,) = self._store.put_executions([execution])
        contexts = [
            self.context("pipeline_run", run),
            self.context("node", f"dexmatch.{node}"),
        ]
        self._store.put_attributions_and_associations(
            [],
            [mlmd.Association(execution_id=execution_id, context_id=each) for each in contexts],
        )
        for read in reads:
            self._event(execution_id, read, mlmd.Event.INPUT, "in")
        if not artifact_type:
            return None
        type_id = self._store.put_artifact_type(mlmd.ArtifactType(name=artifact_type))
        artifact = mlmd.Artifact(
            type_id=type_id, uri=uri or f"somewhere/{execution_id}", state=mlmd.Artifact.LIVE
        )
        for name, value in properties.items():
            kind = {int: "int_value", float: "double_value"}.get(type(value), "string_value")
            setattr(artifact.custom_properties[name], kind, value)
        (artifact_id,) = self._store.put_artifacts([artifact])
        self._event(execution_id, artifact_id, mlmd.Event.OUTPUT, "out")
        return artifact_id

    def artifacts(self, artifact_type):
        """The records of all artifacts of a type, the oldest first."""
        return self._store.get_artifacts_by_type(artifact_type)

    def _event(self, execution_id, artifact_id, kind, key):
        event = mlmd.Event(artifact_id=artifact_id, execution_id=execution_id, type=kind)
        event.path.steps.add().key = key
        self._store.put_events([event])
