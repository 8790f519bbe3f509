"""The client for TensorFlow Serving's REST API."""

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np

from serving.client import errors
from serving.client.base import DEFAULT_MODEL, Client, Floats, Settings, VersionStatus
from serving.client.retries import Deadline


class RestClient(Client):
    """Asks over HTTP; loads no TensorFlow.

    Args:
      address: such as "http://localhost:8501".
      model: the name under which the server offers the model.
      settings: deadlines, retries and batches.
    """

    def __init__(self, address: str, model: str = DEFAULT_MODEL, settings: Settings | None = None):
        super().__init__(address, settings or Settings())
        try:
            self._http = httpx.Client(base_url=address, follow_redirects=False)
        except httpx.InvalidURL as error:
            raise errors.InvalidRequest(f"{address}: {error}") from error
        self._path = f"/v1/models/{quote(model, safe='')}"

    def status(self) -> list[VersionStatus]:
        """See `Client.status`."""
        answer = self._ask("GET", self._path, None, self._deadline())
        try:
            found = [
                VersionStatus(
                    int(each["version"]),
                    each["state"],
                    each.get("status", {}).get("error_message", ""),
                )
                for each in answer["model_version_status"]
            ]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._no_model_server() from error
        return sorted(found, key=lambda each: -each.version)

    def close(self) -> None:
        """See `Client.close`."""
        self._http.close()

    def _predict(
        self, signature: str, inputs: Mapping[str, Any], output: str, deadline: Deadline
    ) -> Floats:
        request = {
            "signature_name": signature,
            "inputs": {name: _as_json(values) for name, values in inputs.items()},
        }
        answer = self._ask("POST", f"{self._path}:predict", request, deadline)
        try:
            # The column format: a single output stands there without its name.
            values = answer["outputs"]
            if isinstance(values, dict):
                values = values[output]
            return np.asarray(values, np.float32)
        except (KeyError, TypeError, ValueError) as error:
            raise self._no_model_server() from error

    def _ask(self, method: str, path: str, request: Any, deadline: Deadline) -> Any:
        body = None if request is None else json.dumps(request, separators=(",", ":")).encode()
        content = self.settings.retries.call(
            lambda: self._send(method, path, body, deadline), deadline
        )
        try:
            return json.loads(content)
        except ValueError as error:
            raise self._no_model_server() from error

    def _send(self, method: str, path: str, body: bytes | None, deadline: Deadline) -> bytes:
        try:
            with self._http.stream(
                method,
                path,
                content=body,
                headers={"Content-Type": "application/json"} if body else {},
                timeout=deadline.remaining(),
            ) as response:
                chunks = []
                for chunk in response.iter_bytes():
                    # The timeout holds for each read; an answer that trickles would outlive it.
                    deadline.remaining()
                    chunks.append(chunk)
        except httpx.TimeoutException as error:
            raise deadline.exceeded() from error
        except httpx.ConnectError as error:
            raise errors.ServingUnavailable(
                f"{self.where}: no server answers there ({error}); start one by `dexmatch serve`"
            ) from error
        except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
            # Asking has no effect on the server, so a broken connection is no reason not to repeat.
            raise errors.ServingUnavailable(
                f"{self.where}: no whole answer in HTTP ({error})"
            ) from error
        except httpx.HTTPError as error:
            raise errors.ServerFault(f"{self.where}: {error}") from error
        content = b"".join(chunks)
        if response.status_code != httpx.codes.OK:
            raise errors.error_of_http_status(response.status_code, self.where, _said(content))
        return content

    def _no_model_server(self) -> errors.ServerFault:
        return errors.ServerFault(f"{self.where}: what answers there is no model server")


def _as_json(values: Any) -> list[Any]:
    if isinstance(values, np.ndarray):
        listed: list[Any] = values.tolist()
        return listed
    return [
        {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value
        for value in values
    ]


def _said(content: bytes) -> str:
    """The message of an error's body; empty if it has none."""
    try:
        return str(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError):
        return ""
