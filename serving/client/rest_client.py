"""The client for TensorFlow Serving's REST API."""

import base64
import json
import ssl
from collections.abc import Mapping
from itertools import chain
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np

from core.errors import with_causes
from core.http_bodies import ENCODINGS, Body, BodyRefused
from serving.client import errors
from serving.client.addresses import without_login
from serving.client.base import DEFAULT_MODEL, Client, Floats, Settings, VersionStatus
from serving.client.retries import Deadline

_MALFORMED = (KeyError, TypeError, ValueError, OverflowError)
"""What is raised where an answer holds something else than it should."""


class RestClient(Client):
    """Asks over HTTP; loads no TensorFlow.

    Args:
      address: such as "http://localhost:8501".
      model: the name under which the server offers the model.
      settings: deadlines, retries, batches and the certificate to show.

    Raises:
      InvalidRequest: the address is none, or the certificate cannot be shown there.
    """

    def __init__(self, address: str, model: str = DEFAULT_MODEL, settings: Settings | None = None):
        try:
            url = httpx.URL(address)
        except httpx.InvalidURL as error:
            raise errors.InvalidRequest(
                f"{without_login(address)}: no address; write http://HOST:PORT"
            ) from error
        # httpx logs the URLs that it asks.
        base_url = url.copy_with(userinfo=b"")
        if "@" in str(base_url):
            # A password with a / or ? in it may look like a port and a path.
            raise errors.InvalidRequest(
                f"{without_login(address)}: write @, / and ? of a user, password or path as %40, "
                "%2F and %3F"
            )
        super().__init__(str(base_url) if url.userinfo else address, settings or Settings())
        try:
            context = httpx.create_ssl_context()
        except OSError as error:
            raise errors.InvalidRequest(
                f"SSL_CERT_FILE or SSL_CERT_DIR: no certificates to trust ({error.strerror})"
            ) from error
        if certificate := self.settings.client_certificate:
            if url.scheme != "https":
                raise errors.InvalidRequest(
                    f"{self.where}: a client certificate is shown over TLS; write https://"
                )
            certificate.load_into(context)
        self._http = httpx.Client(
            base_url=base_url,
            auth=(url.username, url.password) if url.userinfo else None,
            headers={"Accept-Encoding": ENCODINGS},
            verify=context,
            follow_redirects=False,
        )
        self._path = f"/v1/models/{quote(model, safe='')}"

    def status(self) -> list[VersionStatus]:
        """See `Client.status`."""
        answer = self._ask("GET", self._path, None, self._deadline())
        try:
            found = [
                VersionStatus(
                    int(each["version"]),
                    errors.one_line(str(each["state"])),
                    str(each.get("status", {}).get("error_message", "")),
                )
                for each in answer["model_version_status"]
            ]
        except (*_MALFORMED, AttributeError) as error:
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
        version = "" if self._pinned is None else f"/versions/{self._pinned}"
        answer = self._ask("POST", f"{self._path}{version}:predict", request, deadline)
        try:
            # The column format: a single output stands there without its name.
            values = answer["outputs"]
            if isinstance(values, dict):
                values = values[output]
            return _floats(values)
        except _MALFORMED as error:
            raise self._no_model_server() from error

    def _ask(self, method: str, path: str, request: Any, deadline: Deadline) -> Any:
        body = None if request is None else json.dumps(request, separators=(",", ":")).encode()
        content = self.settings.retries.call(
            lambda: self._send(method, path, body, deadline), deadline
        )
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
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
                content = self._body(response, deadline)
        except BodyRefused as error:
            raise errors.ServerFault(f"{self.where}: {error}") from error
        except httpx.TimeoutException as error:
            raise deadline.exceeded() from error
        except httpx.ConnectError as error:
            if refusal := _tls_refusal(error):
                raise errors.untrusted(self.where, refusal) from error
            raise errors.ServingUnavailable(
                f"{self.where}: no server answers there ({error}); start one by `dexmatch serve`"
            ) from error
        except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
            # Asking has no effect on the server, so a broken connection is no reason not to repeat.
            raise errors.ServingUnavailable(
                f"{self.where}: no whole answer in HTTP ({errors.one_line(str(error))})"
            ) from error
        except httpx.HTTPError as error:
            raise errors.ServerFault(f"{self.where}: {error}") from error
        if response.status_code != httpx.codes.OK:
            raise errors.error_of_http_status(response.status_code, self.where, _said(content))
        return content

    def _body(self, response: httpx.Response, deadline: Deadline) -> bytes:
        body = Body(response.headers, self.settings.max_answer_bytes)
        for chunk in response.iter_raw():
            # The timeout holds for each read; an answer that trickles would outlive it.
            deadline.remaining()
            body.add(chunk)
        return body.content()

    def _no_model_server(self) -> errors.ServerFault:
        return errors.ServerFault(f"{self.where}: what answers there is no model server")


def _tls_refusal(error: BaseException) -> str | None:
    """Why the server's certificate was refused, where that is what an error comes from."""
    for each in with_causes(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            return str(each.verify_message)
    return None


def _as_json(values: Any) -> list[Any]:
    if isinstance(values, np.ndarray):
        listed: list[Any] = values.tolist()
        return listed
    return [
        {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value
        for value in values
    ]


def _floats(values: Any) -> Floats:
    """float32 of a list of numbers, or of lists of them.

    Raises:
      TypeError: something else stands there.
      ValueError: the lists are of different lengths.
      OverflowError: an integer is too large for any float.
    """
    # NumPy would make numbers of texts and of null.
    rows = values if all(isinstance(row, list) for row in values) else [values]
    if not all(type(number) in (int, float) for number in chain.from_iterable(rows)):
        raise TypeError("not numbers")
    with np.errstate(over="ignore"):  # Infinity is told by whoever looks at the values.
        return np.asarray(values, np.float32)


def _said(content: bytes) -> str:
    """The message of an error's body; empty if it has none."""
    try:
        return str(json.loads(content)["error"])
    except (*_MALFORMED, RecursionError):
        return ""
