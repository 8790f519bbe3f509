"""A client's certificate, shown to servers that demand one."""

import contextlib
import functools
import http.server
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from cryptography.hazmat.primitives import serialization
from tensorflow_serving.apis import get_model_metadata_pb2

from serving.client import (
    ClientCertificate,
    ClientError,
    InvalidRequest,
    Retries,
    Settings,
    open_model,
)

ONCE = Retries(attempts=1)
STATUS = b'{"model_version_status": [{"version": "7", "state": "AVAILABLE"}]}'


@contextlib.contextmanager
def rest_server(folder, config):
    """Says that version 7 is served, to whom shows a certificate; yields its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(STATUS)))
            self.end_headers()
            self.wfile.write(STATUS)

        def log_message(self, *_):
            pass

    pair = folder / "server.pem"
    pair.write_text(config.server_key + config.server_cert)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    context.load_verify_locations(cadata=config.custom_ca)
    context.verify_mode = ssl.CERT_REQUIRED
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.handle_error = lambda *_: None
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def grpc_server(folder, config):
    """See `rest_server`."""
    answer = get_model_metadata_pb2.GetModelMetadataResponse()
    answer.model_spec.version.value = 7
    content = answer.SerializeToString()

    class Handler(grpc.GenericRpcHandler):
        def service(self, _):
            return grpc.unary_unary_rpc_method_handler(lambda *_: content)

    credentials = grpc.ssl_server_credentials(
        [(config.server_key.encode(), config.server_cert.encode())],
        config.custom_ca.encode(),
        require_client_auth=True,
    )
    with ThreadPoolExecutor(2) as threads:
        server = grpc.server(threads, [Handler()])
        port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        try:
            yield f"grpcs://127.0.0.1:{port}"
        finally:
            server.stop(None).wait()


@pytest.fixture(params=[rest_server, grpc_server], ids=["REST", "gRPC"])
def address(request, tmp_path, tls, another_tls, monkeypatch):
    """Of a server that trusts `another_tls`, and that clients trust."""
    tls.custom_ca = another_tls.server_cert
    (tmp_path / "trusted.pem").write_text(tls.server_cert)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted.pem"))
    credentials = functools.partial(grpc.ssl_channel_credentials, tls.server_cert.encode())
    monkeypatch.setattr(grpc, "ssl_channel_credentials", credentials)
    with request.param(tmp_path, tls) as address:
        yield address


@pytest.fixture
def shown(tmp_path, another_tls):
    """The certificate of `another_tls`, in files."""
    certificate, key = tmp_path / "client.pem", tmp_path / "client.key"
    certificate.write_text(another_tls.server_cert)
    key.write_text(another_tls.server_key)
    return ClientCertificate(certificate, key)


def test_a_server_that_demands_a_certificate_is_shown_one(address, shown):
    with open_model(address, settings=Settings(retries=ONCE, client_certificate=shown)) as model:
        assert model.version() == 7


def test_without_a_certificate_it_does_not_answer(address):
    with open_model(address, settings=Settings(retries=ONCE, deadline_s=20)) as model:
        with pytest.raises(ClientError, match="127.0.0.1") as raised:
            model.version()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("server", [rest_server, grpc_server], ids=["REST", "gRPC"])
def test_a_server_that_is_not_to_be_trusted_is_asked_once(
    server, tmp_path, tls, another_tls, monkeypatch
):
    tls.custom_ca = another_tls.server_cert
    (tmp_path / "trusted.pem").write_text(another_tls.server_cert)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted.pem"))
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it is asked again"))
    with server(tmp_path, tls) as address, open_model(address) as model:
        with pytest.raises(ClientError, match="certificate is not to be trusted") as raised:
            model.version()
    assert "\n" not in str(raised.value)


def test_authorities_that_cannot_be_read_are_told_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(InvalidRequest, match=r"^SSL_CERT_FILE or .* \(No such file"):
        open_model("https://localhost:1")


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_over_no_tls_no_certificate_is_shown(scheme, shown):
    with pytest.raises(InvalidRequest, match=f"write {scheme}s://"):
        open_model(f"{scheme}://localhost:1", settings=Settings(client_certificate=shown))


def missing(shown, _):
    shown.key.unlink()


def of_another(shown, another):
    shown.key.write_text(another.server_key)


def garbage(shown, _):
    shown.certificate.write_text("garbage")


def with_a_password(shown, _):
    key = serialization.load_pem_private_key(shown.key.read_bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    shown.key.write_bytes(locked)


@pytest.mark.parametrize("scheme", ["https", "grpcs"])
@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (missing, r"client\.key: cannot be read \(No such file or directory\)"),
        (of_another, "must be a certificate and its key, in PEM"),
        (garbage, "must be a certificate and its key, in PEM"),
        (with_a_password, "without a password"),
    ],
)
def test_what_is_no_certificate_with_its_key_is_told_in_one_line(scheme, damage, told, shown, tls):
    damage(shown, tls)
    with pytest.raises(InvalidRequest, match=told) as raised:
        open_model(f"{scheme}://localhost:1", settings=Settings(client_certificate=shown))
    assert "\n" not in str(raised.value)
