"""Where containers find what a configuration names by paths of this machine."""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from core import config as configs
from core.config import Config
from core.errors import DexmatchError
from core.object_stores import FOLDERS, GOOGLE, local_path
from modules.network import backbones

KUBEFLOW, VERTEX = "kubeflow", "vertex"
TARGETS = (KUBEFLOW, VERTEX)


@dataclass(frozen=True)
class Places:
    """Where things are for the containers.

    Attributes:
      target: one of `TARGETS`.
      root: where artifacts are kept, in an object store; empty for the cluster's own place.
      project: this folder as the containers find it: a folder in them, or one in Cloud Storage.
      claim: PersistentVolumeClaim that is mounted in every container; empty for none.
      mount: folder in the containers where it is.
    """

    target: str
    root: str
    project: str
    claim: str = ""
    mount: str = ""

    @classmethod
    def asked(
        cls, target: str, pipeline_root: str | None, project: str | None, volume: str | None
    ) -> "Places":
        """From the words of a command line.

        Args:
          target: `--target`.
          pipeline_root: `--pipeline-root`.
          project: `--project`; by default where the volume is, on Vertex AI the pipeline root.
          volume: `--volume`, as in "claim:/mnt/dexmatch".

        Raises:
          DexmatchError: one of them is missing, or is nothing that the target has.
        """
        if target not in TARGETS:
            raise DexmatchError(f"--target {target}: there are {' and '.join(TARGETS)}")
        root = (pipeline_root or "").rstrip("/")
        claim, mount = _volume(volume) if volume else ("", "")
        if target == VERTEX:
            if not root.startswith(GOOGLE):
                raise DexmatchError(
                    f"--pipeline-root {root or '(none)'}: Vertex AI keeps artifacts in Cloud "
                    "Storage: name a folder there, as in --pipeline-root gs://bucket/dexmatch"
                )
            if volume:
                raise DexmatchError(
                    f"--volume {volume}: Vertex AI mounts no claims, but all of Cloud Storage: "
                    "name a folder there by --project gs://bucket/folder"
                )
        elif root and not root.startswith(tuple(FOLDERS)):
            raise DexmatchError(
                f"--pipeline-root {root}: Kubeflow keeps artifacts in an object store only: name "
                f"a folder that begins with {', '.join(FOLDERS)}, or leave it to the cluster"
            )
        folder = (project or mount or (root if target == VERTEX else "")).rstrip("/")
        is_there = folder.startswith("/") or (target == VERTEX and folder.startswith(GOOGLE))
        if not is_there:
            example = "--volume CLAIM:/mnt/dexmatch"
            if target == VERTEX:
                example = "--project gs://bucket/folder"
            raise DexmatchError(
                f"--project {folder or '(none)'}: name a folder that all containers share, for "
                f"the data, checkpoints and pushed models, as in {example}"
            )
        return cls(target, root, folder, claim, mount)

    def dataset(self, path: str, uri: str | None) -> str:
        """Where ImportExampleGen finds the data set.

        Args:
          path: of the data set here.
          uri: `--data-uri`, which wins.

        Raises:
          DexmatchError: no container would find it.
        """
        if uri is None:
            return self._shared("--data", path, "or say where they find it: --data-uri")
        if not uri.startswith(("/", GOOGLE)):
            raise DexmatchError(
                f"--data-uri {uri}: name a folder in the containers, or in Cloud Storage (gs://)"
            )
        return uri.rstrip("/")

    def folder(self, key: str, path: str) -> str:
        """Where containers have a folder or file that the configuration names.

        Args:
          key: of the configuration.
          path: relative to this folder, or absolute.

        Raises:
          DexmatchError: they have it nowhere.
        """
        return local_path(self._shared(key, path))

    def _shared(self, key: str, path: str, hint: str = "") -> str:
        """A path in this folder, in the project; one that is in the project already as it is."""
        if PurePosixPath(path).is_relative_to(local_path(self.project)):
            return path
        inside = os.path.relpath(path, Path.cwd())
        if inside.startswith(".."):
            raise DexmatchError(
                f"{key}: {path}: the containers have only what is in {self.project}, which this "
                f"folder stands for: name something in this folder{hint and ', '}{hint}"
            )
        return self.project if inside == "." else f"{self.project}/{inside}"

    def of_config(self, config: Config) -> Config:
        """The configuration with the paths as the containers have them; but for the data set's.

        Raises:
          DexmatchError: they do not have a file or folder that it names.
        """
        tree = config.model_dump()
        for section, key in (
            ("run", "workspace"),
            ("pusher", "directory"),
            ("data", "schema_file"),
            ("bulk", "dataset"),
        ):
            if path := tree[section][key]:
                tree[section][key] = self.folder(f"{section}.{key}", path)
        if config.bulk.dataset and config.run.runner == configs.DATAFLOW:
            # Its workers have no folders.
            tree["bulk"]["dataset"] = self._shared("bulk.dataset", config.bulk.dataset)
        if backbones.is_file(config.model.weights):
            tree["model"]["weights"] = self.folder("model.weights", config.model.weights)
        return configs.validate(tree)


def _volume(asked: str) -> tuple[str, str]:
    claim, _, mount = asked.partition(":")
    if not claim or not mount.startswith("/"):
        raise DexmatchError(
            f"--volume {asked}: name a PersistentVolumeClaim and a folder for it, as in "
            "--volume dexmatch:/mnt/dexmatch"
        )
    return claim, mount.rstrip("/")
