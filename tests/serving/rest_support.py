"""A server on free ports of 127.0.0.1, over a real core, in a thread of its own."""

import asyncio
import contextlib
import dataclasses
import socket
import threading

import uvloop
from tensorflow_serving.config import model_server_config_pb2

from serving.server import grpc_api
from serving.server.core import CoreOptions, ServerCore
from serving.server.http import create_server
from serving.server.metrics import Metrics
from serving.server.rest import RestSettings, create_app

MAX_MESSAGE_BYTES = 64 << 20


def config(folders, labels=None):
    """A ModelServerConfig: base paths by model name, all versions served."""
    made = model_server_config_pb2.ModelServerConfig()
    for name, folder in folders.items():
        model = made.model_config_list.config.add()
        model.name, model.base_path, model.model_platform = name, str(folder), "tensorflow"
        model.model_version_policy.all.SetInParent()
        model.version_labels.update(labels or {})
    return made


@dataclasses.dataclass
class Serving:
    """A server that answers.

    Attributes:
      url: such as `http://127.0.0.1:40001`.
      grpc_address: such as `127.0.0.1:40002`.
      core: what it serves.
      loop: on which it runs.
    """

    url: str
    grpc_address: str
    core: ServerCore
    loop: asyncio.AbstractEventLoop


@contextlib.contextmanager
def serving(folders, settings=None, options=None, labels=None):
    """Yields the address, such as `http://127.0.0.1:40001`."""
    with serving_both(folders, settings, options, labels) as made:
        yield made.url


@contextlib.contextmanager
def serving_both(folders, settings=None, options=None, labels=None):
    """Yields a `Serving` over both APIs."""
    bound = socket.create_server(("127.0.0.1", 0))
    port = bound.getsockname()[1]
    ready = threading.Event()
    handles = {}

    async def run():
        core = ServerCore(options or CoreOptions(poll_s=0))
        await core.start(config(folders, labels))
        metrics = Metrics(core.model_names)
        rpc = grpc_api.create_server(core, metrics, MAX_MESSAGE_BYTES)
        rpc_port = rpc.add_insecure_port("127.0.0.1:0")
        await rpc.start()
        handles["serving"] = Serving(
            f"http://127.0.0.1:{port}",
            f"127.0.0.1:{rpc_port}",
            core,
            asyncio.get_running_loop(),
        )
        app = create_app(core, settings or RestSettings(), metrics)
        server = handles["server"] = create_server(app, drain_s=5)
        task = asyncio.create_task(server.serve(sockets=[bound]))
        ready.set()
        await task
        await rpc.stop(5)
        await core.stop()

    def work():
        try:
            uvloop.run(run())
        except BaseException as error:
            handles["error"] = error
        finally:
            ready.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    ready.wait(120)
    if "error" in handles:
        raise handles["error"]
    try:
        yield handles["serving"]
    finally:
        handles["server"].should_exit = True
        thread.join(60)
        bound.close()
        if "error" in handles:
            raise handles["error"]
