"""A REST server on a free port of 127.0.0.1, over a real core, in a thread of its own."""

import asyncio
import contextlib
import socket
import threading

import uvloop
from tensorflow_serving.config import model_server_config_pb2

from serving.server.core import CoreOptions, ServerCore
from serving.server.http import create_server
from serving.server.metrics import Metrics
from serving.server.rest import RestSettings, create_app


def config(folders, labels=None):
    """A ModelServerConfig: base paths by model name, all versions served."""
    made = model_server_config_pb2.ModelServerConfig()
    for name, folder in folders.items():
        model = made.model_config_list.config.add()
        model.name, model.base_path, model.model_platform = name, str(folder), "tensorflow"
        model.model_version_policy.all.SetInParent()
        model.version_labels.update(labels or {})
    return made


@contextlib.contextmanager
def serving(folders, settings=None, options=None, labels=None):
    """Yields the address, such as `http://127.0.0.1:40001`."""
    bound = socket.create_server(("127.0.0.1", 0))
    port = bound.getsockname()[1]
    ready = threading.Event()
    handles = {}

    async def run():
        core = ServerCore(options or CoreOptions(poll_s=0))
        await core.start(config(folders, labels))
        app = create_app(core, settings or RestSettings(), Metrics(core.model_names))
        server = handles["server"] = create_server(app, drain_s=5)
        task = asyncio.create_task(server.serve(sockets=[bound]))
        ready.set()
        await task
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
        yield f"http://127.0.0.1:{port}"
    finally:
        handles["server"].should_exit = True
        thread.join(60)
        bound.close()
        if "error" in handles:
            raise handles["error"]
