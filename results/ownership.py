"""Which workspace the records of a pipeline belong to.

MLMD numbers all that a database holds, and the folders of artifacts go by these numbers. So what a
workspace has made makes sense only with the database that it was made with; and in a database that
pipelines share, a name belongs to one workspace. It may be moved: what it is known by lies in it.
"""

import contextlib
import socket
import uuid

from ml_metadata import errors
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

from core.errors import DexmatchError
from core.files import write_atomically
from results.connections import opened
from results.shared_store import SharedStore
from results.workspace import Workspace

_FILE = "metadata.id"
_TYPE = "pipeline"  # TFX's, whose contexts have the names of pipelines.
_ID, _PLACE = "workspace", "workspace_place"


def pipeline_of(store: metadata_store.MetadataStore, shared: SharedStore) -> mlmd.Context | None:
    """The pipeline's context in a shared store; None if it never ran."""
    return store.get_context_by_type_and_name(_TYPE, shared.pipeline)


def is_claimed(workspace: Workspace) -> bool:
    """Whether the workspace has records in a shared store, or had some."""
    return (workspace.root / _FILE).exists()


def claim(workspace: Workspace) -> None:
    """Makes sure that the workspace may add to the records; call it with its lock held.

    Raises:
      DexmatchError: they are another workspace's, or the workspace was used with others.
    """
    shared = workspace.shared
    file = workspace.root / _FILE
    if shared is None:
        if file.exists() and not workspace.metadata.exists() and _has_artifacts(workspace):
            raise DexmatchError(
                f"{workspace.root}: its runs are recorded in a shared database; name it "
                "(run.metadata), or choose another run.name"
            )
        return
    store = opened(workspace.metadata, shared)
    found = pipeline_of(store, shared)
    if workspace.metadata.exists() or (found is None and _has_artifacts(workspace)):
        raise DexmatchError(
            f"{workspace.root}: its runs are recorded elsewhere, and not in {shared.url}; "
            "choose another run.name, or the run.metadata that it was used with"
        )
    if found is None:
        if not file.exists():
            write_atomically(file, uuid.uuid4().hex)
        found = _added(store, shared, file.read_text(encoding="utf-8"), workspace)
    own = file.read_text(encoding="utf-8") if file.exists() else None
    if own != found.custom_properties[_ID].string_value:
        raise DexmatchError(
            f"run.name: {shared.pipeline!r} in {shared.url} belongs to another workspace, "
            f"{found.custom_properties[_PLACE].string_value or 'not made by dexmatch'}; choose "
            "another name"
        )


def _has_artifacts(workspace: Workspace) -> bool:
    return workspace.artifacts.is_dir() and any(workspace.artifacts.iterdir())


def _added(
    store: metadata_store.MetadataStore, shared: SharedStore, own: str, workspace: Workspace
) -> mlmd.Context:
    """Takes the name, or finds who was faster."""
    context = mlmd.Context(name=shared.pipeline)
    context.custom_properties[_ID].string_value = own
    context.custom_properties[_PLACE].string_value = f"{socket.gethostname()}:{workspace.root}"
    while True:
        with contextlib.suppress(errors.AlreadyExistsError):
            context.type_id = store.put_context_type(mlmd.ContextType(name=_TYPE))
            store.put_contexts([context])
        if found := pipeline_of(store, shared):
            return found
