"""What Kubeflow's driver and launcher do with the tasks of a compiled pipeline, without a cluster.

As in backend/src/v2 of kubeflow/pipelines: an artifact is named by a number, has lost its type when
another task gets it, and comes with more metadata than it was given; numbers are doubles; and a log
is among the outputs.
"""

import itertools
import json
from pathlib import Path

ROOT = "minio://mlpipeline/v2/artifacts"
FOLDER = "/minio/"


class Cluster:
    """Runs tasks one by one.

    Args:
      spec: a PipelineSpec as a dict.
      run: called with the command and arguments of a container.
      folder: where `minio://` is, as the containers find it.
      parameters: of the pipeline; by default what it says itself.
    """

    def __init__(self, spec, run, folder=FOLDER, parameters=None):
        self.spec, self._run, self._folder = spec, run, folder
        declared = spec["root"]["inputDefinitions"]["parameters"]
        defaults = {name: each["defaultValue"] for name, each in declared.items()}
        self._parameters = defaults | (parameters or {})
        self._ids = itertools.count(1)
        self.tasks = spec["root"]["dag"]["tasks"]
        self.made = {}

    def order(self):
        """Names of all tasks, each after those that it waits for."""
        waiting, done = dict(self.tasks), []
        while waiting:
            ready = [
                name
                for name, task in waiting.items()
                if set(task.get("dependentTasks", ())) <= set(done)
            ]
            assert ready, f"a circle: {sorted(waiting)}"
            done += sorted(ready)
            for name in ready:
                del waiting[name]
        return done

    def path(self, uri):
        """Where an artifact is."""
        return Path(self._folder) / uri.removeprefix("minio://")

    def run(self, name):
        """Runs a task whose inputs were made; returns its outputs by key."""
        task = self.tasks[name]
        component = self.spec["components"][task["componentRef"]["name"]]
        container = self.spec["deploymentSpec"]["executors"][component["executorLabel"]]
        invocation = self._invocation(name, task, component)
        for each in invocation["outputs"]["artifacts"].values():
            self.path(each["artifacts"][0]["uri"]).parent.mkdir(parents=True, exist_ok=True)
        told = json.dumps(invocation)
        arguments = [each.replace("{{$}}", told) for each in container["container"]["args"]]
        self._run(container["container"]["command"], arguments)
        output_file = Path(invocation["outputs"]["outputFile"])
        found = json.loads(output_file.read_text()).get("artifacts", {})
        outputs = {}
        for key, artifact in invocation["outputs"]["artifacts"].items():
            (made,) = artifact["artifacts"]
            if key in found:
                (of_executor,) = found[key]["artifacts"]
                made["uri"] = of_executor["uri"]
                made.setdefault("metadata", {}).update(of_executor.get("metadata", {}))
            outputs[key] = {
                "name": str(next(self._ids)),
                "type": {"instanceSchema": ""},
                "uri": made["uri"],
                "metadata": {
                    **made.get("metadata", {}),
                    "display_name": key,
                    "store_session_info": "{}",
                },
            }
        self.made[name] = outputs
        return outputs

    def _invocation(self, name, task, component):
        given = task.get("inputs", {})
        artifacts = {}
        for key, each in given.get("artifacts", {}).items():
            source = each["taskOutputArtifact"]
            made = self.made[source["producerTask"]][source["outputArtifactKey"]]
            artifacts[key] = {"artifacts": [json.loads(json.dumps(made))]}
        root = f"{ROOT}/{self.spec['pipelineInfo']['name']}/1/{name}/2"
        declared = component.get("outputDefinitions", {}).get("artifacts", {})
        outputs = {
            key: {
                "artifacts": [{"name": key, "uri": f"{root}/{key}", "type": each["artifactType"]}]
            }
            for key, each in declared.items()
        }
        log = {"schemaTitle": "system.Artifact"}
        outputs["executor-logs"] = {
            "artifacts": [{"name": "executor-logs", "uri": f"{root}/executor-logs", "type": log}]
        }
        return {
            "inputs": {
                "parameterValues": {
                    key: self._value(each) for key, each in given.get("parameters", {}).items()
                },
                "artifacts": artifacts,
            },
            "outputs": {
                "artifacts": outputs,
                "outputFile": str(self.path(root) / "output_metadata.json"),
            },
        }

    def _value(self, parameter):
        if "componentInputParameter" in parameter:
            return self._parameters[parameter["componentInputParameter"]]
        return parameter["runtimeValue"]["constant"]
